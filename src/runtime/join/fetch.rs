//! Mounts of the other container's that a new one has as well: its procfs, and its
//! `/dev/shm`. A process enters its mount namespace, takes a copy of one, and hands
//! it out; the caller never enters.
//!
//! It goes as the joiner of an `exec` does: without a descriptor of the caller's,
//! not dumpable, and without a number in the other's PID namespace; so a new procfs
//! is not made there, which takes a process inside. What it finds may be what the
//! other container put there: it is of the right kind, it is that one's own, and no
//! program or device in it counts.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, fstat, fstatfs, openat2};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, OpenTreeFlags, open_tree};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};

use crate::error::{Error, Result};
use crate::sys::mount::{MountAttributes, set_attributes};
use crate::sys::process::{self, Namespaces};
use crate::sys::socket;

use super::super::start::reap;
use super::super::step::errno_of;
use super::target::Target;

/// A mount that is taken.
struct Wanted {
    path: &'static str,
    /// Its `f_type` of statfs(2) (linux/magic.h).
    magic: i64,
    /// The inode of its root, where that is always the same.
    root: Option<u64>,
}

/// linux/proc_fs.h has the number of the root.
const PROC: Wanted = Wanted { path: "/proc", magic: 0x9fa0, root: Some(1) };
const SHARED_MEMORY: Wanted = Wanted { path: "/dev/shm", magic: 0x0102_1994, root: None };

/// procfs of `target`'s PID namespace, detached, without what masks it.
///
/// # Errors
/// Those of the kernel, also where it has ended; `ENODEV` if it has none.
pub fn proc(target: &Target) -> Result<OwnedFd> {
    fetch(target, &PROC)
        .map_err(|error| Error::io_named("cannot take the other container's /proc", error))
}

/// The `/dev/shm` of `target`, detached.
///
/// # Errors
/// Those of the kernel, also where it has ended; `ENODEV` if it has none.
pub fn shared_memory(target: &Target) -> Result<OwnedFd> {
    fetch(target, &SHARED_MEMORY)
        .map_err(|error| Error::io_named("cannot take the other container's /dev/shm", error))
}

fn fetch(target: &Target, wanted: &Wanted) -> io::Result<OwnedFd> {
    let (answers, answer) = socket::pair()?;
    let (mut mine, mut theirs) = (Some(answers), Some(answer));
    let child = process::clone(Namespaces::NONE, || {
        drop(mine.take());
        let Some(answer) = theirs.take() else { return 1 };
        let sent = match go(target, wanted, &answer) {
            Ok(mount) => socket::send(&answer, b"m", Some(mount.as_fd())),
            Err(errno) => socket::send(&answer, &errno.raw_os_error().to_ne_bytes(), None),
        };
        i32::from(sent.is_err())
    })?;
    drop(theirs);
    let mut word = [0; 4];
    let received = match &mine {
        Some(answers) => socket::receive(answers, &mut word),
        None => Err(io::Error::from_raw_os_error(libc::EBADF)),
    };
    reap(&child);
    match received? {
        (_, Some(mount)) => Ok(mount),
        (4, None) => Err(io::Error::from_raw_os_error(i32::from_ne_bytes(word))),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// The process that goes.
fn go(target: &Target, wanted: &Wanted, answer: &OwnedFd) -> Result<OwnedFd, Errno> {
    process::close_from_except(3, &[target.pidfd(), answer.as_fd()]);
    if !process::die_with_parent(answer).map_err(|error| errno_of(&error))? {
        return Err(Errno::CHILD);
    }
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    process::join(target.pidfd(), Namespaces::MOUNT).map_err(|error| errno_of(&error))?;
    take(wanted)
}

fn take(wanted: &Wanted) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let place = openat2(CWD, wanted.path, flags, Mode::empty(), resolve)?;
    let root = fstat(&place)?.st_ino;
    if fstatfs(&place)?.f_type != wanted.magic || wanted.root.is_some_and(|own| own != root) {
        return Err(Errno::NODEV);
    }
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    let tree = open_tree(&place, "", flags)?;
    let quiet = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let set = u64::from(quiet.bits());
    let attributes = MountAttributes { set, ..MountAttributes::default() };
    set_attributes(tree.as_fd(), &attributes).map_err(|error| errno_of(&error))?;
    Ok(tree)
}
