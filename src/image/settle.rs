//! Gives a file that was made its attributes, and tells whether the file
//! system took them: by its answers, and by a look at the file afterwards.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::error::{Kind, Result};
use crate::fs::{self, Dir, FileKind, Owner};

use super::entry::{Attributes, Xattrs};

/// The owner that a new file has without asking.
pub(super) fn own_ids() -> Owner {
    Owner { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() }
}

/// Gives `name`, which is a new file of `kind` or a directory, `attributes`;
/// tells whether it has them all now. `own` is [`own_ids`].
///
/// # Errors
/// Those of the system calls that are no refusal.
pub(super) fn settle(
    dir: &Dir,
    name: &OsStr,
    (kind, attributes): (FileKind, &Attributes),
    own: Owner,
) -> Result<bool> {
    let is_link = kind == FileKind::Symlink;
    let owner = Owner { uid: attributes.uid, gid: attributes.gid };
    let mut taken = true;
    // The owner goes first: chown(2) takes setuid bits and capabilities. A
    // directory may be an old one, with another owner.
    if owner != own || kind == FileKind::Directory {
        taken &= accepted(dir.set_owner(name, owner))?;
    }
    if !is_link {
        taken &= accepted(dir.set_mode(name, attributes.mode))?;
    }
    taken &= set_xattrs(dir, name, &attributes.xattrs)?;
    taken &= accepted(dir.set_mtime(name, attributes.mtime))?;
    let found = dir.metadata(name)?;
    Ok(taken
        && (found.uid, found.gid, found.mtime)
            == (attributes.uid, attributes.gid, attributes.mtime)
        && (is_link || found.mode == attributes.mode))
}

/// Turns the refusals that overrides make good into `false`.
fn accepted(result: Result<()>) -> Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.kind(), Kind::Denied | Kind::Invalid | Kind::Unsupported) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Takes the default ACL from the empty root of a tree: a folder of the host
/// must not pass on to a layer what the archive does not have.
///
/// # Errors
/// Those of lremovexattr(2), but for a file system without ACLs.
pub(super) fn inherits_nothing(root: &Dir) -> Result<&Dir> {
    let acl = OsStr::new("system.posix_acl_default");
    match fs::remove_xattr(root, OsStr::new("."), acl) {
        Err(error) if error.kind() == Kind::Unsupported => Ok(root),
        result => result.map(|()| root),
    }
}

fn set_xattrs(dir: &Dir, name: &OsStr, xattrs: &Xattrs) -> Result<bool> {
    let mut taken = true;
    for (key, value) in xattrs {
        taken &= accepted(fs::write_xattr(dir, name, (OsStr::from_bytes(key), value)))?;
    }
    Ok(taken)
}
