//! The filesystem of the image that a source is compared with: what is seen of
//! its layers together, and what their trees could not hold.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::fs::{Dir, File, FileKind, Metadata};
use crate::image::chain::open_long;
use crate::image::entry::{Attributes, Entry, EntryKind, Xattrs, display, split};
use crate::image::overrides::Overrides;
use crate::image::xattrs;

/// What is seen of an image.
#[derive(Debug)]
pub struct ParentView {
    /// The root of all its layers together; it does not change meanwhile.
    pub root: Dir,
    /// The files of what the layers' trees do not hold, one a layer; there may
    /// be none of them.
    pub overrides: Vec<PathBuf>,
}

/// The same, opened.
pub(super) struct Parent {
    root: Dir,
    /// Those of each layer that has any.
    overrides: Vec<Overrides>,
    /// Several layers: which of them a file is of is not known, so what any
    /// says of it is no more than a doubt.
    is_stack: bool,
}

impl Parent {
    pub(super) fn open(view: &ParentView) -> Result<Self> {
        let mut overrides = Vec::new();
        for path in &view.overrides {
            overrides.push(Overrides::load(path)?);
        }
        overrides.retain(|overrides| !overrides.is_empty());
        let is_stack = view.overrides.len() > 1;
        Ok(Self { root: view.root.duplicate()?, overrides, is_stack })
    }

    pub(super) fn root(&self) -> &Dir {
        &self.root
    }

    /// The names in the directory `path` of devices that are in no tree.
    pub(super) fn nodes_in(&self, path: &[u8]) -> Vec<Vec<u8>> {
        let mut names: Vec<Vec<u8>> =
            self.overrides.iter().flat_map(|overrides| overrides.nodes_in(path)).collect();
        names.sort();
        names.dedup();
        names
    }

    /// True if `entry` is a device that is in no tree, just so.
    pub(super) fn has_node(&self, entry: &Entry) -> bool {
        !self.is_stack && self.overrides.iter().any(|overrides| overrides.holds(entry))
    }

    /// True if what `place` names is `entry`, as far as `found`, the attributes
    /// and what is short tell; `file` is the same, open, if it is a file.
    pub(super) fn is_same(
        &self,
        (place, file): ((&Dir, &OsStr), Option<&File>),
        found: &Metadata,
        entry: &Entry,
    ) -> Result<bool> {
        if !is_same_kind(place, found, &entry.kind)? {
            return Ok(false);
        }
        let wanted = &entry.attributes;
        Ok(match self.overridden(&entry.path) {
            Some(known) => known == Some(wanted),
            None => is_numbered(found, wanted) && read_xattrs(place, file)? == wanted.xattrs,
        })
    }

    /// False if the numbers of `found` tell that it is not `entry`, a file: to
    /// open it is not worth the while then.
    pub(super) fn may_be(&self, found: &Metadata, entry: &Entry) -> bool {
        let EntryKind::Regular { size, .. } = entry.kind else { return false };
        size == found.size
            && (self.overridden(&entry.path).is_some() || is_numbered(found, &entry.attributes))
    }

    /// What stands in the place of the attributes of `path`: something that is
    /// known, something that is not, or nothing.
    fn overridden(&self, path: &[u8]) -> Option<Option<&Attributes>> {
        let found = self.overrides.iter().find_map(|overrides| overrides.attributes(path))?;
        Some((!self.is_stack).then_some(found))
    }

    /// True if something may stand in the place of the attributes of `path`.
    pub(super) fn is_doubtful(&self, path: &[u8]) -> bool {
        self.is_stack && self.overridden(path).is_some()
    }

    /// The directory, file or symbolic link `path`, and the file, open; its
    /// map of holes is not looked at.
    pub(super) fn entry(&self, path: &[u8]) -> Result<(Entry, Option<File>)> {
        let (dir, name) = self.place(path)?;
        let found = dir.metadata(&name)?;
        let (kind, file) = match found.kind {
            FileKind::Regular => {
                let kind = EntryKind::Regular { size: found.size, sparse: None };
                (kind, Some(dir.open_file(&name)?))
            }
            FileKind::Symlink => (EntryKind::Symlink { target: dir.read_link(&name)? }, None),
            FileKind::Directory => (EntryKind::Directory, None),
            _ => {
                let path = display(path);
                return Err(Error::internal(format!("{path} of the image has no second name")));
            }
        };
        let attributes = match self.overridden(path) {
            Some(Some(known)) => known.clone(),
            _ => {
                let Metadata { mode, uid, gid, mtime, .. } = found;
                let xattrs = read_xattrs((&dir, &name), file.as_ref())?;
                Attributes { mode, uid, gid, mtime, xattrs }
            }
        };
        Ok((Entry { path: path.to_vec(), kind, attributes }, file))
    }

    /// What `path` is, which is there.
    pub(super) fn metadata(&self, path: &[u8]) -> Result<Metadata> {
        let (dir, name) = self.place(path)?;
        dir.metadata(&name)
    }

    fn place(&self, path: &[u8]) -> Result<(Dir, std::ffi::OsString)> {
        let (parent, name) = split(path);
        let name = if name.is_empty() { b".".as_slice() } else { name };
        Ok((open_long(&self.root, parent)?, OsStr::from_bytes(name).to_owned()))
    }
}

fn is_numbered(found: &Metadata, wanted: &Attributes) -> bool {
    let Attributes { mode, uid, gid, mtime, .. } = *wanted;
    (found.mode, found.uid, found.gid, found.mtime) == (mode, uid, gid, mtime)
}

fn is_same_kind((dir, name): (&Dir, &OsStr), found: &Metadata, kind: &EntryKind) -> Result<bool> {
    Ok(match (kind, found.kind) {
        (EntryKind::Regular { size, .. }, FileKind::Regular) => *size == found.size,
        (EntryKind::Symlink { target }, FileKind::Symlink) => *target == dir.read_link(name)?,
        (EntryKind::CharDevice(major, minor), FileKind::CharDevice)
        | (EntryKind::BlockDevice(major, minor), FileKind::BlockDevice) => {
            (*major, *minor) == found.rdev
        }
        (EntryKind::Directory, FileKind::Directory) | (EntryKind::Fifo, FileKind::Fifo) => true,
        _ => false,
    })
}

/// The extended attributes that a layer keeps.
fn read_xattrs((dir, name): (&Dir, &OsStr), file: Option<&File>) -> Result<Xattrs> {
    match file {
        Some(file) if xattrs::has_none(file) => Ok(Xattrs::new()),
        _ => xattrs::kept((dir, name)),
    }
}
