//! Keeps one container. Every container has a monitor process: the parent of
//! its first process, which reaps it, forwards signals to it and cleans up
//! after it. The command that the user typed is a client of the monitor,
//! joined to it by one socket.
//!
//! ```text
//! client (terminal, signals) --socket-- monitor --parent of-- PID 1
//! ```
//!
//! - The monitor leads a session of its own, so that Ctrl-C reaches the client
//!   alone, which forwards it.
//! - Without a terminal the container has the caller's descriptors: no byte
//!   passes through either process.
//! - With one, its master goes to the client, which copies.
//! - A client that dies takes its container along: nobody could reach it any
//!   more. The monitor then also puts the user's terminal back in order.
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
mod keeper;
pub mod log;
mod message;
mod pump;
mod raw_terminal;

pub use client::{Client, launch};
pub use message::{FailedStage, Failure};
pub use raw_terminal::{caller_terminal, input_is_terminal, window_size};

use std::os::fd::OwnedFd;

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

/// What the monitor is told to do; all of it happens in the monitor's process.
pub struct Orders<S, F> {
    /// Starts the container.
    pub start: S,
    /// Cleans up after it; the argument is its exit status.
    pub finish: F,
    /// Whether the caller's terminal is to be copied to the container's.
    pub terminal: bool,
}
