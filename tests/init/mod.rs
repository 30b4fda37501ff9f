//! The container's PID 1, alone: no container, only the program that the engine
//! embeds, run as an ordinary process and as a PID namespace's init. Each fact
//! of its contract (`src/sys/init/mod.rs`) is a test.

mod command;
mod signal;
mod terminal;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

/// The program where the build script left it. (Written by no process of the
/// test run, so no fork of another test can hold it open and make it busy.)
const PROGRAM: &str = concat!(env!("OUT_DIR"), "/envbox-init");

/// How long anything here may take before it counts as never.
const LIMIT: Duration = Duration::from_secs(20);

/// In what place init runs.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// A process among others.
    Process,
    /// PID 1 of a namespace.
    Namespace,
}

/// Runs a test in both places.
fn everywhere(test: impl Fn(Place)) {
    for place in [Place::Process, Place::Namespace] {
        test(place);
    }
}

/// Init, running a command.
struct Running {
    outer: Child,
    place: Place,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    status: ChildStderr,
    /// Dropped with the rest: tells the watchdog that all is well.
    _alive: Sender<()>,
}

impl Running {
    /// Starts init with `sh -c SCRIPT` as the command.
    fn shell(place: Place, script: &str) -> Self {
        Self::start(place, "", &["/bin/sh", "sh", "-c", script])
    }

    /// Starts init with a path and its argument vector, after `prepare`, a piece
    /// of shell. The status descriptor is 3.
    fn start(place: Place, prepare: &str, command: &[&str]) -> Self {
        let script = format!("exec 3>&2 2>/dev/null; {prepare}\nexec \"$@\"");
        let mut outer = Command::new("/bin/sh");
        outer.args(["-c", &script, "sh"]);
        if matches!(place, Place::Namespace) {
            outer.arg("unshare");
            if !nix::unistd::geteuid().is_root() {
                outer.args(["--user", "--map-root-user"]);
            }
            outer.args(["--pid", "--fork", "--kill-child", "--mount-proc"]);
        }
        outer.args([PROGRAM, "3"]).args(command);
        outer.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut outer = outer.spawn().expect("a shell starts");
        let alive = watch(outer.id());
        let stdin = outer.stdin.take();
        let stdout = BufReader::new(outer.stdout.take().expect("is piped"));
        let status = outer.stderr.take().expect("is piped");
        Self { outer, place, stdin, stdout, status, _alive: alive }
    }

    /// The next line that the command prints; empty at the end.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("the output is text");
        line.trim_end().to_owned()
    }

    /// All that is still to come on the status descriptor.
    fn status_bytes(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.status.read_to_end(&mut bytes).expect("the status can be read");
        bytes
    }

    /// Init's process id, as this process sees it.
    fn init(&self) -> Pid {
        match self.place {
            Place::Process => pid(self.outer.id()),
            Place::Namespace => only_child(pid(self.outer.id())),
        }
    }

    /// The command's process id, as this process sees it.
    fn command(&self) -> Pid {
        only_child(self.init())
    }

    fn signal(&self, signal: Signal) {
        kill(self.init(), signal).expect("init is there");
    }

    /// Waits for the end; the exit status.
    fn exit_code(&mut self) -> Option<i32> {
        drop(self.stdin.take());
        self.outer.wait().expect("init is a child").code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Where the test has waited already there is nothing to end.
        if let Ok(None) = self.outer.try_wait() {
            end(pid(self.outer.id()));
            let _ = self.outer.wait();
        }
    }
}

/// Kills a process and its children's groups: outside a namespace init's end
/// ends nobody else.
fn end(process: Pid) {
    for child in children(process) {
        let _ = killpg(child, Signal::SIGKILL);
    }
    let _ = kill(process, Signal::SIGKILL);
}

/// Ends a process that is still there after the limit, so that what waits for
/// it, or reads from it, fails instead of hanging.
fn watch(process: u32) -> Sender<()> {
    let (alive, dropped) = mpsc::channel();
    std::thread::spawn(move || {
        if dropped.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout) {
            end(pid(process));
        }
    });
    alive
}

fn pid(id: u32) -> Pid {
    Pid::from_raw(i32::try_from(id).expect("a process id is positive"))
}

/// The child of a process that has only one, once it is there.
fn only_child(parent: Pid) -> Pid {
    let mut found = Vec::new();
    eventually(&format!("one child of {parent}"), || {
        found = children(parent);
        found.len() == 1
    });
    found[0]
}

/// The children of a process.
fn children(parent: Pid) -> Vec<Pid> {
    let list = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
    let list = list.unwrap_or_default();
    list.split_whitespace().filter_map(|id| id.parse().ok()).map(Pid::from_raw).collect()
}

/// Waits until a fact holds.
fn eventually(fact: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < LIMIT, "never: {fact}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The state letter of a process, as in proc_pid_stat(5).
fn state(process: Pid) -> char {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("it is there");
    let (_, rest) = stat.rsplit_once(") ").expect("a name in parentheses");
    rest.chars().next().expect("a state")
}

/// A process's open descriptors, and where each leads.
fn descriptors(process: Pid) -> BTreeMap<u32, PathBuf> {
    let folder = format!("/proc/{process}/fd");
    let entries = fs::read_dir(folder).expect("may be read").map(|entry| entry.expect("is there"));
    let number = |name: OsString| name.to_string_lossy().parse().expect("is a number");
    let target = |path| fs::read_link(path).expect("is open");
    entries.map(|entry| (number(entry.file_name()), target(entry.path()))).collect()
}
