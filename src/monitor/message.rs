//! What client and monitor say to each other: JSON, one message a packet.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::error::{Error, Kind, Result};
use crate::sys::socket;

/// From the monitor.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToClient {
    /// The program runs; the master of its terminal comes along.
    Started,
    /// It does not.
    Failed(Failure),
    /// It has ended, and all is cleaned up.
    Exited(i32),
}

/// From the client.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToMonitor {
    /// Send this signal to the first process.
    Signal(i32),
}

/// How far a start came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailedStage {
    /// The container could not be made.
    Setup,
    /// The program is not in it.
    NotFound,
    /// The program cannot be executed.
    NotExecutable,
}

/// Why a container did not start.
#[derive(Debug, Serialize, Deserialize)]
pub struct Failure {
    /// How far it came.
    pub stage: FailedStage,
    kind: Kind,
    message: String,
    hint: Option<String>,
}

impl Failure {
    /// The failure `error` at `stage`.
    pub fn new(stage: FailedStage, error: &Error) -> Self {
        Self {
            stage,
            kind: error.kind(),
            message: error.chain(),
            hint: error.hint_text().map(str::to_owned),
        }
    }

    /// The error again; its causes are in its message now.
    pub fn into_error(self) -> Error {
        let error = Error::new(self.kind, self.message);
        match self.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

/// Sends `message`, with a descriptor beside it where there is one.
///
/// # Errors
/// Those of sendmsg(2).
pub fn send<T: Serialize>(
    socket: impl AsFd,
    message: &T,
    descriptor: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let bytes = serde_json::to_vec(message).map_err(io::Error::other)?;
    socket::send(socket, &bytes, descriptor)
}

/// The next message; `None` when the other side is gone.
///
/// # Errors
/// Those of recvmsg(2), and `Internal` for a message of no known form.
pub fn receive<T: DeserializeOwned>(socket: impl AsFd) -> Result<Option<(T, Option<OwnedFd>)>> {
    let fail = |error| Error::io_named("cannot hear from the monitor", error);
    let length = socket::next_length(&socket).map_err(fail)?;
    if length == 0 {
        return Ok(None);
    }
    let mut buffer = vec![0; length];
    let (length, descriptor) = socket::receive(&socket, &mut buffer).map_err(fail)?;
    let message = serde_json::from_slice(&buffer[..length])
        .map_err(|error| Error::internal("unknown message of the monitor").because(error))?;
    Ok(Some((message, descriptor)))
}
