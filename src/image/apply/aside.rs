//! What the patterns leave out of an archive. A hard link that stays may be to
//! a member that does not: a directory import would then find the file by that
//! other name, and an archive has its data only once. So every file that is
//! left out is made beside the tree, in a flat folder under the digest of its
//! path, and the folder is removed at the archive's end. That costs its space
//! for so long, and no memory.

use std::ffi::{OsStr, OsString};
use std::io::BufRead;
use std::path::Path;

use crate::digest::Digest;
use crate::error::{Kind, Result};
use crate::fs::{self, Dir};
use crate::image::chain::open_long;
use crate::image::entry::{Entry, EntryKind};
use crate::image::exclude::ExcludeSet;
use crate::image::read::TarReader;
use crate::image::settle::inherits_nothing;

use super::make::{Made, make};
use super::{Extractor, split, take_xattrs};

/// What is left out of an archive, with all below.
#[derive(Clone, Copy)]
pub struct LeftOut<'a> {
    /// The patterns.
    pub set: &'a ExcludeSet,
    /// A path on the target's file system where nothing is: a folder for what
    /// is left out, while the archive is read. After a failure it may be left.
    pub folder: &'a Path,
}

/// The patterns, and the folder once it is there.
pub(super) struct Aside<'a> {
    left_out: Option<LeftOut<'a>>,
    dir: Option<Dir>,
}

impl<'a> Aside<'a> {
    pub(super) fn new(left_out: Option<LeftOut<'a>>) -> Self {
        Self { left_out, dir: None }
    }

    /// True if the member `path` is left out.
    pub(super) fn has(&self, path: &[u8]) -> bool {
        self.left_out.is_some_and(|left_out| left_out.set.excludes_with_parents(path))
    }

    /// The folder; none before the first file in it.
    pub(super) fn dir(&self) -> Option<&Dir> {
        self.dir.as_ref()
    }

    fn ensure_dir(&mut self) -> Result<Option<&Dir>> {
        if let (None, Some(left_out)) = (&self.dir, self.left_out) {
            fs::create_dir(left_out.folder, 0o700)?;
            let dir = Dir::open(left_out.folder)?;
            inherits_nothing(&dir)?;
            self.dir = Some(dir);
        }
        Ok(self.dir.as_ref())
    }

    /// The name in the folder of the member `path`.
    pub(super) fn name_of(path: &[u8]) -> OsString {
        Digest::of(path).encoded().into()
    }

    /// Removes the folder.
    ///
    /// # Errors
    /// Those of unlinkat(2).
    pub(super) fn clear(self) -> Result<()> {
        match (self.dir, self.left_out) {
            (Some(_), Some(left_out)) => fs::remove_tree(left_out.folder),
            _ => Ok(()),
        }
    }
}

impl Extractor<'_> {
    /// Keeps `entry`, which is left out, for hard links that are not. What the
    /// file system refuses of it waits with the other overrides, under a path
    /// that no member of the tree has.
    pub(super) fn set_aside<R: BufRead>(
        &mut self,
        mut entry: Entry,
        reader: &mut TarReader<R>,
    ) -> Result<()> {
        take_xattrs(&mut entry);
        let name = Aside::name_of(&entry.path);
        self.applied.overrides.forget(&entry.path);
        if let Some(dir) = self.aside.dir() {
            remove_if_there(dir, &name)?;
        }
        match &entry.kind {
            // Nothing can be a link to it.
            EntryKind::Directory => return Ok(()),
            EntryKind::HardLink { target } => return self.link_aside(&name, (&entry.path, target)),
            _ => {}
        }
        let Some(dir) = self.aside.ensure_dir()? else { return Ok(()) };
        match make(self.caller, (dir, &name), &entry, reader)? {
            Made::Whole => Ok(()),
            Made::Partly => self.applied.overrides.add_attributes(&entry.path, entry.attributes),
            Made::Nothing => self.applied.overrides.add_node(entry),
        }
    }

    /// One more name that is left out. What it is a link to may be missing:
    /// then there is nothing to keep.
    fn link_aside(&mut self, name: &OsStr, (path, target): (&[u8], &[u8])) -> Result<()> {
        if !self.applied.overrides.has_node(target) {
            let (from, target_name) = match self.place_of(target) {
                Ok(place) => place,
                Err(_) => return Ok(()),
            };
            let Some(dir) = self.aside.ensure_dir()? else { return Ok(()) };
            // A directory (EPERM) is no more of a target than nothing.
            match dir.create_link(name, &from, &target_name) {
                Err(error) if !matches!(error.kind(), Kind::NotFound | Kind::Denied) => {
                    return Err(error);
                }
                _ => {}
            }
        }
        self.applied.overrides.link(path, target)
    }

    /// The directory that holds the earlier member `target`, and its name
    /// there: in the tree, or in the folder beside it.
    ///
    /// # Errors
    /// Those of openat2(2).
    pub(super) fn place_of(&self, target: &[u8]) -> Result<(Dir, OsString)> {
        match self.aside.dir() {
            Some(dir) if self.aside.has(target) => Ok((dir.duplicate()?, Aside::name_of(target))),
            _ => {
                let (parent, name) = split(target);
                Ok((open_long(&self.root, &parent)?, name))
            }
        }
    }
}

fn remove_if_there(dir: &Dir, name: &OsStr) -> Result<()> {
    fs::absent_is_none(dir.remove(name, fs::FileKind::Regular)).map(drop)
}
