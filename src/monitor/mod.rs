//! Keeps one container. Every container has a monitor process: the parent of
//! its first process, which reaps it, forwards signals to it and cleans up
//! after it. The command that the user typed is a client of the monitor,
//! joined to it by one socket.
//!
//! ```text
//! client (terminal, signals) --socket-- monitor --parent of-- PID 1
//!            other commands --<ID>.sock---^
//! ```
//!
//! - The monitor leads a session of its own, so that Ctrl-C reaches the client
//!   alone, which forwards it.
//! - Without a terminal the container has the caller's descriptors: no byte
//!   passes through either process.
//! - With one, its master goes to the client, which copies.
//! - A client that dies takes its container along. The monitor then also puts
//!   the user's terminal back in order.
//! - A detached container has no client: its monitor keeps nothing of whoever
//!   started it, and writes its output to its log.
//! - Any command of the same user may connect to the monitor's socket, send
//!   signals, and wait for the end. It is told when all is cleaned up.
//! - A user's terminal that goes takes the container's along: SIGHUP inside, as
//!   the kernel sends it, and SIGKILL ten seconds later.
//! - Ctrl-Z without a terminal inside stops the container's processes, then the
//!   client; what continues the client continues them.
//! - A monitor that dies takes its container along by the parent-death signal;
//!   the next command that opens the store sweeps what was left.
//!
//! It knows nothing of specs, images or stores: how to start and how to clean
//! up are the engine's.

mod client;
mod control;
mod keeper;
pub mod log;
mod message;
mod output;
mod pump;
mod raw_terminal;

pub use client::{Client, launch};
pub use control::{Control, Waited, listen};
pub use message::{FailedStage, Failure};
pub use raw_terminal::{caller_terminal, input_is_terminal, window_size};

use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// A container's first process, as whoever started it hands it over.
#[derive(Debug)]
pub struct Running {
    /// A child of the monitor.
    pub pid: nix::unistd::Pid,
    /// Readable when it has ended.
    pub pidfd: OwnedFd,
    /// The master of its terminal, if it has one.
    pub terminal: Option<OwnedFd>,
}

/// How a container's first process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// Its exit status, or 128 plus the signal that ended it.
    pub status: i32,
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
}

/// Who has the container's input and output.
#[derive(Clone, Debug)]
pub enum Attachment {
    /// The caller, who stays and takes it along.
    Foreground {
        /// Whether the caller's terminal is copied to the container's.
        terminal: bool,
    },
    /// Nobody: the caller goes on.
    Detached {
        /// The directory of the log that its output goes to.
        log: Option<PathBuf>,
        /// Whether it gets a terminal.
        terminal: bool,
    },
}

/// What the monitor is told to do; all of it happens in the monitor's process.
pub struct Orders<S, F> {
    /// Starts the container.
    pub start: S,
    /// Cleans up after it; the argument is `None` if it did not start.
    pub finish: F,
    /// Who has its input and output.
    pub attachment: Attachment,
    /// Where other commands connect, from [`listen`].
    pub listener: OwnedFd,
}
