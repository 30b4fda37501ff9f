//! mount_setattr(2), which rustix does not have (rustix#1630).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// What [`set_attributes`] changes of a mount, or of all mounts of a tree.
#[derive(Clone, Copy, Debug, Default)]
pub struct MountAttributes<'fd> {
    /// `MOUNT_ATTR_*` flags to set.
    pub set: u64,
    /// `MOUNT_ATTR_*` flags to clear.
    pub clear: u64,
    /// `MS_PRIVATE`, `MS_SLAVE`, `MS_SHARED`, or 0 to leave it.
    pub propagation: u64,
    /// The user namespace whose map becomes the mount's.
    pub id_map: Option<BorrowedFd<'fd>>,
    /// Whether mounts below are changed too.
    pub recursive: bool,
}

/// Refuses writes.
pub const READ_ONLY: u64 = libc::MOUNT_ATTR_RDONLY;

/// Refuses to open device nodes.
pub const NO_DEVICES: u64 = libc::MOUNT_ATTR_NODEV;

/// Ignores set-user-ID and file capabilities.
pub const NO_SET_ID: u64 = libc::MOUNT_ATTR_NOSUID;

/// Refuses to execute programs.
pub const NO_PROGRAMS: u64 = libc::MOUNT_ATTR_NOEXEC;

/// `struct mount_attr` of linux/mount.h.
#[repr(C)]
struct RawAttributes {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

/// Changes the attributes of the mount that `mount` is the root of.
///
/// # Errors
/// Those of mount_setattr(2): `EINVAL` where the file system cannot be
/// mounted with an ID map, `ENOSYS` before Linux 5.12.
pub fn set_attributes(mount: impl AsFd, attributes: &MountAttributes<'_>) -> io::Result<()> {
    let mut raw = RawAttributes {
        set: attributes.set,
        clear: attributes.clear,
        propagation: attributes.propagation,
        user_namespace: 0,
    };
    if let Some(namespace) = &attributes.id_map {
        raw.set |= libc::MOUNT_ATTR_IDMAP;
        // A descriptor is never negative.
        raw.user_namespace = u64::from(namespace.as_raw_fd().unsigned_abs());
    }
    let mut flags = libc::AT_EMPTY_PATH;
    if attributes.recursive {
        flags |= libc::AT_RECURSIVE;
    }
    // SAFETY: the path is an empty C string, and `raw` has the layout and the
    // size that are given.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_fd().as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const raw,
            size_of::<RawAttributes>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
