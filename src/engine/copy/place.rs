//! Where a copy comes from and goes to: an open directory and a name in it, for
//! a path of the host's and for one in a container alike. docker's meaning of a
//! path's end: `/` wants a directory, `/.` means what is in it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use crate::error::{Error, Kind, Result};
use crate::fs::{self, Dir, FileKind, Rootfs, clean};
use crate::image::Part;

/// As many as the kernel follows (path_resolution(7)).
const MAX_SYMLINKS: usize = 40;

/// A tree in which paths mean something.
pub(super) trait Side {
    /// Opens a directory, symbolic links followed as whoever uses the tree does.
    ///
    /// # Errors
    /// Those of openat2(2).
    fn open_dir(&self, path: &Path) -> Result<Dir>;

    /// `path` from the root.
    fn absolute(&self, path: &Path) -> PathBuf;
}

/// The caller's own tree.
#[derive(Clone, Copy)]
pub(super) struct Host<'a> {
    pub(super) working_directory: &'a Path,
}

impl Side for Host<'_> {
    fn open_dir(&self, path: &Path) -> Result<Dir> {
        Dir::open(path)
    }

    fn absolute(&self, path: &Path) -> PathBuf {
        self.working_directory.join(path)
    }
}

impl Side for Rootfs {
    fn open_dir(&self, path: &Path) -> Result<Dir> {
        Rootfs::open_dir(self, path)
    }

    fn absolute(&self, path: &Path) -> PathBuf {
        Path::new("/").join(path)
    }
}

/// What is copied.
#[derive(Debug)]
pub(super) struct Source {
    /// Where it is.
    pub(super) dir: Dir,
    name: OsString,
    pub(super) is_dir: bool,
    /// What it is called in a directory; empty if only what is in it goes there.
    pub(super) base: OsString,
}

impl Source {
    /// What is at `path`; a symbolic link at its end is followed if `follow`,
    /// or if the path's end wants a directory.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` if the path's end wants a directory and there is
    /// none; those of openat2(2).
    pub(super) fn find(side: &impl Side, path: &Path, follow: bool) -> Result<Self> {
        let end = End::of(path);
        let absolute = side.absolute(path);
        let (dir, name) = settle(side, &absolute, follow || end != End::Name)?;
        let is_dir = dir.metadata(&name)?.kind == FileKind::Directory;
        if !is_dir && end != End::Name {
            return Err(Error::invalid(format!("{} is not a directory", path.display())));
        }
        let base = match end {
            End::Contents => None,
            _ => clean(&absolute).file_name().map(OsStr::to_owned),
        };
        Ok(Self { dir, name, is_dir, base: base.unwrap_or_default() })
    }

    /// It as `name`.
    pub(super) fn part<'a>(&'a self, name: &'a OsStr) -> Part<'a> {
        Part { name: &self.name, renamed: name.as_bytes() }
    }
}

/// Where a copy goes.
#[derive(Debug)]
pub(super) struct Destination {
    /// The directory in which it is or will be.
    pub(super) dir: Dir,
    pub(super) name: OsString,
    /// What is there now.
    pub(super) found: Option<FileKind>,
    /// Whether the path's end says that it is a directory.
    pub(super) wants_dir: bool,
}

impl Destination {
    /// What `path` means, symbolic links followed to their end, where nothing
    /// needs to be.
    ///
    /// # Errors
    /// `NotFound` if there is no directory for it; those of openat2(2).
    pub(super) fn find(side: &impl Side, path: &Path) -> Result<Self> {
        let (dir, name) =
            settle(side, &side.absolute(path), true).map_err(|error| match error.kind() {
                Kind::NotFound => error.hint("make the directory for it first"),
                _ => error,
            })?;
        let found = fs::absent_is_none(dir.metadata(&name))?.map(|found| found.kind);
        Ok(Self { dir, name, found, wants_dir: End::of(path) != End::Name })
    }

    /// It, if it is a directory.
    ///
    /// # Errors
    /// Those of openat2(2).
    pub(super) fn directory(&self) -> Result<Option<Dir>> {
        match self.found {
            Some(FileKind::Directory) => self.dir.open_dir(&self.name).map(Some),
            _ => Ok(None),
        }
    }
}

/// How a path ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// In a name.
    Name,
    /// In a slash, or in `..`.
    Directory,
    /// In `/.`, or it is `.`.
    Contents,
}

impl End {
    fn of(path: &Path) -> Self {
        match path.as_os_str().as_bytes() {
            b"." => Self::Contents,
            bytes if bytes.ends_with(b"/.") => Self::Contents,
            bytes if bytes.ends_with(b"/") || bytes == b".." || bytes.ends_with(b"/..") => {
                Self::Directory
            }
            _ => Self::Name,
        }
    }
}

/// The directory in which `path` lies, open, and its name there. What is at the
/// name need not exist; if it is a symbolic link and `follow`, it is where that
/// leads. Each step is resolved by the kernel from the root, so that a link
/// that is swapped meanwhile leads somewhere else in the tree, and not out.
fn settle(side: &impl Side, path: &Path, follow: bool) -> Result<(Dir, OsString)> {
    let mut path = path.to_owned();
    for _ in 0..MAX_SYMLINKS {
        // The root, and `..`, have no name.
        let (Some(Component::Normal(name)), Some(parent)) =
            (path.components().next_back(), path.parent())
        else {
            return Ok((side.open_dir(&path)?, ".".into()));
        };
        let dir = side.open_dir(parent)?;
        let kind = fs::absent_is_none(dir.metadata(name))?.map(|found| found.kind);
        if !follow || kind != Some(FileKind::Symlink) {
            return Ok((dir, name.to_owned()));
        }
        let target = OsString::from_vec(dir.read_link(name)?);
        path = parent.join(target);
    }
    Err(Error::new(Kind::Denied, format!("too many symbolic links at {}", path.display())))
}
