//! `envbox image diff`, with the layers as overlayfs has them for root and for
//! an ordinary user.

use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::path::Path;
use std::process::Command;

use crate::harness::{Room, Who, for_everyone};

/// A tree in `work/NAME`.
fn tree(room: &Room, name: &str, fill: impl FnOnce(&Path)) {
    let tree = room.work().join(name);
    for folder in ["", "data", "data/deep", "data/gone/er"] {
        let folder = tree.join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::set_permissions(folder, PermissionsExt::from_mode(0o755)).unwrap();
    }
    for file in ["data/one", "data/two", "data/mode", "data/gone/er/file", "data/attribute"] {
        std::fs::write(tree.join(file), "x".repeat(1000)).unwrap();
    }
    symlink("one", tree.join("data/link")).unwrap();
    fill(&tree);
    room.give(&tree);
    import(room, name);
}

fn import(room: &Room, name: &str) {
    let tree = room.work().join(name);
    room.envbox(&["import", tree.to_str().unwrap(), name]).succeeds();
}

fn lines(room: &Room, words: &[&str]) -> Vec<String> {
    let output = room.envbox(&[&["image", "diff"], words].concat()).succeeds().quietly();
    output.stdout().lines().map(str::to_owned).collect()
}

fn set_xattr(path: &Path, name: &str, value: &[u8]) {
    rustix::fs::lsetxattr(path, name, value, rustix::fs::XattrFlags::empty()).unwrap();
}

/// Makes an image `name` of what `script` writes upon `image`.
fn committed(room: &Room, image: &str, (name, script): (&str, &str)) {
    room.envbox(&["run", "--name", name, image, "sh", "-ec", script]).succeeds().quietly();
    room.envbox(&["commit", name, name]).succeeds().quietly();
}

for_everyone! {
    fn image_diff_tells_what_differs_and_how(room) {
        tree(room, "old", |_| ());
        tree(room, "new", |tree| {
            let path = |name: &str| tree.join(name);
            std::fs::remove_dir_all(path("data/gone")).unwrap();
            std::fs::create_dir(path("data/fresh")).unwrap();
            std::fs::write(path("data/fresh/file"), "1234").unwrap();
            // Of the same size, and of the same three digits.
            std::fs::write(path("data/one"), "y".repeat(1000)).unwrap();
            std::fs::write(path("data/two"), "x".repeat(1001)).unwrap();
            std::fs::set_permissions(path("data/mode"), PermissionsExt::from_mode(0o1755)).unwrap();
            std::fs::set_permissions(path("data/deep"), PermissionsExt::from_mode(0o700)).unwrap();
            set_xattr(&path("data/attribute"), "user.note", b"new");
            std::fs::remove_file(path("data/link")).unwrap();
            symlink("two\x1b[2J", path("data/link")).unwrap();
        });
        let expected = [
            "C /data/attribute  (xattr user.note)",
            "C /data/deep  (mode 0755 -> 0700)",
            "A /data/fresh",
            "A /data/fresh/file  4B",
            "D /data/gone  1kB",
            "C /data/link  (target one -> two\\u{1b}[2J)",
            "C /data/mode  (mode 0644 -> 1755)",
            "C /data/one  (content)",
            "C /data/two  1000B -> 1001B (content)",
        ];
        assert_eq!(lines(room, &["old", "new"]), expected);
        let back = lines(room, &["new", "old"]);
        assert_eq!(back.len(), expected.len() + 1, "{back:?}");
        assert_eq!(back[3..6], ["A /data/gone", "A /data/gone/er", "A /data/gone/er/file  1kB"]);
    }

    fn what_is_the_same_differs_in_nothing_whatever_made_it(room) {
        tree(room, "old", |_| ());
        tree(room, "new", |tree| {
            let mut touch = Command::new("touch");
            touch.args(["-d", "@1", "data", "data/one"]).current_dir(tree);
            assert!(touch.status().unwrap().success());
        });
        room.envbox(&["tag", "old", "again"]).succeeds();
        for other in ["old", "again"] {
            assert_eq!(lines(room, &["--exit-code", "--times", "old", other]), [""; 0]);
        }
        assert_eq!(lines(room, &["--exit-code", "old", "new"]), [""; 0]);
        let timed = lines(room, &["--times", "old", "new"]);
        assert!(timed.contains(&"C /data/one  (mtime)".to_owned()), "{timed:?}");
    }

    fn layers_and_their_whiteouts_are_seen_through(room) {
        let rootfs = room.rootfs();
        std::fs::create_dir_all(rootfs.join("data/deep/er")).unwrap();
        for file in ["data/one", "data/deep/three", "data/deep/er/four"] {
            std::fs::write(rootfs.join(file), "x").unwrap();
        }
        room.give(&rootfs);
        import(room, "rootfs");
        committed(room, "rootfs", ("first", "rm -r /data/one /data/deep; mkdir /data/deep; : >/data/deep/new"));
        let expected = [
            "D /data/deep/er  1B",
            "A /data/deep/new  0B",
            "D /data/deep/three  1B",
            "D /data/one  1B",
        ];
        let of_data = |old: &str, new: &str| {
            let mut lines = lines(room, &[old, new]);
            lines.retain(|line| line[1..].starts_with(" /data"));
            lines
        };
        assert_eq!(of_data("rootfs", "first"), expected);
        committed(room, "first", ("second",
            "rm /data/deep/new; mkdir /data/deep/er; printf x >/data/deep/er/four; printf x >/data/one
             printf x >/data/deep/three"));
        assert_eq!(of_data("rootfs", "second"), [""; 0]);
        committed(room, "second", ("third", "rm -r /data/deep; printf 12 >/data/deep"));
        let expected = [
            "C /data/deep  (type directory -> regular file, mode 0755 -> 0644)",
            "D /data/deep/er  1B",
            "D /data/deep/three  1B",
        ];
        assert_eq!(of_data("rootfs", "third"), expected);
    }

    fn configs_are_compared_too(room) {
        tree(room, "old", |_| ());
        let tree = room.work().join("old");
        let changes = ["-c", "ENV A=1 B=2", "-c", "CMD [\"sh\"]", "-c", "EXPOSE 80", "-c", "LABEL l=m"];
        room.envbox(&[&["import"], &changes[..], &[tree.to_str().unwrap(), "one"]].concat()).succeeds();
        let changes = ["-c", "ENV A=2 C=3", "-c", "CMD [\"true\"]", "-c", "USER 7", "-c", "VOLUME /v"];
        room.envbox(&[&["import"], &changes[..], &[tree.to_str().unwrap(), "two"]].concat()).succeeds();
        let expected = [
            "config Cmd [\"sh\"] -> [\"true\"]",
            "config Env.A \"1\" -> \"2\"",
            "config Env.B \"2\" -> none",
            "config Env.C none -> \"3\"",
            "config ExposedPorts.80/tcp {} -> none",
            "config Labels.l \"m\" -> none",
            "config User none -> \"7\"",
            "config Volumes./v none -> {}",
        ];
        assert_eq!(lines(room, &["one", "two"]), expected);
        room.envbox(&["image", "diff", "--exit-code", "one", "two"]).exits(1).quietly();
    }

    fn differences_are_formatted_as_docker_formats(room) {
        tree(room, "old", |_| ());
        tree(room, "new", |tree| {
            std::fs::write(tree.join("data/\x1bnew"), "12").unwrap();
            std::fs::remove_file(tree.join("data/two")).unwrap();
        });
        let template = "{{.Kind}} {{.Path}} {{.OldSize}} {{.NewSize}}{{range .Changes}} {{.}}{{end}}";
        let formatted = lines(room, &["--format", template, "old", "new"]);
        assert_eq!(formatted, ["A /data/\\u{1b}new 0 2", "D /data/two 1000 0"]);
        let rows = lines(room, &["--format", "json", "old", "new"]);
        let row: serde_json::Value = serde_json::from_str(&rows[0]).unwrap();
        assert_eq!((&row["Path"], &row["Type"], &row["New"]),
            (&"/data/\x1bnew".into(), &"path".into(), &"regular file".into()));
        let table = lines(room, &["--format", "table", "old", "new"]);
        assert!(table[0].starts_with("KIND      PATH") && table.len() == 3, "{table:?}");
        room.envbox(&["image", "diff", "--format", "{{.Size}}", "old", "new"]).exits(1).warns("Size");
    }

    fn an_image_that_is_not_there_is_named(room) {
        room.envbox(&["image", "diff", "old", "new"]).exits(1).warns("no such image: old");
        tree(room, "old", |_| ());
        room.envbox(&["image", "diff", "--exit-code", "old", "new"]).exits(1).warns("no such image: new");
        room.envbox(&["image", "diff", "old"]).exits(1).warns("NEW");
    }
}

/// What an ordinary user may not make.
#[test]
fn owners_devices_and_capabilities_differ() {
    Room::with(Who::Root, |room| {
        let make = |path: &Path, minor: &str| {
            let status = Command::new("mknod").arg(path).args(["c", "1", minor]).status();
            assert!(status.unwrap().success());
        };
        tree(room, "old", |tree| make(&tree.join("data/device"), "3"));
        tree(room, "new", |tree| {
            make(&tree.join("data/device"), "5");
            lchown(tree.join("data/link"), Some(5), Some(6)).unwrap();
            lchown(tree.join("data"), Some(0), Some(100_000)).unwrap();
            let mut capability = [0; 20];
            capability[..8].copy_from_slice(&[1, 0, 0, 2, 0, 0x20, 0, 0]);
            set_xattr(&tree.join("data/attribute"), "security.capability", &capability);
        });
        let expected = [
            "C /data  (owner 0:0 -> 0:100000)",
            "C /data/attribute  (xattr security.capability)",
            "C /data/device  (device 1:3 -> 1:5)",
            "C /data/link  (owner 0:0 -> 5:6)",
        ];
        assert_eq!(lines(room, &["old", "new"]), expected);
    });
}

/// No container of the user's sees the device, so no comparison does.
#[test]
fn what_a_users_store_cannot_show_is_told() {
    Room::with(Who::User, |room| {
        tree(room, "old", |_| ());
        let script = "
import io, tarfile
with tarfile.open('image.tar', 'w') as t:
    info = tarfile.TarInfo('null'); info.type = tarfile.CHRTYPE
    info.devmajor, info.devminor, info.mode = 1, 3, 0o666
    t.addfile(info)";
        let mut python = room.program("python3");
        python.args(["-c", script]);
        room.run(python).succeeds();
        room.envbox(&["import", "image.tar", "new"]).succeeds();
        let diff = room.envbox(&["image", "diff", "old", "new"]).succeeds();
        diff.warns("some owners, devices or attributes of new are not compared").says("D /data");
    });
}
