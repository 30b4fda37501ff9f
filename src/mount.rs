//! What storage produces and the runtime consumes: a mount, described.
//! Nothing here mounts anything.

use std::path::{Path, PathBuf};

use crate::digest::ChainId;

/// One mount as mount(2) would take it; the destination is the caller's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mount {
    /// A directory, bound as it is.
    Bind {
        /// The directory.
        source: PathBuf,
        /// Whether writes are refused.
        read_only: bool,
    },
    /// The content of an archive, read-only.
    Archive(ArchiveLayer),
    /// A stack of layers, mostly under a writable one.
    Overlay(Overlay),
    /// A copy of what a stack of layers shows.
    Copy(TreeCopy),
}

/// How a layer lies on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LayerForm {
    /// A directory in overlayfs's own form.
    Tree,
    /// An uncompressed tar, and an EROFS image that says where in it all lies.
    Archive,
}

/// A layer as an overlay takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lower {
    /// A directory.
    Directory(PathBuf),
    /// An archive, to be mounted first.
    Archive(ArchiveLayer),
}

impl Lower {
    /// Where its data lies.
    pub fn path(&self) -> &Path {
        match self {
            Self::Directory(path) => path,
            Self::Archive(archive) => &archive.data,
        }
    }
}

/// An EROFS image and the device that has the data of its files
/// (Documentation/filesystems/erofs, `device=`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveLayer {
    /// The image.
    pub index: PathBuf,
    /// The tar.
    pub data: PathBuf,
}

/// The layers of an overlay mount (Documentation/filesystems/overlayfs).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlay {
    /// The read-only layers, topmost first.
    pub lower: Vec<Lower>,
    /// The writable layer and its work directory; without it the mount is
    /// read-only.
    pub upper: Option<Upper>,
}

/// What a stack of layers shows, as a directory of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeCopy {
    /// The layers, topmost first.
    pub lower: Vec<Lower>,
    /// Their names, for who copies them to hold meanwhile; none of a directory of the
    /// host's.
    pub stack: Vec<ChainId>,
    /// Its folder: complete, or not there before its first use. None of a view,
    /// which is copied for each who looks.
    pub folder: Option<PathBuf>,
    /// Whether writes are refused.
    pub read_only: bool,
}

impl TreeCopy {
    /// The root in the folder `folder` of a copy.
    pub fn root(folder: &Path) -> PathBuf {
        folder.join("root")
    }

    /// The file in it that was made when all was copied: what changed later was
    /// written by somebody else.
    pub fn stamp(folder: &Path) -> PathBuf {
        folder.join("made")
    }
}

/// The writable half of an overlay; both on one file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upper {
    /// Takes what is written.
    pub upper: PathBuf,
    /// overlayfs's own scratch directory.
    pub work: PathBuf,
    /// Skip syncs: what is written need not survive a crash of the host.
    pub volatile: bool,
}
