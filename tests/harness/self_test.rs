//! The harness, tested by itself: a room that did not notice what is left, or a
//! probe that lied, would make every other test worthless.

use std::process::Command;

use super::{Room, Terminal, for_everyone, leftover, probe};

for_everyone! {
    fn a_room_is_sealed(room) {
        let output = room.run(room.program("env")).succeeds().quietly();
        let mut names: Vec<String> =
            output.stdout().lines().map(|line| line.split('=').next().unwrap_or("").into()).collect();
        names.sort();
        let expected =
            ["ENVBOX_ROOT", "ENVBOX_RUN", "HOME", "LANG", "PATH", "TERM", "TMPDIR", "XDG_RUNTIME_DIR"];
        assert_eq!(names, expected);
        let mut shell = room.program("sh");
        shell.args(["-c", "touch file $HOME/file $TMPDIR/file && mkdir $ENVBOX_ROOT; echo no >&2; exit 4"]);
        room.run(shell).exits(4).warns("no");
    }

    fn the_probe_tells_the_truth(room) {
        let mut shell = room.program("sh");
        let script = "umask 027; ulimit -n 99; exec \"$0\" / /proc";
        shell.args(["-c", script]).arg(probe()).env("QUOTED", "a\"b\\c\nd");
        let report = room.run(shell).succeeds().json();
        let uid = room.run(id("-u", room)).succeeds().stdout();
        assert_eq!(report["status"]["Uid"].as_str().and_then(|ids| ids.split('\t').next()), Some(uid.trim()));
        assert_eq!(report["status"]["Umask"], "0027");
        assert_eq!(report["limits"]["Max open files"], "99 99");
        assert_eq!(report["env"]["QUOTED"], "a\"b\\c\nd");
        assert_eq!(report["cwd"].as_str(), room.work().to_str());
        assert_eq!(report["fds"]["0"], "/dev/null");
        assert_eq!(report["argv"][1], "/");
    }

    fn a_rootfs_has_a_shell(room) {
        let rootfs = room.rootfs();
        let mut shell = room.program(rootfs.join("bin/busybox").to_str().expect("text"));
        shell.current_dir(&rootfs).args(["sh", "-c", "test -w etc/passwd && test -L bin/ls && echo fine"]);
        room.run(shell).succeeds().says("fine");
    }
}

fn id(option: &str, room: &Room) -> Command {
    let mut command = room.program("id");
    command.arg(option);
    command
}

#[test]
fn a_room_notices_what_is_left() {
    let room = Room::new();
    let mut sleep = room.program("sleep").arg("100").spawn().expect("starts");
    let found = leftover::find(room.path());
    sleep.kill().and_then(|()| sleep.wait()).expect("is a child");
    assert_eq!(found, [format!("process {} (sleep)", sleep.id())]);
    assert!(leftover::find(room.path()).is_empty());
}

#[test]
fn a_room_runs_commands_at_a_terminal() {
    let room = Room::new();
    let mut shell = room.program("sh");
    shell.args(["-c", "tty -s && echo at a terminal; exit 3"]);
    let mut terminal = Terminal::start(&shell);
    terminal.expect("at a terminal");
    assert_eq!(terminal.wait(), 3);
    assert_eq!(room.terminal(&["--help"]).wait(), 0);
}

#[test]
fn the_binary_is_there() {
    Room::new().envbox(&["--help"]).succeeds().quietly();
}
