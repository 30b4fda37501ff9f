//! A stack of open directories from a root downwards, as deep as the heap
//! allows, with at most [`OPEN_MAX`] descriptors: those nearest to the root are
//! closed and opened again by path when the stack comes back to them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::error::{Error, Result};
use crate::fs::Dir;

/// `ulimit -n` is 1,024 for ordinary users, and there are other descriptors.
const OPEN_MAX: usize = 64;
/// How much of a path one system call gets; below PATH_MAX.
const PATH_PIECE: usize = 4000;

/// The stack. Its lowest directory is the root and stays open.
pub(super) struct Chain<T> {
    root: Dir,
    levels: Vec<Level<T>>,
    path: Vec<u8>,
}

struct Level<T> {
    dir: Option<Dir>,
    inode: (u64, u64),
    parent_length: usize,
    data: T,
}

impl<T> Chain<T> {
    /// A stack that has only the root.
    ///
    /// # Errors
    /// Those of dup(2).
    pub(super) fn new(root: &Dir) -> Result<Self> {
        Ok(Self { root: root.duplicate()?, levels: Vec::new(), path: Vec::new() })
    }

    /// The path of the topmost directory below the root; empty for the root.
    pub(super) fn path(&self) -> &[u8] {
        &self.path
    }

    /// The path of `name` in the topmost directory.
    pub(super) fn path_of(&self, name: &OsStr) -> Vec<u8> {
        let mut path = Vec::with_capacity(self.path.len() + 1 + name.len());
        path.extend_from_slice(&self.path);
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name.as_bytes());
        path
    }

    /// How many directories lie above the root.
    pub(super) fn depth(&self) -> usize {
        self.levels.len()
    }

    /// The topmost directory, opened again if it was closed.
    ///
    /// # Errors
    /// Those of openat2(2); `Unavailable` if another directory stands there
    /// now.
    pub(super) fn top(&mut self) -> Result<&Dir> {
        let Some(level) = self.levels.last_mut() else { return Ok(&self.root) };
        if level.dir.is_none() {
            let dir = open_long(&self.root, &self.path)?;
            if dir.own_metadata()?.inode != level.inode {
                return Err(Error::new(
                    crate::error::Kind::Unavailable,
                    format!("{} was replaced while it was read", dir.path().display()),
                )
                .hint("stop what writes to it and try again"));
            }
            level.dir = Some(dir);
        }
        Ok(level.dir.as_ref().unwrap_or(&self.root))
    }

    /// What is kept with the topmost directory; none for the root.
    pub(super) fn data(&mut self) -> Option<&mut T> {
        self.levels.last_mut().map(|level| &mut level.data)
    }

    /// Puts `dir` on top, which is `name` in the present topmost one.
    ///
    /// # Errors
    /// Those of fstat(2).
    pub(super) fn push(&mut self, dir: Dir, name: &OsStr, data: T) -> Result<()> {
        let inode = dir.own_metadata()?.inode;
        let parent_length = self.path.len();
        self.path = self.path_of(name);
        self.levels.push(Level { dir: Some(dir), inode, parent_length, data });
        if let Some(far) = self.levels.len().checked_sub(OPEN_MAX + 1) {
            self.levels[far].dir = None;
        }
        Ok(())
    }

    /// Takes the topmost directory off; none if that is the root.
    pub(super) fn pop(&mut self) -> Option<T> {
        let level = self.levels.pop()?;
        self.path.truncate(level.parent_length);
        Some(level.data)
    }
}

/// Opens the directory `path` below `root`, in pieces where it is longer than
/// the kernel takes at once.
///
/// # Errors
/// Those of openat2(2).
pub(super) fn open_long(root: &Dir, path: &[u8]) -> Result<Dir> {
    let mut dir = root.duplicate()?;
    let mut rest = path;
    while !rest.is_empty() {
        let cut = match rest.get(..PATH_PIECE) {
            None => rest.len(),
            Some(piece) => piece.iter().rposition(|&byte| byte == b'/').unwrap_or(rest.len()),
        };
        dir = dir.open_dir(OsStr::from_bytes(&rest[..cut]))?;
        rest = rest.get(cut + 1..).unwrap_or_default();
    }
    Ok(dir)
}
