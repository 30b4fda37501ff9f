//! The lock that a kept container's monitor holds in the container's own
//! directory in the store, beside its file in the run directory. That one may
//! be taken away under a container that runs, as a user's run directory is
//! after the last session; two monitors must not write to the same files then.
//!
//! ```text
//! STORE/containers/<ID>/config.json    flock: held as long as the monitor lives
//! ```
//!
//! It tells that a container runs, and nothing else of it.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;

use crate::error::{Error, Kind, Result};
use crate::fs::{self, File};
use crate::id::ContainerName;

const FILE: &str = "config.json";

/// A monitor that is killed lets go of its files one after the other, in a
/// moment.
const GRACE: Duration = Duration::from_secs(1);

/// How often it is looked whether it has.
const PAUSE: Duration = Duration::from_millis(5);

/// The lock of one container.
#[derive(Debug)]
pub(super) struct Held(Option<File>);

impl Held {
    /// Takes the lock in `directory`, the container's own; `None` if a monitor
    /// holds it, and goes on to. A directory that lost the file can still be
    /// removed, and its container started.
    ///
    /// # Errors
    /// Those of open(2) and flock(2).
    pub(super) fn take(directory: &Path) -> Result<Option<Self>> {
        let path = directory.join(FILE);
        let Some(file) = fs::absent_is_none(fs::open(&path))? else { return Ok(Some(Self(None))) };
        let start = Instant::now();
        while !fs::try_lock(&file, &path)? {
            if start.elapsed() > GRACE {
                return Ok(None);
            }
            std::thread::sleep(PAUSE);
        }
        Ok(Some(Self(Some(file))))
    }

    /// Lets go, for the processes as well that have a copy of the descriptor.
    pub(super) fn release(&self) {
        if let Some(file) = &self.0 {
            // It is let go of with the last of them in any case.
            let _ = rustix::fs::flock(file, FlockOperation::Unlock);
        }
    }
}

/// Whether a monitor holds the container of `directory` now.
///
/// # Errors
/// Those of open(2) and flock(2).
pub(super) fn is_held(directory: &Path) -> Result<bool> {
    let path = directory.join(FILE);
    let Some(file) = fs::absent_is_none(fs::open(&path))? else { return Ok(false) };
    // Shared, so that those who look at the same time are not taken for it.
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(false),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
        Err(error) => Err(Error::io("lock", &path, error)),
    }
}

/// The same, but for one that is just let go of.
///
/// # Errors
/// Those of open(2) and flock(2).
pub(super) fn stays_held(directory: &Path) -> Result<bool> {
    let start = Instant::now();
    while is_held(directory)? {
        if start.elapsed() > GRACE {
            return Ok(true);
        }
        std::thread::sleep(PAUSE);
    }
    Ok(false)
}

/// The error of a container whose monitor cannot be spoken to.
pub(super) fn unreachable(name: &ContainerName, directory: &Path) -> Error {
    let message =
        format!("container {name} is running, and its files in the run directory are gone");
    Error::new(Kind::InUse, message).hint(format!(
        "end its monitor, which ends it: fuser -k {}",
        directory.join(FILE).display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_monitor_at_a_time_holds_a_container() {
        let room = tempfile::tempdir().unwrap();
        assert!(!is_held(room.path()).unwrap());
        fs::write_plain(&room.path().join(FILE), b"{}").unwrap();
        let held = Held::take(room.path()).unwrap().unwrap();
        assert!(is_held(room.path()).unwrap());
        assert!(Held::take(room.path()).unwrap().is_none());
        assert!(stays_held(room.path()).unwrap());
        // A copy, as a process that is forked has one, keeps nothing.
        let copy = held.0.as_ref().unwrap().try_clone().unwrap();
        held.release();
        assert!(!is_held(room.path()).unwrap());
        assert!(Held::take(room.path()).unwrap().is_some());
        drop(copy);
    }
}
