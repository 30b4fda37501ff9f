//! Extended attributes of names below an open directory.
//!
//! The kernel had no `*xattrat` calls before 6.13; `/proc/self/fd/N/name`
//! reaches the name through the open directory without a race on its path,
//! and the crate's calls do not follow a symbolic link at the end.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd};
use std::path::PathBuf;

use crate::error::{Error, Result};

use super::Dir;

fn through_proc(dir: &Dir, name: &OsStr) -> PathBuf {
    let mut path = PathBuf::from(format!("/proc/self/fd/{}", dir.as_fd().as_raw_fd()));
    path.push(name);
    path
}

fn fail(verb: &str, dir: &Dir, name: &OsStr, error: std::io::Error) -> Error {
    let path = dir.path_of(name);
    Error::io_named(format!("cannot {verb} the extended attributes of {}", path.display()), error)
}

/// The names of the attributes of `name`, itself if it is a symbolic link,
/// sorted; none where the file system has no attributes.
///
/// # Errors
/// Those of llistxattr(2), with the path.
pub fn list_xattrs(dir: &Dir, name: &OsStr) -> Result<Vec<OsString>> {
    match xattr::list(through_proc(dir, name)) {
        Ok(list) => {
            let mut names: Vec<OsString> = list.collect();
            names.sort();
            Ok(names)
        }
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(Vec::new()),
        Err(error) => Err(fail("list", dir, name, error)),
    }
}

/// The value of `attribute` of `name`; `None` if it has none by that name.
///
/// # Errors
/// Those of lgetxattr(2), with the path.
pub fn read_xattr(dir: &Dir, name: &OsStr, attribute: &OsStr) -> Result<Option<Vec<u8>>> {
    xattr::get(through_proc(dir, name), attribute).map_err(|error| fail("read", dir, name, error))
}

/// Sets `attribute` of `name`, itself if it is a symbolic link.
///
/// # Errors
/// Those of lsetxattr(2), with the path.
pub fn write_xattr(dir: &Dir, name: &OsStr, attribute: (&OsStr, &[u8])) -> Result<()> {
    xattr::set(through_proc(dir, name), attribute.0, attribute.1)
        .map_err(|error| fail("set", dir, name, error))
}

/// Sets `attribute` of `name` as [`write_xattr`] does; tells whether the file
/// system took it. It may refuse for want of a right (`EPERM`, `EACCES`), of a
/// meaning (`EINVAL`, `EOPNOTSUPP`), or of room in what it keeps by a file
/// (`ENOSPC`, `E2BIG`, `ERANGE`; setxattr(2)): ext4 has one block for all
/// attributes of a file, and says `ENOSPC` however empty the disk is.
///
/// # Errors
/// All other ones of lsetxattr(2), with the path.
pub fn offer_xattr(dir: &Dir, name: &OsStr, attribute: (&OsStr, &[u8])) -> Result<bool> {
    match xattr::set(through_proc(dir, name), attribute.0, attribute.1) {
        Ok(()) => Ok(true),
        Err(error) if is_refusal(&error) => Ok(false),
        Err(error) => Err(fail("set", dir, name, error)),
    }
}

fn is_refusal(error: &std::io::Error) -> bool {
    match error.raw_os_error() {
        Some(
            libc::EPERM
            | libc::EACCES
            | libc::EINVAL
            | libc::EOPNOTSUPP
            | libc::ENOSPC
            | libc::E2BIG
            | libc::ERANGE,
        ) => true,
        Some(_) => false,
        // A name with a NUL byte does not get as far as the kernel.
        None => error.kind() == std::io::ErrorKind::InvalidInput,
    }
}

/// Removes `attribute` of `name`; its absence is success.
///
/// # Errors
/// Those of lremovexattr(2), with the path.
pub fn remove_xattr(dir: &Dir, name: &OsStr, attribute: &OsStr) -> Result<()> {
    match xattr::remove(through_proc(dir, name), attribute) {
        Err(error) if error.raw_os_error() == Some(libc::ENODATA) => Ok(()),
        result => result.map_err(|error| fail("remove", dir, name, error)),
    }
}
