//! `--volumes-from`: a container has what another one has.

use crate::harness::process::eventually;
use crate::harness::{Output, Room, for_everyone};

/// Imports an image with a file at `/dbdata` as `base`.
fn base(room: &Room) {
    let rootfs = room.rootfs();
    std::fs::create_dir(rootfs.join("dbdata")).unwrap();
    std::fs::write(rootfs.join("dbdata/of-the-image"), "image\n").unwrap();
    std::fs::create_dir(room.work().join("src")).unwrap();
    std::fs::write(room.work().join("src/main.c"), "int\n").unwrap();
    room.give(&room.work());
    room.envbox(&["import", rootfs.to_str().unwrap(), "base"]).succeeds();
}

/// Runs `line` by the image's shell in a container that goes with its end.
fn line(room: &Room, flags: &[&str], line: &str) -> Output {
    room.envbox(&[&["run", "--rm"], flags, &["base", "sh", "-c", line]].concat())
}

/// Anonymous volumes, a line each.
fn anonymous(room: &Room) -> Vec<String> {
    let names = room.envbox(&["volume", "ls", "-q"]).succeeds().stdout();
    names.lines().filter(|name| name.len() == 64).map(str::to_owned).collect()
}

for_everyone! {
    fn all_mounts_of_a_container_are_in_the_next_and_in_the_one_after(room) {
        base(room);
        let words = ["create", "--name", "store", "-v", "/dbdata", "-v", "named:/named:ro",
            "-v", "./src:/src", "--tmpfs", "/memory", "base"];
        room.envbox(&[&words[..], &["true"]].concat()).succeeds();
        let look = "cat /dbdata/of-the-image /src/main.c; ls -d /named; ls -d /memory; \
            echo new >/dbdata/new && echo made >/src/made; echo x >/named/x";
        let output = line(room, &["--volumes-from", "store"], look);
        assert_eq!(output.stdout(), "image\nint\n/named\n");
        output.warns("/memory").warns("Read-only file system");
        let made = std::fs::read_to_string(room.work().join("src/made")).unwrap();
        assert_eq!(made, "made\n");
        // Kept ones hand it on, whatever becomes of the first.
        let words = ["create", "--name", "next", "--volumes-from", "store:ro", "base", "sh", "-c",
            "cat /dbdata/new; echo x >/dbdata/x"];
        room.envbox(&words).succeeds();
        let own = anonymous(room);
        assert_eq!(own.len(), 1);
        room.envbox(&["rm", "-v", "store"]).succeeds();
        assert_eq!(anonymous(room), own);
        room.envbox(&["volume", "rm", &own[0]]).exits(1).warns("in use by container next");
        for _ in 0..2 {
            room.envbox(&["start", "-a", "next"]).exits(1).says("new\n").warns("Read-only");
        }
        let cascade = ["--volumes-from", "next:rw"];
        line(room, &cascade, "cat /dbdata/new /src/made; echo x >/dbdata/x; echo x >/src/x")
            .exits(1)
            .says("new\nmade\n")
            .warns("Read-only");
        room.envbox(&["rm", "-v", "next"]).succeeds();
        assert!(anonymous(room).is_empty());
    }

    fn own_mounts_win_and_then_the_last_container(room) {
        base(room);
        for (name, target) in [("one", "/dbdata"), ("two", "/dbdata"), ("other", "/other")] {
            let volume = format!("{name}:{target}");
            let fill = format!("echo {name} >{target}/name");
            let words = ["run", "--name", name, "-v", &volume, "base", "sh", "-c", &fill];
            room.envbox(&words).succeeds();
        }
        let from = ["--volumes-from", "one", "--volumes-from", "two", "--volumes-from", "other"];
        line(room, &from, "cat /dbdata/name /other/name").succeeds().says("two\nother\n");
        let own = [&from[..], &["-v", "one:/other", "--tmpfs", "/dbdata"]].concat();
        line(room, &own, "ls /dbdata; cat /other/name").succeeds().says("one\n");
        // Theirs is not filled from the image of whoever takes it.
        room.envbox(&["create", "--name", "empty", "-v", "hollow:/dbdata:nocopy", "base", "true"])
            .succeeds();
        line(room, &["--volumes-from", "empty"], "ls /dbdata | wc -l").says("0\n");
    }

    fn of_one_that_runs_and_goes_they_are_taken_as_well(room) {
        base(room);
        let words = ["run", "-d", "--rm", "--name", "busy", "-v", "/dbdata", "-v", "./src:/src",
            "base", "sh", "-c", "echo live >/dbdata/live; exec sleep 1000"];
        room.envbox(&words).succeeds();
        let mut terminal = room.terminal(&["run", "-it", "--rm", "--name", "front", "-v",
            "/own", "--volumes-from", "busy", "base", "sh"]);
        terminal.line("echo mine >/own/mine; echo rea''dy");
        terminal.expect("ready");
        // It may print before its file is written.
        eventually("it is listed", || {
            !room.envbox(&["ps", "-q", "-f", "name=front"]).stdout().is_empty()
        });
        let from = ["--volumes-from", "front"];
        line(room, &from, "cat /own/mine /src/main.c /dbdata/of-the-image").succeeds()
            .says("mine\nint\nimage\n");
        let id = room.envbox(&["ps", "-q", "-f", "name=front"]).succeeds().stdout();
        line(room, &["--volumes-from", &id[..6]], "cat /own/mine").succeeds().says("mine\n");
        terminal.line("exit");
        assert_eq!(terminal.wait(), 0);
        line(room, &from, "true").exits(125).warns("no such container: front");
        room.envbox(&["rm", "-f", "busy"]).succeeds();
        assert!(anonymous(room).is_empty());
    }

    fn what_is_no_container_is_refused_by_dockers_words(room) {
        base(room);
        line(room, &["--volumes-from", "none"], "true").exits(125)
            .warns("no such container: none");
        room.envbox(&["create", "--volumes-from", "none", "base", "true"]).exits(1)
            .warns("no such container: none");
        for (value, words) in [("a:x", "invalid mode for volumes-from: x"), ("", "none is named")] {
            line(room, &["--volumes-from", value], "true").exits(125).warns(words);
        }
    }
}
