//! Names of images: what points where. A name that is given again leaves its
//! old image and goes to the new one.

use rusqlite::{Connection, OptionalExtension, params};

use crate::digest::{Digest, ImageId};
use crate::error::{Error, Result};
use crate::reference::{DEFAULT_TAG, ImageRef};

use super::Store;
use super::database::{Failure, parsed};
use super::event::{self, Event};
use super::image::{self, ImageRecord};
use super::image_index;
use super::layer::Hex;
use super::resolve;

impl Store {
    /// Gives the image or the index that `source` means the name `target`;
    /// returns what had the name before, if it was another.
    ///
    /// # Errors
    /// As [`Store::resolve`]; `Invalid` if `target` has a digest, which only
    /// a registry can give.
    pub fn tag(&self, source: &str, target: &ImageRef) -> Result<Option<Digest>> {
        if target.digest().is_some() {
            return Err(Error::invalid(format!(
                "cannot tag {source} as {target}: it has a digest"
            ))
            .hint("name a repository and a tag, as in vmibuild:v2"));
        }
        let previous = self.write("write a tag to", |transaction| {
            let resolve::Target { image, index } = resolve::target(transaction, source)?;
            let previous = point(transaction, target, (image.id, index))?;
            event::record(transaction, &Event::image("tag", &image.id, Some(full_name(target))))?;
            Ok(previous)
        })?;
        self.record_names();
        Ok(previous)
    }

    /// The image that has the name `name`, if one has.
    ///
    /// # Errors
    /// Those of the database.
    pub fn named(&self, name: &ImageRef) -> Result<Option<ImageRecord>> {
        self.read("look up a name in", |connection| {
            let Some(id) = target(connection, name)? else { return Ok(None) };
            image::find(connection, id)
        })
    }

    /// Takes the name `name` from its image, which stays, nameless perhaps;
    /// returns the image.
    ///
    /// # Errors
    /// `NotFound` if no image has the name.
    pub fn untag(&self, name: &ImageRef) -> Result<ImageId> {
        let untagged = self.write("remove a tag from", |transaction| {
            let Some(image) = target(transaction, name)? else {
                return Err(Error::not_found(format!("no such image: {}", full_name(name))).into());
            };
            remove(transaction, name, image)?;
            Ok(image)
        })?;
        self.record_names();
        Ok(untagged)
    }
}

/// Repository and tag as the database has them; the digest, where there is
/// one, stands in the tag's place.
pub(super) fn key(name: &ImageRef) -> (String, String) {
    let tag = match name.digest() {
        Some(digest) => digest.to_string(),
        None => name.tag().unwrap_or(DEFAULT_TAG).to_owned(),
    };
    (name.full_repository(), tag)
}

/// The familiar name with its tag or digest.
pub(super) fn full_name(name: &ImageRef) -> String {
    let separator = if name.digest().is_some() { '@' } else { ':' };
    format!("{}{separator}{}", name.familiar_repository(), key(name).1)
}

/// The image that has `name`.
pub(super) fn target(connection: &Connection, name: &ImageRef) -> Result<Option<ImageId>, Failure> {
    let (repository, tag) = key(name);
    let mut statement =
        connection.prepare_cached("SELECT image FROM names WHERE repository = ?1 AND tag = ?2")?;
    let found = statement
        .query_row([repository, tag], |row| Ok(ImageId(parsed::<Hex>(row, 0)?.0)))
        .optional()?;
    Ok(found)
}

/// Makes `name` lead to `image`, and to the index; returns what had it before, an
/// image or an index, if that was another.
pub(super) fn point(
    connection: &Connection,
    name: &ImageRef,
    (image, index): (ImageId, Option<Digest>),
) -> Result<Option<Digest>, Failure> {
    let id = |image: Option<ImageId>, index: Option<Digest>| index.or(image.map(|image| image.0));
    let previous = id(target(connection, name)?, image_index::named(connection, name)?);
    let (repository, tag) = key(name);
    connection.execute(
        "INSERT INTO names (repository, tag, image, image_index) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (repository, tag)
         DO UPDATE SET image = excluded.image, image_index = excluded.image_index",
        params![repository, tag, image.0.encoded(), index.map(|index| index.encoded())],
    )?;
    Ok(previous.filter(|_| previous != id(Some(image), index)))
}

/// Takes `name` from `image` and writes the event down.
pub(super) fn remove(
    connection: &Connection,
    name: &ImageRef,
    image: ImageId,
) -> Result<(), Failure> {
    let (repository, tag) = key(name);
    connection
        .execute("DELETE FROM names WHERE repository = ?1 AND tag = ?2", [repository, tag])?;
    event::record(connection, &Event::image("untag", &image, Some(full_name(name))))
}
