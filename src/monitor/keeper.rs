//! The monitor's process.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::SocketFlags;

use crate::error::{Error, Kind};
use crate::sys::{descriptor, process};

use super::audience::{Audience, Peer, Role};
use super::log::Stream;
use super::message::{FailedStage, Failure, Stdio, ToClient, ToMonitor, receive, send};
use super::output::{self, Outputs};
use super::raw_terminal::SavedTerminal;
use super::{Attachment, ClientInput, Ending, Input, Orders, Running};

/// Runs the monitor to its end; the number is its exit status.
pub fn keep<S, F>(orders: Orders<S, F>, client: OwnedFd, terminal: Option<SavedTerminal>) -> i32
where
    S: FnOnce() -> Result<Running, Failure>,
    F: FnOnce(Option<Ending>),
{
    // What the client forwards stays blocked here: Ctrl-C before setsid(2) is
    // the client's, and a SIGTERM to all must not keep this from cleaning up.
    process::reset_signal_actions();
    // Both fail only for a process that leads a group already, or never.
    let _ = rustix::process::setsid();
    let _ = rustix::thread::set_name(c"envbox-monitor");
    let stdio = stdio(&orders.attachment);
    let started = stdio.and_then(|stdio| Ok(((orders.start)()?, stdio)));
    let (running, (outputs, input)) = match started {
        Ok(started) => started,
        Err(failure) => {
            (orders.finish)(None);
            let _ = send(&client, &ToClient::Failed(failure), None);
            return 1;
        }
    };
    let _ = let_go();
    // A log at the limit of file sizes is a full disk, not a reason to die.
    process::ignore(nix::sys::signal::Signal::SIGXFSZ);
    let pid = running.pid;
    let mut keeper = Keeper {
        audience: Audience::default(),
        listener: orders.listener,
        pidfd: running.pidfd,
        outputs,
        door: Door::default(),
        is_direct: matches!(orders.attachment, Attachment::Direct { .. }),
        terminal,
    };
    keeper.open((&orders.attachment, input, running.terminal), client);
    keeper.attend();
    let Keeper { mut audience, listener, outputs, terminal, .. } = keeper;
    outputs.drain(&mut audience);
    let ending = ending(pid);
    (orders.finish)(Some(ending));
    // Nobody else gets the number until all is cleaned up.
    let _ = waitpid(pid, None);
    while let Some(visitor) = accept(&listener) {
        audience.admit(visitor, Role::Visitor);
    }
    // A client that went takes the terminal of a container that is not kept
    // along, which ends it: either may be seen first.
    if let (false, Some(terminal)) = (audience.close(ending.status), &terminal) {
        terminal.restore_for_another();
    }
    0
}

/// The stdio of the container. One that may outlive its caller keeps nothing
/// that the caller has: whoever reads the caller's pipes must see them end.
fn stdio(attachment: &Attachment) -> Result<(Outputs, Option<OwnedFd>), Failure> {
    let fail = |error: &Error| Failure::new(FailedStage::Setup, error);
    let io = |error| fail(&Error::io_named("cannot detach the container", error));
    match attachment {
        Attachment::Direct { .. } => Ok((Outputs::default(), None)),
        Attachment::Detached { .. } => {
            descriptor::close_inherited().and_then(|()| output::silence()).map_err(io)?;
            Ok((Outputs::default(), None))
        }
        Attachment::Attended(attended) => {
            descriptor::close_inherited().map_err(io)?;
            Outputs::attend(attended).map_err(|error| fail(&error))
        }
    }
}

/// Gives back what the container and the client hold as well: a pipe must
/// end when they end.
fn let_go() -> io::Result<()> {
    output::silence()?;
    rustix::process::chdir("/")?;
    Ok(())
}

/// What clients of an attended container are handed.
#[derive(Default)]
struct Door {
    /// The master of its terminal, or the pipe to its stdin.
    fd: Option<OwnedFd>,
    has_terminal: bool,
    /// The first client without more input ends it for all.
    ends: bool,
    takes_input: bool,
}

impl Door {
    /// What a client gets that types or not.
    fn stdio(&self, types: bool) -> (Stdio, Option<BorrowedFd<'_>>) {
        let fd = self.fd.as_ref().map(AsFd::as_fd);
        let input = types && self.takes_input;
        match (fd, self.has_terminal) {
            (Some(fd), true) => (Stdio::SharedTerminal { input }, Some(fd)),
            (Some(fd), false) if input => (Stdio::Input, Some(fd)),
            _ => (Stdio::None, None),
        }
    }
}

/// A container that runs, and all who are connected to its monitor.
struct Keeper {
    audience: Audience,
    listener: OwnedFd,
    pidfd: OwnedFd,
    outputs: Outputs,
    door: Door,
    /// It has the descriptors of its caller, who takes it along.
    is_direct: bool,
    /// The caller's, in the state that it had.
    terminal: Option<SavedTerminal>,
}

/// What can be done without waiting; numbers are those of the lists.
#[derive(Default)]
struct Ready {
    ended: bool,
    knocked: bool,
    peers: Vec<usize>,
    outputs: Vec<usize>,
}

impl Keeper {
    /// Takes over what was started, and tells whoever wanted it.
    fn open(
        &mut self,
        (attachment, input, master): (&Attachment, Option<OwnedFd>, Option<OwnedFd>),
        client: OwnedFd,
    ) {
        let (started, descriptor) = match (attachment, master) {
            (Attachment::Direct { .. }, Some(master)) => (Stdio::OwnTerminal, Some(master)),
            (Attachment::Direct { .. }, None) => (Stdio::None, None),
            (_, master) => {
                self.door.has_terminal = master.is_some();
                // fcntl(2) does not fail on a descriptor that is open.
                self.door.fd = master.as_ref().and_then(|fd| fd.try_clone().ok()).or(input);
                if let Some(master) = master {
                    let _ = self.outputs.add(master, Stream::Stdout);
                }
                (Stdio::None, None)
            }
        };
        let Attachment::Attended(attended) = attachment else {
            let told =
                send(&client, &ToClient::Started(started), descriptor.as_ref().map(AsFd::as_fd));
            match (self.is_direct, told) {
                (true, Ok(())) => drop(self.audience.admit(client, Role::Caller)),
                (true, Err(_)) => self.kill(),
                (false, _) => {}
            }
            return;
        };
        self.door.takes_input = attended.input != Input::None;
        self.door.ends = attended.input == Input::UntilFirstEnd && !attended.terminal;
        let Some(options) = &attended.caller else {
            let _ = send(&client, &ToClient::Started(Stdio::None), None);
            return;
        };
        let types = self.door.takes_input && options.input == ClientInput::Typed;
        let (stdio, descriptor) = self.door.stdio(types);
        let told = send(&client, &ToClient::Started(stdio), descriptor);
        let peer = self.audience.admit(client, Role::Caller);
        (peer.watches, peer.types) = (true, types);
        if told.is_err() {
            self.audience.lose(0);
        }
    }

    /// Copies output and forwards signals until the first process has ended.
    fn attend(&mut self) {
        loop {
            let Ok(ready) = self.poll() else { return self.kill() };
            if ready.ended {
                return;
            }
            for number in ready.peers {
                if !self.hear(number) {
                    self.audience.lose(number);
                }
            }
            self.audience.deliver();
            self.outputs.copy(&ready.outputs, &mut self.audience);
            for peer in self.audience.take_gone() {
                self.part_with(&peer);
            }
            if ready.knocked
                && let Some(visitor) = accept(&self.listener)
            {
                self.audience.admit(visitor, Role::Visitor);
            }
        }
    }

    fn poll(&self) -> Result<Ready, rustix::io::Errno> {
        let wait = |fd| PollFd::from_borrowed_fd(fd, PollFlags::IN);
        let mut fds = vec![wait(self.pidfd.as_fd()), wait(self.listener.as_fd())];
        let peers = fds.len();
        fds.extend(self.audience.descriptors());
        let outputs = fds.len();
        if !self.audience.is_behind() {
            fds.extend(self.outputs.descriptors().map(wait));
        }
        let patience = self.audience.patience();
        rustix::io::retry_on_intr(|| poll(&mut fds, patience.as_ref()))?;
        let ready = |index: &usize| !fds[*index].revents().is_empty();
        let said = |index: &usize| fds[*index].revents().intersects(!PollFlags::OUT);
        Ok(Ready {
            ended: ready(&0),
            knocked: ready(&1),
            peers: (peers..outputs).filter(said).map(|at| at - peers).collect(),
            outputs: (outputs..fds.len()).filter(ready).map(|at| at - outputs).collect(),
        })
    }

    /// Does what one of the connected says; false if it has gone.
    fn hear(&mut self, number: usize) -> bool {
        let Ok(Some((message, _))) = receive(&*self.audience.peer(number)) else { return false };
        match message {
            ToMonitor::Signal(signal) => self.signal(signal),
            ToMonitor::Attach { input } => return self.attach(number, input),
            ToMonitor::InputEnded => {
                self.audience.peer(number).types = false;
                self.end_input();
            }
        }
        true
    }

    /// Shows one of the connected the output from now on; false if it has gone.
    fn attach(&mut self, number: usize, input: bool) -> bool {
        let peer = self.audience.peer(number);
        if self.is_direct {
            let error = Error::new(Kind::Unsupported, "nobody can attach to this container")
                .hint("it has the descriptors of its caller; run it without --rm, or with -d");
            let failure = Failure::new(FailedStage::Setup, &error);
            return send(peer, &ToClient::Failed(failure), None).is_ok();
        }
        // Twice makes no sense, and might have to wait.
        if std::mem::replace(&mut peer.watches, true) {
            return false;
        }
        let (stdio, descriptor) = self.door.stdio(input);
        peer.types = input && self.door.takes_input;
        send(peer, &ToClient::Started(stdio), descriptor).is_ok()
    }

    /// Does what follows when somebody has gone.
    fn part_with(&mut self, peer: &Peer) {
        if peer.types {
            self.end_input();
        }
        if peer.role == Role::Caller {
            // Where it has not done so itself, and nothing of it stays.
            if let Some(terminal) = self.terminal.take_if(|_| !self.is_direct) {
                terminal.restore_for_another();
            }
            if self.is_direct {
                self.kill();
            }
        }
    }

    /// A client has no more input.
    fn end_input(&mut self) {
        if self.door.ends {
            self.door.fd = None;
        }
    }

    fn kill(&self) {
        self.signal(nix::sys::signal::Signal::SIGKILL as i32);
    }

    fn signal(&self, number: i32) {
        // A process that has ended already is success.
        let _ = process::send_signal(self.pidfd.as_fd(), number);
    }
}

fn accept(listener: &OwnedFd) -> Option<OwnedFd> {
    // One that has gone again is none.
    rustix::net::accept_with(listener, SocketFlags::CLOEXEC).ok()
}

/// Waits for `pid`, which stays a zombie: its number belongs to it as long as
/// others may look for it.
fn ending(pid: nix::unistd::Pid) -> Ending {
    loop {
        match waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) {
            Ok(WaitStatus::Exited(_, status)) => return Ending { status, signal: None },
            Ok(WaitStatus::Signaled(_, signal, _)) => {
                let number = signal as i32;
                return Ending { status: 128 + number, signal: Some(number) };
            }
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(_) => return Ending { status: 128, signal: None },
        }
    }
}
