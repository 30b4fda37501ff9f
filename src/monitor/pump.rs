//! Copies bytes between the user's terminal and the container's, or from the
//! user's input into the container's, whose output comes another way then.
//!
//! The master, or the pipe, is non-blocking, so that a program that does not read its input
//! cannot keep its output from being shown.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::PollFlags;
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::detach_keys::KeyFilter;

/// Input that the container has not taken yet is held up to here; then the
/// user's keys wait in the terminal.
const MAX_PENDING: usize = 32 * 1024;

/// Whether there can be more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// There can.
    Open,
    /// The user's side has gone.
    Ended,
    /// The user typed the keys that take the client away.
    Detached,
}

/// Both directions of one terminal, or one into a terminal or a pipe.
#[derive(Debug)]
pub struct Pump {
    master: OwnedFd,
    pending: Vec<u8>,
    input_ended: bool,
    output_ended: bool,
    keys: Option<KeyFilter>,
}

impl Pump {
    /// A pump on the master of the container's terminal, which nobody else has.
    ///
    /// # Errors
    /// Those of fcntl(2).
    pub fn new(master: OwnedFd) -> io::Result<Self> {
        let flags = rustix::fs::fcntl_getfl(&master)?;
        rustix::fs::fcntl_setfl(&master, flags | OFlags::NONBLOCK)?;
        Ok(Self { output_ended: false, ..Self::into_shared(master, None) })
    }

    /// A pump for input alone; `sink` is non-blocking. At `keys` it ends.
    pub(super) fn into_shared(sink: OwnedFd, keys: Option<KeyFilter>) -> Self {
        Self { master: sink, pending: Vec::new(), input_ended: false, output_ended: true, keys }
    }

    /// The same, which takes no input.
    #[must_use]
    pub(super) fn without_input(mut self) -> Self {
        self.input_ended = true;
        self
    }

    /// The container's terminal.
    pub fn master(&self) -> &OwnedFd {
        &self.master
    }

    /// What to wait for on the master; empty when it has ended.
    pub fn master_events(&self) -> PollFlags {
        let mut events = PollFlags::empty();
        if !self.output_ended {
            events |= PollFlags::IN;
        }
        if !self.pending.is_empty() {
            events |= PollFlags::OUT;
        }
        events
    }

    /// True if the input goes into a pipe, which can end.
    pub(super) fn is_pipe(&self) -> bool {
        !rustix::termios::isatty(&self.master)
    }

    /// True if all input has been passed on, and no more comes.
    pub(super) fn is_done(&self) -> bool {
        self.input_ended && self.pending.is_empty()
    }

    /// Whether the user's input is wanted now.
    pub fn wants_input(&self) -> bool {
        !self.input_ended && self.pending.len() < MAX_PENDING
    }

    /// Takes what the user typed.
    pub fn take_input(&mut self) -> Flow {
        let mut buffer = [0; MAX_PENDING];
        match rustix::io::read(rustix::stdio::stdin(), &mut buffer) {
            Ok(0) => self.input_ended = true,
            Ok(count) => match &mut self.keys {
                Some(keys) => {
                    if keys.take(&buffer[..count], &mut self.pending) {
                        self.give_input();
                        return Flow::Detached;
                    }
                }
                None => self.pending.extend_from_slice(&buffer[..count]),
            },
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => self.input_ended = true,
        }
        self.give_input();
        if self.input_ended { Flow::Ended } else { Flow::Open }
    }

    /// Passes on what is pending.
    pub fn give_input(&mut self) {
        while !self.pending.is_empty() {
            match rustix::io::write(&self.master, &self.pending) {
                Ok(count) => drop(self.pending.drain(..count)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                // Nobody reads it any more.
                Err(_) => {
                    self.input_ended = true;
                    return self.pending.clear();
                }
            }
        }
    }

    /// Shows what the container printed, as much as there is now.
    pub fn show_output(&mut self) -> Flow {
        let mut buffer = [0; 16 * 1024];
        match rustix::io::read(&self.master, &mut buffer) {
            // EIO: no process has the other side open any more.
            Ok(0) | Err(Errno::IO) => self.end(),
            Ok(count) => {
                if write_all(&buffer[..count]).is_err() {
                    return Flow::Ended;
                }
            }
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => self.end(),
        }
        Flow::Open
    }

    /// The container's side has gone.
    fn end(&mut self) {
        (self.input_ended, self.output_ended) = (true, true);
        self.pending.clear();
    }

    /// Shows the rest after the container has ended: until nothing is left.
    pub fn drain(&mut self) {
        if self.output_ended {
            return;
        }
        let mut buffer = [0; 16 * 1024];
        loop {
            match rustix::io::read(self.master.as_fd(), &mut buffer) {
                Ok(0) => return,
                Ok(count) if write_all(&buffer[..count]).is_ok() => {}
                Err(Errno::INTR) => {}
                _ => return,
            }
        }
    }
}

/// Writes to the caller's stdout; waits where that is non-blocking.
fn write_all(mut bytes: &[u8]) -> Result<(), Errno> {
    let stdout = rustix::stdio::stdout();
    while !bytes.is_empty() {
        match rustix::io::write(stdout, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let mut fds = [rustix::event::PollFd::new(&stdout, PollFlags::OUT)];
                rustix::event::poll(&mut fds, None)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
