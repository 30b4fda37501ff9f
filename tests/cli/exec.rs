//! `envbox exec` and `envbox top`: docker's flags and statuses, a terminal, and
//! what hostile processes, which are already inside, can make of one that comes.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::symlink;
use std::process::{Child, ChildStdin, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::harness::process::{child, comm, descendant, eventually, state};
use crate::harness::{Output, Room, Terminal, for_everyone, probe};

/// A container that runs until it is ended.
struct Container<'a> {
    room: &'a Room,
    client: Child,
    input: Option<ChildStdin>,
    /// Stays open as long as the container runs.
    _output: BufReader<std::process::ChildStdout>,
}

impl<'a> Container<'a> {
    /// `envbox run --rm --name box FLAGS base sh -c LINE`, once it says so.
    fn run(room: &'a Room, flags: &[&str], line: &str) -> Self {
        base(room);
        let line = format!("echo ready; {line}");
        let words = ["run", "-i", "--name", "box"];
        Self::start(room, &[&words, flags, &["base", "sh", "-c", &line]].concat())
    }

    /// One that does nothing.
    fn idle(room: &'a Room, flags: &[&str]) -> Self {
        Self::run(room, &[&["--rm"], flags].concat(), "exec cat").listed()
    }

    fn start(room: &'a Room, words: &[&str]) -> Self {
        let mut command = room.command(words);
        let mut client = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let input = client.stdin.take();
        let mut line = String::new();
        let mut output = BufReader::new(client.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "{words:?}");
        Self { room, client, input, _output: output }
    }

    /// Waits until the monitor says as well that it runs.
    fn listed(self) -> Self {
        eventually("it is listed", || !self.room.envbox(&["ps", "-q"]).stdout().is_empty());
        self
    }

    /// `envbox exec WORDS`.
    fn exec(&self, words: &[&str]) -> Output {
        self.room.envbox(&[&["exec"], words].concat())
    }

    /// Runs `line` by a shell inside.
    fn line(&self, flags: &[&str], line: &str) -> Output {
        self.exec(&[flags, &["box", "sh", "-c", line]].concat())
    }

    /// The first process of the container.
    fn first(&self, name: &str) -> Pid {
        let client = Pid::from_raw(self.client.id().cast_signed());
        child(child(client, "envbox-monitor"), name)
    }

    /// Ends its input, and waits for it.
    fn end(mut self) -> Option<i32> {
        drop(self.input.take());
        self.client.wait().unwrap().code()
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        // One that has ended is no error.
        let _ = self.client.kill();
        let _ = self.client.wait();
    }
}

/// Imports the room's rootfs as `base` at the first call.
fn base(room: &Room) {
    if !room.work().join("rootfs").exists() {
        import(room, &[]);
    }
}

fn import(room: &Room, words: &[&str]) {
    let rootfs = room.rootfs();
    room.envbox(&[&["import", rootfs.to_str().unwrap(), "base"], words].concat()).succeeds();
}

/// `envbox exec WORDS`, not started yet.
fn command(room: &Room, words: &[&str]) -> Command {
    room.command(&[&["exec"], words].concat())
}

/// Lists what a process can see of all that are there, itself included.
const LOOK: &str = "for p in /proc/[0-9]*; do ls -l $p/exe $p/cwd $p/root $p/fd; done 2>/dev/null";

/// Asserts that no link in the output of [`LOOK`] leads out of the container,
/// but for what begins with `also`.
#[track_caller]
fn shows_nothing_outside(room: &Room, listed: &str, also: &str) {
    let targets = listed.lines().filter_map(|line| line.split_once(" -> ")).map(|(_, to)| to);
    let room = room.path().to_str().unwrap();
    for target in targets {
        let inside = ["/proc", "/dev", "/bin", "pipe:", "/memfd:envbox-init", also];
        assert!(target == "/" || inside.iter().any(|start| target.starts_with(start)), "{target}");
        assert!(!target.starts_with(room), "{target}");
    }
}

for_everyone! {
    fn a_program_runs_beside_the_containers_own(room) {
        import(room, &["-c", "ENV OF=image", "-c", "WORKDIR /tmp"]);
        let container = Container::run(room, &["--rm", "-e", "MINE=1"], "exec cat").listed();
        let output = container.line(&[], "cat /proc/1/cmdline; pwd; env; hostname; exit 7").exits(7);
        let (text, host) = (output.stdout(), container.line(&[], "cat /etc/hostname").stdout());
        for part in ["cat\0", "/tmp\n", "OF=image\n", "MINE=1\n", "HOME=/root\n", &host] {
            assert!(text.contains(part), "no {part:?} in {output}");
        }
        let id = room.envbox(&["ps", "-q", "--no-trunc"]).succeeds().stdout();
        for name in [id.trim(), &id[..12], &id[..4]] {
            container.exec(&[name, "true"]).succeeds().quietly();
        }
        room.envbox(&["container", "exec", "box", "echo", "x"]).succeeds().says("x");
        assert_eq!(container.end(), Some(0));
    }

    fn kept_containers_and_shells_are_joined_as_well(room) {
        let container = Container::run(room, &[], "exec cat").listed();
        container.line(&[], "echo kept >/left").succeeds();
        assert_eq!(container.end(), Some(0));
        let stopped = room.envbox(&["exec", "box", "true"]).exits(1);
        stopped.warns("container box is not running");
        room.envbox(&["top", "box"]).exits(1).warns("container box is not running");
        room.envbox(&["rm", "box"]).succeeds();
        room.envbox(&["exec", "box", "true"]).exits(1).warns("no such container: box");

        let rootfs = room.rootfs();
        let line = "echo ready; exec cat";
        let words = ["shell", rootfs.to_str().unwrap(), "-c", line];
        let container = Container::start(room, &words).listed();
        let id = room.envbox(&["ps", "-q"]).succeeds().stdout();
        container.exec(&[id.trim(), "cat", "/proc/1/comm"]).succeeds();
        container.exec(&["-w", "/", id.trim(), "sh", "-c", "pwd; id -u"]).succeeds().says("/\n");
        container.end();
    }

    fn the_status_is_dockers(room) {
        let container = Container::idle(room, &[]);
        container.exec(&["box", "true"]).succeeds().quietly();
        container.line(&[], "exit 3").exits(3);
        container.line(&[], "kill -TERM $$").exits(143);
        container.exec(&["box", "/no/such"]).exits(127).warns("no such file");
        container.exec(&["box", "no-such"]).exits(127).warns("not found in $PATH");
        container.exec(&["box", "/etc/passwd"]).exits(126).warns("permission denied");
        container.exec(&["box", "/etc"]).exits(126);
        container.exec(&["-w", "/no/such", "box", "true"]).exits(126).warns("/no/such");
        container.exec(&["-w", "etc", "box", "true"]).exits(126).warns("is not absolute");
        container.exec(&["-u", "no-such", "box", "true"]).exits(126).warns("no-such");
        container.exec(&["-it", "box", "true"]).exits(1).warns("not a TTY");
        container.exec(&["--no-such", "box", "true"]).exits(125);
        container.exec(&["box"]).exits(125);
        container.exec(&["none", "true"]).exits(1).warns("no such container: none");
    }

    fn user_directory_and_variables_are_as_asked(room) {
        let container = Container::idle(room, &["-e", "A=container", "-e", "B=container"]);
        std::fs::write(room.work().join("env"), "B=file\nC=file\nFROM_CALLER\n").unwrap();
        room.give(&room.work().join("env"));
        let words = ["--env-file", "env", "-e", "C=flag", "-u", "builder", "-w", "/tmp/.."];
        let words = [&words[..], &["box", "sh", "-c", "id -u; id -g; pwd; env"]].concat();
        let mut asked = command(room, &words);
        asked.env("FROM_CALLER", "caller");
        let text = room.run(asked).succeeds().stdout();
        assert!(text.starts_with("1000\n1000\n/\n"), "{text}");
        for part in ["A=container", "B=file", "C=flag", "FROM_CALLER=caller", "HOME=/home/builder"] {
            assert!(text.lines().any(|line| line == part), "no {part} in {text}");
        }
        let home = |flags: &[&str]| container.line(flags, "echo $HOME").succeeds().stdout();
        assert_eq!(home(&["-u", "1000", "-e", "HOME=/tmp"]), "/tmp\n");
        assert_eq!(home(&[]), "/root\n");
        assert_eq!(container.line(&["-u", "7:8"], "id -u; id -g").stdout(), "7\n8\n");
    }

    fn it_may_do_what_the_container_may(room) {
        let rights = "grep -E '^(Uid|Gid|Groups|Cap...|NoNewPrivs|Seccomp|Umask):' /proc/self/status;
            ulimit -n; ulimit -Hn; cat /proc/self/limits";
        for flags in [
            &[][..],
            &["-u", "builder"],
            &["--cap-drop", "ALL", "--cap-add", "CHOWN", "--ulimit", "nofile=100:200"],
            &["--security-opt", "no-new-privileges", "--security-opt", "seccomp=unconfined"],
        ] {
            let path = room.work().join("rights");
            let mount = format!("{}:/rights", path.display());
            std::fs::write(&path, "").unwrap();
            room.give(&path);
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o666))
                .unwrap();
            let flags = [&["--rm", "-v", &mount], flags].concat();
            let container = Container::run(room, &flags, &format!("({rights}) >/rights; exec cat")).listed();
            let own = container.line(&[], rights).succeeds().stdout();
            eventually("its own are written", || {
                std::fs::read_to_string(&path).unwrap().lines().count() == own.lines().count()
            });
            assert_eq!(own, std::fs::read_to_string(&path).unwrap(), "{flags:?}");
            container.end();
        }
    }

    fn a_privileged_program_has_every_capability(room) {
        let container = Container::idle(room, &[]);
        let line = "grep CapBnd /proc/self/status";
        let usual = container.line(&[], line).succeeds().stdout();
        let all = container.line(&["--privileged"], line).succeeds().stdout();
        assert_eq!(usual, "CapBnd:\t00000000a80425fb\n");
        assert!(all > usual && all.contains("ff"), "{all}");
    }

    fn input_and_output_are_the_callers(room) {
        let container = Container::idle(room, &[]);
        assert_eq!(container.line(&[], "readlink /proc/self/fd/0").stdout(), "/dev/null\n");
        let mut client = command(room, &["-i", "box", "cat"]);
        let mut client = client.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        client.stdin.take().unwrap().write_all(b"bytes \0 \xff").unwrap();
        assert_eq!(client.wait_with_output().unwrap().stdout, b"bytes \0 \xff");
        drop(container);
    }

    fn a_terminal_is_one(room) {
        let container = Container::idle(room, &[]);
        let mut terminal = Terminal::start(&command(room, &["-it", "box", "sh"]));
        terminal.expect("# ");
        terminal.line("tty; stty size; echo $TERM");
        terminal.expect("/dev/pts/0");
        terminal.expect("24 80");
        terminal.expect("xterm");
        terminal.resize(33, 99);
        eventually("the size is passed on", || {
            terminal.line("stty size");
            terminal.expect("stty size");
            terminal.expect("# ").contains("33 99")
        });
        terminal.line("sleep 100");
        descendant(terminal.pid(), "sleep");
        terminal.send("\x03");
        terminal.expect("# ");
        terminal.line("exit 9");
        assert_eq!(terminal.wait(), 9, "{terminal}");
        // Not the container's.
        container.line(&[], "test -e /dev/console").exits(1);
        container.line(&["-t"], "test -t 1 && exit 4").exits(4);
        assert_eq!(container.end(), Some(0));
    }

    fn a_detached_program_goes_on_alone(room) {
        let container = Container::idle(room, &[]);
        for flags in [&["-d"][..], &["-dit"]] {
            container.line(flags, "echo lost; echo $$ >/tmp/pid; exec sleep 1000").succeeds().quietly();
            eventually("it runs", || container.line(&[], "kill -0 $(cat /tmp/pid)").stdout().is_empty()
                && container.line(&[], "grep -q sleep /proc/$(cat /tmp/pid)/comm").stderr().is_empty());
            container.line(&[], "kill -9 $(cat /tmp/pid); rm /tmp/pid").succeeds();
        }
        container.exec(&["-d", "box", "no-such"]).exits(127).warns("not found");
        container.exec(&["-d", "box", "sleep", "1000"]).succeeds();
        assert_eq!(container.end(), Some(0));
    }

    fn a_killed_client_takes_its_program_along_and_nothing_else(room) {
        let container = Container::idle(room, &[]);
        let mut client = command(room, &["box", "sleep", "1000"]).spawn().unwrap();
        let pid = Pid::from_raw(client.id().cast_signed());
        let program = descendant(pid, "sleep");
        client.kill().unwrap();
        client.wait().unwrap();
        eventually("the program is gone", || state(program) == 'X');
        container.exec(&["box", "true"]).succeeds();
        // A signal that can be caught is passed on.
        let mut client = command(room, &["box", "sleep", "1000"]).spawn().unwrap();
        let pid = Pid::from_raw(client.id().cast_signed());
        descendant(pid, "sleep");
        kill(pid, Signal::SIGTERM).unwrap();
        assert_eq!(client.wait().unwrap().code(), Some(143));
        assert_eq!(container.end(), Some(0));
    }

    fn the_end_of_the_container_is_its_end(room) {
        let container = Container::idle(room, &[]);
        let mut client = command(room, &["box", "sleep", "1000"]).spawn().unwrap();
        descendant(Pid::from_raw(client.id().cast_signed()), "sleep");
        assert_eq!(container.end(), Some(0));
        assert_eq!(client.wait().unwrap().code(), Some(137));
    }

    fn a_container_that_is_ending_is_joined_or_not(room) {
        for wait in ["0", "0.01", "0.02", "0.03", "0.05", "0.1"] {
            let container = Container::run(room, &["--rm"], &format!("sleep {wait}"));
            loop {
                let output = container.exec(&["box", "true"]);
                let text = output.stderr();
                if text.is_empty() {
                    continue;
                }
                let gone = ["is not running", "no such container", "the container has ended"];
                assert!(gone.iter().any(|reason| text.contains(reason)), "{output}");
                if text.contains("no such container") {
                    break;
                }
            }
        }
    }

    fn processes_are_listed(room) {
        let container = Container::idle(room, &[]);
        container.exec(&["-d", "box", "sleep", "1234"]).succeeds();
        let pid = container.first("cat").to_string();
        let list = room.envbox(&["top", "box"]).succeeds().stdout();
        let lines: Vec<Vec<&str>> =
            list.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0], ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]);
        assert_eq!(lines.len(), 3, "{list}");
        let find = |name| lines.iter().find(|line| line[7..].join(" ") == name).unwrap();
        assert_eq!(find("cat")[1], pid);
        assert_eq!(find("sleep 1234")[6], "00:00:00");
        let list = room.envbox(&["container", "top", "box", "-eo", "pid,args"]).succeeds().stdout();
        assert_eq!(list.lines().count(), 3, "{list}");
        assert!(list.contains(&pid) && list.contains("sleep 1234"), "{list}");
        room.envbox(&["top", "box", "-eo", "args"]).exits(1).warns("no column PID");
        room.envbox(&["top", "box", "--no-such"]).exits(1).warns("ps failed");
        room.envbox(&["top", "none"]).exits(1).warns("no such container: none");
    }

    fn no_descriptor_of_the_callers_or_of_envbox_is_inside(room) {
        let container = Container::idle(room, &[]);
        let open = "exec 3<. 4</ 5<\"$PROGRAM\" 9<. 17</; exec \"$@\"";
        let mut bash = room.program("bash");
        bash.args(["-c", open, "bash", env!("CARGO_BIN_EXE_envbox"), "exec", "box"]);
        bash.args(["sh", "-c", LOOK]).env("PROGRAM", probe());
        let listed = room.run(bash).succeeds().stdout();
        assert!(listed.contains("fd") && listed.contains("-> /"), "{listed}");
        shows_nothing_outside(room, &listed, "/proc");
        drop(container);
    }

    fn whoever_looks_sees_nothing_of_the_one_that_comes(room) {
        // CVE-2016-9962: a process inside watches for one that joins, and takes
        // what it has open, before it has executed its program.
        let look = format!("while read -t 0 line || true; do {LOOK}; done >/seen & exec cat");
        let seen = room.work().join("seen");
        std::fs::write(&seen, "").unwrap();
        room.give(&seen);
        let mount = format!("{}:/seen", seen.display());
        for user in [&[][..], &["-u", "builder"]] {
            let container = Container::run(room, &["--rm", "-v", &mount], &look).listed();
            for _ in 0..40 {
                container.exec(&[user, &["box", "true"]].concat()).succeeds();
            }
            container.end();
            let listed = String::from_utf8_lossy(&std::fs::read(&seen).unwrap()).into_owned();
            assert!(listed.contains("-> /"), "the watcher sees: {listed}");
            // The sealed program reports over a socket, and has nothing else.
            let listed = listed.replace("-> /seen", "-> /dev");
            shows_nothing_outside(room, &listed, "socket:");
        }
    }

    fn links_lead_nowhere_outside(room) {
        let (rootfs, outside) = (room.rootfs(), room.work().join("outside"));
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("passwd"), "evil:x:0:0::/canary:/bin/sh\n").unwrap();
        room.give(&outside);
        std::fs::remove_file(rootfs.join("etc/passwd")).unwrap();
        symlink(outside.join("passwd"), rootfs.join("etc/passwd")).unwrap();
        symlink(&outside, rootfs.join("tmp/outside")).unwrap();
        symlink("/proc/self/exe", rootfs.join("bin/itself")).unwrap();
        room.give(&rootfs);
        import(room, &[]);
        let container = Container::idle(room, &[]);
        container.exec(&["-u", "evil", "box", "true"]).exits(126).warns("unable to find user evil");
        container.exec(&["-w", "/tmp/outside", "box", "ls"]).exits(126);
        // CVE-2024-21626.
        for number in 0..24 {
            for tail in ["", "/etc"] {
                let directory = format!("/proc/self/fd/{number}{tail}");
                container.exec(&["-w", &directory, "box", "ls"]).exits(126);
            }
        }
        for directory in ["/proc/1/cwd", "/proc/1/root", "/proc/self/cwd", "/proc/thread-self/root"] {
            container.exec(&["-w", directory, "box", "ls"]).exits(126);
        }
        // CVE-2019-5736: what executes is the sealed program, not envbox.
        for command in ["itself", "/proc/self/exe"] {
            let output = container.exec(&["box", command, "--version"]);
            assert!(!output.stdout().contains("envbox"), "{output}");
        }
        // A FIFO does not block.
        container.line(&[], "rm /etc/passwd; mkfifo /etc/passwd").succeeds();
        container.exec(&["-u", "evil", "box", "true"]).exits(126);
    }

    fn a_monitor_that_is_killed_leaves_nothing_to_join(room) {
        let container = Container::idle(room, &[]);
        let first = container.first("cat");
        let client = Pid::from_raw(container.client.id().cast_signed());
        let monitor = child(client, "envbox-monitor");
        assert_eq!(comm(monitor), "envbox-monitor");
        kill(monitor, Signal::SIGKILL).unwrap();
        eventually("the container is gone", || state(first) == 'X');
        container.exec(&["box", "true"]).exits(1);
    }
}
