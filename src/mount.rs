//! What storage produces and the runtime consumes: a mount, described.
//! Nothing here mounts anything.

use std::path::PathBuf;

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
    /// A stack of directories under one writable one.
    Overlay(Overlay),
}

/// The directories of an overlay mount (Documentation/filesystems/overlayfs).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlay {
    /// The read-only layers, topmost first.
    pub lower: Vec<PathBuf>,
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
