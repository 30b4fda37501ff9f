//! What is told of containers: who attaches, what is run beside them, and the
//! end of one whose monitor was killed.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::harness::process::eventually;
use crate::harness::{Room, for_everyone};

fn base(room: &Room) {
    room.envbox(&["import", room.rootfs().to_str().unwrap(), "base"]).succeeds();
}

/// What has happened to containers: the actions, with what `more` shows.
fn actions(room: &Room, more: &str) -> Vec<String> {
    let format = format!("{{{{.Action}}}}{more}");
    let words = ["events", "--since", "1h", "--until", "0s", "-f", "type=container", "--format"];
    let output = room.envbox(&[&words[..], &[&format]].concat()).succeeds();
    output.stdout().lines().map(str::to_owned).collect()
}

/// The monitor of the container `name`: the parent of its first process.
fn monitor(room: &Room, name: &str) -> Pid {
    let pid = room.envbox(&["inspect", "-f", "{{.State.Pid}}", name]).succeeds();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.stdout().trim())).unwrap();
    let parent = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(1).unwrap();
    Pid::from_raw(parent.parse().unwrap())
}

for_everyone! {
    fn a_client_and_what_it_runs_beside_are_told(room) {
        base(room);
        room.envbox(&["run", "--name", "front", "base", "true"]).succeeds();
        assert_eq!(actions(room, ""), ["create", "attach", "start", "die"]);
        room.envbox(&["rm", "front"]).succeeds();
        room.envbox(&["run", "-d", "--name", "web", "base", "sleep", "1000"]).succeeds();
        room.envbox(&["exec", "web", "sh", "-c", "exit 3"]).exits(3);
        room.envbox(&["exec", "web", "/none"]).exits(127);
        let told = actions(room, " {{.Actor.Attributes.exitCode}}");
        let told: Vec<&str> = told.iter().map(|line| line.trim_end()).collect();
        assert_eq!(told[4..], ["destroy <no value>", "create <no value>", "start <no value>",
            "exec_create: sh -c exit 3 <no value>", "exec_start: sh -c exit 3 <no value>",
            "exec_die 3", "exec_create: /none <no value>", "exec_start: /none <no value>"]);
        let ids = actions(room, " {{.Actor.Attributes.execID}}");
        let id = |line: &String| line.rsplit_once(' ').unwrap().1.to_owned();
        assert_eq!((id(&ids[7]), id(&ids[8])), (id(&ids[9]), id(&ids[9])));
        assert_ne!(id(&ids[9]), id(&ids[10]));
        room.envbox(&["rm", "-f", "web"]).succeeds();
    }

    fn the_end_of_a_container_whose_monitor_was_killed_is_told_once(room) {
        base(room);
        room.envbox(&["run", "-d", "--name", "kept", "base", "sleep", "1000"]).succeeds();
        room.envbox(&["run", "-d", "--rm", "--name", "going", "base", "sleep", "1000"]).succeeds();
        let mut shell = room.command(&["run", "--rm", "--name", "front", "base", "sleep", "1000"]);
        let mut client = shell.stderr(Stdio::null()).spawn().unwrap();
        eventually("it runs", || {
            room.envbox(&["ps", "-q", "-f", "name=front"]).succeeds().stdout().len() > 1
        });
        for name in ["kept", "going", "front"] {
            kill(monitor(room, name), Signal::SIGKILL).unwrap();
        }
        assert!(!client.wait().unwrap().success());
        let ends = || {
            let told = actions(room, " {{.Actor.Attributes.name}} {{.Actor.Attributes.exitCode}}");
            let mut ends: Vec<String> =
                told.into_iter().filter(|line| line.starts_with("die")).collect();
            ends.sort();
            ends
        };
        let all = ["die front 137", "die going 137", "die kept 137"];
        eventually("all three ends are told", || ends() == all);
        let shown = room.envbox(&["ps", "-a", "--format", "{{.Names}} {{.Status}}"]).succeeds();
        let shown = shown.stdout().trim_end().to_owned();
        assert!(shown.starts_with("kept Exited (137) ") && shown.ends_with(" ago"), "{shown}");
        let found = room.envbox(&["inspect", "-f", "{{.State.FinishedAt}}", "kept"]).succeeds();
        assert!(!found.stdout().starts_with("0001"), "{}", found.stdout());
        assert_eq!(ends(), all);
    }

    fn what_has_printed_can_be_found(room) {
        base(room);
        for _ in 0..20 {
            let line = "echo up; read line";
            let words = ["run", "--rm", "-i", "--name", "front", "base", "sh", "-c", line];
            let mut command = room.command(&words);
            let mut child =
                command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            let mut first = String::new();
            BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
            room.envbox(&["exec", "front", "true"]).succeeds();
            drop(child.stdin.take());
            child.wait().unwrap();
        }
    }
}
