//! What is below a layer that is being indexed: the layers under it, merged,
//! as one directory. It is told paths in which no name is a symbolic link of
//! this layer; those of the layers below are not followed.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use crate::error::Result;
use crate::fs::{self, Dir, FileKind, Metadata};
use crate::image::chain::open_long;
use crate::image::entry::{Attributes, split};
use crate::image::xattrs::kept;

use super::Level;

/// Something below.
pub(super) struct Found {
    /// The directory that has it.
    pub(super) dir: Dir,
    /// Its name there; `.` for the root.
    pub(super) name: OsString,
    pub(super) metadata: Metadata,
}

/// What is at `path` below; `None` if nothing is.
///
/// # Errors
/// Those of openat2(2) and fstatat(2), but for a path that does not exist.
pub(super) fn find(level: Level<'_>, path: &[u8]) -> Result<Option<Found>> {
    let Level::Upon(root) = level else { return Ok(None) };
    let (parent, name) = split(path);
    let dir = match open_long(root, parent) {
        Err(error) if fs::is_no_directory(&error) => return Ok(None),
        result => fs::absent_is_none(result)?,
    };
    let Some(dir) = dir else { return Ok(None) };
    let name = if name.is_empty() { &b"."[..] } else { name };
    let name = OsStr::from_bytes(name).to_owned();
    let Some(metadata) = fs::absent_is_none(dir.metadata(&name))? else { return Ok(None) };
    Ok(Some(Found { dir, name, metadata }))
}

/// The names in the root below.
///
/// # Errors
/// Those of getdents(2).
pub(super) fn root_names(level: Level<'_>) -> Result<Option<fs::Names>> {
    match level {
        Level::Upon(root) => root.names().map(Some),
        Level::Whole | Level::Lowest => Ok(None),
    }
}

impl Found {
    pub(super) fn is_directory(&self) -> bool {
        self.metadata.kind == FileKind::Directory
    }

    /// Its owner, mode, time and what a layer keeps of its attributes.
    ///
    /// # Errors
    /// Those of reading them.
    pub(super) fn attributes(&self) -> Result<Attributes> {
        let xattrs = kept((&self.dir, &self.name))?;
        let Metadata { mode, uid, gid, mtime, .. } = self.metadata;
        Ok(Attributes { mode, uid, gid, mtime, xattrs })
    }
}
