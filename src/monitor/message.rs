//! What client and monitor say to each other, one message a packet: JSON, or
//! output, which begins with a byte that no JSON begins with.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::error::{Error, Kind, Result};
use crate::sys::socket;

use super::log::Stream;
use super::{Exit, Stop};

/// What packets of output begin with; no JSON does.
const STDOUT: u8 = 1;
const STDERR: u8 = 2;

/// What packets of output from `stream` begin with.
pub fn tag(stream: Stream) -> u8 {
    match stream {
        Stream::Stdout => STDOUT,
        Stream::Stderr => STDERR,
    }
}

/// From the monitor.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToClient {
    /// The program runs.
    Started(Stdio),
    /// It does not, or nobody can attach to it.
    Failed(Failure),
    /// It has ended, and all is cleaned up.
    Exited(Exit),
    /// What was asked for is done.
    Done,
}

/// What of a container's stdio comes as a descriptor beside the message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stdio {
    /// Nothing.
    #[default]
    None,
    /// The master of its terminal, which the client alone has.
    OwnTerminal,
    /// The master of its terminal, for its size and, where it takes any, its
    /// input; the output comes in packets.
    SharedTerminal {
        /// Whether it takes input.
        input: bool,
    },
    /// A pipe to its stdin; the output comes in packets.
    Input,
}

/// From the client.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToMonitor {
    /// Send this signal to the first process.
    Signal {
        /// Its number.
        number: i32,
        /// Whether it is meant to end the container for good.
        stop: Option<Stop>,
    },
    /// Answer `Done`: the container has come up, or is to be started again.
    Ping,
    /// Let all processes stand still, or go on. The answer is `Done`, or
    /// `Failed`.
    Pause(bool),
    /// Let all processes stand still for as long as this client stays, or
    /// until somebody lets them go on. The answer is as for `Pause`.
    Hold,
    /// Show the output from now on.
    Attach {
        /// And hand over the input.
        input: bool,
    },
    /// This client has no more input.
    InputEnded,
}

/// A message of the monitor, or what the container printed.
#[derive(Debug)]
pub enum Packet {
    /// A message.
    Message(ToClient),
    /// Output.
    Output(Stream, Vec<u8>),
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

impl FailedStage {
    /// The status of a container that did not come up and says no other:
    /// docker's for a failure of its own, of a program that is not there, and
    /// of one that cannot be executed.
    pub fn status(self) -> i32 {
        match self {
            Self::Setup => 128,
            Self::NotFound => 127,
            Self::NotExecutable => 126,
        }
    }
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

    /// What it says, with its causes.
    pub fn message(&self) -> &str {
        &self.message
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

/// `message` as a packet.
pub fn encode(message: &ToClient) -> Vec<u8> {
    // Numbers and texts are always JSON.
    serde_json::to_vec(message).unwrap_or_default()
}

/// The next message; `None` when the other side is gone.
///
/// # Errors
/// Those of recvmsg(2), and `Internal` for a message of no known form.
pub fn receive<T: DeserializeOwned>(socket: impl AsFd) -> Result<Option<(T, Option<OwnedFd>)>> {
    let Some((bytes, descriptor)) = receive_bytes(socket)? else { return Ok(None) };
    Ok(Some((decode(&bytes)?, descriptor)))
}

/// What comes next: a message or output; `None` when the monitor is gone.
///
/// # Errors
/// As [`receive`].
pub fn receive_packet(socket: impl AsFd) -> Result<Option<Packet>> {
    let Some((mut bytes, _)) = receive_bytes(socket)? else { return Ok(None) };
    let stream = match bytes[0] {
        STDOUT => Stream::Stdout,
        STDERR => Stream::Stderr,
        _ => return Ok(Some(Packet::Message(decode(&bytes)?))),
    };
    bytes.remove(0);
    Ok(Some(Packet::Output(stream, bytes)))
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes)
        .map_err(|error| Error::internal("unknown message of the monitor").because(error))
}

/// A packet is never empty.
fn receive_bytes(socket: impl AsFd) -> Result<Option<(Vec<u8>, Option<OwnedFd>)>> {
    let fail = |error| Error::io_named("cannot hear from the monitor", error);
    let length = socket::next_length(&socket).map_err(fail)?;
    if length == 0 {
        return Ok(None);
    }
    let mut buffer = vec![0; length];
    let (length, descriptor) = socket::receive(&socket, &mut buffer).map_err(fail)?;
    buffer.truncate(length);
    if buffer.is_empty() { Ok(None) } else { Ok(Some((buffer, descriptor))) }
}
