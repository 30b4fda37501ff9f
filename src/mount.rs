//! What storage produces and the runtime consumes: a mount, described.
//! Nothing here mounts anything.

use std::path::{Path, PathBuf};

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
