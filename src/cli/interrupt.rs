//! Ctrl-C, and its like, while something half-made must not stay: the signal
//! waits until the work has ended and taken it away, and then has its effect.

use std::cell::Cell;

use nix::sys::signal::{self, SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::error::{Error, Result};
use crate::sys::process;

/// What ends a command that does not expect it.
const SIGNALS: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// Holds signals back until it is dropped. To be made while there is one thread;
/// those that start later hold them back, too.
pub(super) struct Interrupt {
    mask: SigSet,
    source: SignalFd,
    caught: Cell<Option<Signal>>,
}

impl Interrupt {
    /// Holds back those signals that are not ignored.
    ///
    /// # Errors
    /// Those of the system calls.
    pub(super) fn hold() -> Result<Self> {
        let mask: SigSet =
            SIGNALS.into_iter().filter(|&signal| !process::is_ignored(signal)).collect();
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        let source = SignalFd::with_flags(&mask, flags).map_err(failed)?;
        mask.thread_block().map_err(failed)?;
        Ok(Self { mask, source, caught: Cell::new(None) })
    }

    /// True from the first signal on.
    pub(super) fn is_caught(&self) -> bool {
        if self.caught.get().is_none()
            && let Ok(Some(info)) = self.source.read_signal()
        {
            let signal = i32::try_from(info.ssi_signo).ok();
            self.caught.set(signal.and_then(|signal| Signal::try_from(signal).ok()));
        }
        self.caught.get().is_some()
    }

    /// Lets go; what was caught ends this process.
    pub(super) fn release(self) {
        let caught = self.caught.get();
        drop(self);
        if let Some(signal) = caught {
            // If it cannot be sent, the error of the work is told.
            let _ = signal::raise(signal);
        }
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        // Cannot fail: the set is one of ours.
        let _ = self.mask.thread_unblock();
    }
}

fn failed(error: nix::Error) -> Error {
    Error::io_named("cannot hold signals back", error)
}
