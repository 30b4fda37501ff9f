//! Waiting for events: inotify(7) on the store's directory tells that the
//! database was written to, by whichever process, and nothing has to be asked
//! again and again. What was written is not looked at here.
//!
//! A change by another host, on a network file system, is not seen.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::fs::Timestamp;
use crate::store::{Store, layout};

/// Why [`EventWatch::wait`] returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// The database was written to.
    Changed,
    /// The time has come.
    Late,
    /// Nobody reads what would be told.
    ReaderGone,
}

/// Watches the database of a store.
#[derive(Debug)]
pub struct EventWatch {
    inotify: OwnedFd,
    root: PathBuf,
}

impl Store {
    /// Watches for events from now on.
    ///
    /// # Errors
    /// Those of inotify_init1(2): `Unavailable` where the user has too many.
    pub fn watch_events(&self) -> Result<EventWatch> {
        let root = self.paths().root.clone();
        let fail = |error| Error::io("watch", &root, error);
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)
            .map_err(fail)
            .map_err(|error| error.hint("raise the sysctl fs.inotify.max_user_instances"))?;
        // A log that is removed and made anew would be lost to a watch on the
        // file itself.
        let wanted = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::ONLYDIR;
        inotify::add_watch(&inotify, &root, wanted).map_err(fail)?;
        Ok(EventWatch { inotify, root })
    }
}

impl EventWatch {
    /// Waits until the database is written to, until the time `until`, or until
    /// whoever reads from `output` has gone: a pipe's or terminal's other end.
    ///
    /// # Errors
    /// `NotFound` if the store is removed; those of poll(2).
    pub fn wait(&self, output: BorrowedFd<'_>, until: Option<Timestamp>) -> Result<Woken> {
        loop {
            let timeout = until.map(left);
            let (inotify, reader) = (PollFlags::IN, PollFlags::empty());
            let mut fds =
                [PollFd::new(&self.inotify, inotify), PollFd::from_borrowed_fd(output, reader)];
            match poll(&mut fds, timeout.as_ref()) {
                Ok(0) => return Ok(Woken::Late),
                Err(Errno::INTR) => continue,
                Err(error) => return Err(Error::io_named("cannot wait for events", error)),
                Ok(_) => {}
            }
            if !fds[1].revents().is_empty() {
                return Ok(Woken::ReaderGone);
            }
            if self.drain()? {
                return Ok(Woken::Changed);
            }
        }
    }

    /// Takes what there is from inotify; tells whether the database is in it.
    fn drain(&self) -> Result<bool> {
        let database = layout::database(&self.root);
        let database = database.file_name().unwrap_or_default().as_encoded_bytes();
        let mut buffer = [const { MaybeUninit::uninit() }; 4096];
        let mut reader = inotify::Reader::new(self.inotify.as_fd(), &mut buffer);
        let mut changed = false;
        loop {
            let event = match reader.next() {
                Ok(event) => event,
                Err(Errno::INTR) => continue,
                Err(Errno::WOULDBLOCK) => return Ok(changed),
                Err(error) => return Err(Error::io("watch", &self.root, error)),
            };
            if event.events().contains(ReadFlags::IGNORED) {
                return Err(Error::not_found(format!("{} was removed", self.root.display())));
            }
            // The index beside the log changes with every reader.
            let is_database =
                |name: &[u8]| name.strip_prefix(database).is_some_and(|rest| rest != b"-shm");
            changed |= event.events().contains(ReadFlags::QUEUE_OVERFLOW)
                || event.file_name().is_some_and(|name| is_database(name.to_bytes()));
        }
    }
}

/// From now until then.
fn left(then: Timestamp) -> Timespec {
    let now = Timestamp::now();
    let nanoseconds = i64::from(then.nanoseconds) - i64::from(now.nanoseconds);
    let (seconds, nanoseconds) = match nanoseconds {
        ..0 => (
            then.seconds.saturating_sub(now.seconds).saturating_sub(1),
            nanoseconds + 1_000_000_000,
        ),
        _ => (then.seconds.saturating_sub(now.seconds), nanoseconds),
    };
    if seconds < 0 {
        return Timespec { tv_sec: 0, tv_nsec: 0 };
    }
    Timespec { tv_sec: seconds, tv_nsec: nanoseconds }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Event, StorePaths};

    #[test]
    fn each_reason_to_wake_is_told() {
        let room = tempfile::tempdir().unwrap();
        let root = room.path().join("store");
        let store =
            Store::open(&StorePaths { root: root.clone(), run: room.path().join("run") }).unwrap();
        let cursor = &mut store.newest_event().unwrap();
        let watch = store.watch_events().unwrap();
        let (reader, output) = rustix::pipe::pipe().unwrap();
        let output = output.as_fd();
        // To read is no change.
        store.events_behind(cursor).unwrap();
        store.close_database();
        store.events_behind(cursor).unwrap();
        let soon = || {
            let now = Timestamp::now();
            Some(Timestamp { seconds: now.seconds, nanoseconds: now.nanoseconds })
        };
        assert_eq!(watch.wait(output, soon()).unwrap(), Woken::Late);
        store.record_event(&Event::image("tag", &"x", None)).unwrap();
        assert_eq!(watch.wait(output, None).unwrap(), Woken::Changed);
        assert_eq!(store.events_behind(cursor).unwrap().len(), 1);
        drop(reader);
        assert_eq!(watch.wait(output, None).unwrap(), Woken::ReaderGone);
    }
}
