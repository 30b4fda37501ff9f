//! The client's side: the process that the user started.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;
use rustix::event::{PollFd, PollFlags, poll};

use crate::error::{Error, Kind, Result};
use crate::sys::{process, socket};

use super::detach_keys::KeyFilter;
use super::forward::FORWARDED;
use super::message::{Failure, Packet, Stdio, ToClient, ToMonitor, receive, receive_packet, send};
use super::pump::{Flow, Pump};
use super::raw_terminal::{SavedTerminal, input_is_terminal};
use super::screen::Screen;
use super::{Attachment, ClientInput, ClientOptions, Container, Control, Exit, Orders, keeper};

/// How long a container may go on after the user's terminal has gone: time for
/// make to delete what is half written.
const GRACE: Duration = Duration::from_secs(10);

/// How a client parted with its container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parting {
    /// The container has ended.
    Ended(Exit),
    /// The user typed the keys that detach; the container goes on.
    Detached,
    /// A signal, or what means as much, ended the client, which leaves with
    /// this status; the container goes on.
    Left(i32),
}

/// A container that runs, and this process its client.
pub struct Client {
    pub(super) monitor: OwnedFd,
    /// A child of this process, if it started the container.
    monitor_pid: Option<Pid>,
    pub(super) signals: SignalFd,
    pub(super) pump: Option<Pump>,
    /// What is still to be shown.
    screen: Option<Screen>,
    pub(super) terminal: Option<SavedTerminal>,
    pub(super) requests_to_end: u32,
    /// When the container is killed, since nobody can reach it any more.
    deadline: Option<Instant>,
    /// The container goes on without this client.
    is_shared: bool,
    pub(super) options: ClientOptions,
    /// How the client has parted already.
    parted: Option<Parting>,
}

/// Forks the monitor with `orders` and waits until the program runs.
///
/// # Errors
/// The failure of the start; it has been cleaned up after.
pub fn launch<C: Container>(orders: Orders<C>) -> Result<Client, Failure> {
    let io = |error| fail(Error::io_named("cannot start the monitor", error));
    let (copied, is_shared, options) = match &orders.attachment {
        Attachment::Direct { terminal } => (*terminal, false, ClientOptions::default()),
        Attachment::Detached { .. } => (false, true, ClientOptions::default()),
        Attachment::Attended(attended) => {
            let caller = attended.caller.clone();
            (attended.terminal && caller.is_some(), true, caller.unwrap_or_default())
        }
    };
    let mut terminal = copied.then(SavedTerminal::of_stdin).flatten();
    let (monitor, mine) = socket::pair().map_err(io)?;
    // Before the fork, so that no signal is lost in between.
    let signals = take_signals()?;
    let mut ends = (Some(monitor), Some(mine));
    let monitor_pid = process::fork(|| {
        drop(ends.0.take());
        match ends.1.take() {
            // The fork has a copy of it, and must be able to let go of that.
            Some(client) => keeper::keep(orders, client, terminal.take()),
            None => 1,
        }
    })
    .map_err(io)?;
    drop(ends.1.take());
    let Some(monitor) = ends.0 else { return Err(fail(Error::internal("no monitor"))) };
    let client = Client {
        monitor,
        monitor_pid: Some(monitor_pid),
        signals,
        pump: None,
        screen: None,
        terminal,
        requests_to_end: 0,
        deadline: None,
        is_shared,
        options,
        parted: None,
    };
    client.begin()
}

fn fail(error: Error) -> Failure {
    Failure::new(super::FailedStage::Setup, &error)
}

/// What the caller has this process ignore (nohup) is not for the container
/// either.
fn take_signals() -> Result<SignalFd, Failure> {
    let set: SigSet = FORWARDED.into_iter().filter(|s| !process::is_ignored(*s)).collect();
    let taken = set.thread_block();
    taken
        .and_then(|()| SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC))
        .map_err(|error| fail(Error::io_named("cannot take signals", error)))
}

fn lost() -> Error {
    Error::new(Kind::Unavailable, "the monitor of the container died")
        .hint("its container is gone; the next envbox command cleans up what it left")
}

fn let_go() -> Error {
    Error::new(Kind::Unavailable, "the monitor of the container ended the connection")
        .hint("this client was too slow, or the monitor died; `envbox ps` tells")
}

impl Client {
    /// Attaches to a container that runs.
    ///
    /// # Errors
    /// `Invalid` for a terminal's input that comes from none; why the monitor
    /// refuses; `Unavailable` if it dies.
    pub fn attach(control: Control, options: ClientOptions) -> Result<Self, Failure> {
        let monitor = control.into_socket();
        let input = options.input == ClientInput::Typed;
        let asked = send(&monitor, &ToMonitor::Attach { input }, None);
        asked.map_err(|_| fail(lost()))?;
        let client = Self {
            monitor,
            monitor_pid: None,
            signals: take_signals()?,
            pump: None,
            screen: None,
            terminal: None,
            requests_to_end: 0,
            deadline: None,
            is_shared: true,
            options,
            parted: None,
        };
        client.begin()
    }

    /// Takes what the monitor hands over once the program runs.
    fn begin(mut self) -> Result<Self, Failure> {
        let (stdio, descriptor) = match receive(&self.monitor).map_err(fail)? {
            Some((ToClient::Started(stdio), descriptor)) => (stdio, descriptor),
            Some((ToClient::Failed(failure), _)) => {
                self.reap();
                return Err(failure);
            }
            // One that ended meanwhile had its last word.
            Some((ToClient::Exited(exit), _)) => {
                self.parted = Some(Parting::Ended(exit));
                return Ok(self);
            }
            // Nothing has been asked for.
            Some((ToClient::Done, _)) => return Err(fail(lost())),
            None => return Err(fail(lost())),
        };
        let Some(descriptor) = descriptor else { return Ok(self) };
        self.pump = Some(match stdio {
            Stdio::OwnTerminal => Pump::new(descriptor)
                .map_err(|error| fail(Error::io_named("cannot take the terminal", error)))?,
            Stdio::SharedTerminal { input: true } => {
                if self.terminal.is_none() {
                    self.terminal = self.own_terminal()?;
                }
                Pump::into_shared(descriptor, Some(KeyFilter::new(&self.options.detach_keys)))
            }
            Stdio::Input => Pump::into_shared(descriptor, None),
            Stdio::SharedTerminal { input: false } | Stdio::None => {
                Pump::into_shared(descriptor, None).without_input()
            }
        });
        Ok(self)
    }

    /// The terminal of a client that came later.
    fn own_terminal(&self) -> Result<Option<SavedTerminal>, Failure> {
        if self.has_started_it() || input_is_terminal() {
            return Ok(SavedTerminal::of_stdin());
        }
        let error = Error::invalid("the input device is not a TTY")
            .hint("the container has a terminal: attach from one, or with --no-stdin");
        Err(fail(error))
    }

    /// Whether the monitor is this process's.
    pub(super) fn has_started_it(&self) -> bool {
        self.monitor_pid.is_some()
    }

    /// Whether the container goes on without this client.
    pub(super) fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// Stays until the program ends, or this client leaves it.
    ///
    /// # Errors
    /// `Unavailable` if the monitor dies, or lets this client go.
    pub fn wait(mut self) -> Result<Parting> {
        if self.take_terminal().is_err() {
            self.hang_up();
        }
        let parting = self.attend();
        if let Some(pump) = &mut self.pump {
            pump.drain();
        }
        if let Some(terminal) = self.terminal.take() {
            terminal.restore();
        }
        // The monitor of one that is started again goes on.
        if matches!(parting, Ok(Parting::Ended(Exit { restarts: false, .. })) | Err(_)) {
            self.reap();
        }
        parting
    }

    /// Goes on without the container, which is detached. The caller's signals
    /// are the caller's own again.
    pub fn leave(self) {
        let set: SigSet = FORWARDED.into_iter().collect();
        let _ = set.thread_unblock();
    }

    fn reap(&self) {
        if let Some(monitor) = self.monitor_pid {
            let _ = nix::sys::wait::waitpid(monitor, None);
        }
    }

    fn attend(&mut self) -> Result<Parting> {
        loop {
            if let Some(parting) = self.parted {
                return Ok(parting);
            }
            let ready = self.poll()?;
            if ready.monitor {
                match receive_packet(&self.monitor)? {
                    Some(Packet::Output(stream, bytes)) => {
                        self.screen = Some(Screen::new(stream, bytes));
                    }
                    Some(Packet::Message(ToClient::Exited(exit))) => {
                        return Ok(Parting::Ended(exit));
                    }
                    _ if self.has_started_it() => return Err(lost()),
                    _ => return Err(let_go()),
                }
            }
            if ready.screen {
                self.show();
            }
            if ready.signal {
                self.forward_signal();
            }
            match self.copy(&ready) {
                Flow::Open => {}
                Flow::Ended => self.hang_up(),
                Flow::Detached => self.parted = Some(Parting::Detached),
            }
            if self.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                self.deadline = None;
                self.send(Signal::SIGKILL);
            }
        }
    }

    /// Shows what came in a packet.
    fn show(&mut self) {
        let Some(screen) = &mut self.screen else { return };
        if screen.show() == Flow::Ended {
            self.leave_by(Signal::SIGPIPE);
        } else if screen.is_done() {
            self.screen = None;
        }
    }

    /// Copies both ways, as much as there is now.
    fn copy(&mut self, ready: &Ready) -> Flow {
        let Some(pump) = &mut self.pump else { return Flow::Open };
        let readable = PollFlags::IN | PollFlags::HUP | PollFlags::ERR;
        if !self.is_shared && ready.master.intersects(readable) && pump.show_output() == Flow::Ended
        {
            return Flow::Ended;
        }
        if !ready.master.is_empty() {
            pump.give_input();
        }
        if ready.input {
            match pump.take_input() {
                Flow::Open => {}
                // A terminal in raw mode ends only when it is gone; a file
                // ends, too.
                Flow::Ended if self.terminal.is_none() => {}
                flow => return flow,
            }
        }
        if self.is_shared && self.terminal.is_none() && pump.is_done() && pump.is_pipe() {
            self.pump = None;
            let _ = send(&self.monitor, &ToMonitor::InputEnded, None);
        }
        Flow::Open
    }

    /// The user's terminal has gone. A container that is not kept loses its
    /// own, of which the kernel tells its session by SIGHUP (tty(4), "hangup").
    pub(super) fn hang_up(&mut self) {
        if self.is_shared {
            return self.leave_by(Signal::SIGHUP);
        }
        self.pump = None;
        self.deadline = Some(Instant::now() + GRACE);
    }

    /// Ends the client as `signal` would.
    pub(super) fn leave_by(&mut self, signal: Signal) {
        self.parted = Some(Parting::Left(128 + signal as i32));
    }

    fn poll(&self) -> Result<Ready> {
        let first = match &self.screen {
            Some(screen) => PollFd::from_borrowed_fd(screen.target(), PollFlags::OUT),
            None => PollFd::new(&self.monitor, PollFlags::IN),
        };
        let signals = PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN);
        let mut fds = vec![first, signals];
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
            monitor: self.screen.is_none() && !fds[0].revents().is_empty(),
            screen: self.screen.is_some() && !fds[0].revents().is_empty(),
            signal: !fds[1].revents().is_empty(),
            master: at(master_at),
            input: !at(input_at).is_empty(),
        })
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
    screen: bool,
    signal: bool,
    master: PollFlags,
    input: bool,
}
