//! Stops and continues all processes of a cgroup at once.

use std::io::Read;
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::super::Version;
use super::files::{Files, keyed};
use crate::error::{Error, Kind, Result};
use crate::fs;

/// How often v1, which tells nobody, is asked; each time a millisecond later.
const MOST_LOOKS: u32 = 2000;
/// How long v2 may take for each change that it tells.
const PATIENCE: Timespec = Timespec { tv_sec: 2, tv_nsec: 0 };

/// Whether processes run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::runtime::cgroup) enum State {
    /// None does.
    Frozen,
    /// They do.
    Thawed,
}

/// Asks for `state`, without waiting for it.
///
/// # Errors
/// Those of writing it.
pub(in crate::runtime::cgroup) fn ask(files: &Files<'_>, state: State) -> Result<()> {
    match (files.version, state) {
        (Version::V1, State::Frozen) => files.write("freezer.state", "FROZEN"),
        (Version::V1, State::Thawed) => files.write("freezer.state", "THAWED"),
        (Version::V2, State::Frozen) => files.write("cgroup.freeze", "1"),
        (Version::V2, State::Thawed) => files.write("cgroup.freeze", "0"),
    }
}

/// Waits until `state`, which was asked for, is reached.
///
/// # Errors
/// `Unavailable` if it is not within two seconds: a process waits for a disk
/// or a server that does not answer. Those of reading it.
pub(in crate::runtime::cgroup) fn wait(files: &Files<'_>, state: State) -> Result<()> {
    let reached = match files.version {
        Version::V1 => wait_legacy(files, state)?,
        Version::V2 => wait_unified(files, state)?,
    };
    if reached {
        return Ok(());
    }
    Err(Error::new(Kind::Unavailable, format!("{} does not freeze", files.directory.display()))
        .hint("one of its processes waits in the kernel, for a disk say; try again"))
}

fn wait_legacy(files: &Files<'_>, state: State) -> Result<bool> {
    let word = match state {
        State::Frozen => "FROZEN",
        State::Thawed => "THAWED",
    };
    for _ in 0..MOST_LOOKS {
        if files.text("freezer.state")?.is_none_or(|text| text.trim() == word) {
            return Ok(true);
        }
        // One that was between two system calls is caught by asking again
        // (freezer-subsystem.rst).
        ask(files, state)?;
        pause();
    }
    Ok(false)
}

/// v2 raises POLLPRI on `cgroup.events` when it changes after it was read
/// through the same descriptor (cgroup-v2.rst; `kernfs_generic_poll`).
fn wait_unified(files: &Files<'_>, state: State) -> Result<bool> {
    let path = files.path("cgroup.events");
    let wanted = u64::from(state == State::Frozen);
    loop {
        let Some(mut events) = fs::absent_is_none(fs::open(&path))? else { return Ok(true) };
        let mut text = String::new();
        match events.read_to_string(&mut text) {
            Ok(_) => {}
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => return Ok(true),
            Err(error) => return Err(Error::io("read", &path, error)),
        }
        if keyed(&text, "frozen").is_none_or(|frozen| frozen == wanted) {
            return Ok(true);
        }
        let mut changes = [PollFd::from_borrowed_fd(events.as_fd(), PollFlags::PRI)];
        match poll(&mut changes, Some(&PATIENCE)) {
            Ok(0) => return Ok(false),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(Error::io("watch", &path, error)),
        }
    }
}

/// A millisecond.
pub(in crate::runtime::cgroup) fn pause() {
    // Cut short by a signal it is shorter, which is as good.
    let _ = rustix::thread::nanosleep(&Timespec { tv_sec: 0, tv_nsec: 1_000_000 });
}
