//! Writes an image as an OCI image-layout directory (image spec,
//! image-layout.md). Layers are regenerated and compared with the digest that
//! the manifest gives; the directory appears under its name only when it is
//! complete.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::digest::{DiffId, Digest};
use crate::error::{Error, Kind, Result};
use crate::fs;
use crate::oci::{Descriptor, Index, Manifest, media_type, to_canonical_json};

use super::layer::{LayerTarget, regenerate};

/// An image to write.
#[derive(Clone, Copy, Debug)]
pub struct LayoutImage<'a> {
    /// The manifest, raw.
    pub manifest: &'a [u8],
    /// The image config, raw.
    pub config: &'a [u8],
    /// Its layers, lowest first, as the manifest lists them.
    pub layers: &'a [LayerTarget],
    /// What `org.opencontainers.image.ref.name` says; none for no annotation.
    pub reference: Option<&'a str>,
}

/// Writes `image` to the new directory `path`.
///
/// # Errors
/// `AlreadyExists` if there is something at `path`; `Mismatch` if a layer no
/// longer has the digest or size that the manifest gives; those of writing.
pub fn write_layout(image: LayoutImage<'_>, path: &Path) -> Result<()> {
    if fs::metadata(path)?.is_some() {
        let message = format!("{} exists", path.display());
        return Err(Error::new(Kind::AlreadyExists, message).hint("name a new directory"));
    }
    let temporary = temporary_for(path)?;
    let result = write_into(image, &temporary).and_then(|()| fs::rename(&temporary, path));
    if result.is_err() {
        // It is ours and useless now; its own failure to go would hide the
        // reason.
        let _ = fs::remove_tree(&temporary);
    }
    result
}

fn temporary_for(path: &Path) -> Result<PathBuf> {
    let name = path
        .file_name()
        .ok_or_else(|| Error::invalid(format!("{} has no name", path.display())))?;
    let mut temporary = name.to_owned();
    temporary.push(format!(".{}.tmp", std::process::id()));
    Ok(path.with_file_name(temporary))
}

fn write_into(image: LayoutImage<'_>, folder: &Path) -> Result<()> {
    let manifest: Manifest = serde_json::from_slice(image.manifest)
        .map_err(|error| Error::invalid("malformed image manifest").because(error))?;
    if manifest.layers.len() != image.layers.len() {
        return Err(Error::internal("the manifest lists other layers than were given"));
    }
    let blobs = folder.join("blobs").join("sha256");
    fs::create_dir(folder, 0o755)?;
    fs::ensure_dir(&blobs, 0o755)?;
    for (descriptor, layer) in manifest.layers.iter().zip(image.layers) {
        write_layer(descriptor, layer, &blobs)?;
    }
    let blob = |bytes: &[u8]| fs::write_volatile(&blobs.join(Digest::of(bytes).encoded()), bytes);
    blob(image.config)?;
    blob(image.manifest)?;
    let mut root = Descriptor::of(media_type::MANIFEST, image.manifest);
    if let Some(reference) = image.reference {
        let key = "org.opencontainers.image.ref.name".to_owned();
        root.annotations = BTreeMap::from([(key, reference.to_owned())]);
    }
    let index = to_canonical_json(&Index::new(vec![root]))?;
    fs::write_volatile(&folder.join("index.json"), &index)?;
    fs::write_volatile(&folder.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#)
}

fn write_layer(descriptor: &Descriptor, layer: &LayerTarget, blobs: &Path) -> Result<()> {
    if descriptor.media_type != media_type::LAYER_TAR {
        let media_type = &descriptor.media_type;
        return Err(Error::unsupported(format!("cannot regenerate a layer of {media_type}")));
    }
    let path = blobs.join(descriptor.digest.encoded());
    // Two layers of the same content are one blob.
    if fs::metadata(&path)?.is_some() {
        return Ok(());
    }
    let mut file = fs::create_new(&path)?;
    let (diff_id, size) = regenerate(layer, &mut file)?;
    file.flush().map_err(|error| Error::io("write", &path, error))?;
    if diff_id != DiffId(descriptor.digest) || size != descriptor.size {
        return Err(Error::mismatch(format!(
            "layer {} is {diff_id} ({size} bytes) on disk",
            descriptor.digest
        ))
        .hint("something changed the store's files; import the image again"));
    }
    Ok(())
}
