//! Names of images for several platforms: which image is meant, and which there
//! are.

use crate::digest::Digest;
use crate::error::{Error, Kind, Result};
use crate::platform::Platform;
use crate::reference::ImageRef;
use crate::store::{ImageIndex, ImageRecord, IndexedImage, Resolved, Store};

use super::{Engine, ImageFilter};

/// What a name leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedImages {
    /// The name; none for an image that has none.
    pub name: Option<ImageRef>,
    /// The image, or the index of all.
    pub id: Digest,
    /// One, or one for each platform.
    pub images: Vec<IndexedImage>,
}

impl Engine {
    /// The images for which all `filters` hold, as [`Engine::images`], by their
    /// names.
    ///
    /// # Errors
    /// As [`Engine::images`].
    pub fn images_by_name(&self, filters: &[ImageFilter]) -> Result<Vec<NamedImages>> {
        let images = self.images(filters)?;
        let Some(store) = self.existing_store()? else { return Ok(Vec::new()) };
        let indexes = store.indexes()?;
        let mut named = nameless(&indexes, &images);
        for image in &images {
            let is_in_one = indexes.iter().any(|index| index.has(image.id));
            for name in &image.names {
                if !is_in_one {
                    let images = vec![alone(image)];
                    named.push(NamedImages { name: Some(name.clone()), id: image.id.0, images });
                    continue;
                }
                let (id, images) = match store.resolve_for(&name.to_string(), None) {
                    Ok(Resolved { index: Some(index), .. }) => (index.digest, index.images),
                    Ok(_) => (image.id.0, vec![alone(image)]),
                    // It has gone since the list was made.
                    Err(error) if error.kind() == Kind::NotFound => continue,
                    Err(error) => return Err(error),
                };
                named.push(NamedImages { name: Some(name.clone()), id, images });
            }
        }
        for named in &mut named {
            let mut seen = Vec::new();
            named.images.retain(|one| {
                let key = (one.record.id, one.platform.clone());
                let is_new = !seen.contains(&key);
                seen.push(key);
                is_new
            });
        }
        Ok(named)
    }
}

/// Those of `images` to which no name leads, together where they are an index.
fn nameless(indexes: &[ImageIndex], images: &[ImageRecord]) -> Vec<NamedImages> {
    let mut left: Vec<&ImageRecord> = images.iter().filter(|image| image.is_dangling()).collect();
    let mut found = Vec::new();
    for index in indexes {
        let count = left.len();
        left.retain(|image| !index.has(image.id));
        if left.len() < count {
            let images = index.images.clone();
            found.push(NamedImages { name: None, id: index.digest, images });
        }
    }
    let single = |image: &ImageRecord| NamedImages {
        name: None,
        id: image.id.0,
        images: vec![alone(image)],
    };
    found.extend(left.into_iter().map(single));
    found
}

/// An image of no index.
pub(super) fn alone(record: &ImageRecord) -> IndexedImage {
    IndexedImage {
        platform: record.platform.clone(),
        manifest: record.manifest,
        record: record.clone(),
    }
}

/// What `text` means, which is for `wanted` where that is given.
///
/// # Errors
/// Those of [`Store::resolve_for`]; `Mismatch` if there is none for the platform.
pub(super) fn resolve(store: &Store, text: &str, wanted: Option<&Platform>) -> Result<Resolved> {
    let found = store.resolve_for(text, wanted)?;
    match wanted {
        Some(wanted) if !found.platform.satisfies(wanted) => {
            Err(Error::new(Kind::Mismatch, format!("{text} is not for {wanted}"))
                .hint(format!("it is for {}", all(&found))))
        }
        _ => Ok(found),
    }
}

/// What the images are for, in words.
pub(super) fn all(found: &Resolved) -> String {
    let images = found.index.iter().flat_map(|index| &index.images);
    let mut platforms: Vec<String> = images.map(|one| one.platform.to_string()).collect();
    if platforms.is_empty() {
        platforms.push(found.platform.to_string());
    }
    platforms.sort();
    platforms.dedup();
    platforms.join(", ")
}
