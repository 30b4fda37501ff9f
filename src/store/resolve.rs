//! What a user means by the text of an image: docker's rules. An ID in full
//! comes first, then a name, then the beginning of an ID.

use rusqlite::Connection;

use crate::digest::{Digest, ImageId};
use crate::error::{Error, Kind, Result};
use crate::reference::ImageRef;

use super::Store;
use super::database::Failure;
use super::image::{self, ImageRecord};
use super::image_index;
use super::tag::{self, full_name};

/// How many images an error names.
const SHOWN: usize = 5;

impl Store {
    /// The image that `text` means: a name (tag `latest` if it has none),
    /// `name@digest` with the digest of the manifest, or an ID or its
    /// beginning, with or without `sha256:`.
    ///
    /// # Errors
    /// `NotFound`, with a hint at similar names; `Invalid` if `text` is no
    /// reference, or the beginning of several IDs.
    pub fn resolve(&self, text: &str) -> Result<ImageRecord> {
        self.read("look for an image in", |connection| {
            target(connection, text).map(|target| target.image)
        })
    }
}

/// What a text means.
pub(super) struct Target {
    /// The image, where nobody asks for a platform.
    pub(super) image: ImageRecord,
    /// The index that has it, if that is what was meant.
    pub(super) index: Option<Digest>,
}

impl From<ImageRecord> for Target {
    fn from(image: ImageRecord) -> Self {
        Self { image, index: None }
    }
}

/// As [`Store::resolve`]; the digest of an index is one more sort of ID.
pub(super) fn target(connection: &Connection, text: &str) -> Result<Target, Failure> {
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    if let Ok(digest) = Digest::from_encoded(hex) {
        if let Some(image) = image::find(connection, ImageId(digest))? {
            return Ok(image.into());
        }
        return index(connection, digest)?.ok_or_else(|| no_such_image(text).into());
    }
    let name = text.parse::<ImageRef>();
    if let Ok(name) = &name
        && let Some(found) = by_name(connection, name)?
    {
        return Ok(found);
    }
    if let Some(found) = by_prefix(connection, text, hex)? {
        return Ok(found);
    }
    let name = name?;
    Err(advise(connection, no_such_image(text), &name)?.into())
}

fn by_name(connection: &Connection, name: &ImageRef) -> Result<Option<Target>, Failure> {
    if let Some(id) = tag::target(connection, name)? {
        let Some(image) = image::find(connection, id)? else { return Ok(None) };
        return Ok(Some(Target { image, index: image_index::named(connection, name)? }));
    }
    let Some(digest) = name.digest() else { return Ok(None) };
    let parameters = [&digest.encoded(), &name.full_repository()];
    // By the manifest of an image, as it has it itself or an index; or by an index.
    let of_repository = "EXISTS (SELECT 1 FROM names WHERE repository = ?2 AND
        (image = id OR image_index IN (SELECT image_index FROM index_images WHERE image = id)))";
    for which in ["manifest = ?1", "id IN (SELECT image FROM index_images WHERE manifest = ?1)"] {
        let condition = format!("WHERE {which} AND {of_repository} ORDER BY id");
        if let Some(image) = image::select(connection, &condition, &parameters)?.into_iter().next()
        {
            return Ok(Some(image.into()));
        }
    }
    let condition = "WHERE id IN
        (SELECT image FROM names WHERE image_index = ?1 AND repository = ?2) ORDER BY id";
    let found = image::select(connection, condition, &parameters)?.into_iter().next();
    Ok(found.map(|image| Target { image, index: Some(digest) }))
}

/// The index `digest`, and the image that it means where nobody asks for a
/// platform.
fn index(connection: &Connection, digest: Digest) -> Result<Option<Target>, Failure> {
    let found = image_index::find(connection, digest)?;
    let image = found.and_then(|index| index.choose(None).map(|one| one.record.clone()));
    Ok(image.map(|image| Target { image, index: Some(digest) }))
}

fn by_prefix(connection: &Connection, text: &str, hex: &str) -> Result<Option<Target>, Failure> {
    let is_prefix = !hex.is_empty()
        && hex.len() < 64
        && hex.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    if !is_prefix {
        return Ok(None);
    }
    // 'g' follows the last hex digit.
    let range = [&hex.to_owned(), &format!("{hex}g")];
    let condition = "WHERE id >= ?1 AND id < ?2 ORDER BY id";
    let mut found: Vec<Target> =
        image::select(connection, condition, &range)?.into_iter().map(Target::from).collect();
    for digest in image_index::within(connection, range)? {
        found.extend(index(connection, digest)?);
    }
    if found.len() < 2 {
        return Ok(found.pop());
    }
    let shown: Vec<String> = found.iter().take(SHOWN).map(candidate).collect();
    let more = if found.len() > SHOWN { ", ..." } else { "" };
    Err(Error::invalid(format!("image ID {text:?} is ambiguous: {}{more}", shown.join(", ")))
        .hint("give more digits, or a name")
        .into())
}

fn candidate(target: &Target) -> String {
    let image = &target.image;
    let id = target.index.unwrap_or(image.id.0).encoded();
    // Twelve digits would not tell apart what shares more of them.
    let id = &id[..19];
    match image.names.first() {
        Some(name) => format!("{id} ({})", full_name(name)),
        None => id.to_owned(),
    }
}

fn no_such_image(text: &str) -> Error {
    Error::new(Kind::NotFound, format!("no such image: {text}"))
}

/// Adds the names that are nearest to what was typed.
fn advise(connection: &Connection, error: Error, name: &ImageRef) -> Result<Error, Failure> {
    let images = image::select(connection, "", &[])?;
    let (typed, repository) = (full_name(name), name.familiar_repository());
    let mut near: Vec<(usize, String)> = images
        .iter()
        .flat_map(|image| &image.names)
        .filter_map(|known| {
            let full = full_name(known);
            let distance = edit_distance(&typed, &full);
            let other_tag = known.familiar_repository() == repository;
            (other_tag || distance <= repository.len().div_ceil(3)).then_some((distance, full))
        })
        .collect();
    near.sort();
    near.truncate(SHOWN);
    if near.is_empty() {
        return Ok(error.hint("list the images of this store with `envbox images`"));
    }
    let names: Vec<String> = near.into_iter().map(|(_, name)| name).collect();
    Ok(error.hint(format!("did you mean {}?", names.join(" or "))))
}

/// How many bytes must be put in, taken out or changed to get from one to the
/// other (Levenshtein).
fn edit_distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.bytes().enumerate() {
            let change = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::edit_distance;

    #[test]
    fn distance_counts_changes() {
        for (from, to, distance) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "abc", 0),
            ("kitten", "sitting", 3),
            ("ab", "ba", 2),
        ] {
            assert_eq!(edit_distance(from, to), distance, "{from} {to}");
            assert_eq!(edit_distance(to, from), distance, "{to} {from}");
        }
    }
}
