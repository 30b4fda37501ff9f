//! `envbox events`: past ones, live ones, and how it ends.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::imported::imported;
use crate::harness::{Room, for_everyone};

fn listen(room: &Room, words: &[&str]) -> Child {
    let mut command = room.command(&[&["events"], words].concat());
    command.stdout(Stdio::piped()).spawn().unwrap()
}

/// The next line, without its time.
fn next(lines: &mut impl BufRead) -> String {
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    line.split_once(' ').map(|(_, rest)| rest.trim_end().to_owned()).unwrap_or_default()
}

for_everyone! {
    fn events_of_the_past_are_told_and_filtered(room) {
        let id = imported(room, "a:1", 1_000_000_000);
        room.envbox(&["tag", "a:1", "b:1"]).succeeds();
        room.envbox(&["rmi", "b:1"]).succeeds();
        let past = |words: &[&str]| {
            let words = [&["events", "--since", "1h", "--until", "0s"], words].concat();
            room.envbox(&words).succeeds().quietly().stdout().trim_end().to_owned()
        };
        let untagged = format!("{id} (name=b:1)");
        let shown = past(&["-f", "event=untag"]);
        let (time, rest) = shown.split_once(' ').unwrap();
        assert_eq!(rest, format!("image untag {untagged}"));
        assert_eq!(time.split_once('.').map(|(_, nanos)| nanos.len()), Some(10), "{time}");
        let actions = past(&["--format", "{{.Action}} {{.Actor.Attributes.name}}"]);
        assert_eq!(actions, "import a:1\ntag b:1\nuntag b:1");
        assert_eq!(past(&["-f", "image=a", "--format", "{{.Status}}"]), "import");
        assert_eq!(past(&["-f", "type=container"]), "");
        let json: serde_json::Value =
            serde_json::from_str(&past(&["-f", "event=tag", "--format", "json"])).unwrap();
        assert_eq!((&json["Type"], &json["status"]), (&"image".into(), &"tag".into()));
        assert_eq!((&json["id"], &json["Actor"]["ID"]), (&id.clone().into(), &id.into()));
        let seconds = json["timeNano"].as_i64().unwrap() / 1_000_000_000;
        assert_eq!((&json["time"], &json["scope"]), (&seconds.into(), &"local".into()));
        assert_eq!(room.envbox(&["system", "events", "--until", "1h"]).succeeds().stdout(), "");
        room.envbox(&["events", "-f", "what=x"]).exits(1).warns("there is no filter");
        room.envbox(&["events", "--since", "x"]).exits(1).warns("is no time");
    }

    fn events_come_as_they_happen(room) {
        let id = imported(room, "a:1", 1_000_000_000);
        let mut listener = listen(room, &["--since", "1h"]);
        let mut lines = BufReader::new(listener.stdout.take().unwrap());
        assert_eq!(next(&mut lines), format!("image import {id} (name=a:1)"));
        for number in 0..20 {
            let name = format!("b:{number}");
            room.envbox(&["tag", "a:1", &name]).succeeds();
            assert_eq!(next(&mut lines), format!("image tag {id} (name={name})"));
        }
        kill(Pid::from_raw(listener.id().cast_signed()), Signal::SIGINT).unwrap();
        assert!(!listener.wait().unwrap().success());
    }

    fn events_of_a_store_to_come_are_told_until_the_time_or_reader_ends(room) {
        let mut closed = listen(room, &["--since", "0"]);
        drop(closed.stdout.take());
        assert!(closed.wait().unwrap().success());
        let soon = std::time::SystemTime::now() + std::time::Duration::from_secs(3);
        let soon = soon.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs().to_string();
        let ending = listen(room, &["--until", &soon]);
        let id = imported(room, "a:1", 1_000_000_000);
        let output = ending.wait_with_output().unwrap();
        assert!(output.status.success());
        assert!(String::from_utf8(output.stdout).unwrap().contains(&id));
    }
}
