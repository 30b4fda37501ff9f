//! What lies in a store, of which the database need not know. Everything is
//! foreign here: names may be anything, files may be links, FIFOs or huge, and
//! what is in them may be damaged. Nothing is followed out of the store, only
//! bytes with the right digest are believed, and what is not understood is
//! named. Nothing is changed.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;

use serde::de::DeserializeOwned;

use crate::digest::{ChainId, DiffId, Digest, ImageId};
use crate::error::{Error, Result};
use crate::fs::{self, Dir, FileKind, Timestamp};
use crate::id::{ContainerId, VolumeName};
use crate::oci::{ImageConfig, Index, Manifest};
use crate::platform::Platform;

use super::super::record::{self, ContainerCopy, LIMIT, ToldImage};
use super::super::volume::{self, VolumeRecord};
use super::super::{driver, layout};
use super::Known;

/// An anonymous volume has a name of so many hexadecimal digits.
const ANONYMOUS: usize = 64;

/// What was found beside what is known.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Configs with a manifest that fits them.
    pub(super) images: Vec<FoundImage>,
    /// Indexes by their digests; none beside a database that works, which knows
    /// those that are wanted.
    pub(super) indexes: Vec<(Digest, Index)>,
    /// Folders with what a layer is mounted of.
    pub(super) layers: BTreeSet<ChainId>,
    /// What `index.json` says, by the manifest; `None` without one.
    pub(super) index: Option<BTreeMap<Digest, ToldImage>>,
    pub(super) containers: Vec<ContainerCopy>,
    pub(super) volumes: Vec<FoundVolume>,
    /// What is not understood.
    pub(super) odd: Vec<Odd>,
}

/// An image whose config and manifest are what their digests say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FoundImage {
    pub(super) id: ImageId,
    pub(super) manifest: Digest,
    /// The lowest first, as are the sizes of their tars.
    pub(super) diff_ids: Vec<DiffId>,
    pub(super) tar_sizes: Vec<u64>,
    /// When the config was written here.
    pub(super) stored_at: Timestamp,
    /// As the config says.
    pub(super) platform: Platform,
}

/// A volume that has its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FoundVolume {
    pub(super) record: VolumeRecord,
    /// Its own record told so; else labels and options are lost.
    pub(super) is_told: bool,
}

/// Something that is not taken up, by its path in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Odd {
    pub(super) path: String,
    pub(super) why: String,
}

impl Found {
    /// What lies in the store `root` beside what is `known`.
    ///
    /// # Errors
    /// Those of the folders as such.
    pub(super) fn read(root: &Dir, known: &Known) -> Result<Self> {
        let mut found = Self::default();
        match record::read_index(root) {
            Ok(index) => found.index = index.map(|index| index.images()),
            Err(error) => found.note(record::INDEX, &error),
        }
        found.read_blobs(root, known)?;
        for name in names(root, layout::LAYERS)? {
            if let Ok(digest) = Digest::from_encoded(&name)
                && is_layer(root, &format!("{}/{name}", layout::LAYERS))
            {
                found.layers.insert(ChainId(digest));
            }
        }
        for name in names(root, layout::CONTAINERS)? {
            let Ok(id) = name.parse::<ContainerId>() else { continue };
            if !known.containers.contains(&id) {
                match record::read_container(root, &id) {
                    Ok(copy) => found.containers.push(copy),
                    Err(error) => found.note(&format!("{}/{name}", layout::CONTAINERS), &error),
                }
            }
        }
        for name in names(root, layout::VOLUMES)? {
            let Ok(name) = name.parse::<VolumeName>() else { continue };
            if !known.volumes.contains(&name) {
                match volume_in(root, &name) {
                    Ok(volume) => found.volumes.push(volume),
                    Err(error) => found.note(&format!("{}/{name}", layout::VOLUMES), &error),
                }
            }
        }
        Ok(found)
    }

    fn note(&mut self, path: &str, error: &Error) {
        self.odd.push(Odd { path: path.to_owned(), why: error.chain() });
    }

    fn read_blobs(&mut self, root: &Dir, known: &Known) -> Result<()> {
        let mut manifests = Vec::new();
        let mut configs = BTreeMap::new();
        for name in names(root, layout::BLOBS)? {
            let Ok(digest) = Digest::from_encoded(&name) else { continue };
            if known.blobs.contains(&digest) {
                continue;
            }
            match blob(root, digest) {
                Ok(Blob::Manifest(manifest)) => manifests.push((digest, manifest)),
                Ok(Blob::Config(config, stored_at)) => {
                    let platform = config.platform();
                    configs.insert(digest, (config.rootfs.diff_ids, stored_at, platform));
                }
                Ok(Blob::Index(index)) if known.is_nothing => self.indexes.push((digest, index)),
                Ok(Blob::Index(_)) => {}
                Err(error) => self.note(&path_of(digest), &error),
            }
        }
        let mut named = BTreeSet::new();
        for (digest, manifest) in manifests {
            let config = manifest.config.digest;
            named.insert(config);
            let fits = match configs.get(&config) {
                None => Err(Error::invalid("its config is missing or damaged")),
                Some((diff_ids, stored_at, platform)) => {
                    fit(&manifest, diff_ids).map(|tar_sizes| FoundImage {
                        id: ImageId(config),
                        manifest: digest,
                        diff_ids: diff_ids.clone(),
                        tar_sizes,
                        stored_at: *stored_at,
                        platform: platform.clone(),
                    })
                }
            };
            match fits {
                Ok(image) => self.images.push(image),
                Err(error) => self.note(&path_of(digest), &error),
            }
        }
        let unnamed = configs.keys().filter(|digest| !named.contains(digest));
        self.odd.extend(unnamed.map(|&digest| Odd {
            path: path_of(digest),
            why: "no manifest that is there has it".to_owned(),
        }));
        Ok(())
    }
}

/// The names in the folder `path` that are text: no others are envbox's.
fn names(root: &Dir, path: &str) -> Result<Vec<String>> {
    let Some(dir) = fs::absent_is_none(root.open_dir(OsStr::new(path)))? else {
        return Ok(Vec::new());
    };
    Ok(dir.names()?.iter().filter_map(|name| name.to_str().map(str::to_owned)).collect())
}

fn path_of(blob: Digest) -> String {
    format!("{}/{}", layout::BLOBS, blob.encoded())
}

/// A blob that is understood.
enum Blob {
    Manifest(Manifest),
    Index(Index),
    Config(Box<ImageConfig>, Timestamp),
}

fn blob(root: &Dir, digest: Digest) -> Result<Blob> {
    let path = path_of(digest);
    let stored_at = printable(root.metadata(OsStr::new(&path))?.mtime);
    let bytes = record::read_file(root, OsStr::new(&path), LIMIT)?;
    if Digest::of(&bytes) != digest {
        return Err(Error::invalid("it is damaged"));
    }
    if let Some(manifest) = parse::<Manifest>(&bytes) {
        return Ok(Blob::Manifest(manifest));
    }
    if let Some(index) = parse::<Index>(&bytes) {
        return Ok(Blob::Index(index));
    }
    match parse::<ImageConfig>(&bytes) {
        Some(config) => Ok(Blob::Config(Box::new(config), stored_at)),
        None => Err(Error::invalid("it is no manifest, no config and no index")),
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    serde_json::from_slice(bytes).ok()
}

/// The sizes of the layers in `manifest`, if it is one of a config with
/// `diff_ids`: the manifests of a store are of uncompressed layers.
fn fit(manifest: &Manifest, diff_ids: &[DiffId]) -> Result<Vec<u64>> {
    let digests = manifest.layers.iter().map(|layer| layer.digest);
    if digests.ne(diff_ids.iter().map(|diff_id| diff_id.0)) {
        return Err(Error::invalid("it has other layers than its config"));
    }
    Ok(manifest.layers.iter().map(|layer| layer.size).collect())
}

/// True if what a layer is mounted of is in the folder `path`.
fn is_layer(root: &Dir, path: &str) -> bool {
    let Ok(folder) = root.open_dir(OsStr::new(path)) else { return false };
    let is =
        |name: &str, kind| folder.metadata(OsStr::new(name)).is_ok_and(|found| found.kind == kind);
    match is(driver::DATA, FileKind::Regular) {
        true => is(driver::INDEX, FileKind::Regular),
        false => is(driver::TREE, FileKind::Directory),
    }
}

fn volume_in(root: &Dir, name: &VolumeName) -> Result<FoundVolume> {
    let folder = format!("{}/{name}", layout::VOLUMES);
    let dir = root.open_dir(OsStr::new(&folder))?;
    let data = fs::absent_is_none(dir.metadata(OsStr::new(volume::DATA)))?;
    if data.is_none_or(|data| data.kind != FileKind::Directory) {
        return Err(Error::invalid("it has no directory data"));
    }
    let bytes = record::read_file(&dir, OsStr::new(volume::RECORD), LIMIT);
    let told = bytes.ok().and_then(|bytes| volume::from_json(&parse(&bytes)?));
    let is_own =
        |record: &VolumeRecord| record.name == *name && record::is_plausible(record.created_at);
    Ok(match told.filter(is_own) {
        Some(record) => FoundVolume { record, is_told: true },
        None => FoundVolume {
            record: guess(name, printable(dir.own_metadata()?.mtime)),
            is_told: false,
        },
    })
}

/// `time`, or the first that there is.
fn printable(time: Timestamp) -> Timestamp {
    if record::is_plausible(time) { time } else { Timestamp::default() }
}

/// The record of a volume of which nothing but its name is known.
fn guess(name: &VolumeName, created_at: Timestamp) -> VolumeRecord {
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let anonymous = name.as_str().len() == ANONYMOUS && name.as_str().bytes().all(hex);
    VolumeRecord {
        name: name.clone(),
        labels: BTreeMap::new(),
        options: BTreeMap::new(),
        created_at,
        anonymous,
    }
}
