//! Gives a file that was made its attributes, and tells whether the file
//! system took them: by its answers, and by a look at the file afterwards.

use std::ffi::OsStr;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{Gid, Mode, Timespec, Timestamps, Uid};
use rustix::thread::CapabilitySet;

use crate::error::{Error, Kind, Result};
use crate::fs::{self, Dir, FileKind, Metadata, Owner, Timestamp};

use super::entry::{Attributes, Xattrs};
use super::xattrs::{ACL_ACCESS, ACL_DEFAULT, CAPABILITY};

/// Who makes the files.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    /// The owner that a new file has without asking, if that is known.
    owner: Option<Owner>,
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
        Ok(Self {
            owner: Some(owner),
            reads_all: sets.effective.contains(CapabilitySet::DAC_OVERRIDE),
        })
    }

    /// The same in directories that may give new files a group of their own
    /// (inode(7), "The set-group-ID bit").
    pub(super) fn among_others(self) -> Self {
        Self { owner: None, ..self }
    }

    /// Gives what is at `place`, which is a new file or a directory,
    /// `attributes`; tells whether it has them all now.
    ///
    /// # Errors
    /// Those of the system calls that are no refusal.
    pub(super) fn settle(self, place: &Place<'_>, attributes: &Attributes) -> Result<bool> {
        let Place { dir, name, kind, .. } = *place;
        let is_link = kind == FileKind::Symlink;
        let owner = Owner { uid: attributes.uid, gid: attributes.gid };
        let mut taken = true;
        // The owner goes first: chown(2) takes setuid bits and capabilities. A
        // directory may be an old one, with another owner.
        if self.owner != Some(owner) || kind == FileKind::Directory {
            taken &= accepted(place.set_owner(owner))?;
        }
        // A mode may forbid to set `user.*`, and chmod(2) changes an ACL.
        taken &= set_xattrs(dir, name, (&attributes.xattrs, |key| !is_acl(key)))?;
        if !is_link {
            taken &= accepted(place.set_mode(self.mode_on_disk(kind, attributes.mode)))?;
        }
        if self.reads_all {
            taken &= set_xattrs(dir, name, (&attributes.xattrs, is_acl))?;
        } else {
            // An access ACL is a mode as well, and may lock the caller out.
            taken &= !attributes.xattrs.contains_key(ACL_ACCESS);
            taken &= set_xattrs(dir, name, (&attributes.xattrs, |key| key == ACL_DEFAULT))?;
        }
        taken &= accepted(place.set_mtime(attributes.mtime))?;
        let found = place.metadata()?;
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

/// What gets attributes.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    /// Where it is.
    pub(super) dir: &'a Dir,
    /// Its name there.
    pub(super) name: &'a OsStr,
    /// What it is.
    pub(super) kind: FileKind,
    /// Itself, where it is open: that saves looking for its name each time.
    pub(super) open: Option<BorrowedFd<'a>>,
}

impl Place<'_> {
    fn fail(&self, verb: &str, error: rustix::io::Errno) -> Error {
        Error::io(verb, self.dir.path_of(self.name), error)
    }

    fn set_owner(&self, owner: Owner) -> Result<()> {
        let Some(fd) = self.open else { return self.dir.set_owner(self.name, owner) };
        let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
        rustix::fs::fchown(fd, Some(uid), Some(gid))
            .map_err(|error| self.fail("set the owner of", error))
    }

    fn set_mode(&self, mode: u32) -> Result<()> {
        let Some(fd) = self.open else { return self.dir.set_mode(self.name, mode) };
        rustix::fs::fchmod(fd, Mode::from_raw_mode(mode))
            .map_err(|error| self.fail("set the mode of", error))
    }

    fn set_mtime(&self, mtime: Timestamp) -> Result<()> {
        let Some(fd) = self.open else { return self.dir.set_mtime(self.name, mtime) };
        let time = Timespec { tv_sec: mtime.seconds, tv_nsec: mtime.nanoseconds.into() };
        // As for a name: no clock leaks in.
        let times = Timestamps { last_access: time, last_modification: time };
        rustix::fs::futimens(fd, &times).map_err(|error| self.fail("set the time of", error))
    }

    fn metadata(&self) -> Result<Metadata> {
        let Some(fd) = self.open else { return self.dir.metadata(self.name) };
        let stat = rustix::fs::fstat(fd).map_err(|error| self.fail("look at", error))?;
        Ok(Metadata::from(&stat))
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
