//! What an image says of itself, for those who make another one upon it.

use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::oci::{ImageConfig, Manifest};
use crate::store::{ImageRecord, Store};

/// The config and the manifest of `image`.
///
/// # Errors
/// `Invalid` if one is malformed; those of the store.
pub(super) fn read(store: &Store, image: &ImageRecord) -> Result<(ImageConfig, Manifest)> {
    let config = parsed((image, "config"), &store.image_config(image)?)?;
    Ok((config, parsed((image, "manifest"), &store.image_manifest(image)?)?))
}

fn parsed<T: DeserializeOwned>((image, what): (&ImageRecord, &str), bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| {
        Error::invalid(format!("the {what} of image {} is malformed", image.id)).because(error)
    })
}
