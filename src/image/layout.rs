//! Images in OCI's image layout (image spec, image-layout.md): as a directory,
//! or as the tar of one.
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

use super::canonical;
use super::entry::{Attributes, Entry, EntryKind};

/// The annotation that names an image of a layout (image spec, annotations.md).
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The annotation that gives it the name that containerd and docker load it by.
const FULL_NAME: &str = "io.containerd.image.name";
const LAYOUT_VERSION: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
const BLOBS: &str = "blobs/sha256";
const FOLDER_MODE: u32 = 0o755;
const FILE_MODE: u32 = 0o644;
/// Blobs are written in pieces of this size, in bytes.
const BUFFER: usize = 256 * 1024;

/// An image to write.
pub struct LayoutImage<'a> {
    /// The name that `index.json` gives it.
    pub reference: Option<&'a str>,
    /// Its name in full, as in `docker.io/library/debian:12`.
    pub full_name: Option<&'a str>,
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
    fs::ensure_dir(&folder.join(BLOBS), FOLDER_MODE)?;
    write_files(&mut Folder { path: folder }, images, layer)
}

/// Writes `images` to `output` as a tar of the directory that [`write_layout`]
/// makes; the same images give the same bytes. What was written before an
/// error is of no use.
///
/// # Errors
/// As [`write_layout`], but for the directory; those of `output`.
pub fn write_layout_archive(
    output: &mut dyn Write,
    images: &[LayoutImage<'_>],
    layer: &mut dyn FnMut(DiffId, &mut dyn Write) -> Result<()>,
) -> Result<()> {
    let mut archive = Archive { output: BufWriter::with_capacity(BUFFER, output) };
    for directory in ["blobs", BLOBS] {
        archive.header(directory, EntryKind::Directory, FOLDER_MODE)?;
    }
    write_files(&mut archive, images, layer)?;
    archive.finish()
}

fn write_files(
    files: &mut dyn Files,
    images: &[LayoutImage<'_>],
    layer: &mut dyn FnMut(DiffId, &mut dyn Write) -> Result<()>,
) -> Result<()> {
    let mut blobs = Blobs { files, written: HashSet::new() };
    let mut manifests = Vec::with_capacity(images.len());
    for image in images {
        manifests.push(write_image(&mut blobs, image, layer)?);
    }
    let index = to_canonical_json(&Index::new(manifests))?;
    for (name, bytes) in [("index.json", index.as_slice()), ("oci-layout", LAYOUT_VERSION)] {
        files.add(name, bytes.len() as u64, &mut |out| put(out, bytes))?;
    }
    Ok(())
}

/// Writes the blobs of one image; returns its line in the index.
fn write_image(
    blobs: &mut Blobs<'_>,
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
    if let Some(name) = image.full_name {
        descriptor.annotations.insert(FULL_NAME.into(), name.into());
    }
    Ok(descriptor)
}

fn parse<T: serde::de::DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes)
        .map_err(|error| Error::invalid(format!("malformed image {what}")).because(error))
}

fn put(out: &mut dyn Write, bytes: &[u8]) -> Result<()> {
    out.write_all(bytes).map_err(unwritable)
}

fn unwritable(error: io::Error) -> Error {
    Error::io_named("cannot write the image layout", error)
}

/// The blobs of a layout under construction.
struct Blobs<'a> {
    files: &'a mut dyn Files,
    written: HashSet<Digest>,
}

impl Blobs<'_> {
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
        let name = format!("{BLOBS}/{}", digest.encoded());
        let mut hasher = Hasher::new();
        self.files
            .add(&name, size, &mut |output| {
                content(&mut Hashed { output, hasher: &mut hasher, limit: size })
            })
            .context(|| format!("cannot write {what}"))?;
        let (found_size, found) = (hasher.size(), hasher.finish());
        if found != digest || found_size != size {
            return Err(Error::mismatch(format!(
                "{what} is {found} ({found_size} bytes), expected {digest} ({size} bytes)"
            )));
        }
        Ok(())
    }
}

/// What is written of a blob, hashed on the way.
struct Hashed<'a> {
    output: &'a mut dyn Write,
    hasher: &'a mut Hasher,
    limit: u64,
}

impl Write for Hashed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // More than promised is a mismatch at once, not when the disk is full.
        if self.hasher.size() + bytes.len() as u64 > self.limit {
            let limit = self.limit;
            return Err(Error::mismatch(format!("it is longer than {limit} bytes")).into());
        }
        let count = self.output.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

/// Where the files of a layout go.
trait Files {
    /// Adds the file `name` of `size` bytes, which `content` writes.
    fn add(
        &mut self,
        name: &str,
        size: u64,
        content: &mut dyn FnMut(&mut dyn Write) -> Result<()>,
    ) -> Result<()>;
}

/// A directory that nobody looks into before it is whole.
struct Folder<'a> {
    path: &'a Path,
}

impl Files for Folder<'_> {
    fn add(
        &mut self,
        name: &str,
        _size: u64,
        content: &mut dyn FnMut(&mut dyn Write) -> Result<()>,
    ) -> Result<()> {
        let path = self.path.join(name);
        let mut file = BufWriter::with_capacity(BUFFER, fs::create_public(&path)?);
        content(&mut file)?;
        file.flush().map_err(|error| Error::io("write", &path, error))
    }
}

/// A tar. Its directories are members: skopeo, as an ordinary user, fails to
/// make those that are not.
struct Archive<'a> {
    output: BufWriter<&'a mut dyn Write>,
}

impl Archive<'_> {
    fn header(&mut self, name: &str, kind: EntryKind, mode: u32) -> Result<()> {
        let attributes = Attributes { mode, ..Attributes::default() };
        let mut header = Vec::new();
        canonical::encode(&Entry { path: name.into(), kind, attributes }, &mut header);
        put(&mut self.output, &header)
    }

    fn finish(mut self) -> Result<()> {
        put(&mut self.output, &canonical::END)?;
        self.output.flush().map_err(unwritable)
    }
}

impl Files for Archive<'_> {
    fn add(
        &mut self,
        name: &str,
        size: u64,
        content: &mut dyn FnMut(&mut dyn Write) -> Result<()>,
    ) -> Result<()> {
        self.header(name, EntryKind::Regular { size, sparse: None }, FILE_MODE)?;
        content(&mut self.output)?;
        put(&mut self.output, &canonical::END[..canonical::padding(size)])
    }
}

#[cfg(test)]
#[path = "tests/layout.rs"]
mod tests;
