//! The client's side: the process that the user started.

use std::os::fd::{AsFd, OwnedFd};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, poll};

use crate::error::{Error, Kind, Result};
use crate::sys::{process, socket};

use super::keeper;
use super::message::{Failure, ToClient, ToMonitor, receive, send};
use super::pump::Pump;
use super::raw_terminal::{SavedTerminal, copy_window_size};
use super::{Orders, Running};

/// Forwarded to the container, as `docker run` does by default, except those
/// that the client needs for itself.
const FORWARDED: [Signal; 9] = [
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

/// After so many requests to end that were not obeyed, the container is
/// killed: PID 1 ignores what it has no handler for.
const PATIENCE: u32 = 3;

/// A container that runs, and this process its client.
pub struct Client {
    monitor: OwnedFd,
    monitor_pid: nix::unistd::Pid,
    signals: SignalFd,
    pump: Option<Pump>,
    terminal: Option<SavedTerminal>,
    requests_to_end: u32,
}

/// Forks the monitor with `orders` and waits until the program runs.
///
/// # Errors
/// The failure of the start; it has been cleaned up after.
pub fn launch<S, F>(orders: Orders<S, F>) -> Result<Client, Failure>
where
    S: FnOnce() -> Result<Running, Failure>,
    F: FnOnce(Option<i32>),
{
    let fail = |error: Error| Failure::new(super::FailedStage::Setup, &error);
    let io = |error| fail(Error::io_named("cannot start the monitor", error));
    let nix = |error: nix::errno::Errno| io(error.into());
    let terminal = orders.terminal.then(SavedTerminal::of_stdin).flatten();
    let copy = terminal.as_ref().and_then(SavedTerminal::duplicate);
    let (monitor, mine) = socket::pair().map_err(io)?;
    // Before the fork, so that no signal is lost in between.
    let set: SigSet = FORWARDED.into_iter().collect();
    set.thread_block().map_err(nix)?;
    let signals = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC).map_err(nix)?;
    let mut ends = (Some(monitor), Some(mine));
    let monitor_pid = process::fork(|| {
        drop(ends.0.take());
        match ends.1.take() {
            Some(client) => keeper::keep(orders, client, copy),
            None => 1,
        }
    })
    .map_err(io)?;
    drop(ends.1.take());
    let Some(monitor) = ends.0 else { return Err(fail(Error::internal("no monitor"))) };
    let mut client =
        Client { monitor, monitor_pid, signals, pump: None, terminal, requests_to_end: 0 };
    match receive(&client.monitor).map_err(fail)? {
        Some((ToClient::Started, master)) => {
            client.pump = master.map(Pump::new).transpose().map_err(io)?;
            Ok(client)
        }
        Some((ToClient::Failed(failure), _)) => {
            client.reap();
            Err(failure)
        }
        _ => Err(fail(lost())),
    }
}

fn lost() -> Error {
    Error::new(Kind::Unavailable, "the monitor of the container died")
        .hint("its container is gone; the next envbox command cleans up what it left")
}

impl Client {
    /// Stays until the program ends: its exit status, or 128 plus the signal
    /// that ended it.
    ///
    /// # Errors
    /// `Unavailable` if the monitor dies.
    pub fn wait(mut self) -> Result<i32> {
        if let Some(pump) = &self.pump {
            copy_window_size(pump.master());
            if let Some(terminal) = &self.terminal {
                terminal
                    .make_raw()
                    .map_err(|error| Error::io_named("cannot set the terminal", error))?;
            }
        }
        let status = self.attend();
        if let Some(pump) = &mut self.pump {
            pump.drain();
        }
        if let Some(terminal) = self.terminal.take() {
            terminal.restore();
        }
        self.reap();
        status
    }

    fn reap(&self) {
        let _ = nix::sys::wait::waitpid(self.monitor_pid, None);
    }

    fn attend(&mut self) -> Result<i32> {
        loop {
            let ready = self.poll()?;
            if ready.monitor {
                return match receive(&self.monitor)? {
                    Some((ToClient::Exited(status), _)) => Ok(status),
                    _ => Err(lost()),
                };
            }
            if ready.signal {
                self.forward_signal();
            }
            if let Some(pump) = &mut self.pump {
                if ready.master.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
                    pump.show_output();
                }
                if ready.master.contains(PollFlags::OUT) {
                    pump.give_input();
                }
                if ready.input {
                    pump.take_input();
                }
            }
        }
    }

    fn poll(&self) -> Result<Ready> {
        let mut fds = vec![
            PollFd::new(&self.monitor, PollFlags::IN),
            PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN),
        ];
        let (mut master_at, mut input_at) = (None, None);
        if let Some(pump) = &self.pump {
            if !pump.master_events().is_empty() {
                master_at = Some(fds.len());
                fds.push(PollFd::new(pump.master(), pump.master_events()));
            }
            if pump.wants_input() {
                input_at = Some(fds.len());
                fds.push(PollFd::from_borrowed_fd(rustix::stdio::stdin(), PollFlags::IN));
            }
        }
        rustix::io::retry_on_intr(|| poll(&mut fds, None))
            .map_err(|error| Error::io_named("cannot wait for the container", error))?;
        let at =
            |index: Option<usize>| index.map_or(PollFlags::empty(), |index| fds[index].revents());
        Ok(Ready {
            monitor: !fds[0].revents().is_empty(),
            signal: !fds[1].revents().is_empty(),
            master: at(master_at),
            input: !at(input_at).is_empty(),
        })
    }

    fn forward_signal(&mut self) {
        let Ok(Some(info)) = self.signals.read_signal() else { return };
        let Ok(signal) = Signal::try_from(info.ssi_signo.cast_signed()) else { return };
        match (signal, &self.pump) {
            // The kernel tells the container's foreground processes.
            (Signal::SIGWINCH, Some(pump)) => return copy_window_size(pump.master()),
            (Signal::SIGWINCH, None) => return,
            (Signal::SIGINT | Signal::SIGTERM, _) => self.requests_to_end += 1,
            _ => {}
        }
        let number =
            if self.requests_to_end >= PATIENCE { Signal::SIGKILL as i32 } else { signal as i32 };
        // A monitor that is gone is seen by the next poll.
        let _ = send(&self.monitor, &ToMonitor::Signal(number), None);
        if signal == Signal::SIGTSTP {
            self.stop();
        }
    }

    /// Ctrl-Z: the container's processes have been told; this one stops too,
    /// so that the caller's shell gets its prompt back.
    fn stop(&self) {
        if let Some(terminal) = &self.terminal {
            terminal.restore();
        }
        let _ = nix::sys::signal::raise(Signal::SIGSTOP);
        if let (Some(terminal), Some(_)) = (&self.terminal, &self.pump) {
            let _ = terminal.make_raw();
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if let Some(terminal) = &self.terminal {
            terminal.restore();
        }
    }
}

/// What can be done without waiting.
struct Ready {
    monitor: bool,
    signal: bool,
    master: PollFlags,
    input: bool,
}
