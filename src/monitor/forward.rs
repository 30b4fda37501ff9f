//! What signals to a client do: most go to the container.

use nix::sys::signal::{SigSet, Signal};

use super::client::Client;
use super::message::{ToMonitor, send};
use super::raw_terminal::{copy_window_size, has_hung_up};
use super::{ClientSignals, Stop};

/// Forwarded to the container, as `docker run` does by default, except those
/// that the client needs for itself.
pub(super) const FORWARDED: [Signal; 9] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGCONT,
    Signal::SIGTSTP,
    Signal::SIGWINCH,
];

/// Those that want the container to end.
const ENDING: [Signal; 4] = [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGKILL];

/// After so many requests to end that were not obeyed, the container is
/// killed: PID 1 ignores what it has no handler for. Somebody else's goes on,
/// and the client alone ends.
const PATIENCE: u32 = 3;

impl Client {
    pub(super) fn forward_signal(&mut self) {
        let Ok(Some(info)) = self.signals.read_signal() else { return };
        let Ok(signal) = Signal::try_from(info.ssi_signo.cast_signed()) else { return };
        match signal {
            Signal::SIGWINCH => return self.resize(),
            Signal::SIGTSTP => return self.stop(),
            Signal::SIGCONT if self.own_signals() => return drop(self.take_terminal()),
            signal if self.own_signals() => return self.leave_by(signal),
            // One that is gone is seen by the next poll.
            Signal::SIGCONT => drop(self.take_terminal()),
            Signal::SIGHUP if has_hung_up() => {
                let told_by_the_kernel = self.pump.is_some() || self.is_shared();
                self.hang_up();
                if told_by_the_kernel {
                    return;
                }
            }
            Signal::SIGINT | Signal::SIGTERM => {
                self.requests_to_end += 1;
                if self.requests_to_end >= PATIENCE {
                    return if self.has_started_it() {
                        self.send(Signal::SIGKILL);
                    } else {
                        self.leave_by(signal);
                    };
                }
            }
            _ => {}
        }
        self.send(signal);
    }

    /// Sends `signal` to the container's first process.
    pub(super) fn send(&self, signal: Signal) {
        // docker: a container whose client wants it to end is not started again.
        let stop = ENDING.contains(&signal).then_some(Stop::ByHand);
        // A monitor that is gone is seen by the next poll.
        let _ = send(&self.monitor, &ToMonitor::Signal { number: signal as i32, stop }, None);
    }

    /// The kernel tells the container's foreground processes.
    fn resize(&self) {
        if let Some(pump) = &self.pump {
            copy_window_size(pump.master());
        }
    }

    /// Shows the container's terminal on the user's: at the start, and after a
    /// stop, when the caller's shell had it and its window may have changed.
    pub(super) fn take_terminal(&self) -> std::io::Result<()> {
        self.resize();
        match (&self.terminal, &self.pump) {
            (Some(terminal), Some(_)) => terminal.make_raw(),
            _ => Ok(()),
        }
    }

    /// Ctrl-Z: the container's processes stop, and this one too, so that the
    /// caller's shell gets its prompt back. Where there is no shell (an
    /// orphaned process group) the kernel drops the signal, and all go on.
    fn stop(&self) {
        if !self.own_signals() {
            self.send(Signal::SIGTSTP);
        }
        if let Some(terminal) = &self.terminal {
            terminal.restore();
        }
        let set: SigSet = [Signal::SIGTSTP, Signal::SIGCONT].into_iter().collect();
        // It is blocked until it is let through with the one that ends it.
        let _ = nix::sys::signal::raise(Signal::SIGTSTP);
        let _ = set.thread_unblock();
        let _ = set.thread_block();
        let _ = self.take_terminal();
        if !self.own_signals() {
            self.send(Signal::SIGCONT);
        }
    }

    fn own_signals(&self) -> bool {
        self.options.signals == ClientSignals::Own
    }
}
