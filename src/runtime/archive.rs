//! The mount of a layer that lies as an archive: an EROFS image of our own
//! making, which has the tree, and the tar that has the data of its files
//! (Documentation/filesystems/erofs). Linux 6.12 mounts both where they lie.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen,
};

use crate::error::{Error, Result};
use crate::mount::{ArchiveLayer, Lower, Overlay};

use super::idmap::UserNamespace;
use super::overlay;

/// Mounts `archive`, detached and read-only.
///
/// # Errors
/// Those of the kernel, with a hint where it cannot mount any.
pub(super) fn mount(archive: &ArchiveLayer) -> Result<OwnedFd> {
    try_mount(archive).map_err(|error| {
        let failed = Error::io("mount the layer", &archive.index, error);
        match error {
            Errno::NODEV | Errno::NOTBLK | Errno::PERM => failed.hint(
                "this kernel or user cannot mount archived layers: convert them with \
                 `envbox system migrate overlay`",
            ),
            _ => failed.hint("check the layer with `envbox image verify --all`"),
        }
    })
}

fn try_mount(archive: &ArchiveLayer) -> Result<OwnedFd, Errno> {
    let context = fsopen(c"erofs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    let set = |key, value: &Path| fsconfig_set_string(context.as_fd(), key, value);
    set(c"source", &archive.index)?;
    set(c"device", &archive.data)?;
    fsconfig_set_flag(context.as_fd(), c"ro")?;
    fsconfig_create(context.as_fd())?;
    let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY | MountAttrFlags::MOUNT_ATTR_NODEV;
    fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// Why `archive`, which is small, cannot be a layer of an overlay here. None if
/// it can.
pub fn obstacle(archive: &ArchiveLayer) -> Option<Error> {
    match try_mount(archive) {
        Ok(_) => {}
        Err(Errno::NODEV) => return Some(Error::unsupported("the kernel has no EROFS")),
        Err(Errno::NOTBLK) => {
            return Some(Error::unsupported(
                "the kernel mounts no files as EROFS, or none of the store's file system",
            ));
        }
        Err(error) => return Some(Error::io_named("cannot mount EROFS", error)),
    }
    // Of two: an overlay has to be able to clone a mount that is nowhere.
    let lower = vec![Lower::Archive(archive.clone()), Lower::Archive(archive.clone())];
    overlay::mount(&Overlay { lower, upper: None }, UserNamespace::Inherited).err()
}
