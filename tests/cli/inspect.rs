//! `envbox inspect` and `envbox export` of containers, and `rmi` of what they
//! stand on.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Stdio};

use crate::harness::{Room, for_everyone};

/// Imports a rootfs as `base`; returns the image's ID.
fn base(room: &Room) -> String {
    let rootfs = room.rootfs();
    let words = ["import", rootfs.to_str().unwrap(), "base"];
    room.envbox(&words).succeeds().stdout().trim().to_owned()
}

/// Starts envbox with a command that says `ready` and then reads a line.
fn started(room: &Room, words: &[&str]) -> Child {
    let mut command = room.command(words);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    child
}

/// Lets that command read its line.
fn ended(mut child: Child) -> Option<i32> {
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    child.wait().unwrap().code()
}

for_everyone! {
    fn a_kept_container_is_inspected_exported_and_keeps_its_image(room) {
        let image = base(room);
        let line = "echo 12345 > /new; rm /etc/group; exit 3";
        room.envbox(&["run", "--name", "box", "base", "sh", "-c", line]).exits(3);
        let found = room.envbox(&["inspect", "-s", "box"]).succeeds().quietly().json()[0].clone();
        assert_eq!(found["Name"], "/box");
        assert_eq!(found["Image"], image);
        assert_eq!(found["Path"], "sh");
        assert_eq!(found["Args"], serde_json::json!(["-c", line]));
        assert_eq!(found["State"]["Status"], "exited");
        assert_eq!(found["State"]["Running"], false);
        assert_eq!(found["State"]["ExitCode"], 3);
        assert_ne!(found["State"]["FinishedAt"], "0001-01-01T00:00:00Z");
        assert_eq!(found["Config"]["Image"], "base");
        assert_eq!(found["SizeRw"], 6);
        let id = found["Id"].as_str().unwrap();
        let code = ["inspect", "-f", "{{.State.ExitCode}}", "--type", "container", &id[..8]];
        assert_eq!(room.envbox(&code).succeeds().stdout(), "3\n");

        room.envbox(&["rmi", "base"]).exits(1).warns("the stopped container box uses it");
        room.envbox(&["rmi", "-f", "base"]).succeeds().says("Deleted: ");
        room.envbox(&["export", "-o", "box.tar", "box"]).succeeds();
        let mut list = room.program("tar");
        list.args(["-tf", "box.tar"]);
        let members = room.run(list).succeeds().stdout();
        for (member, is_there) in [("new", true), ("etc/passwd", true), ("etc/group", false)] {
            assert_eq!(members.lines().any(|line| line == member), is_there, "{member}");
        }
        room.envbox(&["rm", "box"]).succeeds();
        room.envbox(&["inspect", "box"]).exits(1).warns("no such object: box");
    }

    fn a_running_container_is_inspected_and_exported(room) {
        let image = base(room);
        let line = "echo x > /while; echo ready; read line; exit 4";
        let kept = started(room, &["run", "-i", "--name", "kept", "base", "sh", "-c", line]);
        let running = started(room, &["run", "-i", "--rm", "--name", "gone", "base", "sh", "-c", line]);
        for name in ["kept", "gone"] {
            let found = room.envbox(&["inspect", name]).succeeds().json()[0].clone();
            assert_eq!(found["State"]["Status"], "running", "{name}");
            assert_eq!(found["State"]["Running"], true);
            assert_eq!(found["Image"], image);
            assert_eq!(found["Name"], format!("/{name}"));
        }
        room.envbox(&["export", "-o", "kept.tar", "kept"]).succeeds();
        let mut list = room.program("tar");
        list.args(["-tf", "kept.tar", "while"]);
        room.run(list).succeeds().says("while");
        room.envbox(&["rmi", "-f", &image]).exits(1).warns("the running container");
        assert_eq!(ended(kept), Some(4));
        assert_eq!(ended(running), Some(4));
        room.envbox(&["inspect", "gone"]).exits(1);
        let status = room.envbox(&["inspect", "-f", "{{.State.Status}}", "kept"]);
        assert_eq!(status.succeeds().stdout(), "exited\n");
    }
}
