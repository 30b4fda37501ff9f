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
//! - A container that is kept is attended: the monitor reads its output from
//!   pipes, or from the master of its terminal, writes the log, and sends it on
//!   to all clients, the first of which is the command in the foreground. What
//!   they type goes past the monitor: each of them has the pipe or the master.
//!   A client that goes, killed or not, leaves the container running.
//! - One that is not kept (`run --rm`, `shell`, `exec`) has the caller's
//!   descriptors: no byte passes through either process, and nobody else can
//!   attach. With a terminal its master goes to the client, which copies. There
//!   a client that dies takes its container along.
//! - Whichever it is, the monitor puts the terminal of a client in order that
//!   was killed.
//! - A monitor whose client may go, or has none, keeps nothing of whoever
//!   started it.
//! - Any command of the same user may connect to the monitor's socket, send
//!   signals, and wait for the end. It is told when all is cleaned up.
//! - A user's terminal that goes takes the container's along where that is not
//!   kept: SIGHUP inside, as the kernel sends it, and SIGKILL ten seconds later.
//!   From one that is kept its client just goes.
//! - Ctrl-Z without a terminal inside stops the container's processes, then the
//!   client; what continues the client continues them.
//! - A container that is to be started again when it has ended keeps its
//!   monitor: all who are connected are told of each end, and the socket goes on.
//! - The check of a container's health is a child of the monitor beside it.
//! - A monitor that dies takes its container along by the parent-death signal;
//!   the next command that opens the store sweeps what was left.
//!
//! It knows nothing of specs, images or stores: how to start and how to clean
//! up are the engine's.

mod audience;
mod checkup;
mod client;
mod control;
mod detach_keys;
mod door;
mod forward;
mod health;
mod keeper;
pub mod log;
mod message;
mod output;
mod pump;
mod raw_terminal;
mod screen;

pub use client::{Client, Parting, launch};
pub use control::{Control, Waited, listen};
pub use detach_keys::DetachKeys;
pub use health::{CheckResult, Health, HealthStatus, Schedule};
pub use message::{FailedStage, Failure};
pub use raw_terminal::{caller_terminal, input_is_terminal, window_size};

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

use log::LogOptions;

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
    /// The caller itself, who stays and takes it along.
    Direct {
        /// Whether the caller's terminal is copied to the container's.
        terminal: bool,
    },
    /// Nobody: the caller goes on, and the output is lost.
    Detached {
        /// Whether it gets a terminal.
        terminal: bool,
    },
    /// The monitor, which passes it on.
    Attended(Attended),
}

/// A container whose output the monitor reads.
#[derive(Clone, Debug)]
pub struct Attended {
    /// The directory of its log and how that is written, if it has one.
    pub log: Option<(PathBuf, LogOptions)>,
    /// Whether it gets a terminal.
    pub terminal: bool,
    /// Its stdin.
    pub input: Input,
    /// The caller, if that is to be its first client.
    pub caller: Option<ClientOptions>,
}

/// What an attended container can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// Nothing.
    None,
    /// What clients type, until one of them has no more.
    UntilFirstEnd,
    /// What clients type, for ever.
    Endless,
}

/// How a client of an attended container behaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientOptions {
    /// Whether what the caller types reaches the container, if that reads.
    pub input: ClientInput,
    /// The keys that end it at a terminal.
    pub detach_keys: DetachKeys,
    /// What signals to the client do.
    pub signals: ClientSignals,
}

/// Whether a client types.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientInput {
    /// It does.
    #[default]
    Typed,
    /// It only watches.
    None,
}

/// What a client's signals do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientSignals {
    /// They go to the container.
    #[default]
    Forwarded,
    /// They end the client alone.
    Own,
}

/// Why a container is not to be started again when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stop {
    /// Somebody wants it to end.
    ByHand,
    /// The host goes down; it is to come back with it.
    Shutdown,
}

/// What comes after the end of a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sequel {
    /// The kernel killed processes of it for want of memory.
    pub oom_killed: bool,
    /// How long to wait until it is started again; `None` if it is not.
    pub restart_after: Option<Duration>,
}

/// How a container ended, as its clients are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// Its exit status, or 128 plus the signal that ended it.
    pub status: i32,
    /// The kernel killed processes of it for want of memory.
    pub oom_killed: bool,
    /// Its monitor starts it again.
    pub restarts: bool,
}

/// A container as its monitor knows it; all of it happens in the monitor's
/// process.
pub trait Container {
    /// Gets ready to be started, before this process's stdio is the
    /// container's: what is said meanwhile must not be taken for its output.
    ///
    /// # Errors
    /// As [`Container::start`].
    fn prepare(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    /// Starts it, for the first time or again.
    ///
    /// # Errors
    /// How far it came; nothing is left running.
    fn start(&mut self) -> Result<Running, Failure>;

    /// Takes note that it did not start.
    fn failed(&mut self, failure: &Failure) {
        let _ = failure;
    }

    /// Takes note of the end of its first process, which nobody has reaped yet.
    fn ended(&mut self, ending: Ending, stop: Option<Stop>) -> Sequel;

    /// Cleans up when it is not started again, or did not start at all.
    fn finish(self, stop: Option<Stop>);

    /// Lets all of its processes stand still, or go on.
    ///
    /// # Errors
    /// Those of its cgroup; that it does already.
    fn set_paused(&mut self, paused: bool) -> Result<()> {
        let _ = paused;
        Err(Error::unsupported("this container cannot be paused"))
    }

    /// When its health is checked; `None` if it is not.
    fn schedule(&self) -> Option<Schedule> {
        None
    }

    /// Starts a check of its health, which has this process's stdio.
    ///
    /// # Errors
    /// As [`Container::start`].
    fn start_check(&mut self) -> Result<Running, Failure> {
        Err(Failure::new(FailedStage::Setup, &Error::internal("there is no check")))
    }

    /// Whether it is about to end: what a check says that was killed with it is
    /// nothing about its health.
    fn is_ending(&self) -> bool {
        false
    }

    /// Takes note of what has become of its health; `changed` if its status has.
    fn checked(&mut self, health: &Health, changed: bool) {
        let _ = (health, changed);
    }
}

/// What the monitor is told to do.
pub struct Orders<C> {
    /// The container.
    pub container: C,
    /// Who has its input and output.
    pub attachment: Attachment,
    /// Where other commands connect, from [`listen`].
    pub listener: OwnedFd,
}
