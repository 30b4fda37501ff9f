//! `envbox commit` and `envbox history`, with overlayfs as root and as an
//! ordinary user have it.

use std::process::Command;

use crate::harness::process::eventually;
use crate::harness::{Room, Who, for_everyone, skip};

/// An image `base` that has what envbox mounts upon, so that a container's
/// tree is its image's and what it wrote.
fn base(room: &Room) {
    let tree = room.rootfs();
    for folder in ["data/deep/er", "data/empty", "dev", "proc", "sys", "etc"] {
        std::fs::create_dir_all(tree.join(folder)).unwrap();
    }
    for file in ["etc/hosts", "etc/hostname", "etc/resolv.conf"] {
        std::fs::write(tree.join(file), "").unwrap();
    }
    for file in ["data/one", "data/two", "data/deep/three", "data/deep/er/four"] {
        std::fs::write(tree.join(file), "x").unwrap();
    }
    room.give(&tree);
    room.envbox(&["import", "-c", "CMD [\"sh\"]", tree.to_str().unwrap(), "base"]).succeeds();
}

/// Runs `script` in a new container of `image`.
fn wrote(room: &Room, image: &str, (name, script): (&str, &str)) {
    room.envbox(&["run", "--name", name, image, "sh", "-ec", script]).succeeds().quietly();
}

/// The ID that `envbox commit` prints, as it does for 2001-09-09.
fn committed(room: &Room, words: &[&str]) -> String {
    let mut commit = room.command(&[&["commit"], words].concat());
    commit.env("SOURCE_DATE_EPOCH", "1000000000");
    let id = room.run(commit).succeeds().quietly().stdout();
    assert!(id.starts_with("sha256:") && id.len() == 72, "{id:?}");
    id.trim().to_owned()
}

/// The tar of a container's or an image's tree.
fn tree(room: &Room, name: &str) -> Vec<u8> {
    let file = room.work().join("tree.tar");
    room.envbox(&["export", "-o", "tree.tar", name]).succeeds().quietly();
    let bytes = std::fs::read(&file).unwrap();
    std::fs::remove_file(file).unwrap();
    bytes
}

/// Asserts that the image that `container` becomes shows what it saw.
fn shows_the_same(room: &Room, container: &str) {
    let image = format!("image-of-{container}");
    room.envbox(&["commit", container, &image]).succeeds().quietly();
    assert!(tree(room, container) == tree(room, &image), "{container}");
}

fn inspect(room: &Room, name: &str, template: &str) -> String {
    room.envbox(&["inspect", "-f", template, name]).succeeds().stdout().trim_end().to_owned()
}

/// One of each thing that can be written.
const SCRIPTS: [(&str, &str); 6] = [
    (
        "added",
        "mkdir -m 1777 /new; echo x >/new/file; ln /new/file /new/again; ln -s file /new/link
         mkfifo -m 640 /new/pipe; touch -d '1999-12-31 23:59:59' /new/file; : >/new/empty
         dd if=/dev/zero of=/new/hole bs=1 count=1 seek=5000000 2>/dev/null; chmod 4755 /new/file",
    ),
    ("removed", "rm /data/one; rm -r /data/deep; rmdir /data/empty"),
    ("opaque", "rm -r /data/deep; mkdir /data/deep; echo y >/data/deep/new"),
    ("renamed", "mv /data/deep /data/moved; mv /data/one /data/uno; mv /data/moved/er /er"),
    ("replaced", "rm -r /data/deep; echo file >/data/deep; rm /data/one; mkdir /data/one"),
    ("metadata", "chmod 700 /data/deep/er; chmod 600 /data/one; touch -d @5 /data/two"),
];

for_everyone! {
    fn an_image_shows_what_its_container_saw(room) {
        base(room);
        for script in SCRIPTS {
            wrote(room, "base", script);
            shows_the_same(room, script.0);
        }
        // A layer upon a layer.
        wrote(room, "image-of-opaque", ("again", "rm /data/deep/new; mkdir -p /data/deep/er/four"));
        shows_the_same(room, "again");
        wrote(room, "image-of-again", ("deeper", "rmdir /data/deep/er/four; echo >/data/deep/er/four"));
        shows_the_same(room, "deeper");
        let layers = inspect(room, "image-of-deeper", "{{len .RootFS.Layers}}");
        assert_eq!(layers, "4");
        room.envbox(&["run", "--rm", "image-of-deeper", "ls", "/data/deep"]).succeeds().says("er\n");
    }

    fn the_same_container_gives_the_same_image(room) {
        base(room);
        wrote(room, "base", ("one", "echo x >/new; rm /data/one"));
        let first = committed(room, &["one", "first:1"]);
        assert_eq!(committed(room, &["one"]), first);
        assert_ne!(committed(room, &["-m", "other", "one"]), first);
        // So does another one that did the same at another time.
        wrote(room, "base", ("two", "echo x >/new; rm /data/one"));
        let label = |name: &str| inspect(room, name, "{{json .RootFS.Layers}}");
        committed(room, &["two", "second"]);
        assert_eq!(label("second"), label("first:1"));
        assert_eq!(inspect(room, "first:1", "{{.Created}}"), "2001-09-09T01:46:40Z");
        room.envbox(&["images", "-q", "--no-trunc", "first"]).succeeds().says(&first);
    }

    fn a_saved_image_is_read_by_others(room) {
        base(room);
        let script = "rm /data/one; rm -r /data/deep; mkdir /data/deep; echo y >/data/deep/new; \
             ln /data/two /data/zwei";
        wrote(room, "base", ("one", script));
        room.envbox(&["commit", "one", "image"]).succeeds().quietly();
        let save = ["save", "--format", "oci-archive", "-o", "image.tar", "image"];
        room.envbox(&save).succeeds().quietly();
        if ["skopeo", "umoci"].iter().any(|program| Command::new(program).arg("--version").output().is_err()) {
            return skip("skopeo or umoci is not installed");
        }
        let run = |words: &[&str]| {
            let mut command = room.program(words[0]);
            command.args(&words[1..]);
            room.run(command).succeeds()
        };
        run(&["skopeo", "copy", "--insecure-policy", "oci-archive:image.tar:latest", "oci:out:latest"]);
        run(&["umoci", "unpack", "--rootless", "--image", "out:latest", "bundle"]);
        let rootfs = room.work().join("bundle/rootfs");
        let names = |path: &str| {
            let names = std::fs::read_dir(rootfs.join(path)).unwrap();
            let mut names: Vec<_> = names.map(|name| name.unwrap().file_name()).collect();
            names.sort();
            names
        };
        assert_eq!(names("data"), ["deep", "empty", "two", "zwei"]);
        assert_eq!(names("data/deep"), ["new"]);
        assert_eq!(std::fs::read(rootfs.join("data/deep/new")).unwrap(), b"y\n");
    }

    fn a_container_without_changes_adds_no_layer(room) {
        base(room);
        wrote(room, "base", ("one", ":"));
        committed(room, &["one", "image"]);
        let layers = |name: &str| inspect(room, name, "{{json .RootFS.Layers}}");
        assert_eq!(layers("image"), layers("base"));
        room.envbox(&["history", "-q", "image"]).succeeds().says("<missing>");
    }

    fn what_envbox_mounts_upon_is_no_change(room) {
        let tree = room.rootfs();
        let import = ["import", "--exclude", "/dev", "--exclude", "/etc/hosts", "--exclude", "/sys"];
        room.envbox(&[&import[..], &[tree.to_str().unwrap(), "bare"]].concat()).succeeds();
        wrote(room, "bare", ("one", "echo x >/root-file"));
        committed(room, &["one", "image"]);
        room.envbox(&["export", "-o", "tree.tar", "image"]).succeeds().quietly();
        let mut list = room.program("tar");
        list.args(["-tf", "tree.tar"]);
        let list = room.run(list).succeeds().stdout();
        let has = |name: &str| list.lines().any(|line| line == name);
        assert!(has("root-file"), "{list}");
        assert!(!has("dev/") && !has("sys/") && !has("etc/hosts"), "{list}");
    }

    fn the_config_is_the_containers_with_the_changes_over_it(room) {
        base(room);
        let run = [
            "run", "--name", "one", "-e", "A=1", "-w", "/data", "-l", "a=b", "--stop-signal", "INT",
            "base", "true",
        ];
        room.envbox(&run).succeeds();
        committed(room, &[
            "-a", "Ada", "-m", "why", "-c", "ENV B=2", "-c", "EXPOSE 80", "-c", "USER 7",
            "-c", "ONBUILD RUN x", "-c", "VOLUME /v", "one", "image:v1",
        ]);
        for (template, value) in [
            ("{{json .Config.Cmd}}", "[\"true\"]"),
            ("{{json .Config.Env}}", "[\"A=1\",\"B=2\"]"),
            ("{{.Config.WorkingDir}} {{.Config.User}}", "/data 7"),
            ("{{json .Config.Labels}}", "{\"a\":\"b\"}"),
            ("{{json .Config.ExposedPorts}}", "{\"80/tcp\":{}}"),
            ("{{json .Config.Volumes}}", "{\"/v\":{}}"),
            ("{{json .Config.OnBuild}}", "[\"RUN x\"]"),
            ("{{.Config.StopSignal}} {{.Author}} {{.Comment}}", "SIGINT Ada why"),
        ] {
            assert_eq!(inspect(room, "image:v1", template), value);
        }
        let bad = room.envbox(&["commit", "-c", "RUN x", "one"]);
        bad.exits(1).warns("RUN");
        room.envbox(&["commit", "gone"]).exits(1).warns("no such container: gone");
        assert_eq!(room.envbox(&["images", "-q", "image"]).stdout().lines().count(), 1);
    }

    fn history_tells_the_steps_and_events_the_commit(room) {
        base(room);
        wrote(room, "base", ("one", "echo 12345 >/new"));
        let id = committed(room, &["-m", "five", "one", "image"]);
        let list = room.envbox(&["history", "image"]).succeeds().quietly().stdout();
        let rows: Vec<&str> = list.lines().collect();
        assert!(rows[0].starts_with("IMAGE          CREATED"), "{list}");
        assert!(rows[1].starts_with(&id[7..19]) && rows[1].contains("sh -ec echo 12345 >/new"));
        assert!(rows[1].contains("6B") && rows[1].ends_with("five"), "{list}");
        assert!(rows[2].starts_with("<missing>") && rows[2].contains("envbox import"), "{list}");
        let words = ["image", "history", "--no-trunc", "-H=false", "--format",
            "{{.ID}} {{.CreatedAt}} {{.Size}} {{.Comment}}", "image"];
        let mut history = room.command(&words);
        history.env("TZ", "UTC");
        let told = room.run(history).succeeds().stdout();
        assert_eq!(told.lines().next().unwrap(), format!("{id} 2001-09-09T01:46:40Z 6 five"));
        let events = ["events", "--since", "0", "--until", "0s", "--format",
            "{{.Type}} {{.Action}} {{.Actor.Attributes.imageRef}}"];
        let events = room.envbox(&events).succeeds().stdout();
        assert!(events.contains("container commit image"), "{events}");
        assert!(events.contains("image tag "), "{events}");
    }

    fn a_name_that_no_layer_can_have_is_refused_and_nothing_is_left(room) {
        base(room);
        wrote(room, "base", ("one", "echo >/data/.wh.one"));
        room.envbox(&["commit", "one", "image"]).exits(1).warns("data/.wh.one cannot be in a layer");
        assert_eq!(room.envbox(&["images", "-q"]).stdout().lines().count(), 1);
        assert_eq!(std::fs::read_dir(room.path().join("store/tmp")).unwrap().count(), 0);
    }

    fn one_that_runs_is_committed_and_goes_on(room) {
        base(room);
        let script = "echo one >/file; while :; do sleep 0.1; echo >>/go; done";
        room.envbox(&["run", "-d", "--name", "one", "base", "sh", "-c", script]).succeeds();
        eventually("it has written", || {
            room.envbox(&["exec", "one", "cat", "/go"]).stdout().contains('\n')
        });
        // Without a cgroup there is a note, and it is committed all the same.
        room.envbox(&["commit", "one", "image"]).succeeds();
        room.envbox(&["commit", "--pause=false", "one", "moving"]).succeeds().quietly();
        assert_eq!(inspect(room, "one", "{{.State.Status}}"), "running");
        let size = || room.envbox(&["exec", "one", "stat", "-c", "%s", "/go"]).stdout();
        let before = size();
        eventually("it goes on", || size() != before);
        room.envbox(&["run", "--rm", "image", "cat", "/file"]).succeeds().says("one");
        room.envbox(&["rm", "-f", "one"]).succeeds();
    }

    fn a_commit_that_is_killed_leaves_nothing_and_lets_go(room) {
        base(room);
        let script = "echo x >/file; while :; do sleep 0.1; done";
        room.envbox(&["run", "-d", "--name", "one", "base", "sh", "-c", script]).succeeds();
        for delay in 0..12 {
            let mut commit = room.command(&["commit", "one"]);
            commit.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
            let mut commit = commit.spawn().unwrap();
            std::thread::sleep(std::time::Duration::from_millis(delay * 2));
            commit.kill().unwrap();
            commit.wait().unwrap();
            eventually("it goes on", || inspect(room, "one", "{{.State.Status}}") == "running");
        }
        let count = |folder| std::fs::read_dir(room.path().join(folder)).unwrap().count();
        // All that came through have the same layer.
        let images = room.envbox(&["images", "-q"]).succeeds().stdout().lines().count();
        assert_eq!(count("store/layers"), images.min(2), "{images} images");
        room.envbox(&["commit", "one", "image"]).succeeds();
        assert_eq!(count("store/tmp"), 0);
        room.envbox(&["save", "--format", "oci-dir", "-o", "out", "image"]).succeeds();
        room.envbox(&["rm", "-f", "one"]).succeeds();
    }
}

/// What an ordinary user may not make.
#[test]
fn devices_owners_and_attributes_are_kept() {
    Room::with(Who::Root, |room| {
        base(room);
        let script = "mknod /data/null c 1 3; mknod /data/loop b 7 0; echo x >/data/mine; \
             chown 1000:100000 /data/mine; chmod 2755 /data/mine; chown -h 5:6 /data/two";
        wrote(room, "base", ("one", script));
        shows_the_same(room, "one");
    });
}
