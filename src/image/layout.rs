//! Images as a directory in OCI's image layout (image spec, image-layout.md).
//!
//! It knows nothing of where the layers come from: it asks for their bytes and
//! believes only their digests.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::digest::{DiffId, Digest, Hasher};
use crate::error::{Context, Error, Kind, Result};
use crate::fs;
use crate::oci::{Descriptor, ImageConfig, Index, Manifest, media_type, to_canonical_json};

/// The annotation that names an image of a layout (image spec, annotations.md).
const REF_NAME: &str = "org.opencontainers.image.ref.name";
const LAYOUT_VERSION: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
const FOLDER_MODE: u32 = 0o755;
/// Blobs are written in pieces of this size, in bytes.
const BUFFER: usize = 256 * 1024;

/// An image to write.
pub struct LayoutImage<'a> {
    /// The name that `index.json` gives it.
    pub reference: Option<&'a str>,
    /// The raw manifest.
    pub manifest: &'a [u8],
    /// The raw config.
    pub config: &'a [u8],
}

/// Writes `images` to `folder`, which appears whole or not at all: it is built
/// beside its place and renamed into it. A blob that several images have is
/// written once. Nothing is synced: it is an export, which can be made again.
///
/// `layer` is called once for each layer and writes its uncompressed tar.
///
/// # Errors
/// `AlreadyExists` if `folder` exists and is not an empty directory; `Mismatch`
/// naming the config or layer whose bytes are not what its descriptor says;
/// `Invalid` if a manifest or config is malformed or they disagree;
/// `Unsupported` for compressed layers; those of `layer` and of the system
/// calls.
pub fn write_layout(
    folder: &Path,
    images: &[LayoutImage<'_>],
    layer: &mut dyn FnMut(DiffId, &mut dyn Write) -> Result<()>,
) -> Result<()> {
    ensure_vacant(folder)?;
    let temporary = sibling(folder)?;
    fs::create_dir(&temporary, FOLDER_MODE)?;
    let result = fill(&temporary, images, layer).and_then(|()| fs::rename(&temporary, folder));
    if result.is_err() {
        // The half-made directory is ours; its own failure to go would hide
        // the reason.
        let _ = fs::remove_tree(&temporary);
    }
    result
}

fn ensure_vacant(folder: &Path) -> Result<()> {
    match fs::metadata(folder)? {
        None => Ok(()),
        Some(found) if found.kind == fs::FileKind::Directory && fs::list(folder)?.is_empty() => {
            Ok(())
        }
        Some(_) => Err(Error::new(
            Kind::AlreadyExists,
            format!("{} exists and is not an empty directory", folder.display()),
        )
        .hint("give the name of a new directory, or remove this one first")),
    }
}

/// A name beside `folder`, on the same file system, that nobody else uses.
fn sibling(folder: &Path) -> Result<PathBuf> {
    let Some(name) = folder.file_name() else {
        return Err(Error::invalid(format!("{} is no name for a directory", folder.display()))
            .hint("give the name of a new directory"));
    };
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}.tmp", std::process::id()));
    Ok(folder.with_file_name(hidden))
}

fn fill(
    folder: &Path,
    images: &[LayoutImage<'_>],
    layer: &mut dyn FnMut(DiffId, &mut dyn Write) -> Result<()>,
) -> Result<()> {
    let folder_of_blobs = folder.join("blobs/sha256");
    fs::ensure_dir(&folder_of_blobs, FOLDER_MODE)?;
    let mut blobs = Blobs { folder: folder_of_blobs, written: HashSet::new() };
    let mut manifests = Vec::with_capacity(images.len());
    for image in images {
        manifests.push(write_image(&mut blobs, image, layer)?);
    }
    let index = to_canonical_json(&Index::new(manifests))?;
    fs::write_volatile(&folder.join("index.json"), &index)?;
    fs::write_volatile(&folder.join("oci-layout"), LAYOUT_VERSION)
}

/// Writes the blobs of one image; returns its line in the index.
fn write_image(
    blobs: &mut Blobs,
    image: &LayoutImage<'_>,
    layer: &mut dyn FnMut(DiffId, &mut dyn Write) -> Result<()>,
) -> Result<Descriptor> {
    let manifest: Manifest = parse("manifest", image.manifest)?;
    let config: ImageConfig = parse("config", image.config)?;
    let diff_ids = &config.rootfs.diff_ids;
    if diff_ids.len() != manifest.layers.len() {
        let (here, there) = (manifest.layers.len(), diff_ids.len());
        return Err(Error::invalid(format!("the manifest has {here} layers, the config {there}")));
    }
    blobs.add("the image config", &manifest.config, &mut |out| put(out, image.config))?;
    for (descriptor, &diff_id) in manifest.layers.iter().zip(diff_ids) {
        // A digest of compressed bytes cannot be had from an uncompressed tar.
        if descriptor.digest != diff_id.0 {
            let digest = descriptor.digest;
            return Err(Error::unsupported(format!("layer {digest} is not the tar {diff_id}"))
                .hint("an image layout is written of uncompressed layers only"));
        }
        blobs.add(&format!("layer {diff_id}"), descriptor, &mut |out| layer(diff_id, out))?;
    }
    let mut descriptor = Descriptor::of(media_type::MANIFEST, image.manifest);
    blobs.add("the manifest", &descriptor, &mut |out| put(out, image.manifest))?;
    descriptor.platform = Some(config.platform());
    if let Some(reference) = image.reference {
        descriptor.annotations.insert(REF_NAME.into(), reference.into());
    }
    Ok(descriptor)
}

fn parse<T: serde::de::DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes)
        .map_err(|error| Error::invalid(format!("malformed image {what}")).because(error))
}

fn put(out: &mut dyn Write, bytes: &[u8]) -> Result<()> {
    out.write_all(bytes).map_err(|error| Error::io_named("cannot write a blob", error))
}

/// The blobs of a layout under construction.
struct Blobs {
    folder: PathBuf,
    written: HashSet<Digest>,
}

impl Blobs {
    /// Writes the blob that `content` produces, unless it is there; it must be
    /// what `descriptor` says. `what` names it in errors.
    fn add(
        &mut self,
        what: &str,
        descriptor: &Descriptor,
        content: &mut dyn FnMut(&mut dyn Write) -> Result<()>,
    ) -> Result<()> {
        let Descriptor { digest, size, .. } = *descriptor;
        if !self.written.insert(digest) {
            return Ok(());
        }
        let path = self.folder.join(digest.encoded());
        let file = BufWriter::with_capacity(BUFFER, fs::create_public(&path)?);
        let mut out = Hashed { file, hasher: Hasher::new(), limit: size };
        content(&mut out)
            .and_then(|()| out.flush().map_err(|error| Error::io("write", &path, error)))
            .context(|| format!("cannot write {what}"))?;
        let (found_size, found) = (out.hasher.size(), out.hasher.finish());
        if found != digest || found_size != size {
            return Err(Error::mismatch(format!(
                "{what} is {found} ({found_size} bytes), expected {digest} ({size} bytes)"
            )));
        }
        Ok(())
    }
}

/// A blob's file, hashed on the way.
struct Hashed {
    file: BufWriter<fs::File>,
    hasher: Hasher,
    limit: u64,
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // More than promised is a mismatch at once, not when the disk is full.
        if self.hasher.size() + bytes.len() as u64 > self.limit {
            let limit = self.limit;
            return Err(Error::mismatch(format!("it is longer than {limit} bytes")).into());
        }
        let count = self.file.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
#[path = "tests/layout.rs"]
mod tests;
