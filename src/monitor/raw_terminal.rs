//! The user's own terminal: put into raw mode while a container's terminal is
//! shown on it, and put back whatever happens.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::termios::{OptionalActions, Termios, Winsize, isatty, tcgetattr, tcsetattr};

/// A terminal and the state it had.
#[derive(Debug)]
pub struct SavedTerminal {
    fd: OwnedFd,
    state: Termios,
}

impl SavedTerminal {
    /// Notes the state of the caller's terminal; `None` if stdin is none.
    pub fn of_stdin() -> Option<Self> {
        let stdin = rustix::stdio::stdin();
        let state = tcgetattr(stdin).ok()?;
        let fd = rustix::io::fcntl_dupfd_cloexec(stdin, 3).ok()?;
        Some(Self { fd, state })
    }

    /// Passes every key and byte on untouched.
    ///
    /// # Errors
    /// Those of tcsetattr(3).
    pub fn make_raw(&self) -> std::io::Result<()> {
        Ok(tcsetattr(&self.fd, OptionalActions::Drain, &self.raw())?)
    }

    fn raw(&self) -> Termios {
        let mut raw = self.state.clone();
        raw.make_raw();
        raw
    }

    /// Puts the state back; a terminal that is gone needs none.
    pub fn restore(&self) {
        let _ = tcsetattr(&self.fd, OptionalActions::Now, &self.state);
    }

    /// As [`Self::restore`], in place of a process that was killed. Does
    /// nothing where the state is no longer raw: the user's shell was quicker,
    /// and may have a state of its own by now.
    pub fn restore_for_another(&self) {
        let modes = |state: &Termios| (state.input_modes, state.output_modes, state.local_modes);
        if tcgetattr(&self.fd).is_ok_and(|now| modes(&now) == modes(&self.raw())) {
            self.restore();
        }
    }
}

/// True if one of the caller's descriptors is a terminal that has hung up,
/// which answers every request with EIO.
pub fn has_hung_up() -> bool {
    let dead = |fd: BorrowedFd<'_>| tcgetattr(fd).err() == Some(rustix::io::Errno::IO);
    dead(rustix::stdio::stdin()) || dead(rustix::stdio::stdout()) || dead(rustix::stdio::stderr())
}

/// True if the caller has a terminal to type on and to read from.
pub fn caller_terminal() -> bool {
    isatty(rustix::stdio::stdin()) && isatty(rustix::stdio::stdout())
}

/// True if the caller can type.
pub fn input_is_terminal() -> bool {
    isatty(rustix::stdio::stdin())
}

/// The size of the terminal on stdin, else on stdout.
pub fn window_size() -> Option<Winsize> {
    let of = |fd: BorrowedFd<'_>| rustix::termios::tcgetwinsize(fd).ok();
    of(rustix::stdio::stdin()).or_else(|| of(rustix::stdio::stdout()))
}

/// Gives the terminal behind `master` the size of the caller's.
pub fn copy_window_size(master: impl AsFd) {
    if let Some(size) = window_size() {
        let _ = rustix::termios::tcsetwinsize(master, size);
    }
}
