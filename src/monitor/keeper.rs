//! The monitor's process.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::SocketFlags;

use crate::error::Error;
use crate::sys::{descriptor, process};

use super::log::Stream;
use super::message::{FailedStage, Failure, ToClient, ToMonitor, receive, send};
use super::output::{self, Outputs};
use super::raw_terminal::SavedTerminal;
use super::{Attachment, Ending, Orders, Running};

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
    let outputs = outputs(&orders.attachment);
    let started = outputs.and_then(|outputs| Ok(((orders.start)()?, outputs)));
    let (running, mut outputs) = match started {
        Ok(started) => started,
        Err(failure) => {
            (orders.finish)(None);
            let _ = send(&client, &ToClient::Failed(failure), None);
            return 1;
        }
    };
    let _ = let_go();
    let Running { pid, pidfd, terminal: master } = running;
    let detached = matches!(orders.attachment, Attachment::Detached { .. });
    let shown = master.as_ref().filter(|_| !detached).map(AsFd::as_fd);
    let told = send(&client, &ToClient::Started, shown);
    if let Some(master) = master.filter(|_| detached) {
        // fcntl(2) does not fail on a descriptor that is open.
        let _ = outputs.add(master, Stream::Stdout);
    }
    let mut keeper = Keeper {
        client: (told.is_ok() && !detached).then_some(client),
        visitors: Vec::new(),
        listener: orders.listener,
        pidfd,
        outputs,
    };
    if keeper.client.is_none() && !detached {
        keeper.kill();
    }
    keeper.attend();
    let Keeper { client, visitors, listener, outputs, .. } = keeper;
    outputs.drain();
    let ending = ending(pid);
    (orders.finish)(Some(ending));
    // Nobody else gets the number until all is cleaned up.
    let _ = waitpid(pid, None);
    tell(visitors, &listener, ending.status);
    let told = client.is_some_and(|client| {
        // A client that went takes the container's terminal along, which ends
        // the container: either may be seen first.
        send(&client, &ToClient::Exited(ending.status), None).is_ok()
    });
    if let (false, Some(terminal)) = (told, &terminal) {
        terminal.restore_for_another();
    }
    0
}

/// The stdio of the container. One that is detached keeps nothing that the
/// caller has: whoever reads the caller's pipes must see them end.
fn outputs(attachment: &Attachment) -> Result<Outputs, Failure> {
    let fail = |error: &Error| Failure::new(FailedStage::Setup, error);
    match attachment {
        Attachment::Foreground { .. } => Ok(Outputs::default()),
        Attachment::Detached { log, terminal } => {
            descriptor::close_inherited()
                .map_err(|error| fail(&Error::io_named("cannot close descriptors", error)))?;
            let log: Option<&PathBuf> = log.as_ref();
            Outputs::detach(log.map(PathBuf::as_path), *terminal).map_err(|error| fail(&error))
        }
    }
}

/// Gives back what the container and the client hold as well: a pipe must
/// end when they end.
fn let_go() -> io::Result<()> {
    let null = output::null()?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    rustix::process::chdir("/")?;
    Ok(())
}

/// A container that runs, and all who are connected to its monitor.
struct Keeper {
    /// Whoever started it, and takes it along.
    client: Option<OwnedFd>,
    /// Commands that connected later, and may go.
    visitors: Vec<OwnedFd>,
    listener: OwnedFd,
    pidfd: OwnedFd,
    outputs: Outputs,
}

/// What can be done without waiting; numbers are those of the lists.
#[derive(Default)]
struct Ready {
    ended: bool,
    knocked: bool,
    client: bool,
    visitors: Vec<usize>,
    outputs: Vec<usize>,
}

impl Keeper {
    /// Copies output and forwards signals until the first process has ended.
    fn attend(&mut self) {
        loop {
            let Ok(ready) = self.poll() else { return self.kill() };
            if ready.ended {
                return;
            }
            self.outputs.copy(&ready.outputs);
            for &index in ready.visitors.iter().rev() {
                if !self.hear(&self.visitors[index]) {
                    self.visitors.remove(index);
                }
            }
            if ready.client && !self.client.as_ref().is_some_and(|client| self.hear(client)) {
                self.client = None;
                self.kill();
            }
            if ready.knocked {
                self.visitors.extend(accept(&self.listener));
            }
        }
    }

    fn poll(&self) -> Result<Ready, rustix::io::Errno> {
        let wait = |fd| PollFd::from_borrowed_fd(fd, PollFlags::IN);
        let mut fds = vec![wait(self.pidfd.as_fd()), wait(self.listener.as_fd())];
        fds.extend(self.client.iter().map(|client| wait(client.as_fd())));
        let visitors = fds.len();
        fds.extend(self.visitors.iter().map(|visitor| wait(visitor.as_fd())));
        let outputs = fds.len();
        fds.extend(self.outputs.descriptors().map(wait));
        rustix::io::retry_on_intr(|| poll(&mut fds, None))?;
        let ready = |index: &usize| !fds[*index].revents().is_empty();
        Ok(Ready {
            ended: ready(&0),
            knocked: ready(&1),
            client: visitors > 2 && ready(&2),
            visitors: (visitors..outputs).filter(ready).map(|at| at - visitors).collect(),
            outputs: (outputs..fds.len()).filter(ready).map(|at| at - outputs).collect(),
        })
    }

    /// Does what one of the connected says; false if it has gone.
    fn hear(&self, who: &OwnedFd) -> bool {
        let Ok(Some((ToMonitor::Signal(number), _))) = receive(who) else { return false };
        self.signal(number);
        true
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

/// Tells all who wait, those too who are not let in yet.
fn tell(mut visitors: Vec<OwnedFd>, listener: &OwnedFd, status: i32) {
    visitors.extend(std::iter::from_fn(|| accept(listener)));
    for visitor in visitors {
        let _ = send(&visitor, &ToClient::Exited(status), None);
    }
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
