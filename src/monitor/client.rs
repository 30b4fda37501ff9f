//! The client's side: the process that the user started.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, poll};

use crate::error::{Error, Kind, Result};
use crate::sys::{process, socket};

use super::keeper;
use super::message::{Failure, ToClient, ToMonitor, receive, send};
use super::pump::{Flow, Pump};
use super::raw_terminal::{SavedTerminal, copy_window_size, has_hung_up};
use super::{Attachment, Ending, Orders, Running};

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

/// How long a container may go on after the user's terminal has gone: time for
/// make to delete what is half written.
const GRACE: Duration = Duration::from_secs(10);

/// A container that runs, and this process its client.
pub struct Client {
    monitor: OwnedFd,
    monitor_pid: nix::unistd::Pid,
    signals: SignalFd,
    pump: Option<Pump>,
    terminal: Option<SavedTerminal>,
    requests_to_end: u32,
    /// When the container is killed, since nobody can reach it any more.
    deadline: Option<Instant>,
}

/// Forks the monitor with `orders` and waits until the program runs.
///
/// # Errors
/// The failure of the start; it has been cleaned up after.
pub fn launch<S, F>(orders: Orders<S, F>) -> Result<Client, Failure>
where
    S: FnOnce() -> Result<Running, Failure>,
    F: FnOnce(Option<Ending>),
{
    let fail = |error: Error| Failure::new(super::FailedStage::Setup, &error);
    let io = |error| fail(Error::io_named("cannot start the monitor", error));
    let nix = |error: nix::errno::Errno| io(error.into());
    let copied = matches!(orders.attachment, Attachment::Foreground { terminal: true });
    let terminal = copied.then(SavedTerminal::of_stdin).flatten();
    let copy = terminal.as_ref().and_then(SavedTerminal::duplicate);
    let (monitor, mine) = socket::pair().map_err(io)?;
    // Before the fork, so that no signal is lost in between. What the caller
    // has this process ignore (nohup) is not for the container either.
    let set: SigSet = FORWARDED.into_iter().filter(|s| !process::is_ignored(*s)).collect();
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
    let mut client = Client {
        monitor,
        monitor_pid,
        signals,
        pump: None,
        terminal,
        requests_to_end: 0,
        deadline: None,
    };
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
        if self.take_terminal().is_err() {
            self.hang_up();
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

    /// Goes on without the container, which is detached. The caller's signals
    /// are the caller's own again.
    pub fn leave(self) {
        let set: SigSet = FORWARDED.into_iter().collect();
        let _ = set.thread_unblock();
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
            if self.copy(&ready) == Flow::Ended {
                self.hang_up();
            }
            if self.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                self.deadline = None;
                self.send(Signal::SIGKILL);
            }
        }
    }

    /// Copies both ways, as much as there is now.
    fn copy(&mut self, ready: &Ready) -> Flow {
        let Some(pump) = &mut self.pump else { return Flow::Open };
        let readable = PollFlags::IN | PollFlags::HUP | PollFlags::ERR;
        if ready.master.intersects(readable) && pump.show_output() == Flow::Ended {
            return Flow::Ended;
        }
        if ready.master.contains(PollFlags::OUT) {
            pump.give_input();
        }
        // A terminal in raw mode ends only when it is gone; a file ends, too.
        if ready.input && pump.take_input() == Flow::Ended && self.terminal.is_some() {
            return Flow::Ended;
        }
        Flow::Open
    }

    /// The user's terminal has gone: so does the container's, of which the
    /// kernel tells its session by SIGHUP (tty(4), "hangup").
    fn hang_up(&mut self) {
        self.pump = None;
        self.deadline = Some(Instant::now() + GRACE);
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
        let left = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let left = left.and_then(|left| left.try_into().ok());
        rustix::io::retry_on_intr(|| poll(&mut fds, left.as_ref()))
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
        match signal {
            Signal::SIGWINCH => return self.resize(),
            Signal::SIGTSTP => return self.stop(),
            // One that is gone is seen by the next poll.
            Signal::SIGCONT => drop(self.take_terminal()),
            Signal::SIGHUP if has_hung_up() => {
                let told_by_the_kernel = self.pump.is_some();
                self.hang_up();
                if told_by_the_kernel {
                    return;
                }
            }
            Signal::SIGINT | Signal::SIGTERM => {
                self.requests_to_end += 1;
                if self.requests_to_end >= PATIENCE {
                    return self.send(Signal::SIGKILL);
                }
            }
            _ => {}
        }
        self.send(signal);
    }

    /// Sends `signal` to the container's first process.
    fn send(&self, signal: Signal) {
        // A monitor that is gone is seen by the next poll.
        let _ = send(&self.monitor, &ToMonitor::Signal(signal as i32), None);
    }

    /// The kernel tells the container's foreground processes.
    fn resize(&self) {
        if let Some(pump) = &self.pump {
            copy_window_size(pump.master());
        }
    }

    /// Shows the container's terminal on the user's: at the start, and after a
    /// stop, when the caller's shell had it and its window may have changed.
    fn take_terminal(&self) -> std::io::Result<()> {
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
        self.send(Signal::SIGTSTP);
        if let Some(terminal) = &self.terminal {
            terminal.restore();
        }
        let set: SigSet = [Signal::SIGTSTP, Signal::SIGCONT].into_iter().collect();
        // It is blocked until it is let through with the one that ends it.
        let _ = nix::sys::signal::raise(Signal::SIGTSTP);
        let _ = set.thread_unblock();
        let _ = set.thread_block();
        let _ = self.take_terminal();
        self.send(Signal::SIGCONT);
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
