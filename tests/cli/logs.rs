//! `envbox logs`: what a container printed, from docker's json-file format.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::harness::process::eventually;
use crate::harness::{Output, Room, Terminal, for_everyone};

const CTRL_C: &str = "\x03";

/// A line of a log file; `text` is as in JSON.
fn entry(stream: &str, second: u32, text: &str) -> String {
    format!(
        "{{\"log\":\"{text}\",\"stream\":\"{stream}\",\
         \"time\":\"2026-01-02T03:04:{second:02}.5Z\"}}\n"
    )
}

fn import(room: &Room) {
    room.envbox(&["import", room.rootfs().to_str().unwrap(), "base"]).succeeds();
}

/// A container `it` that has ended.
fn kept(room: &Room) {
    import(room);
    room.envbox(&["run", "--name", "it", "base", "true"]).succeeds();
}

/// A container `it` that runs until it reads a line, and prints nothing.
fn running(room: &Room) -> Child {
    import(room);
    let mut command = room.command(&["run", "-i", "--name", "it", "base", "sh", "-c", "read line"]);
    let child = command.stdin(Stdio::piped()).spawn().unwrap();
    eventually("the container runs", || {
        let words = ["ps", "--format", "{{.Names}} {{.State}}"];
        room.envbox(&words).stdout().contains("it running")
    });
    child
}

fn end(mut container: Child) {
    drop(container.stdin.take());
    container.wait().unwrap();
}

/// The folder of the log of `it`.
fn folder(room: &Room) -> PathBuf {
    let id = room.envbox(&["ps", "-a", "-q", "--no-trunc"]).succeeds().stdout();
    room.path().join("store/containers").join(id.trim()).join("log")
}

/// Makes `content` the log's file `name`.
fn write(room: &Room, name: &str, content: &str) {
    let folder = folder(room);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(name), content).unwrap();
    room.give(&folder);
}

fn append(room: &Room, content: &str) {
    let path = folder(room).join("log.json");
    let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
    file.write_all(content.as_bytes()).unwrap();
}

/// Runs a line of shell, in which `$0` is envbox.
fn shell(room: &Room, line: &str) -> Output {
    room.run(shell_command(room, line))
}

fn shell_command(room: &Room, line: &str) -> Command {
    let mut command = room.program("sh");
    command.args(["-c", line, env!("CARGO_BIN_EXE_envbox")]);
    command
}

for_everyone! {
    fn both_outputs_stay_apart_and_in_order(room) {
        kept(room);
        let lines = [
            entry("stdout", 1, "one\\n"),
            entry("stderr", 2, "\\u001b[31mtwo\\n"),
            entry("stdout", 3, "three"),
        ];
        write(room, "log.json", &lines.concat());
        let output = room.envbox(&["logs", "it"]).succeeds();
        assert_eq!(output.stdout(), "one\nthree");
        assert_eq!(output.stderr(), "\u{1b}[31mtwo\n");
        let both = shell(room, "\"$0\" container logs it 2>&1").succeeds();
        assert_eq!(both.stdout(), "one\n\u{1b}[31mtwo\nthree");
    }

    fn a_part_is_asked_for_as_in_docker(room) {
        kept(room);
        let lines = |seconds: std::ops::Range<u32>| -> String {
            seconds.map(|second| entry("stdout", second, &format!("{second}\\n"))).collect()
        };
        write(room, "log.json.2", &lines(1..4));
        write(room, "log.json.1", &lines(4..6));
        write(room, "log.json", &(lines(6..9) + "{\"log\":\"hal"));
        for (words, expected) in [
            (&["--tail", "all"][..], "12345678"),
            (&["--tail=-1"], "12345678"),
            (&["-n", "0"], ""),
            (&["-n", "4"], "5678"),
            (&["--since", "2026-01-02T03:04:07Z"], "78"),
            (&["--until", "2026-01-02T03:04:03Z"], "12"),
            (&["--tail", "6", "--until", "2026-01-02T03:04:05.5Z"], "345"),
            (&["--since", "1s"], ""),
            (&["--since", "0"], "12345678"),
        ] {
            let output = room.envbox(&[&["logs"], words, &["it"]].concat()).succeeds();
            assert_eq!(output.stdout().replace('\n', ""), expected, "{words:?}");
        }
        let timed = room.envbox(&["logs", "-t", "-n", "1", "it"]).succeeds();
        assert_eq!(timed.stdout(), "2026-01-02T03:04:08.500000000Z 8\n");
        room.envbox(&["logs", "--tail", "few", "it"]).exits(1).warns("hint: ");
        room.envbox(&["logs", "--since", "then", "it"]).exits(1).warns("is no time");
    }

    fn a_time_stands_before_lines_not_before_their_parts(room) {
        kept(room);
        let lines = [
            entry("stdout", 1, "a"),
            entry("stderr", 1, "x\\n"),
            entry("stdout", 1, "b\\n"),
            entry("stdout", 2, "c\\n"),
        ];
        write(room, "log.json", &lines.concat());
        let output = room.envbox(&["logs", "--timestamps", "it"]).succeeds();
        let time = |second| format!("2026-01-02T03:04:0{second}.500000000Z");
        assert_eq!(output.stdout(), format!("{} ab\n{} c\n", time(1), time(2)));
        assert_eq!(output.stderr(), format!("{} x\n", time(1)));
    }

    fn a_container_without_a_log_is_told(room) {
        room.envbox(&["logs", "it"]).exits(1).warns("no such container: it");
        kept(room);
        let _ = fs::remove_dir_all(folder(room));
        room.envbox(&["logs", "it"]).exits(1).warns("\"it\" keeps no log").warns("hint: ");
        room.envbox(&["logs", "other"]).exits(1).warns("no such container: other");
    }

    fn a_follower_ends_with_the_container(room) {
        let container = running(room);
        write(room, "log.json", &entry("stdout", 1, "one\\n"));
        let mut command = room.command(&["logs", "-f", "it"]);
        let mut logs = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut output = BufReader::new(logs.stdout.take().unwrap());
        let mut line = || {
            let mut line = String::new();
            output.read_line(&mut line).unwrap();
            line
        };
        assert_eq!(line(), "one\n");
        append(room, &entry("stdout", 2, "two\\n"));
        assert_eq!(line(), "two\n");
        fs::rename(folder(room).join("log.json"), folder(room).join("log.json.1")).unwrap();
        write(room, "log.json", &entry("stdout", 3, "three\\n"));
        assert_eq!(line(), "three\n");
        append(room, &entry("stdout", 4, "last"));
        end(container);
        assert_eq!(line(), "last");
        assert_eq!(line(), "");
        assert!(logs.wait().unwrap().success());
        room.envbox(&["logs", "-f", "it"]).succeeds().says("one\n");
    }

    fn ctrl_c_ends_a_follower_quietly(room) {
        let container = running(room);
        write(room, "log.json", &entry("stdout", 1, "one\\n"));
        let mut terminal = Terminal::start(&room.command(&["logs", "-f", "it"]));
        terminal.expect("one");
        terminal.send(CTRL_C);
        assert_eq!(terminal.wait(), 130);
        let seen = String::from_utf8_lossy(terminal.seen()).replace("^C", "");
        assert_eq!(seen.trim(), "one");
        end(container);
    }

    fn a_reader_that_goes_ends_it_quietly(room) {
        let container = running(room);
        let mut many = String::new();
        for _ in 0..50_000 {
            write!(many, "{}", entry("stdout", 1, "line\\n")).unwrap();
        }
        write(room, "log.json", &many);
        let ended = |flags: &str| {
            let line = format!("{{ \"$0\" logs {flags} it; echo \"ended $?\" >&2; }} | head -n 1");
            let output = shell(room, &line).succeeds();
            assert_eq!((output.stdout(), output.stderr()), ("line\n".into(), "ended 0\n".into()));
        };
        ended("");
        ended("-f");
        // Nothing more is printed that would break the pipe.
        ended("-f -n 1");
        end(container);
    }
}
