//! The form of `docker save`: `manifest.json` names for each image its config,
//! its names and the tars of its layers (moby, image/spec/v1.2.md, "Combined
//! Image JSON + Filesystem Changeset Format"). Other programs compress the
//! layers.

use serde::Deserialize;

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::reference::ImageRef;

use super::archive::{Archive, missing};
use super::{Documents, FoundImage, FoundLayer, parse};

/// The member that makes an archive one of docker's.
pub(super) const MANIFEST: &str = "manifest.json";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

/// The images that `manifest`, the content of `manifest.json`, names.
///
/// # Errors
/// `Invalid` for a malformed manifest, a missing config, and names that are
/// none; `Mismatch` for a config that is not what its name says.
pub(super) fn images(archive: &Archive, manifest: &[u8]) -> Result<Vec<FoundImage>> {
    let items: Vec<Item> = parse(MANIFEST, manifest)?;
    let mut documents = Documents::default();
    items.into_iter().map(|item| image(archive, &mut documents, item)).collect()
}

fn image(archive: &Archive, documents: &mut Documents, item: Item) -> Result<FoundImage> {
    let config = documents.read(archive, &item.config)?.ok_or_else(|| missing(&item.config))?;
    if let Some(expected) = digest_in(&item.config)
        && Digest::of(&config) != expected
    {
        let (path, found) = (&item.config, Digest::of(&config));
        return Err(Error::mismatch(format!("the config {path:?} in the archive is {found}")));
    }
    let names = item.repo_tags.unwrap_or_default();
    let layer = |path: String| FoundLayer { path, descriptor: None };
    Ok(FoundImage {
        names: names.iter().map(|name| tagged(name)).collect::<Result<Vec<ImageRef>>>()?,
        config,
        layers: item.layers.unwrap_or_default().into_iter().map(layer).collect(),
        manifest: None,
    })
}

/// A name; one with a digest is nobody's to give.
fn tagged(text: &str) -> Result<ImageRef> {
    let name: ImageRef = text.parse()?;
    match name.digest() {
        None => Ok(name),
        Some(_) => Err(Error::invalid(format!("the archive names an image {text:?}"))
            .hint("a name in an archive has a tag, and no digest")),
    }
}

/// The digest that a path ends with: `<digest>.json` or `sha256/<digest>`.
fn digest_in(path: &str) -> Option<Digest> {
    let name = path.rsplit('/').next().unwrap_or_default();
    Digest::from_encoded(name.strip_suffix(".json").unwrap_or(name)).ok()
}
