//! Waits for a log to be written to, by inotify(7); where there is none to be
//! had, by the clock alone.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

use crate::error::{Error, Result};

/// How long to wait at most: the writer may have gone without a sign.
const IDLE: Duration = Duration::from_secs(1);

/// The same without inotify.
const BLIND: Duration = Duration::from_millis(100);

/// How long to wait at first when the writer has closed the log: it goes next,
/// or has rotated the log.
const CLOSED: Duration = Duration::from_millis(5);

/// What ended a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Woken {
    /// Something was written.
    Written,
    /// Nothing was.
    Idle,
    /// The reader of the output has gone.
    HungUp,
}

/// A directory that is being watched.
#[derive(Debug)]
pub(super) struct Watch {
    inotify: Option<OwnedFd>,
    delay: Duration,
}

impl Watch {
    /// Watches `dir` from now on.
    ///
    /// # Errors
    /// Those of inotify_add_watch(2), with the path.
    pub(super) fn new(dir: &Path) -> Result<Self> {
        // A user has 128 instances (inotify(7), max_user_instances): more
        // followers than that are slower ones.
        let Ok(inotify) = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK) else {
            return Ok(Self { inotify: None, delay: BLIND });
        };
        let events = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::CLOSE_WRITE;
        match inotify::add_watch(&inotify, dir, events) {
            Ok(_) => Ok(Self { inotify: Some(inotify), delay: IDLE }),
            // The limit of watches.
            Err(Errno::NOSPC | Errno::NOMEM) => Ok(Self { inotify: None, delay: BLIND }),
            Err(error) => Err(Error::io("watch", dir, error)),
        }
    }

    /// Waits for a sign, not longer than `limit`, or until nobody reads
    /// `output` any more.
    ///
    /// # Errors
    /// Those of poll(2) and read(2).
    pub(super) fn wait(
        &mut self,
        output: BorrowedFd<'_>,
        limit: Option<Duration>,
    ) -> Result<Woken> {
        let delay = limit.map_or(self.delay, |limit| limit.min(self.delay));
        // Without events, POLLERR and POLLHUP are still told (poll(2)).
        let mut fds = vec![PollFd::from_borrowed_fd(output, PollFlags::empty())];
        fds.extend(self.inotify.iter().map(|inotify| PollFd::new(inotify, PollFlags::IN)));
        let timeout =
            Timespec { tv_sec: delay.as_secs() as i64, tv_nsec: delay.subsec_nanos().into() };
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(Error::io_named("cannot wait for the log", error)),
        }
        if !fds[0].revents().is_empty() {
            return Ok(Woken::HungUp);
        }
        self.read_events()
    }

    fn read_events(&mut self) -> Result<Woken> {
        let Some(inotify) = &self.inotify else { return Ok(Woken::Idle) };
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = Reader::new(inotify.as_fd(), &mut buffer);
        let (mut written, mut closed) = (false, false);
        loop {
            match events.next() {
                Ok(event) if event.events().contains(ReadFlags::CLOSE_WRITE) => closed = true,
                // Also one that says that some were lost.
                Ok(_) => (written, closed) = (true, false),
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(Error::io_named("cannot wait for the log", error)),
            }
        }
        self.delay = match (written, closed) {
            (_, true) => CLOSED,
            (true, false) => IDLE,
            (false, false) => (self.delay * 2).min(IDLE),
        };
        Ok(if written { Woken::Written } else { Woken::Idle })
    }
}
