//! The monitor's process.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::SocketFlags;

use crate::error::{Error, Kind};
use crate::sys::process;

use super::audience::{Audience, Peer, Role};
use super::checkup::Checkups;
use super::door::{self, Door};
use super::log::Stream;
use super::message::{FailedStage, Failure, Stdio, ToClient, ToMonitor, receive, send};
use super::output::Outputs;
use super::raw_terminal::SavedTerminal;
use super::{Attachment, ClientInput, Container, Ending, Exit, Orders, Running, Stop};

/// Runs the monitor to its end; the number is its exit status.
pub fn keep<C: Container>(
    orders: Orders<C>,
    client: OwnedFd,
    terminal: Option<SavedTerminal>,
) -> i32 {
    // What the client forwards stays blocked here: Ctrl-C before setsid(2) is
    // the client's, and a SIGTERM to all must not keep this from cleaning up.
    process::reset_signal_actions();
    // Both fail only for a process that leads a group already, or never.
    let _ = rustix::process::setsid();
    let _ = rustix::thread::set_name(c"envbox-monitor");
    let mut keeper = Keeper::new(orders, terminal);
    let started = door::leave_caller(&keeper.attachment).and_then(|()| keeper.start());
    let master = match started {
        Ok(master) => master,
        Err(failure) => {
            keeper.container.failed(&failure);
            keeper.container.finish(None);
            let _ = send(&client, &ToClient::Failed(failure), None);
            return 1;
        }
    };
    keeper.greet(client, master);
    let exit = keeper.attend_to_the_end();
    let Keeper { container, mut audience, listener, terminal, stop, process, .. } = keeper;
    container.finish(stop);
    // Nobody else gets the number until all is cleaned up.
    if let Some(process) = process {
        let _ = waitpid(process.pid, None);
    }
    while let Some(visitor) = accept(&listener) {
        audience.admit(visitor, Role::Visitor);
    }
    // A client that went takes the terminal of a container that is not kept
    // along, which ends it: either may be seen first.
    if let (false, Some(terminal)) = (audience.close(exit), &terminal) {
        terminal.restore_for_another();
    }
    0
}

/// A container, and all who are connected to its monitor.
struct Keeper<C> {
    container: C,
    attachment: Attachment,
    listener: OwnedFd,
    audience: Audience,
    /// Its first process; none between two runs.
    process: Option<Running>,
    outputs: Outputs,
    door: Door,
    checkups: Option<Checkups>,
    paused: bool,
    /// It is not to be started again.
    stop: Option<Stop>,
    /// It has the descriptors of its caller, who takes it along.
    is_direct: bool,
    /// The caller's, in the state that it had.
    terminal: Option<SavedTerminal>,
}

/// What can be done without waiting; numbers are those of the lists.
#[derive(Clone, Copy)]
enum Source {
    Process,
    Listener,
    Check,
    CheckOutput,
    Peer(usize),
    Output(usize),
}

impl<C: Container> Keeper<C> {
    fn new(orders: Orders<C>, terminal: Option<SavedTerminal>) -> Self {
        Self {
            is_direct: matches!(orders.attachment, Attachment::Direct { .. }),
            container: orders.container,
            attachment: orders.attachment,
            listener: orders.listener,
            audience: Audience::default(),
            process: None,
            outputs: Outputs::default(),
            door: Door::default(),
            checkups: None,
            paused: false,
            stop: None,
            terminal,
        }
    }

    /// Starts the container: the master of the terminal that its caller alone
    /// gets, if it does.
    fn start(&mut self) -> Result<Option<OwnedFd>, Failure> {
        self.container.prepare()?;
        let (mut outputs, input) = door::stdio(&self.attachment)?;
        let mut running = self.container.start()?;
        let _ = door::let_go();
        // A log at the limit of file sizes is a full disk, not a reason to die.
        process::ignore(Signal::SIGXFSZ);
        let master = running.terminal.take();
        self.process = Some(running);
        self.checkups = self.container.schedule().map(Checkups::new);
        if self.is_direct {
            return Ok(master);
        }
        if let Attachment::Attended(attended) = &self.attachment {
            self.door = Door::new(attended);
        }
        self.door.has_terminal = master.is_some();
        // fcntl(2) does not fail on a descriptor that is open.
        self.door.fd = master.as_ref().and_then(|fd| fd.try_clone().ok()).or(input);
        if let Some(master) = master {
            let _ = outputs.add(master, Stream::Stdout);
        }
        self.outputs = outputs;
        Ok(None)
    }

    /// Tells whoever wanted it that it runs.
    fn greet(&mut self, client: OwnedFd, master: Option<OwnedFd>) {
        let Attachment::Attended(attended) = &mut self.attachment else {
            let stdio = if master.is_some() { Stdio::OwnTerminal } else { Stdio::None };
            let told = send(&client, &ToClient::Started(stdio), master.as_ref().map(AsFd::as_fd));
            match (self.is_direct, told) {
                (true, Ok(())) => drop(self.audience.admit(client, Role::Caller)),
                (true, Err(_)) => self.kill(),
                (false, _) => {}
            }
            return;
        };
        // Of the next run it is the caller no more.
        let Some(options) = attended.caller.take() else {
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

    /// Stays with the container, run after run, until it is not started again.
    fn attend_to_the_end(&mut self) -> Exit {
        loop {
            self.attend(None);
            let (exit, pause) = self.end_run();
            let Some(pause) = pause else { return exit };
            self.part(exit);
            self.attend(Some(Instant::now() + pause));
            let last = Exit { restarts: false, ..exit };
            if self.stop.is_some() {
                return last;
            }
            if let Err(failure) = self.start() {
                self.container.failed(&failure);
                return Exit { status: failure.stage.status(), ..last };
            }
        }
    }

    /// Takes note of the end of a run: how it ended, and when the next begins.
    fn end_run(&mut self) -> (Exit, Option<Duration>) {
        let pid = self.process.as_ref().map(|process| process.pid);
        if let Some(checkups) = self.checkups.take() {
            checkups.close();
        }
        std::mem::take(&mut self.outputs).drain(&mut self.audience);
        let ending =
            pid.map_or(Ending { status: FailedStage::Setup.status(), signal: None }, ending);
        let sequel = self.container.ended(ending, self.stop);
        self.paused = false;
        let restart_after = sequel.restart_after.filter(|_| self.stop.is_none());
        if restart_after.is_some() {
            self.door = Door::default();
            if let Some(process) = self.process.take() {
                let _ = waitpid(process.pid, None);
            }
        }
        let restarts = restart_after.is_some();
        let exit = Exit { status: ending.status, oom_killed: sequel.oom_killed, restarts };
        (exit, restart_after)
    }

    /// Lets those go who are shown the output: the next run has its own clients.
    fn part(&mut self, exit: Exit) {
        while let Some(visitor) = accept(&self.listener) {
            self.audience.admit(visitor, Role::Visitor);
        }
        self.hear_last_words();
        self.audience.dismiss(exit);
        for peer in self.audience.take_gone() {
            self.part_with(&peer);
        }
    }

    /// Who said "end" and went, just as the container ended by itself, must not
    /// see it started again.
    fn hear_last_words(&mut self) {
        let says = |peer: &Peer| {
            let mut fds = [PollFd::new(peer, PollFlags::IN)];
            let now = Timespec { tv_sec: 0, tv_nsec: 0 };
            matches!(poll(&mut fds, Some(&now)), Ok(count) if count > 0)
        };
        for number in 0..self.audience.descriptors().count() {
            while says(self.audience.peer(number)) && self.hear(number) {}
        }
    }

    /// Copies output, forwards signals and checks health until the first
    /// process has ended; where there is none, until then, or until it is not
    /// to be started again.
    fn attend(&mut self, until: Option<Instant>) {
        loop {
            if self.process.is_none()
                && (self.stop.is_some() || until.is_none_or(|until| until <= Instant::now()))
            {
                return;
            }
            let Ok(ready) = self.poll(until) else { return self.kill() };
            let mut outputs = Vec::new();
            for source in ready {
                match source {
                    Source::Process => return,
                    Source::Peer(number) => {
                        if !self.hear(number) {
                            self.audience.lose(number);
                        }
                    }
                    Source::Output(number) => outputs.push(number),
                    Source::Check | Source::CheckOutput => self.look_at_check(source),
                    Source::Listener => self.admit(),
                }
            }
            self.audience.deliver();
            self.outputs.copy(&outputs, &mut self.audience);
            for peer in self.audience.take_gone() {
                self.part_with(&peer);
            }
            if let (Some(checkups), false) = (&mut self.checkups, self.paused) {
                checkups.keep_time(&mut self.container);
            }
        }
    }

    /// What is ready, in the order of the list here: the end first, and peers
    /// before the listener, whose guest is none of them yet.
    fn poll(&self, until: Option<Instant>) -> Result<Vec<Source>, rustix::io::Errno> {
        let wait = |fd| PollFd::from_borrowed_fd(fd, PollFlags::IN);
        let mut sources = Vec::new();
        let mut fds = Vec::new();
        if let Some(process) = &self.process {
            sources.push(Source::Process);
            fds.push(wait(process.pidfd.as_fd()));
        }
        for (number, fd) in self.audience.descriptors().enumerate() {
            sources.push(Source::Peer(number));
            fds.push(fd);
        }
        if !self.audience.is_behind() {
            for (number, fd) in self.outputs.descriptors().enumerate() {
                sources.push(Source::Output(number));
                fds.push(wait(fd));
            }
        }
        let checkups = self.checkups.as_ref();
        if let Some(fd) = checkups.and_then(Checkups::output) {
            sources.push(Source::CheckOutput);
            fds.push(wait(fd));
        }
        if let Some(fd) = checkups.and_then(Checkups::process) {
            sources.push(Source::Check);
            fds.push(wait(fd));
        }
        sources.push(Source::Listener);
        fds.push(wait(self.listener.as_fd()));
        let patience = self.patience(until);
        rustix::io::retry_on_intr(|| poll(&mut fds, patience.as_ref()))?;
        // Room for what waits is no word.
        let said = |fd: &PollFd<'_>| fd.revents().intersects(!PollFlags::OUT);
        let ready = sources.iter().zip(&fds).filter(|(_, fd)| said(fd));
        Ok(ready.map(|(source, _)| *source).collect())
    }

    /// How long to wait at most.
    fn patience(&self, until: Option<Instant>) -> Option<Timespec> {
        let checkups = self.checkups.as_ref().filter(|_| !self.paused);
        let deadlines = [until, self.audience.deadline(), checkups.and_then(Checkups::deadline)];
        let deadline = deadlines.into_iter().flatten().min()?;
        deadline.saturating_duration_since(Instant::now()).try_into().ok()
    }

    fn look_at_check(&mut self, source: Source) {
        let Some(checkups) = &mut self.checkups else { return };
        match source {
            Source::CheckOutput => checkups.read(),
            _ => checkups.end(&mut self.container),
        }
    }

    fn admit(&mut self) {
        if let Some(visitor) = accept(&self.listener) {
            self.audience.admit(visitor, Role::Visitor);
        }
    }

    /// Does what one of the connected says; false if it has gone.
    fn hear(&mut self, number: usize) -> bool {
        let Ok(Some((message, _))) = receive(&*self.audience.peer(number)) else { return false };
        let is_late = self.audience.peer(number).leaves;
        if is_late && !matches!(message, ToMonitor::Signal { .. }) {
            // It has to do with the last run alone.
            return true;
        }
        match message {
            ToMonitor::Signal { number, stop } => {
                self.stop = stop.or(self.stop);
                self.signal(number);
                // Who stands still does not end.
                if stop.is_some() {
                    self.resume();
                }
            }
            ToMonitor::Ping => {
                return send(self.audience.peer(number), &ToClient::Done, None).is_ok();
            }
            ToMonitor::Pause(paused) => return self.pause(number, paused),
            ToMonitor::Hold => {
                // One that stands still already does so for somebody else.
                self.audience.peer(number).holds = !self.paused;
                return self.pause(number, true);
            }
            ToMonitor::Attach { input } => return self.attach(number, input),
            ToMonitor::InputEnded => {
                self.audience.peer(number).types = false;
                self.door.end_input();
            }
        }
        true
    }

    /// Lets the container stand still, or go on; false if whoever wants it has
    /// gone.
    fn pause(&mut self, number: usize, paused: bool) -> bool {
        let done = match &self.process {
            Some(_) => self.container.set_paused(paused),
            None => Err(restarting("this container")),
        };
        let answer = match done {
            Ok(()) => {
                self.paused = paused;
                if !paused {
                    self.audience.release();
                }
                if let (Some(checkups), false) = (&mut self.checkups, paused) {
                    checkups.resume();
                }
                ToClient::Done
            }
            Err(error) => ToClient::Failed(Failure::new(FailedStage::Setup, &error)),
        };
        send(self.audience.peer(number), &answer, None).is_ok()
    }

    /// Lets a container that stands still go on.
    fn resume(&mut self) {
        if std::mem::take(&mut self.paused) {
            self.audience.release();
            // One that cannot goes on when its cgroup is swept.
            let _ = self.container.set_paused(false);
            if let Some(checkups) = &mut self.checkups {
                checkups.resume();
            }
        }
    }

    /// Shows one of the connected the output from now on; false if it has gone.
    fn attach(&mut self, number: usize, input: bool) -> bool {
        let refused = if self.is_direct {
            Some(
                Error::new(Kind::Unsupported, "nobody can attach to this container")
                    .hint("it has the descriptors of its caller; run it without --rm, or with -d"),
            )
        } else {
            self.process.is_none().then(|| restarting("the container"))
        };
        let peer = self.audience.peer(number);
        if let Some(error) = refused {
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
            self.door.end_input();
        }
        if peer.holds {
            self.resume();
        }
        if peer.role == Role::Caller {
            // Where it does not do so itself, and nothing of it stays.
            if let Some(terminal) = self.terminal.take_if(|_| !self.is_direct)
                && !peer.knows()
            {
                terminal.restore_for_another();
            }
            if self.is_direct {
                self.kill();
            }
        }
    }

    fn kill(&mut self) {
        self.stop.get_or_insert(Stop::ByHand);
        self.signal(Signal::SIGKILL as i32);
        self.resume();
    }

    fn signal(&self, number: i32) {
        if let Some(process) = &self.process {
            // One that has ended already is success.
            let _ = process::send_signal(process.pidfd.as_fd(), number);
        }
    }
}

/// docker's words.
fn restarting(what: &str) -> Error {
    Error::new(Kind::InUse, format!("{what} is restarting, wait until it is running"))
        .hint("see when: envbox ps -a")
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
