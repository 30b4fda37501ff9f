//! Kept containers in the foreground and `envbox attach`: the monitor has the
//! output, and every client sees all of it.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::harness::process::{child, children, eventually, state};
use crate::harness::{Output, Room, Terminal, for_everyone};

/// Imports the room's rootfs as `base` at the first call.
fn base(room: &Room) {
    if !room.work().join("rootfs").exists() {
        room.envbox(&["import", room.rootfs().to_str().unwrap(), "base"]).succeeds();
    }
}

/// `envbox run` with `flags`, the name `web`, and a line for the shell inside.
fn run(room: &Room, flags: &[&str], line: &str) -> Command {
    base(room);
    room.command(&[&["run", "--name", "web"], flags, &["base", "sh", "-c", line]].concat())
}

/// The same in the background.
fn background(room: &Room, flags: &[&str], line: &str) {
    room.run(run(room, &[&["-d"], flags].concat(), line)).succeeds();
}

fn attach(room: &Room, flags: &[&str]) -> Command {
    room.command(&[&["attach"], flags, &["web"]].concat())
}

/// A client with pipes on all sides, and its output by lines.
struct Piped {
    child: Child,
    stdin: Option<std::process::ChildStdin>,
    stdout: BufReader<std::process::ChildStdout>,
}

impl Piped {
    fn start(mut command: Command) -> Self {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take().unwrap());
        Self { child, stdin, stdout: BufReader::new(stdout) }
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line
    }

    fn write(&mut self, text: &str) {
        self.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// What is left of its output, and its status.
    fn end(mut self) -> (String, Option<i32>) {
        drop(self.stdin.take());
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        (rest, self.child.wait().unwrap().code())
    }
}

fn logs(room: &Room) -> Output {
    room.envbox(&["logs", "web"]).succeeds()
}

fn status(room: &Room) -> String {
    let words = ["inspect", "web", "--format", "{{.State.Status}} {{.State.ExitCode}}"];
    room.envbox(&words).succeeds().stdout().trim_end().to_owned()
}

fn remove(room: &Room) {
    room.envbox(&["rm", "-f", "web"]).succeeds();
}

/// The first process of the only container, and its monitor.
fn processes(room: &Room) -> (Pid, Pid) {
    let entries = std::fs::read_dir(room.path().join("run/containers")).unwrap();
    let mut paths = entries.map(|entry| entry.unwrap().path());
    let path = paths.find(|path| path.extension().is_some_and(|end| end == "json")).unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let pid = last["pid"].as_i64().unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let parent = stat.rsplit_once(") ").unwrap().1.split(' ').nth(1).unwrap().parse().unwrap();
    (Pid::from_raw(pid as i32), Pid::from_raw(parent))
}

/// The most memory that a process had so far, in KiB.
fn peak_memory(process: Pid) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse().unwrap()
}

for_everyone! {
    fn what_a_kept_container_prints_is_shown_and_logged(room) {
        let output = room.run(run(room, &[], "echo out; echo err >&2; exit 7")).exits(7);
        assert_eq!((output.stdout(), output.stderr()), ("out\n".into(), "err\n".into()));
        let logged = logs(room);
        assert_eq!((logged.stdout(), logged.stderr()), ("out\n".into(), "err\n".into()));
        room.envbox(&["start", "-a", "web"]).exits(7).says("out\n");
        assert_eq!(logs(room).stdout(), "out\nout\n");
    }

    fn all_of_it_comes_before_the_end(room) {
        let line = "head -c 1048576 /dev/zero | tr '\\0' x; head -c 1048576 /dev/zero | tr '\\0' y >&2";
        let output = room.run(run(room, &[], line)).succeeds();
        assert!(output.stdout() == "x".repeat(1 << 20) && output.stderr() == "y".repeat(1 << 20));
        let logged = logs(room);
        assert!(logged.stdout() == output.stdout() && logged.stderr() == output.stderr());
    }

    fn ten_megabytes_go_in_and_end(room) {
        let mut command = run(room, &["-i"], "cat; echo end; exit 3");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let bytes: Vec<u8> = (0..10_u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let (mut stdin, sent) = (child.stdin.take().unwrap(), bytes.clone());
        let writer = std::thread::spawn(move || stdin.write_all(&sent).unwrap());
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert!(output.stdout == [&bytes[..], b"end\n"].concat());
    }

    fn input_without_a_reader_is_not_waited_for(room) {
        let line = format!("yes | {} run -i base head -c 2; echo ${{PIPESTATUS[1]}}", env!("CARGO_BIN_EXE_envbox"));
        base(room);
        let mut shell = room.program("bash");
        shell.args(["-c", &line]);
        assert_eq!(room.run(shell).succeeds().stdout(), "y\n0\n");
    }

    fn a_killed_client_leaves_it_running(room) {
        let mut client = Piped::start(run(room, &["-i"], "echo one; read line; echo two; sleep 1000"));
        assert_eq!(client.line(), "one\n");
        let (first, monitor) = processes(room);
        kill(client.pid(), Signal::SIGKILL).unwrap();
        client.child.wait().unwrap();
        // Its input has ended with it.
        eventually("it goes on", || logs(room).stdout() == "one\ntwo\n");
        assert_eq!(status(room), "running 0");
        let mut attached = Piped::start(attach(room, &[]));
        room.envbox(&["kill", "web"]).succeeds();
        assert_eq!(attached.line(), "");
        assert_eq!(attached.end().1, Some(137));
        assert_eq!(status(room), "exited 137");
        eventually("nothing is left", || (state(first), state(monitor)) == ('X', 'X'));
    }

    fn a_reader_that_goes_ends_the_client_alone(room) {
        let line = "echo one; while test ! -e /stop; do sleep 0.05; done; echo two; sleep 1000";
        let mut client = Piped::start(run(room, &[], line));
        assert_eq!(client.line(), "one\n");
        drop(client.stdout);
        room.envbox(&["exec", "web", "touch", "/stop"]).succeeds();
        assert_eq!(client.child.wait().unwrap().code(), Some(141));
        eventually("it goes on", || logs(room).stdout() == "one\ntwo\n");
        assert_eq!(status(room), "running 0");
        remove(room);
    }

    fn a_log_is_limited_or_absent(room) {
        let line = "yes | head -c 100000; echo; echo last";
        let limits = ["--log-opt", "max-size=64k", "--log-opt", "max-file=2"];
        room.run(run(room, &limits, line)).succeeds();
        for _ in 0..2 {
            room.envbox(&["start", "-a", "web"]).succeeds();
            let logged = logs(room).stdout();
            assert!(logged.ends_with("\nlast\n") && logged.len() < 100_000, "{}", logged.len());
        }
        remove(room);
        room.run(run(room, &["--log-driver", "none"], line)).succeeds().says("last");
        room.envbox(&["logs", "web"]).exits(1).warns("configured logging driver does not support reading");
        remove(room);
        let mut attached = run(room, &["-d", "-i", "--log-driver=none"], "read line; echo got $line");
        room.run({ attached.stdin(Stdio::null()); attached }).succeeds();
        let mut client = Piped::start(attach(room, &[]));
        client.write("x\n");
        assert_eq!(client.end(), ("got x\n".into(), Some(0)));
        remove(room);
        room.run(run(room, &["--log-driver", "local"], line)).exits(125).warns("hint: ");
        room.run(run(room, &["--log-driver", "none", "--log-opt", "max-file=2"], line)).exits(125);
    }

    fn two_clients_see_the_same(room) {
        background(room, &["-i"], "while read line; do echo got $line; test $line = end && exit 7; done");
        let mut one = Piped::start(attach(room, &[]));
        let mut two = Piped::start(attach(room, &[]));
        // Both are there once both have had an answer.
        one.write("a\n");
        assert_eq!(one.line(), "got a\n");
        let mut number = 0;
        two.write("b\n");
        while { number += 1; two.line() } != "got b\n" {
            assert!(number < 3);
        }
        assert_eq!(one.line(), "got b\n");
        // One without more input is not the end for others, in the background.
        drop(one.stdin.take());
        two.write("c\nend\n");
        assert_eq!(one.end(), ("got c\ngot end\n".into(), Some(7)));
        assert_eq!(two.end(), ("got c\ngot end\n".into(), Some(7)));
        room.run(attach(room, &[])).exits(1).warns("you cannot attach to a stopped container, start it first");
        room.envbox(&["attach", "none"]).exits(1).warns("no such container");
    }

    fn a_stopped_client_stops_nobody(room) {
        let line = "read x; echo $x; read go; yes 0123456789abcdef | head -c 52428800; echo end; read go";
        background(room, &["-i"], line);
        let mut stopped = Piped::start(attach(room, &[]));
        stopped.write("attached\n");
        assert_eq!(stopped.line(), "attached\n");
        let (_, monitor) = processes(room);
        let before = peak_memory(monitor);
        kill(stopped.pid(), Signal::SIGSTOP).unwrap();
        eventually("it is stopped", || state(stopped.pid()) == 'T');
        let mut watching = Piped::start(attach(room, &[]));
        watching.write("go\n");
        let mut seen = 0;
        loop {
            match watching.line() {
                line if line.ends_with("end\n") => break seen += line.len(),
                line => seen += line.len(),
            }
        }
        assert_eq!(seen, 52_428_800 + 4);
        let peak = peak_memory(monitor) - before;
        assert!(peak < 4 << 10, "{peak} KiB");
        watching.write("go\n");
        assert_eq!(watching.end(), (String::new(), Some(0)));
        kill(stopped.pid(), Signal::SIGCONT).unwrap();
        let mut rest = Vec::new();
        stopped.stdout.read_to_end(&mut rest).unwrap();
        assert!(rest.len() < seen);
        assert_eq!(stopped.child.wait().unwrap().code(), Some(1));
    }

    fn the_keys_leave_it_running(room) {
        let command = run(room, &["-it"], "echo rea''dy; read line; echo got $line; read line; exit $line");
        let mut terminal = Terminal::start(&command);
        terminal.expect("ready");
        terminal.send("\x10\x11");
        assert_eq!(terminal.wait(), 0);
        assert_eq!(status(room), "running 0");
        let told = ["events", "--since", "1h", "--until", "0s", "-f", "event=detach", "-f",
            "container=web", "--format", "{{.Action}}"];
        assert_eq!(room.envbox(&told).succeeds().stdout(), "detach\n");
        let mut terminal = Terminal::start(&attach(room, &["--detach-keys", "ctrl-x,y"]));
        terminal.send("a\x10\x11b\x18c\n");
        terminal.expect("got a");
        terminal.send("\x18y");
        assert_eq!(terminal.wait(), 0);
        let mut terminal = Terminal::start(&room.command(&["start", "-ai", "web"]));
        terminal.line("9");
        assert_eq!(terminal.wait(), 9);
    }

    fn the_newest_client_s_window_counts(room) {
        background(room, &["-it"], "while read line; do stty size; done");
        let mut small = Terminal::start(&attach(room, &[]));
        small.line("x");
        small.expect("24 80");
        let mut large = Terminal::start(&attach(room, &[]));
        large.resize(40, 132);
        eventually("the size is taken", || {
            large.line("x");
            large.expect("\r\n");
            String::from_utf8_lossy(large.seen()).contains("40 132")
        });
        small.expect("40 132");
        // A window that is closed takes nothing along.
        large.hang_up();
        assert_eq!(large.wait(), 129);
        small.line("x");
        small.send("\x10\x11");
        assert_eq!(small.wait(), 0);
        room.run(attach(room, &[])).exits(1).warns("not a TTY");
        remove(room);
    }

    fn signals_are_passed_on_or_not(room) {
        let line = "trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done";
        let mut client = Piped::start(run(room, &["--sig-proxy=false"], line));
        assert_eq!(client.line(), "ready\n");
        kill(client.pid(), Signal::SIGTERM).unwrap();
        assert_eq!(client.end().1, Some(143));
        assert_eq!(status(room), "running 0");
        let attached = Piped::start(attach(room, &[]));
        // A client takes signals before it is attached.
        let (_, monitor) = processes(room);
        eventually("it is attached", || {
            let status = std::fs::read_to_string(format!("/proc/{}/status", attached.pid())).unwrap();
            let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap();
            let blocked = u64::from_str_radix(blocked.trim(), 16).unwrap();
            blocked >> (Signal::SIGTERM as i32 - 1) & 1 == 1
        });
        assert_eq!(children(monitor).len(), 1);
        kill(attached.pid(), Signal::SIGTERM).unwrap();
        assert_eq!(attached.end().1, Some(7));
    }

    fn a_container_that_is_not_kept_belongs_to_its_caller(room) {
        let mut client = Piped::start(run(room, &["--rm", "-i"], "echo ready; cat"));
        assert_eq!(client.line(), "ready\n");
        // Its word comes before the monitor's.
        eventually("it runs", || {
            let output = room.run(attach(room, &[])).exits(1);
            output.stderr().contains("nobody can attach")
        });
        let monitor = child(client.pid(), "envbox-monitor");
        kill(client.pid(), Signal::SIGKILL).unwrap();
        client.child.wait().unwrap();
        eventually("it goes along", || state(monitor) == 'X');
        let words = ["run", "--rm", "--sig-proxy=false", "base", "true"];
        room.envbox(&words).exits(125).warns("--rm");
    }
}
