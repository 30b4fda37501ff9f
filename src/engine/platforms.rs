//! Names of images for several platforms: which image is meant, and which there
//! are.

use crate::digest::Digest;
use crate::error::{Error, Kind, Result};
use crate::platform::Platform;
use crate::reference::ImageRef;
use crate::store::{ImageRecord, Store};

use super::{Engine, ImageFilter};

/// What a name leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedImages {
    /// The name; none for an image that has none.
    pub name: Option<ImageRef>,
    /// The image, or the index of all.
    pub id: Digest,
    /// One, or one for each platform.
    pub images: Vec<ImageRecord>,
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
        let mut named = nameless(store, &images)?;
        for image in &images {
            for name in &image.names {
                let index = store.index(&name.to_string())?;
                let (id, images) = match index {
                    Some(index) => (index.digest, index.images),
                    None => (image.id.0, vec![image.clone()]),
                };
                named.push(NamedImages { name: Some(name.clone()), id, images });
            }
        }
        Ok(named)
    }
}

/// Those of `images` to which no name leads, together where they are an index.
fn nameless(store: &Store, images: &[ImageRecord]) -> Result<Vec<NamedImages>> {
    let mut alone: Vec<&ImageRecord> = images.iter().filter(|image| image.is_dangling()).collect();
    let mut found = Vec::new();
    for digest in store.indexes()? {
        let Some(index) = store.index(&digest.to_string())? else { continue };
        let count = alone.len();
        alone.retain(|image| index.images.iter().all(|member| member.id != image.id));
        if alone.len() < count {
            found.push(NamedImages { name: None, id: digest, images: index.images });
        }
    }
    let single = |image: &ImageRecord| NamedImages {
        name: None,
        id: image.id.0,
        images: vec![image.clone()],
    };
    found.extend(alone.into_iter().map(single));
    Ok(found)
}

/// The image that `text` means, which is for `wanted` where that is given.
///
/// # Errors
/// Those of [`Store::resolve`]; `Mismatch` if there is none for the platform.
pub(super) fn resolve(store: &Store, text: &str, wanted: Option<&Platform>) -> Result<ImageRecord> {
    let image = store.resolve_for(text, wanted)?;
    match wanted {
        Some(wanted) if !image.platform.satisfies(wanted) => {
            Err(Error::new(Kind::Mismatch, format!("{text} is not for {wanted}"))
                .hint(format!("it is for {}", all(store, text, &image)?)))
        }
        _ => Ok(image),
    }
}

/// What the images of `text`, which means `image`, are for, in words.
///
/// # Errors
/// Those of [`Store::index`].
pub(super) fn all(store: &Store, text: &str, image: &ImageRecord) -> Result<String> {
    let images = store.index(text)?.map_or_else(|| vec![image.clone()], |index| index.images);
    let mut platforms: Vec<String> =
        images.iter().map(|image| image.platform.to_string()).collect();
    platforms.sort();
    platforms.dedup();
    Ok(platforms.join(", "))
}
