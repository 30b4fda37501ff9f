//! A group's processes, all at once: listed, frozen, killed; and the end of
//! the group itself.

use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::error::{Error, Kind, Result};
use crate::fs::{self, FileKind};

use super::controller::freezer::{self, State};
use super::controller::{Controller, Files};
use super::group::Place;
use super::{Cgroup, Version};

/// How often a busy group is tried again, each time a millisecond later: the
/// last process may be on its way out.
const MOST_TRIES: u32 = 2000;
/// How often those are killed that were born while the others were.
const MOST_ROUNDS: u32 = 100;

impl Cgroup {
    /// The processes in the group and in groups below it, as the caller sees
    /// them, sorted; none if it is gone.
    ///
    /// # Errors
    /// Those of reading `cgroup.procs`.
    pub fn processes(&self) -> Result<Vec<Pid>> {
        let Some(place) = self.places.first() else { return Ok(Vec::new()) };
        let mut pids = Vec::new();
        collect(&place.directory, &mut pids)?;
        pids.sort_unstable();
        pids.dedup();
        Ok(pids)
    }

    /// Stops every process, and returns when all stand still.
    ///
    /// # Errors
    /// `Unsupported` without the freezer; `Unavailable`, with all running on,
    /// if one does not stop within two seconds.
    pub fn freeze(&self) -> Result<()> {
        let files = self.freezer()?;
        freezer::ask(&files, State::Frozen)?;
        let frozen = freezer::wait(&files, State::Frozen);
        if frozen.is_err() {
            freezer::ask(&files, State::Thawed)?;
        }
        frozen
    }

    /// Lets every process go on.
    ///
    /// # Errors
    /// As [`Cgroup::freeze`].
    pub fn thaw(&self) -> Result<()> {
        let files = self.freezer()?;
        freezer::ask(&files, State::Thawed)?;
        freezer::wait(&files, State::Thawed)
    }

    fn freezer(&self) -> Result<Files<'_>> {
        self.files(Controller::Freezer).ok_or_else(|| {
            Error::unsupported("the host has no cgroup freezer")
                .hint("mount it: mount -t cgroup -o freezer cgroup /sys/fs/cgroup/freezer")
        })
    }

    /// Sends SIGKILL to every process, frozen or not, so that none escapes by
    /// forking. Does not wait until they are gone. None is success.
    ///
    /// # Errors
    /// Those of the kernel; `Unavailable` if new processes appear faster than
    /// they are killed, which takes a host without a freezer.
    pub fn kill(&self) -> Result<()> {
        if self.version == Version::V2
            && let Some(place) = self.places.first()
        {
            let files = place.files(self.version);
            // Since Linux 5.14.
            if files.has("cgroup.kill")? {
                return files.write("cgroup.kill", "1");
            }
        }
        let Some(files) = self.files(Controller::Freezer) else { return self.kill_but(Vec::new()) };
        if !files.has("cgroup.procs")? {
            return Ok(());
        }
        // While it freezes nothing new is born in it for long: not waited for.
        freezer::ask(&files, State::Frozen)?;
        let killed = self.processes().and_then(|pids| signal(&pids).map(|()| pids));
        // v1 delivers the signal when they go on.
        let thawed = freezer::ask(&files, State::Thawed);
        killed.and_then(|killed| thawed.map(|()| killed)).and_then(|killed| self.kill_but(killed))
    }

    /// Kills until none is left that is not among `killed`.
    fn kill_but(&self, mut killed: Vec<Pid>) -> Result<()> {
        for _ in 0..MOST_ROUNDS {
            let mut pids = self.processes()?;
            pids.retain(|pid| !killed.contains(pid));
            if pids.is_empty() {
                return Ok(());
            }
            signal(&pids)?;
            killed.append(&mut pids);
        }
        Err(Error::new(Kind::Unavailable, "processes are born faster than they are killed")
            .hint("limit them: --pids-limit"))
    }

    /// Removes the group and the groups below it, in every tree. What is gone
    /// is success; where one fails the others are removed all the same.
    ///
    /// # Errors
    /// `InUse` if processes live in it two seconds later; the first of others.
    pub fn remove(&self) -> Result<()> {
        let mut patience = Patience::new();
        let remove = |place: &Place| remove_directory(&place.directory, &mut patience);
        self.places.iter().map(remove).fold(Ok(()), Result::and)
    }
}

fn signal(pids: &[Pid]) -> Result<()> {
    for &pid in pids {
        match kill(pid, Signal::SIGKILL) {
            Ok(()) | Err(nix::errno::Errno::ESRCH) => {}
            Err(error) => return Err(Error::io_named(format!("cannot kill process {pid}"), error)),
        }
    }
    Ok(())
}

fn collect(directory: &Path, pids: &mut Vec<Pid>) -> Result<()> {
    // It is the same file in both versions.
    let files = Files { version: Version::V2, directory };
    let text = files.text("cgroup.procs")?.unwrap_or_default();
    // 0 is a process outside of the caller's PID namespace; to signal it
    // would hit the caller's own group.
    let own = text.lines().filter_map(|line| line.parse().ok()).filter(|&pid| pid > 0);
    pids.extend(own.map(Pid::from_raw));
    children(directory)?.iter().try_for_each(|child| collect(child, pids))
}

/// The groups right below `directory`.
fn children(directory: &Path) -> Result<Vec<PathBuf>> {
    // The kernel counts subdirectories as links, as file systems of old did.
    match fs::metadata(directory)? {
        Some(own) if own.links != 2 => {}
        _ => return Ok(Vec::new()),
    }
    let mut found = Vec::new();
    for name in fs::list(directory)? {
        let path = directory.join(name);
        if fs::link_metadata(&path)?.is_some_and(|entry| entry.kind == FileKind::Directory) {
            found.push(path);
        }
    }
    Ok(found)
}

/// How long a removal may still wait, for all of its directories together.
pub(super) struct Patience(u32);

impl Patience {
    pub(super) fn new() -> Self {
        Self(MOST_TRIES)
    }
}

/// Removes the cgroup `directory` and those below it, waiting for processes
/// that are on their way out.
pub(super) fn remove_directory(directory: &Path, patience: &mut Patience) -> Result<()> {
    loop {
        let error = match fs::remove_dir(directory) {
            Err(error) if is_busy(&error) => error,
            other => return other,
        };
        for child in children(directory)? {
            remove_directory(&child, patience)?;
        }
        let Some(left) = patience.0.checked_sub(1) else { return Err(in_use(directory, error)) };
        patience.0 = left;
        freezer::pause();
    }
}

/// Removes what an earlier run has left at `directory`.
///
/// # Errors
/// `InUse`, at once, if processes live in it.
pub(super) fn remove_earlier(directory: &Path) -> Result<()> {
    let mut pids = Vec::new();
    collect(directory, &mut pids)?;
    let patience = if pids.is_empty() { Patience::new() } else { Patience(0) };
    remove_directory(directory, &mut { patience })
}

fn is_busy(error: &Error) -> bool {
    matches!(super::controller::errno(error), Some(libc::EBUSY | libc::ENOTEMPTY))
}

fn in_use(directory: &Path, error: Error) -> Error {
    let mut pids = Vec::new();
    let listed = collect(directory, &mut pids).is_ok() && !pids.is_empty();
    if !listed {
        return error;
    }
    let pids: Vec<String> = pids.iter().map(ToString::to_string).collect();
    let message =
        format!("the cgroup {} has processes in it: {}", directory.display(), pids.join(", "));
    Error::new(Kind::InUse, message).hint("kill them first").because(error)
}
