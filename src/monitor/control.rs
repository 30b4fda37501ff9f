//! The monitor's socket in the file system: how a command that did not start a
//! container reaches its monitor. In a user namespace of its own it could not
//! send a signal to the container itself; a socket's file asks for its owner
//! only (unix(7)).

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{AtFlags, Mode};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::error::{Error, Kind, Result};

use super::message::{ToClient, ToMonitor, receive, send};
use super::{Exit, Stop};

/// So many commands may wait until the monitor takes them.
const BACKLOG: i32 = 64;

/// How waiting for a container went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// It has ended so, and all is cleaned up.
    Ended(Exit),
    /// Its monitor died, and the container with it.
    Lost,
    /// It goes on.
    TimedOut,
}

/// A connection to a container's monitor.
#[derive(Debug)]
pub struct Control {
    socket: OwnedFd,
}

/// A name below an open folder: the path of a socket must not be longer than
/// 107 bytes, which that of a run directory may well be.
fn address(folder: BorrowedFd<'_>, name: &str) -> Result<SocketAddrUnix, Errno> {
    SocketAddrUnix::new(format!("/proc/self/fd/{}/{name}", folder.as_raw_fd()))
}

fn socket(flags: SocketFlags) -> Result<OwnedFd, Errno> {
    rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC | flags,
        None,
    )
}

/// A socket that listens as `name` in `folder`, for its owner alone.
///
/// # Errors
/// Those of bind(2) and listen(2).
pub fn listen(folder: BorrowedFd<'_>, name: &str) -> Result<OwnedFd> {
    let make = || {
        let listener = socket(SocketFlags::NONBLOCK)?;
        rustix::net::bind(&listener, &address(folder, name)?)?;
        rustix::fs::chmodat(folder, name, Mode::RUSR | Mode::WUSR, AtFlags::empty())?;
        rustix::net::listen(&listener, BACKLOG)?;
        Ok(listener)
    };
    make().map_err(|error: Errno| Error::io_named("cannot make the monitor's socket", error))
}

impl Control {
    /// Connects to the socket `name` in `folder`; `None` if nobody listens.
    ///
    /// # Errors
    /// Those of connect(2).
    pub fn connect(folder: BorrowedFd<'_>, name: &str) -> Result<Option<Self>> {
        let connect = || {
            let socket = socket(SocketFlags::empty())?;
            let address = address(folder, name)?;
            rustix::io::retry_on_intr(|| rustix::net::connect(&socket, &address))?;
            Ok(Self { socket })
        };
        match connect() {
            Ok(control) => Ok(Some(control)),
            Err(Errno::NOENT | Errno::CONNREFUSED) => Ok(None),
            Err(error) => Err(Error::io_named("cannot reach the monitor of the container", error)),
        }
    }

    /// The socket, for a client that stays.
    pub(super) fn into_socket(self) -> OwnedFd {
        self.socket
    }

    /// Sends signal `number` to the container's first process, and with `stop`
    /// keeps it from being started again. One that has ended already needs
    /// none.
    pub fn signal(&self, number: i32, stop: Option<Stop>) {
        // A monitor that is gone is seen by who waits.
        let _ = send(&self.socket, &ToMonitor::Signal { number, stop }, None);
    }

    /// Waits until the container has come up, or failed to.
    pub fn wait_until_up(&self) {
        // One that is gone is seen by who looks again.
        let _ = self.ask(&ToMonitor::Ping);
    }

    /// Lets the container stand still, or go on.
    ///
    /// # Errors
    /// What the monitor says; `Unavailable` if it ends meanwhile.
    pub fn pause(&self, paused: bool) -> Result<()> {
        self.ask(&ToMonitor::Pause(paused))
    }

    /// Lets the container stand still until [`Control::pause`] lets it go on, or
    /// this connection ends, however this process does.
    ///
    /// # Errors
    /// As [`Control::pause`].
    pub fn hold(&self) -> Result<()> {
        self.ask(&ToMonitor::Hold)
    }

    fn ask(&self, question: &ToMonitor) -> Result<()> {
        let gone = || Error::new(Kind::Unavailable, "the container has ended");
        send(&self.socket, question, None).map_err(|_| gone())?;
        loop {
            match receive(self.socket.as_fd())? {
                Some((ToClient::Done, _)) => return Ok(()),
                Some((ToClient::Failed(failure), _)) => return Err(failure.into_error()),
                Some((ToClient::Started(_), _)) => {}
                Some((ToClient::Exited(_), _)) | None => return Err(gone()),
            }
        }
    }

    /// Waits until the container has ended, for at most `limit`.
    ///
    /// # Errors
    /// Those of poll(2).
    pub fn wait(&self, limit: Option<Duration>) -> Result<Waited> {
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        loop {
            let left = deadline.map(|end| end.saturating_duration_since(Instant::now()));
            let left = left.and_then(|left| left.try_into().ok());
            let mut fds = [PollFd::new(&self.socket, PollFlags::IN)];
            match poll(&mut fds, left.as_ref()) {
                Ok(0) => return Ok(Waited::TimedOut),
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(error) => {
                    return Err(Error::io_named("cannot wait for the container", error));
                }
            }
            return match receive(self.socket.as_fd()) {
                Ok(Some((ToClient::Exited(exit), _))) => Ok(Waited::Ended(exit)),
                Ok(Some(_)) => continue,
                Ok(None) | Err(_) => Ok(Waited::Lost),
            };
        }
    }
}
