//! Gives a file that was made its attributes, and tells whether the file
//! system took them: by its answers, and by a look at the file afterwards.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use rustix::thread::CapabilitySet;

use crate::error::{Error, Kind, Result};
use crate::fs::{self, Dir, FileKind, Owner};

use super::entry::{Attributes, Xattrs};
use super::xattrs::{ACL_ACCESS, ACL_DEFAULT, CAPABILITY};

/// Who makes the files.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    /// The owner that a new file has without asking.
    owner: Owner,
    /// True if no mode keeps the caller from reading.
    reads_all: bool,
}

impl Caller {
    /// The present thread.
    ///
    /// # Errors
    /// Those of capget(2).
    pub(super) fn of_process() -> Result<Self> {
        let sets = rustix::thread::capabilities(None)
            .map_err(|error| Error::io_named("cannot look at the capabilities", error))?;
        let owner = Owner {
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
        };
        Ok(Self { owner, reads_all: sets.effective.contains(CapabilitySet::DAC_OVERRIDE) })
    }

    /// Gives `name`, which is a new file of `kind` or a directory,
    /// `attributes`; tells whether it has them all now.
    ///
    /// # Errors
    /// Those of the system calls that are no refusal.
    pub(super) fn settle(
        self,
        dir: &Dir,
        name: &OsStr,
        (kind, attributes): (FileKind, &Attributes),
    ) -> Result<bool> {
        let is_link = kind == FileKind::Symlink;
        let owner = Owner { uid: attributes.uid, gid: attributes.gid };
        let mut taken = true;
        // The owner goes first: chown(2) takes setuid bits and capabilities. A
        // directory may be an old one, with another owner.
        if owner != self.owner || kind == FileKind::Directory {
            taken &= accepted(dir.set_owner(name, owner))?;
        }
        // A mode may forbid to set `user.*`, and chmod(2) changes an ACL.
        taken &= set_xattrs(dir, name, (&attributes.xattrs, |key| !is_acl(key)))?;
        if !is_link {
            taken &= accepted(dir.set_mode(name, self.mode_on_disk(kind, attributes.mode)))?;
        }
        if self.reads_all {
            taken &= set_xattrs(dir, name, (&attributes.xattrs, is_acl))?;
        } else {
            // An access ACL is a mode as well, and may lock the caller out.
            taken &= !attributes.xattrs.contains_key(ACL_ACCESS);
            taken &= set_xattrs(dir, name, (&attributes.xattrs, |key| key == ACL_DEFAULT))?;
        }
        taken &= accepted(dir.set_mtime(name, attributes.mtime))?;
        let found = dir.metadata(name)?;
        Ok(taken
            && (found.uid, found.gid, found.mtime)
                == (attributes.uid, attributes.gid, attributes.mtime)
            && (is_link || found.mode == attributes.mode))
    }

    /// `mode`, and what the caller needs to read the tree again.
    fn mode_on_disk(self, kind: FileKind, mode: u32) -> u32 {
        match kind {
            _ if self.reads_all => mode,
            FileKind::Directory => mode | 0o500,
            FileKind::Regular => mode | 0o400,
            _ => mode,
        }
    }
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

fn is_acl(key: &[u8]) -> bool {
    matches!(key, ACL_ACCESS | ACL_DEFAULT)
}

fn set_xattrs(
    dir: &Dir,
    name: &OsStr,
    (xattrs, is_wanted): (&Xattrs, fn(&[u8]) -> bool),
) -> Result<bool> {
    let mut taken = true;
    for (key, value) in xattrs.iter().filter(|(key, _)| is_wanted(key)) {
        let attribute = OsStr::from_bytes(key);
        taken &= fs::offer_xattr(dir, name, (attribute, value))?;
        // The kernel has forms of its own for these: an ACL that says no more
        // than the mode, say, is dropped.
        if taken && (is_acl(key) || key == CAPABILITY) {
            taken = fs::read_xattr(dir, name, attribute)?.as_ref() == Some(value);
        }
    }
    Ok(taken)
}
