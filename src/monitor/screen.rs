//! What a client has still to show: one packet, on the caller's stdout or
//! stderr. Those are the caller's files, whose flags must not be changed, so
//! it writes only where there is room: signals are seen meanwhile.

use std::os::fd::BorrowedFd;

use rustix::io::Errno;

use super::log::Stream;
use super::pump::Flow;

/// A pipe that is ready takes so much without waiting (pipe(7), `PIPE_BUF`).
const ATOMIC: usize = 4096;

/// A packet that is being shown.
#[derive(Debug)]
pub(super) struct Screen {
    bytes: Vec<u8>,
    shown: usize,
    stream: Stream,
}

impl Screen {
    pub(super) fn new(stream: Stream, bytes: Vec<u8>) -> Self {
        Self { bytes, shown: 0, stream }
    }

    /// Where it is shown.
    pub(super) fn target(&self) -> BorrowedFd<'static> {
        match self.stream {
            Stream::Stdout => rustix::stdio::stdout(),
            Stream::Stderr => rustix::stdio::stderr(),
        }
    }

    /// True if nothing is left to show.
    pub(super) fn is_done(&self) -> bool {
        self.shown == self.bytes.len()
    }

    /// Shows some, once there is room.
    pub(super) fn show(&mut self) -> Flow {
        let rest = &self.bytes[self.shown..];
        match rustix::io::write(self.target(), &rest[..rest.len().min(ATOMIC)]) {
            Ok(count) => self.shown += count,
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => return Flow::Ended,
        }
        Flow::Open
    }
}
