//! `envbox image diff`: what differs between two images, in their configs and in
//! the trees that their containers see. Both are mounted as the kernel puts them
//! together, so that whiteouts mean what they mean there, and read side by side.
//!
//! Layers are not compared: two images that were made in other steps differ in
//! nothing if they show the same. What the store could not give to the files of
//! a layer (an owner that an ordinary user has no number for, a device) no
//! container sees; it is not compared, and that is said.

mod content;
mod parameters;
mod tree;

use std::ffi::OsString;
use std::path::PathBuf;

use crate::digest::ChainId;
use crate::error::Result;
use crate::fs::{FileKind, Owner};
use crate::image::Overrides;
use crate::oci::ImageConfig;
use crate::store::{ImageRecord, Store};

use super::{ChangeKind, Engine, save};

/// What is to be compared.
#[derive(Clone, Debug)]
pub struct ImageDiffRequest {
    /// A name, an ID or its beginning.
    pub old: String,
    /// Another, or the same.
    pub new: String,
    /// Whether a file of another time has changed.
    pub times: Times,
}

/// What becomes of the times of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// They are compared.
    Compared,
    /// They are not: two builds of one thing rarely agree in them.
    Ignored,
}

/// What differs between two images.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageDiff {
    /// In the configs, by name.
    pub parameters: Vec<ParameterChange>,
    /// In the trees: parents first, the names of a directory in byte order.
    pub paths: Vec<PathChange>,
}

impl ImageDiff {
    /// True if nothing does.
    pub fn is_empty(&self) -> bool {
        self.parameters.is_empty() && self.paths.is_empty()
    }
}

/// A parameter of the config that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterChange {
    /// As in `Cmd`; of a list of names with the name, as in `Env.PATH`.
    pub name: String,
    /// Its JSON in the old image, if it has one there.
    pub old: Option<String>,
    /// Its JSON in the new image, if it has one there.
    pub new: Option<String>,
}

/// A path that differs itself: that something in a directory does is told there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathChange {
    /// Absolute in the image; what is in it need not be UTF-8.
    pub path: PathBuf,
    /// What the old image has there. A directory that the new one has not stands
    /// for all that is in it.
    pub old: Option<FileFound>,
    /// What the new image has there.
    pub new: Option<FileFound>,
    /// In what the two differ; nothing unless both are there.
    pub aspects: Vec<Aspect>,
}

impl PathChange {
    /// How the path differs.
    pub fn kind(&self) -> ChangeKind {
        match (&self.old, &self.new) {
            (None, _) => ChangeKind::Added,
            (Some(_), None) => ChangeKind::Deleted,
            (Some(_), Some(_)) => ChangeKind::Changed,
        }
    }
}

/// What lies at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileFound {
    /// The type.
    pub kind: FileKind,
    /// Of a regular file, in bytes; of a deleted directory the sum of those in
    /// it; else 0.
    pub size: u64,
}

/// In what two files of one path differ; old before new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Aspect {
    /// The type.
    Kind(FileKind, FileKind),
    /// The bytes of a regular file.
    Content,
    /// Where a symbolic link points to.
    Target(Vec<u8>, Vec<u8>),
    /// The numbers of a device.
    Device((u32, u32), (u32, u32)),
    /// Permission bits with setuid, setgid and sticky.
    Mode(u32, u32),
    /// User and group.
    Owner(Owner, Owner),
    /// The extended attribute of this name, which may be missing on a side.
    Xattr(OsString),
    /// The time of the last change.
    Mtime,
}

impl Engine {
    /// What differs between two images. Type, mode (but of symbolic links), owner,
    /// link target, device numbers, content, the extended attributes that a layer
    /// keeps, and, if asked for, times count; how many names a file has does not.
    ///
    /// # Errors
    /// Those of [`Store::resolve`]; `Invalid` for a malformed config; those of
    /// mounting and reading.
    pub fn image_diff(&self, request: &ImageDiffRequest) -> Result<ImageDiff> {
        // Files may belong to IDs that only the user namespace may read.
        self.host()?;
        let (old, old_config) = self.image(&request.old)?;
        let (new, new_config) = self.image(&request.new)?;
        if old.id == new.id {
            return Ok(ImageDiff::default());
        }
        let store = self.store()?;
        let parameters = self.parameters((&old, &old_config), (&new, &new_config))?;
        if old.chain() == new.chain() {
            return Ok(ImageDiff { parameters, paths: Vec::new() });
        }
        self.tell_unseen(&request.old, &old, &new)?;
        self.tell_unseen(&request.new, &new, &old)?;
        // Nobody takes the layers away while they are read.
        let layers = [&old.layers[..], &new.layers].concat();
        let paths = store
            .while_held(&layers, || self.tree_diff(old.chain(), new.chain(), request.times))?;
        Ok(ImageDiff { parameters, paths })
    }

    fn parameters(
        &self,
        old: (&ImageRecord, &ImageConfig),
        new: (&ImageRecord, &ImageConfig),
    ) -> Result<Vec<ParameterChange>> {
        let store = self.store()?;
        let bytes = |image: &ImageRecord| store.image_config(image);
        parameters::compare((old.1, &bytes(old.0)?), (new.1, &bytes(new.0)?))
    }

    fn tree_diff(
        &self,
        old: Option<ChainId>,
        new: Option<ChainId>,
        times: Times,
    ) -> Result<Vec<PathChange>> {
        tree::compare(self.view(old)?.root(), self.view(new)?.root(), times)
    }

    /// Says so if layers of `image` that `other` does not stand on have more than
    /// their trees show.
    fn tell_unseen(&self, name: &str, image: &ImageRecord, other: &ImageRecord) -> Result<()> {
        let store: &Store = self.store()?;
        for &chain in image.layers.iter().filter(|chain| !other.layers.contains(chain)) {
            if !Overrides::load(&save::layer(store, chain)?.overrides)?.is_empty() {
                self.notify(
                    format!("some owners, devices or attributes of {name} are not compared"),
                    Some("this user cannot give them to files; compare as root to see them"),
                );
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
