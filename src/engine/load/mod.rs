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
mod ready;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::digest::Digest;
use crate::error::{Context, Error, Kind, Result};
use crate::fs::{self, Dir, File, FileKind};
use crate::image::{self, Counters, LayerLimits};
use crate::oci::{Descriptor, ImageConfig, Manifest};
use crate::platform::Platform;
use crate::reference::ImageRef;

use super::Engine;
use super::import::ImportStart;

use archive::{Archive, ReadOptions};
use layers::Loader;
use ready::Ready;

/// The largest config, manifest or index, in bytes: what registries allow.
const JSON_LIMIT: u64 = 4 << 20;
/// How many bytes all configs and manifests of an archive may have together.
const DOCUMENTS_LIMIT: u64 = 64 << 20;

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

/// An image that was loaded, or an index, by one name or by none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadedImage {
    /// The image, or the digest of the index.
    pub id: Digest,
    /// Its name, with its tag.
    pub name: Option<String>,
    /// What had the name before, if it was another.
    pub previous: Option<Digest>,
}

/// What was loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Each image once for each name, an index once.
    pub images: Vec<LoadedImage>,
    /// What an index is for as well, and was left out: those the archive has not,
    /// and those for other systems than Linux.
    pub absent: Vec<Platform>,
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

/// Images for several platforms that are one thing.
struct FoundIndex {
    name: Option<ImageRef>,
    /// With what the index says of them.
    images: Vec<(Descriptor, FoundImage)>,
    /// The index, if it speaks of these alone.
    bytes: Option<Vec<u8>>,
    annotations: BTreeMap<String, String>,
}

/// What an archive has.
enum Found {
    Image(FoundImage),
    Index(FoundIndex),
}

/// What is read of an archive and held until the end: so many bytes of documents
/// at most, however often one of them is named.
struct Documents {
    left: u64,
}

impl Default for Documents {
    fn default() -> Self {
        Self { left: DOCUMENTS_LIMIT }
    }
}

impl Documents {
    fn read(&mut self, archive: &Archive, path: &str) -> Result<Option<Vec<u8>>> {
        let Some(bytes) = archive.read(path, JSON_LIMIT)? else { return Ok(None) };
        self.left = self.left.checked_sub(bytes.len() as u64).ok_or_else(|| {
            Error::unsupported(format!(
                "the manifests and configs of the archive have more than {DOCUMENTS_LIMIT} bytes"
            ))
        })?;
        Ok(Some(bytes))
    }
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
    pub fn load(&self, request: &LoadRequest, began: impl FnOnce(ImportStart)) -> Result<Loaded> {
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
    let mut images = Vec::new();
    for found in find(&archive, None)?.0 {
        match found {
            Found::Image(image) => images.push(image),
            Found::Index(index) => images.extend(index.images.into_iter().map(|(_, image)| image)),
        }
    }
    images.into_iter().map(content).collect()
}

fn load_all(loader: &mut Loader<'_>, archive: &Archive, request: &LoadRequest) -> Result<Loaded> {
    let mut ready = Vec::new();
    let (all, absent) = find(archive, request.platform.as_ref())?;
    for found in all {
        ready.push(Ready::prepare(loader, archive, (found, request.platform.as_ref()))?);
    }
    let mut loaded = Loaded { images: Vec::new(), absent };
    for found in &ready {
        found.put(loader.store(), &mut loaded)?;
    }
    Ok(loaded)
}

/// What `archive` has. One of both forms is taken by docker's, which has all
/// names, unless there are several platforms or one is to be chosen. With what was
/// left out of indexes.
fn find(archive: &Archive, wanted: Option<&Platform>) -> Result<(Vec<Found>, Vec<Platform>)> {
    let manifest = archive.read(docker::MANIFEST, JSON_LIMIT)?;
    let index = match (archive.read(oci::INDEX, JSON_LIMIT)?, wanted) {
        (Some(index), None) if manifest.is_some() && !oci::has_index(&index)? => None,
        (index, _) => index,
    };
    let (images, absent) = match (manifest, index) {
        (_, Some(index)) => oci::images(archive, &index, wanted)?,
        (Some(manifest), None) => {
            let images = docker::images(archive, &manifest)?;
            (images.into_iter().map(Found::Image).collect(), Vec::new())
        }
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
    Ok((images, absent))
}

fn parse<T: serde::de::DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| {
        Error::new(Kind::Invalid, format!("the {what} in the archive is malformed")).because(error)
    })
}
