//! The monitor's process.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::sys::wait::{WaitStatus, waitpid};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};

use crate::sys::process;

use super::message::{Failure, ToClient, ToMonitor, receive, send};
use super::raw_terminal::SavedTerminal;
use super::{Orders, Running};

/// Runs the monitor to its end; the number is its exit status.
pub fn keep<S, F>(orders: Orders<S, F>, client: OwnedFd, terminal: Option<SavedTerminal>) -> i32
where
    S: FnOnce() -> Result<Running, Failure>,
    F: FnOnce(Option<i32>),
{
    // What the client forwards stays blocked here: Ctrl-C before setsid(2) is
    // the client's, and a SIGTERM to all must not keep this from cleaning up.
    process::reset_signal_actions();
    // Both fail only for a process that leads a group already, or never.
    let _ = rustix::process::setsid();
    let _ = rustix::thread::set_name(c"envbox-monitor");
    let running = match (orders.start)() {
        Ok(running) => running,
        Err(failure) => {
            (orders.finish)(None);
            let _ = send(&client, &ToClient::Failed(failure), None);
            return 1;
        }
    };
    let _ = let_go();
    let master = running.terminal.as_ref().map(AsFd::as_fd);
    let told = send(&client, &ToClient::Started, master);
    let Running { pid, pidfd, terminal: master } = running;
    drop(master);
    let client = if told.is_ok() { watch(client, &pidfd) } else { None };
    if client.is_none() {
        kill(&pidfd, rustix::process::Signal::KILL);
    }
    let status = exit_status(pid);
    (orders.finish)(Some(status));
    let told = client.is_some_and(|client| {
        // A client that went takes the container's terminal along, which ends
        // the container: either may be seen first.
        send(&client, &ToClient::Exited(status), None).is_ok()
    });
    if let (false, Some(terminal)) = (told, &terminal) {
        terminal.restore_for_another();
    }
    0
}

/// Gives back what the container and the client hold as well: a pipe must
/// end when they end.
fn let_go() -> io::Result<()> {
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    rustix::process::chdir("/")?;
    Ok(())
}

/// Forwards signals until the first process ends; then the client is given
/// back. `None` if the client went first.
fn watch(client: OwnedFd, pidfd: &OwnedFd) -> Option<OwnedFd> {
    loop {
        let mut fds = [PollFd::new(pidfd, PollFlags::IN), PollFd::new(&client, PollFlags::IN)];
        match poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return None,
        }
        let (ended, spoke) = (!fds[0].revents().is_empty(), !fds[1].revents().is_empty());
        if ended {
            return Some(client);
        }
        if spoke {
            match receive(&client) {
                Ok(Some((ToMonitor::Signal(number), _))) => {
                    if let Some(signal) = rustix::process::Signal::from_named_raw(number) {
                        kill(pidfd, signal);
                    }
                }
                Ok(None) | Err(_) => return None,
            }
        }
    }
}

/// A process that has ended already is success.
fn kill(pidfd: &OwnedFd, signal: rustix::process::Signal) {
    let _ = rustix::process::pidfd_send_signal(pidfd, signal);
}

/// Waits for `pid`: its exit status, or 128 plus the signal that ended it.
fn exit_status(pid: nix::unistd::Pid) -> i32 {
    loop {
        match waitpid(pid, None) {
            Ok(WaitStatus::Exited(_, status)) => return status,
            Ok(WaitStatus::Signaled(_, signal, _)) => return 128 + signal as i32,
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(_) => return 128,
        }
    }
}
