//! A terminal with a command at it, as a person has: what is typed goes in,
//! what is shown comes out. Waits for facts, never for a time.
//!
//! The master is close-on-exec and has one holder, so that dropping it hangs
//! the terminal up, whatever other tests start meanwhile.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};

/// How long a terminal may take to show what is expected.
const LIMIT: Duration = Duration::from_secs(60);

/// A command at a terminal of 24 lines and 80 columns, leader of its session.
pub struct Terminal {
    master: Option<OwnedFd>,
    child: Child,
    seen: Vec<u8>,
    /// Up to here `seen` has been expected.
    read: usize,
}

impl Terminal {
    /// Starts `command` at a new terminal.
    pub fn start(command: &Command) -> Self {
        Self::start_with(command, "")
    }

    /// As [`Self::start`], with redirections in the form of a shell.
    pub fn start_with(command: &Command, redirections: &str) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).expect("a terminal can be made");
        grantpt(&master).and_then(|()| unlockpt(&master)).expect("it is ours");
        let name = ptsname(&master, Vec::new()).expect("it has a name");
        let mode = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY;
        let mode = mode | rustix::fs::OFlags::CLOEXEC;
        let slave = rustix::fs::open(&name, mode, rustix::fs::Mode::empty()).expect("is there");
        // `/dev/tty` and its like are opened by name.
        let everybody = rustix::fs::Mode::from_raw_mode(0o666);
        rustix::fs::fchmod(&slave, everybody).expect("is ours");
        let mut session = Command::new("setsid");
        // A child that leads no group is not forked again: its ID stays.
        session.args(["--ctty", "sh", "-c", &format!("exec \"$@\" {redirections}"), "sh"]);
        session.arg(command.get_program()).args(command.get_args()).env_clear();
        for (name, value) in command.get_envs() {
            session.env(name, value.unwrap_or_default());
        }
        if let Some(folder) = command.get_current_dir() {
            session.current_dir(folder);
        }
        let end = || Stdio::from(slave.try_clone().expect("a descriptor is left"));
        session.stdin(end()).stdout(end()).stderr(end());
        let size = size(24, 80);
        tcsetwinsize(&master, size).expect("is a terminal");
        let child = session.spawn().expect("util-linux is installed");
        Self { master: Some(master), child, seen: Vec::new(), read: 0 }
    }

    /// The process that was started.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// Types.
    pub fn send(&mut self, keys: impl AsRef<[u8]>) {
        let mut keys = keys.as_ref();
        while !keys.is_empty() {
            // What is not taken is not shown either: read while writing.
            let ready = self.wait_for(PollFlags::IN | PollFlags::OUT, "room for keys");
            if ready.contains(PollFlags::OUT) {
                let count = keys.len().min(1024);
                let written = rustix::io::write(self.master(), &keys[..count]);
                keys = &keys[written.expect("a terminal takes keys")..];
            } else if !self.fill() {
                panic!("the terminal has ended: {self}");
            }
        }
    }

    /// Types a line.
    pub fn line(&mut self, line: &str) {
        self.send(format!("{line}\n"));
    }

    /// Waits until `text` is shown; what was shown before it.
    #[track_caller]
    pub fn expect(&mut self, text: &str) -> String {
        loop {
            let unread = &self.seen[self.read..];
            if let Some(at) = find(unread, text.as_bytes()) {
                let before = String::from_utf8_lossy(&unread[..at]).into_owned();
                self.read += at + text.len();
                return before;
            }
            self.wait_for(PollFlags::IN, text);
            assert!(self.fill(), "the terminal ended before {text:?}: {self}");
        }
    }

    /// Waits until nobody has the terminal any more, and for the command: its
    /// exit status, or 128 plus the signal that ended it.
    #[track_caller]
    pub fn wait(&mut self) -> i32 {
        while self.master.is_some() {
            self.wait_for(PollFlags::IN, "the end");
            if !self.fill() {
                break;
            }
        }
        let status = self.child.wait().expect("is a child");
        status.code().or(status.signal().map(|signal| 128 + signal)).expect("has ended")
    }

    /// All that was shown so far.
    pub fn seen(&self) -> &[u8] {
        &self.seen
    }

    /// The state of the terminal.
    pub fn state(&self) -> Termios {
        tcgetattr(self.master()).expect("is a terminal")
    }

    /// Gives the terminal another size: the kernel tells who is at it.
    pub fn resize(&self, rows: u16, columns: u16) {
        tcsetwinsize(self.master(), size(rows, columns)).expect("is a terminal");
    }

    /// Takes the terminal away, as a window that is closed does.
    pub fn hang_up(&mut self) {
        self.master = None;
    }

    /// Sends `signal` to the process that was started.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("is there");
    }

    fn master(&self) -> &OwnedFd {
        self.master.as_ref().expect("has not been hung up")
    }

    #[track_caller]
    fn wait_for(&self, events: PollFlags, what: &str) -> PollFlags {
        let end = Instant::now() + LIMIT;
        loop {
            let mut fds = [PollFd::new(self.master(), events)];
            let left = end.saturating_duration_since(Instant::now());
            let left = Timespec::try_from(left).expect("is short");
            match poll(&mut fds, Some(&left)) {
                Ok(0) => panic!("no {what:?} in time: {self}"),
                Ok(_) => return fds[0].revents(),
                Err(error) => assert_eq!(error, rustix::io::Errno::INTR),
            }
        }
    }

    /// Takes in what is shown; false at the end.
    fn fill(&mut self) -> bool {
        let mut buffer = [0; 65536];
        match rustix::io::read(self.master(), &mut buffer) {
            // EIO: nobody has the other side open.
            Ok(0) | Err(rustix::io::Errno::IO) => false,
            Ok(count) => self.seen.write_all(&buffer[..count]).is_ok(),
            Err(error) => panic!("a terminal cannot be read: {error}"),
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl std::fmt::Display for Terminal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let start = self.seen.len().saturating_sub(4000);
        write!(f, "\n--- shown\n{}", String::from_utf8_lossy(&self.seen[start..]))
    }
}

fn size(rows: u16, columns: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}
