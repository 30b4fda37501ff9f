//! `envbox load`: images of an archive come into the store as they are. The
//! config, and so the image ID, is kept to the byte; a layer that the store
//! has, upon the same layers, is not read again.
//!
//! The order is that of an import: the archive is opened as the caller, the
//! user namespace is entered, and only then the store is opened and threads
//! start. No image is named before all layers of all images are there.

mod archive;
mod docker;
mod layers;
mod oci;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::digest::{ChainId, DiffId, Digest, ImageId};
use crate::error::{Context, Error, Kind, Result};
use crate::fs::{self, Dir, File, FileKind, Timestamp};
use crate::image::{self, Counters, LayerLimits};
use crate::oci::{Descriptor, ImageConfig, Manifest, media_type, to_canonical_json};
use crate::platform::Platform;
use crate::reference::ImageRef;
use crate::store::{NewImage, Store};

use super::Engine;
use super::import::ImportStart;

use archive::{Archive, ReadOptions};
use layers::Loader;

/// The largest config, manifest or index, in bytes: what registries allow.
const JSON_LIMIT: u64 = 4 << 20;

/// What is to be loaded, and how.
#[derive(Clone, Debug)]
pub struct LoadRequest {
    /// An archive, or the directory of one; standard input if it is none.
    pub input: Option<PathBuf>,
    /// Which image of those for several platforms.
    pub platform: Option<Platform>,
    /// How large one layer may be.
    pub layer_limits: LayerLimits,
}

/// What was loaded, by one name or by none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadedImage {
    /// The image.
    pub id: ImageId,
    /// Its name, with its tag.
    pub name: Option<String>,
    /// The image that had the name before.
    pub previous: Option<ImageId>,
}

/// An image as an archive has it.
struct FoundImage {
    names: Vec<ImageRef>,
    config: Vec<u8>,
    /// Lowest first.
    layers: Vec<FoundLayer>,
    /// The bytes, and what they say.
    manifest: Option<(Vec<u8>, Manifest)>,
}

/// A layer as an archive has it.
struct FoundLayer {
    path: String,
    /// Digest and size of its bytes, where the archive tells them.
    descriptor: Option<(Digest, u64)>,
}

/// An image that is about to be put into the store.
struct ReadyImage {
    names: Vec<ImageRef>,
    config: Vec<u8>,
    manifest: Vec<u8>,
    chains: Vec<ChainId>,
    size: u64,
}

/// What was opened as the caller.
enum Input {
    Directory(Dir),
    /// A file that can be read at any place, and one that cannot.
    File(File, u64),
    Stream(Box<dyn std::io::Read + Send>, Option<u64>),
}

impl Engine {
    /// Loads all images of an archive. `began` is called once, when the reading
    /// begins: from then on threads may start.
    ///
    /// # Errors
    /// `Invalid` for what is no archive of images, with the member; `Mismatch`
    /// for content that is not what its digest says; those of reading and
    /// writing. The store is then as it was.
    pub fn load(
        &self,
        request: &LoadRequest,
        began: impl FnOnce(ImportStart),
    ) -> Result<Vec<LoadedImage>> {
        let shown = match &request.input {
            Some(path) => path.display().to_string(),
            None => "stdin".to_owned(),
        };
        let input = self.open_input(request)?;
        let user_namespace = self.host()?.user_namespace;
        let store = self.store()?;
        let form = (self.storage_driver()?, user_namespace);
        let counters = Arc::new(Counters::default());
        let total = match &input {
            Input::Directory(_) => None,
            Input::File(_, size) => Some(*size),
            Input::Stream(_, size) => *size,
        };
        began(ImportStart { counters: Arc::clone(&counters), total });
        let mut loader = Loader::new(store, form, (request.layer_limits, Arc::clone(&counters)))?;
        let options = Arc::new(ReadOptions { limit: request.layer_limits.bytes, counters });
        let loaded = open_archive(loader.folder(), input, &options)
            .and_then(|archive| load_all(&mut loader, &archive, request))
            .context(|| format!("cannot load {shown}"));
        // The first error is the one to tell.
        let finished = loader.finish();
        store.close_database();
        loaded.and_then(|loaded| finished.map(|()| loaded))
    }

    fn open_input(&self, request: &LoadRequest) -> Result<Input> {
        let Some(typed) = &request.input else {
            if rustix::termios::isatty(std::io::stdin()) {
                return Err(Error::invalid("stdin is a terminal, not an archive")
                    .hint("pipe one in, or name a file with -i"));
            }
            return Ok(Input::Stream(Box::new(std::io::stdin()), super::import::stdin_size()));
        };
        let path = self.settings.absolute(typed);
        let found = fs::metadata(&path)?
            .ok_or_else(|| Error::not_found(format!("{} does not exist", typed.display())))?;
        match found.kind {
            FileKind::Directory => Ok(Input::Directory(Dir::open(&path)?)),
            FileKind::Regular => Ok(Input::File(fs::open(&path)?, found.size)),
            _ => Ok(Input::Stream(Box::new(fs::open(&path)?), None)),
        }
    }
}

fn open_archive(folder: &Path, input: Input, options: &Arc<ReadOptions>) -> Result<Archive> {
    let reader = match input {
        Input::Directory(dir) => return Ok(Archive::Directory(dir)),
        Input::File(file, _) if !image::is_compressed(&file)? => {
            return Archive::of_file(file, options);
        }
        Input::File(file, _) => Box::new(file),
        Input::Stream(reader, _) => reader,
    };
    let reader = image::open_compressed(image::counted(reader, &options.counters))?;
    Archive::of_stream(reader, folder, options)
}

/// The config of an image, and its layers as an archive has them.
#[doc(hidden)]
pub type ArchivedImage = (Vec<u8>, Vec<Vec<u8>>);

/// What a load would find in the archive `file` before it takes layers into a
/// store. It is read where it lies, or as a stream whose members go to `folder`.
/// Only the fuzz targets come by it, who have no store.
///
/// # Errors
/// Those of [`Engine::load`] but for its store's.
#[doc(hidden)]
pub fn read_archive(file: File, folder: Option<&Path>, limit: u64) -> Result<Vec<ArchivedImage>> {
    let options = Arc::new(ReadOptions { limit, counters: Arc::default() });
    let archive = match folder {
        Some(folder) => open_archive(folder, Input::Stream(Box::new(file), None), &options)?,
        None => Archive::of_file(file, &options)?,
    };
    let content = |image: FoundImage| {
        parse::<ImageConfig>("image config", &image.config)?;
        let layer = |layer: &FoundLayer| {
            archive.read(&layer.path, limit)?.ok_or_else(|| archive::missing(&layer.path))
        };
        let layers = image.layers.iter().map(layer).collect::<Result<Vec<Vec<u8>>>>()?;
        Ok((image.config, layers))
    };
    find(&archive, None)?.into_iter().map(content).collect()
}

fn load_all(
    loader: &mut Loader<'_>,
    archive: &Archive,
    request: &LoadRequest,
) -> Result<Vec<LoadedImage>> {
    let mut ready = Vec::new();
    for image in find(archive, request.platform.as_ref())? {
        ready.push(prepare(loader, archive, image, request.platform.as_ref())?);
    }
    let mut loaded = Vec::new();
    for image in &ready {
        put(loader.store(), image, &mut loaded)?;
    }
    Ok(loaded)
}

/// The images of `archive`. One that has both forms is taken by docker's,
/// which has all names, unless a platform is to be chosen.
fn find(archive: &Archive, wanted: Option<&Platform>) -> Result<Vec<FoundImage>> {
    let manifest = archive.read(docker::MANIFEST, JSON_LIMIT)?;
    let index = match (&manifest, wanted) {
        (Some(_), None) => None,
        _ => archive.read(oci::INDEX, JSON_LIMIT)?,
    };
    let images = match (manifest, index) {
        (_, Some(index)) => oci::images(archive, &index, wanted)?,
        (Some(manifest), None) => docker::images(archive, &manifest)?,
        (None, None) => {
            return Err(Error::invalid(
                "it is no archive of images: it has neither manifest.json nor index.json",
            )
            .hint("a root filesystem becomes an image by: envbox import"));
        }
    };
    if images.is_empty() {
        return Err(Error::invalid("the archive has no images"));
    }
    Ok(images)
}

fn prepare(
    loader: &mut Loader<'_>,
    archive: &Archive,
    image: FoundImage,
    wanted: Option<&Platform>,
) -> Result<ReadyImage> {
    let config: ImageConfig = parse("image config", &image.config)?;
    if wanted.is_some() {
        oci::chosen(&[Some(config.platform())], wanted)?;
    }
    let diff_ids = &config.rootfs.diff_ids;
    if diff_ids.len() != image.layers.len() {
        let (here, there) = (image.layers.len(), diff_ids.len());
        return Err(Error::invalid(format!(
            "the archive has {here} layers for an image whose config names {there}"
        )));
    }
    let mut layers = Vec::new();
    let mut size = 0u64;
    for (index, (layer, &diff_id)) in image.layers.iter().zip(diff_ids).enumerate() {
        let record = loader
            .load(archive, layer, &diff_ids[..=index])
            .context(|| format!("cannot load layer {diff_id}"))?;
        size = size.saturating_add(record.content_size);
        layers.push(Descriptor::new(media_type::LAYER_TAR, diff_id.0, record.tar_size));
    }
    Ok(ReadyImage {
        manifest: manifest(&image, diff_ids, layers)?,
        chains: ChainId::stack(diff_ids),
        names: image.names,
        config: image.config,
        size,
    })
}

/// The manifest to keep: that of the archive, where it speaks of uncompressed
/// layers, which are what the store can give back; else one of these.
fn manifest(image: &FoundImage, diff_ids: &[DiffId], layers: Vec<Descriptor>) -> Result<Vec<u8>> {
    if let Some((bytes, manifest)) = &image.manifest {
        let mut pairs = manifest.layers.iter().zip(diff_ids);
        let is_oci = manifest.media_type.as_deref().is_none_or(|kind| kind == media_type::MANIFEST);
        if is_oci && pairs.all(|(layer, diff_id)| layer.digest == diff_id.0) {
            return Ok(bytes.clone());
        }
    }
    let mut new = Manifest::new(Descriptor::of(media_type::CONFIG, &image.config), layers);
    if let Some((_, manifest)) = &image.manifest {
        new.annotations.clone_from(&manifest.annotations);
    }
    to_canonical_json(&new)
}

fn put(store: &Store, image: &ReadyImage, loaded: &mut Vec<LoadedImage>) -> Result<()> {
    let names = image.names.iter().map(Some);
    let unnamed = image.names.is_empty().then_some(None);
    for name in names.chain(unnamed) {
        let put = store.put_image(&NewImage {
            config: &image.config,
            manifest: &image.manifest,
            layers: &image.chains,
            size: image.size,
            imported_at: Timestamp::now(),
            name,
            action: "load",
        })?;
        let (id, previous) = (put.id, put.previous);
        loaded.push(LoadedImage { id, name: name.map(full), previous });
    }
    Ok(())
}

/// `name` with the tag that it means.
fn full(name: &ImageRef) -> String {
    match (name.tag(), name.tag_or_default()) {
        (None, Some(tag)) => format!("{name}:{tag}"),
        _ => name.to_string(),
    }
}

fn parse<T: serde::de::DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| {
        Error::new(Kind::Invalid, format!("the {what} in the archive is malformed")).because(error)
    })
}
