//! A setting of the kernel's, written by a process in the namespaces that it
//! belongs to. Which settings belong to one is the caller's matter.

use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;

use super::source;

/// Writes `value` to the file `path` below `/proc/sys`, on a procfs that
/// nobody else has seen: neither a link nor a mount can lead away from it
/// (CVE-2025-52881 was such a way).
///
/// # Errors
/// Those of mounting a procfs, openat2(2) and write(2).
pub fn set(path: &Path, value: &str) -> Result<(), Errno> {
    let proc = source::new_filesystem(c"proc", &[], MountAttrFlags::empty())?;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    let path = Path::new("sys").join(path);
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat2(proc.as_fd(), &path, flags, Mode::empty(), resolve)?;
    // The kernel takes a value in one write (Documentation/admin-guide/sysctl).
    match rustix::io::write(&file, value.as_bytes())? {
        written if written == value.len() => Ok(()),
        _ => Err(Errno::IO),
    }
}
