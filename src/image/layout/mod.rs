//! Images in OCI's image layout (image spec, image-layout.md): as a directory,
//! or as the tar of one, which may be an archive of docker's, too.
//!
//! It knows nothing of where the layers come from: it asks for their bytes and
//! believes only their digests.

mod blobs;
mod docker;
mod files;

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};

use crate::digest::{DiffId, Digest};
use crate::error::{Context, Error, Kind, Result};
use crate::fs;
use crate::oci::annotation::{FULL_NAME, REF_NAME};
use crate::oci::{Descriptor, ImageConfig, Index, Manifest, media_type, to_canonical_json};
use crate::reference::ImageRef;

use super::pack::{Compression, pack};

use blobs::{Blobs, hashed, require};
use docker::{Item, Repositories};
use files::{Archive, BUFFER, Files, Folder};

const LAYOUT_VERSION: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
const BLOBS: &str = "blobs/sha256";
const FOLDER_MODE: u32 = 0o755;
/// A layer on its way into the layout, compressed.
const PACKED: &str = "packed";

/// What is to be written.
#[derive(Clone, Copy)]
pub struct LayoutContent<'a> {
    /// The images; one that is wanted by several names stands here once.
    pub images: &'a [LayoutImage<'a>],
    /// Images for several platforms, likewise.
    pub indexes: &'a [LayoutIndex<'a>],
    /// Who is to read it.
    pub form: LayoutForm,
    /// How layers are compressed, if they are.
    pub packing: Option<Packing<'a>>,
}

/// Who is to read a layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayoutForm {
    /// Readers of OCI's layouts.
    Oci,
    /// These, and `docker load` of any age.
    Docker,
}

/// How layers are compressed.
#[derive(Clone, Copy, Debug)]
pub struct Packing<'a> {
    /// The form.
    pub compression: Compression,
    /// A directory where one compressed layer at a time finds room: its digest
    /// is its name, and is known last.
    pub folder: &'a Path,
}

/// An image to write.
#[derive(Clone, Copy)]
pub struct LayoutImage<'a> {
    /// All that it is called; may be nothing.
    pub names: &'a [LayoutName<'a>],
    /// The raw manifest, whose layers are uncompressed.
    pub manifest: &'a [u8],
    /// The raw config.
    pub config: &'a [u8],
}

/// Images for several platforms that are one thing.
#[derive(Clone, Copy)]
pub struct LayoutIndex<'a> {
    /// All that it is called; may be nothing.
    pub names: &'a [LayoutName<'a>],
    /// The raw index.
    pub index: &'a [u8],
    /// Its images, in its order.
    pub images: &'a [LayoutImage<'a>],
    /// That of them which a reader gets who knows no indexes.
    pub default: usize,
}

/// A name of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayoutName<'a> {
    /// With its tag.
    pub name: &'a ImageRef,
    /// What `index.json` calls it.
    pub reference: String,
}

/// What writes the uncompressed tar of a layer.
type LayerSource<'a> = &'a mut dyn FnMut(DiffId, &mut dyn Write) -> Result<()>;

/// Writes `content` to `folder`, which appears whole or not at all: it is built
/// beside its place and renamed into it. A blob that several images have is
/// written once. Nothing is synced: it is an export, which can be made again.
///
/// `layer` is called once for each layer and writes its uncompressed tar. Where
/// that is what is written, the manifests are, too, as they are given; of
/// compressed layers new ones speak. The configs, and so the images' IDs, stay.
///
/// # Errors
/// `AlreadyExists` if `folder` exists and is not an empty directory; `Mismatch`
/// naming the config or layer whose bytes are not what its descriptor says;
/// `Invalid` if a manifest or config is malformed or they disagree;
/// `Unsupported` for manifests of compressed layers; those of `layer` and of
/// the system calls.
pub fn write_layout(
    folder: &Path,
    content: &LayoutContent<'_>,
    layer: LayerSource<'_>,
) -> Result<()> {
    ensure_vacant(folder)?;
    let temporary = sibling(folder)?;
    fs::create_dir(&temporary, FOLDER_MODE)?;
    let result = fill(&temporary, content, layer).and_then(|()| fs::rename(&temporary, folder));
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

fn fill(folder: &Path, content: &LayoutContent<'_>, layer: LayerSource<'_>) -> Result<()> {
    fs::ensure_dir(&folder.join(BLOBS), FOLDER_MODE)?;
    write_files(&mut Folder { path: folder }, content, layer)
}

/// Writes `content` to `output` as a tar of the directory that [`write_layout`]
/// makes; the same images give the same bytes. What was written before an
/// error is of no use.
///
/// # Errors
/// As [`write_layout`], but for the directory; those of `output`.
pub fn write_layout_archive(
    output: &mut dyn Write,
    content: &LayoutContent<'_>,
    layer: LayerSource<'_>,
) -> Result<()> {
    let mut archive = Archive::new(output);
    for folder in ["blobs", BLOBS] {
        archive.add_folder(folder)?;
    }
    write_files(&mut archive, content, layer)?;
    archive.finish()
}

fn write_files(
    files: &mut dyn Files,
    content: &LayoutContent<'_>,
    layer: LayerSource<'_>,
) -> Result<()> {
    let blobs = Blobs { files, written: HashSet::new() };
    let mut writer = Writer { blobs, layer, packing: content.packing, packed: HashMap::new() };
    let mut manifests = Vec::new();
    let mut manifest_json = Listed::default();
    for image in content.images {
        let Written { config, layers, descriptor } = writer.image(image)?;
        manifest_json.add(config, &layers, image.names);
        manifests.extend(lines(&descriptor, image.names));
    }
    for index in content.indexes {
        let written = index.images.iter().map(|image| writer.image(image));
        let mut written = written.collect::<Result<Vec<Written>>>()?;
        let descriptor = writer.index(index.index, &written)?;
        manifests.extend(lines(&descriptor, index.names));
        if index.default < written.len() {
            let Written { config, layers, .. } = written.swap_remove(index.default);
            manifest_json.add(config, &layers, index.names);
        }
    }
    let is_docker = content.form == LayoutForm::Docker;
    let repositories = manifest_json.repositories.to_json()?.filter(|_| is_docker);
    let mut put_file = |name: &str, bytes: &[u8]| {
        let size = bytes.len() as u64;
        writer.blobs.files.add(name, size, &mut |out| put(out, bytes))
    };
    put_file("index.json", &to_canonical_json(&Index::new(manifests))?)?;
    if is_docker {
        put_file("manifest.json", &to_canonical_json(&manifest_json.items)?)?;
    }
    put_file("oci-layout", LAYOUT_VERSION)?;
    repositories.map_or(Ok(()), |bytes| put_file("repositories", &bytes))
}

/// What docker's own files tell of the images.
#[derive(Default)]
struct Listed {
    items: Vec<Item>,
    repositories: Repositories,
}

impl Listed {
    fn add(&mut self, config: Digest, layers: &[(DiffId, Descriptor)], names: &[LayoutName<'_>]) {
        let names: Vec<&ImageRef> = names.iter().map(|name| name.name).collect();
        self.items.push(Item::new(config, layers, &names));
        if let Some((_, top)) = layers.last() {
            self.repositories.add(&names, top.digest);
        }
    }
}

/// The lines of an image in the index: one a name.
fn lines(descriptor: &Descriptor, names: &[LayoutName<'_>]) -> Vec<Descriptor> {
    if names.is_empty() {
        return vec![descriptor.clone()];
    }
    let line = |name: &LayoutName<'_>| {
        let mut line = descriptor.clone();
        line.annotations.insert(REF_NAME.into(), name.reference.clone());
        if let Some(tag) = name.name.tag() {
            let full = format!("{}:{tag}", name.name.full_repository());
            line.annotations.insert(FULL_NAME.into(), full);
        }
        line
    };
    names.iter().map(line).collect()
}

/// An image whose blobs are in the layout.
struct Written {
    config: Digest,
    /// Lowest first, as they were written.
    layers: Vec<(DiffId, Descriptor)>,
    /// Of its manifest.
    descriptor: Descriptor,
}

/// Writes images, blob by blob.
struct Writer<'a> {
    blobs: Blobs<'a>,
    layer: LayerSource<'a>,
    packing: Option<Packing<'a>>,
    /// What compressed layers have become.
    packed: HashMap<DiffId, (Digest, u64)>,
}

impl Writer<'_> {
    fn image(&mut self, image: &LayoutImage<'_>) -> Result<Written> {
        let manifest: Manifest = parse("manifest", image.manifest)?;
        let config: ImageConfig = parse("config", image.config)?;
        let diff_ids = &config.rootfs.diff_ids;
        if diff_ids.len() != manifest.layers.len() {
            let (here, there) = (manifest.layers.len(), diff_ids.len());
            return Err(Error::invalid(format!(
                "the manifest has {here} layers, the config {there}"
            )));
        }
        self.blobs.add("the image config", &manifest.config, &mut |out| put(out, image.config))?;
        let mut layers = Vec::with_capacity(diff_ids.len());
        for (descriptor, &diff_id) in manifest.layers.iter().zip(diff_ids) {
            layers.push(self.layer(descriptor, diff_id)?);
        }
        let digest = manifest.config.digest;
        let derived = if layers == manifest.layers {
            None
        } else {
            Some(to_canonical_json(&Manifest { layers: layers.clone(), ..manifest })?)
        };
        let bytes = derived.as_deref().unwrap_or(image.manifest);
        let mut descriptor = Descriptor::of(media_type::MANIFEST, bytes);
        self.blobs.add("the manifest", &descriptor, &mut |out| put(out, bytes))?;
        descriptor.platform = Some(config.platform());
        let layers = diff_ids.iter().copied().zip(layers).collect();
        Ok(Written { config: digest, layers, descriptor })
    }

    /// Writes the index of what was `written`: as it is if it speaks of that, else
    /// a new one.
    fn index(&mut self, bytes: &[u8], written: &[Written]) -> Result<Descriptor> {
        let mut index: Index = parse("index", bytes)?;
        let fits = index.manifests.len() == written.len();
        let manifest = |(at, written): (usize, &Written)| {
            let mut made = written.descriptor.clone();
            if let Some(known) = index.manifests.get(at).filter(|_| fits) {
                made.platform.clone_from(&known.platform);
                made.annotations.clone_from(&known.annotations);
            }
            made
        };
        let made: Vec<Descriptor> = written.iter().enumerate().map(manifest).collect();
        let derived = if made == index.manifests {
            None
        } else {
            index.manifests = made;
            Some(to_canonical_json(&index)?)
        };
        let bytes = derived.as_deref().unwrap_or(bytes);
        let descriptor = Descriptor::of(media_type::INDEX, bytes);
        self.blobs.add("the index", &descriptor, &mut |out| put(out, bytes))?;
        Ok(descriptor)
    }

    /// Writes the layer that `descriptor` has in the manifest; returns what it
    /// has in the layout.
    fn layer(&mut self, descriptor: &Descriptor, diff_id: DiffId) -> Result<Descriptor> {
        // A digest of compressed bytes cannot be had from an uncompressed tar.
        if descriptor.digest != diff_id.0 {
            let digest = descriptor.digest;
            return Err(Error::unsupported(format!("layer {digest} is not the tar {diff_id}"))
                .hint("an image layout is written of uncompressed layers only"));
        }
        let Some(packing) = self.packing else {
            let layer = &mut self.layer;
            let mut content = |out: &mut dyn Write| layer(diff_id, out);
            self.blobs.add(&format!("layer {diff_id}"), descriptor, &mut content)?;
            return Ok(descriptor.clone());
        };
        let (digest, size) = match self.packed.get(&diff_id) {
            Some(&packed) => packed,
            None => {
                let path = packing.folder.join(PACKED);
                let packed = self.pack((descriptor, diff_id), packing.compression, &path);
                // On the way out of an error the folder goes as a whole.
                packed.and_then(|packed| fs::remove_file(&path).map(|()| packed))?
            }
        };
        self.packed.insert(diff_id, (digest, size));
        let media_type = packing.compression.media_type().into();
        Ok(Descriptor { media_type, digest, size, ..descriptor.clone() })
    }

    /// Compresses a layer into the file `path` and adds that to the layout;
    /// returns its digest and size.
    fn pack(
        &mut self,
        (descriptor, diff_id): (&Descriptor, DiffId),
        compression: Compression,
        path: &Path,
    ) -> Result<(Digest, u64)> {
        let what = format!("layer {diff_id}");
        let layer = &mut self.layer;
        let mut file = fs::create_new(path)?;
        let (found, digest, size) = pack(compression, &mut file, |out| {
            hashed(&mut |out| layer(diff_id, out), descriptor.size, out)
        })
        .context(|| format!("cannot compress {what}"))?;
        require((&what, found), (diff_id.0, descriptor.size))?;
        drop(file);
        let packed = Descriptor::new(compression.media_type(), digest, size);
        self.blobs.add(&what, &packed, &mut |out| {
            let mut file = BufReader::with_capacity(BUFFER, fs::open(path)?);
            io::copy(&mut file, out).map(drop).map_err(unwritable)
        })?;
        Ok((digest, size))
    }
}

fn path_of(digest: Digest) -> String {
    format!("{BLOBS}/{}", digest.encoded())
}

fn parse<T: serde::de::DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes)
        .map_err(|error| Error::invalid(format!("malformed image {what}")).because(error))
}

fn put(out: &mut dyn Write, bytes: &[u8]) -> Result<()> {
    out.write_all(bytes).map_err(unwritable)
}

fn unwritable(error: io::Error) -> Error {
    Error::io_named("cannot write the images", error)
}

#[cfg(test)]
#[path = "../tests/layout.rs"]
mod tests;
