//! `envbox shell` and `envbox run -it` at a real terminal: keys, job control,
//! window size, and a terminal that is as it was, whatever ends first.

use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::harness::process::{child, children, descendant, eventually, is_foreground, state};
use crate::harness::{Room, Terminal, for_everyone};

const CTRL_C: &str = "\x03";
const CTRL_D: &str = "\x04";
const CTRL_Z: &str = "\x1a";
const CTRL_BACKSLASH: &str = "\x1c";

/// `envbox shell` in the room's rootfs, as a command that is not started yet.
fn command(room: &Room, words: &[&str]) -> Command {
    let mut command = room.command(&["shell", room.rootfs().to_str().unwrap()]);
    command.args(words);
    command
}

fn shell(room: &Room, words: &[&str]) -> Terminal {
    Terminal::start(&command(room, words))
}

/// `envbox run` with these words, the image's name being `base`.
fn run(room: &Room, words: &[&str]) -> Command {
    room.envbox(&["import", room.rootfs().to_str().unwrap(), "base"]).succeeds();
    let mut command = room.command(&["run", "--rm"]);
    command.args(words);
    command
}

/// An interactive shell with job control outside, as the user's own.
fn outer_shell(room: &Room) -> Terminal {
    let mut shell = room.program("sh");
    shell.arg("-i").env("PS1", "outside> ");
    let mut terminal = Terminal::start(&shell);
    terminal.expect("outside> ");
    terminal
}

/// The words of `command` for a process of the room's user.
fn words(command: &Command) -> Vec<String> {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words = words.map(|word| word.to_str().unwrap().to_owned());
    words.skip_while(|word| word != env!("CARGO_BIN_EXE_envbox")).collect()
}

/// [`words`] as a shell is given them.
fn quoted(command: &Command) -> String {
    let quote = |word: &String| format!("'{}'", word.replace('\'', r"'\''"));
    words(command).iter().map(quote).collect::<Vec<_>>().join(" ")
}

/// The process `name` of the container, once the terminal is its own.
fn in_foreground(client: Pid, name: &str) -> Pid {
    let process = descendant(client, name);
    eventually(&format!("{name} in the foreground"), || is_foreground(process));
    process
}

/// The monitor of `client`, and the first process of its container.
fn monitor(client: Pid) -> (Pid, Pid) {
    let monitor = child(client, "envbox-monitor");
    eventually("a first process", || children(monitor).len() == 1);
    (monitor, children(monitor)[0])
}

/// The state of a terminal as text that can be compared.
fn modes(terminal: &Terminal) -> String {
    format!("{:?}", terminal.state())
}

/// Drives an interactive shell through what job control is for.
fn controls_jobs(mut terminal: Terminal) {
    terminal.expect("# ");
    terminal.line("sleep 100 & jobs; echo a''");
    terminal.expect("[1]+");
    terminal.expect("sleep 100");
    terminal.line("fg");
    in_foreground(terminal.pid(), "sleep");
    terminal.send(CTRL_Z);
    terminal.expect("Stopped");
    terminal.line("jobs; bg; kill %1; wait; echo wai''ted; exit 3");
    terminal.expect("waited");
    assert_eq!(terminal.wait(), 3);
    let seen = String::from_utf8_lossy(terminal.seen()).into_owned();
    assert!(!seen.contains("job control"), "{seen}");
}

for_everyone! {
    fn a_shell_has_job_control(room) {
        controls_jobs(shell(room, &[]));
    }

    fn bash_has_job_control(room) {
        if room.install("/bin/bash") {
            controls_jobs(shell(room, &["--", "/bin/bash", "--norc"]));
        }
    }

    fn run_has_job_control(room) {
        let mut terminal = Terminal::start(&run(room, &["-it", "base", "/bin/sh"]));
        terminal.expect("# ");
        terminal.line("sleep 100");
        in_foreground(terminal.pid(), "sleep");
        terminal.send(CTRL_Z);
        terminal.expect("Stopped");
        terminal.line("fg");
        in_foreground(terminal.pid(), "sleep");
        terminal.send(CTRL_C);
        terminal.line("echo st''atus $?; exit 4");
        terminal.expect("status 130");
        assert_eq!(terminal.wait(), 4);
        let seen = String::from_utf8_lossy(terminal.seen()).into_owned();
        assert!(!seen.contains("job control"), "{seen}");
    }

    fn ctrl_c_ends_the_command_and_not_the_shell(room) {
        let mut terminal = shell(room, &[]);
        terminal.expect("# ");
        terminal.line("sleep 100");
        in_foreground(terminal.pid(), "sleep");
        terminal.send(CTRL_C);
        terminal.line("echo st''atus $?");
        terminal.expect("status 130");
        terminal.line("sleep 101");
        in_foreground(terminal.pid(), "sleep");
        terminal.send(CTRL_BACKSLASH);
        terminal.line("echo st''atus $?");
        terminal.expect("status 131");
        // Between prompts the line discipline would take the key.
        terminal.expect("# ");
        terminal.send(CTRL_D);
        assert_eq!(terminal.wait(), 0);
    }

    fn a_command_alone_ends_by_the_keys_signal(room) {
        for (key, status) in [(CTRL_C, 130), (CTRL_BACKSLASH, 131)] {
            let mut terminal = shell(room, &["--", "sleep", "100"]);
            in_foreground(terminal.pid(), "sleep");
            terminal.send(key);
            assert_eq!(terminal.wait(), status);
        }
        // Nobody could ever continue it.
        let mut terminal = shell(room, &["-c", "echo rea''dy; read line; exit $line"]);
        terminal.expect("ready");
        terminal.send(CTRL_Z);
        terminal.line("9");
        assert_eq!(terminal.wait(), 9);
    }

    fn statuses_and_modes_are_a_terminal_s(room) {
        assert_eq!(shell(room, &["-c", "kill -TERM $$"]).wait(), 143);
        assert_eq!(shell(room, &["-c", "kill -KILL $$"]).wait(), 137);
        assert_eq!(shell(room, &["-c", "exit 77"]).wait(), 77);
        let mut terminal = shell(room, &["-c", "tty; test -t 0 -a -t 1 -a -t 2 && stty -a"]);
        assert_eq!(terminal.wait(), 0);
        let seen = String::from_utf8_lossy(terminal.seen()).into_owned();
        let words: Vec<&str> = seen.split([' ', ';', '\r', '\n']).collect();
        for mode in ["/dev/pts/0", "isig", "icanon", "iexten", "echo", "icrnl", "ixon", "opost", "onlcr"] {
            assert!(words.contains(&mode), "{mode}: {seen}");
        }
    }

    fn the_window_has_the_caller_s_size(room) {
        let wait = r#"stty size; trap 'echo win""ch' WINCH; echo rea""dy
            until test "$(stty size)" = "40 132"; do sleep 0.05; done; echo resi""zed"#;
        let mut terminal = shell(room, &["-c", wait]);
        terminal.expect("24 80");
        terminal.expect("ready");
        terminal.resize(40, 132);
        terminal.expect("winch");
        terminal.expect("resized");
        assert_eq!(terminal.wait(), 0);
        let mut terminal = Terminal::start(&run(room, &["-t", "base", "stty", "size", "-F", "/dev/tty"]));
        terminal.expect("24 80");
        assert_eq!(terminal.wait(), 0);
    }

    fn the_terminal_is_as_before_after_an_end_and_an_error(room) {
        for (words, status) in [
            (["-c", "stty raw -echo"], 0),
            (["--", "no-such-command"], 127),
            (["--workdir", "/etc/passwd"], 125),
        ] {
            let mut terminal = shell(room, &words);
            let before = modes(&terminal);
            assert_eq!(terminal.wait(), status, "{terminal}");
            assert_eq!(modes(&terminal), before);
        }
    }

    fn the_terminal_is_as_before_whoever_is_killed(room) {
        for victim in ["client", "monitor", "init"] {
            let mut terminal = shell(room, &["-c", "echo rea''dy; exec sleep 100"]);
            let before = modes(&terminal);
            terminal.expect("ready");
            let client = terminal.pid();
            let (monitor, init) = monitor(client);
            assert_ne!(modes(&terminal), before, "the terminal is raw");
            let (victim, status) = match victim {
                "client" => (client, 137),
                "monitor" => (monitor, 125),
                _ => (init, 137),
            };
            kill(victim, Signal::SIGKILL).unwrap();
            assert_eq!(terminal.wait(), status, "{terminal}");
            eventually("the terminal is as before", || modes(&terminal) == before);
            for process in [monitor, init] {
                eventually("nothing is left", || state(process) == 'X');
            }
        }
    }

    fn a_dead_monitor_takes_another_user_s_container_along(room) {
        let mut shell = command(room, &["-u", "builder", "-c", "echo ready; exec sleep 100"]);
        let mut child = shell.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let client = Pid::from_raw(child.id().cast_signed());
        descendant(client, "sleep");
        let (monitor, init) = monitor(client);
        kill(monitor, Signal::SIGKILL).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(125));
        eventually("the container ends", || state(init) == 'X');
    }
    fn what_is_shown_is_whole_and_in_order(room) {
        let mut terminal = shell(room, &["-c", "seq 1 1300000"]);
        assert_eq!(terminal.wait(), 0);
        let numbers: Vec<u8> = (1..=1_300_000).flat_map(|n| format!("{n}\r\n").into_bytes()).collect();
        assert!(numbers.len() > 10_000_000);
        assert!(terminal.seen() == numbers, "{terminal}");
    }

    fn what_is_pasted_is_whole_while_output_flows(room) {
        // The program does not read until it has printed more than all buffers
        // on the way can hold.
        let line = "stty raw -echo; echo rea''dy; seq 1 100000; \
            head -c 65536 | sha256sum; echo po''st";
        let mut terminal = shell(room, &["-c", line]);
        terminal.expect("ready");
        let paste: Vec<u8> = (0..65536_u32).map(|n| (n * 31 % 251) as u8).collect();
        terminal.send(&paste);
        terminal.expect("100000");
        let mut outside = Command::new("sha256sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(&mut outside.stdin.take().unwrap(), &paste).unwrap();
        let digest = outside.wait_with_output().unwrap().stdout;
        terminal.expect(std::str::from_utf8(&digest[..64]).unwrap());
        terminal.expect("post");
        assert_eq!(terminal.wait(), 0);
    }

    fn a_stopped_client_goes_on(room) {
        let mut terminal = shell(room, &["-c", "echo rea''dy; read line; echo got $line"]);
        terminal.expect("ready");
        terminal.signal(Signal::SIGSTOP);
        eventually("it is stopped", || state(terminal.pid()) == 'T');
        terminal.resize(30, 90);
        terminal.signal(Signal::SIGCONT);
        terminal.line("this");
        terminal.expect("got this");
        assert_eq!(terminal.wait(), 0);
    }

    fn a_client_that_the_user_s_shell_stopped_has_its_terminal_back(room) {
        let mut terminal = outer_shell(room);
        terminal.line(&format!("{} -c 'echo rea\"\"dy; read a; stty size; exit 6'", quoted(&command(room, &[]))));
        terminal.expect("ready");
        let client = descendant(terminal.pid(), "envbox");
        let raw = modes(&terminal);
        kill(client, Signal::SIGTSTP).unwrap();
        terminal.expect("Stopped");
        terminal.expect("outside> ");
        eventually("the container is stopped", || state(descendant(client, "sh")) == 'T');
        terminal.resize(33, 99);
        terminal.line("fg");
        eventually("the terminal is raw again", || modes(&terminal) == raw);
        terminal.line("x");
        terminal.expect("33 99");
        terminal.expect("outside> ");
        terminal.line("echo st''atus $?; exit");
        terminal.expect("status 6");
        terminal.wait();
    }

    fn ctrl_z_stops_both_sides_of_a_pipe(room) {
        let mut terminal = outer_shell(room);
        let client = quoted(&command(room, &["-c", "echo 'rea''dy' >&2; exec sleep 1000"]));
        terminal.line(&format!("true | {client} | cat"));
        terminal.expect("ready");
        let client = descendant(terminal.pid(), "envbox");
        let inside = descendant(client, "sleep");
        terminal.send(CTRL_Z);
        terminal.expect("Stopped");
        eventually("both are stopped", || (state(client), state(inside)) == ('T', 'T'));
        terminal.line("fg");
        eventually("both go on", || (state(client), state(inside)) == ('S', 'S'));
        terminal.send(CTRL_C);
        terminal.expect("outside> ");
        terminal.line("echo en''ded; exit");
        terminal.expect("ended");
        terminal.wait();
    }

    fn ctrl_z_without_a_shell_to_return_to_stops_nothing(room) {
        let line = "echo rea''dy >&2; read line; exit $line";
        let mut terminal = Terminal::start_with(&command(room, &["-c", line]), ">/dev/null");
        terminal.expect("ready");
        terminal.send(CTRL_Z);
        terminal.line("9");
        assert_eq!(terminal.wait(), 9, "{terminal}");
    }

    fn a_terminal_that_is_closed_takes_the_container_along(room) {
        for words in [&[][..], &["-c", "sleep 100"], &["--", "sleep", "100"]] {
            let mut terminal = shell(room, words);
            let client = terminal.pid();
            let (monitor, init) = monitor(client);
            descendant(init, if words.is_empty() { "sh" } else { "sleep" });
            terminal.hang_up();
            // A shell at its prompt may see the end of its input first.
            let status = terminal.wait();
            assert!(status == 129 || (words.is_empty() && status == 0), "{status}");
            assert_eq!((state(monitor), state(init)), ('X', 'X'));
        }
        // Process 1 ignores what it has no handler for.
        let mut terminal = Terminal::start(&run(room, &["-it", "base", "sleep", "100"]));
        child(monitor(terminal.pid()).0, "sleep");
        terminal.hang_up();
        assert_eq!(terminal.wait(), 137);
        // Without a terminal of its own, too.
        let mut terminal = Terminal::start_with(&run(room, &["base", "sleep", "100"]), "</dev/null");
        child(monitor(terminal.pid()).0, "sleep");
        terminal.hang_up();
        assert_eq!(terminal.wait(), 137);
    }

    fn a_signal_that_the_caller_ignores_is_not_forwarded(room) {
        let line = "echo ready; read line; exit 5";
        let mut nohup = room.program("sh");
        nohup.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]).args(words(&command(room, &["-c", line])));
        let mut client = nohup.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut ready = [0; 6];
        std::io::Read::read_exact(&mut client.stdout.take().unwrap(), &mut ready).unwrap();
        kill(Pid::from_raw(client.id().cast_signed()), Signal::SIGHUP).unwrap();
        drop(client.stdin.take());
        assert_eq!(client.wait().unwrap().code(), Some(5));
    }

    fn sigterm_ends_the_container(room) {
        let mut terminal = shell(room, &["--", "sleep", "100"]);
        in_foreground(terminal.pid(), "sleep");
        let (monitor, init) = monitor(terminal.pid());
        terminal.signal(Signal::SIGTERM);
        assert_eq!(terminal.wait(), 143);
        assert_eq!((state(monitor), state(init)), ('X', 'X'));
    }

    fn without_i_there_is_no_input_and_without_t_no_terminal(room) {
        let mut terminal = Terminal::start(&run(room, &["base", "sh", "-c", "readlink /proc/self/fd/0; tty"]));
        terminal.expect("/dev/null");
        terminal.expect("not a tty");
        assert_eq!(terminal.wait(), 1);
        let mut terminal = Terminal::start(&run(room, &["-t", "base", "sh", "-c", "test -t 0 -a -t 1 && tty; echo rea''dy; exec sleep 100"]));
        terminal.expect("/dev/pts/0");
        terminal.expect("ready");
        // The shell has a handler; sleep has none, and is PID 1.
        descendant(terminal.pid(), "sleep");
        // It ignores Ctrl-C, but not for ever.
        eventually("it is killed", || {
            terminal.signal(Signal::SIGINT);
            state(terminal.pid()) == 'Z'
        });
        assert_eq!(terminal.wait(), 137);
        room.run(run(room, &["-it", "base", "true"])).exits(125).warns("not a TTY");
    }

    fn a_pipe_into_a_shell_at_a_terminal_keeps_its_bytes(room) {
        let line = "test -t 1 || exit 9; test -t 0 && exit 8; cat; echo al''l";
        let mut terminal = Terminal::start_with(&command(room, &["-c", line]), "</etc/hostname");
        terminal.expect(std::fs::read_to_string("/etc/hostname").unwrap().trim());
        terminal.expect("all");
        assert_eq!(terminal.wait(), 0);
    }
}
