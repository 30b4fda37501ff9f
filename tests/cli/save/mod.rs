//! `envbox save`: what it writes, and what it leaves alone.

mod compress;
mod docker;
mod ends;
mod peers;

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use super::imported::{imported, short};
use crate::harness::{Output, Room, for_everyone, skip};

fn is_installed(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

/// Runs `script` in a shell that has envbox as `$0`.
fn shell(room: &Room, script: &str) -> Output {
    let mut shell = room.program("bash");
    shell.args(["-ec", &format!("set -o pipefail; {script}"), env!("CARGO_BIN_EXE_envbox")]);
    room.run(shell)
}

/// Imports a file of so many MiB, in which no two lines are alike, by the name
/// `large`.
fn large(room: &Room, size: usize) {
    let folder = room.work().join("big");
    std::fs::create_dir(&folder).unwrap();
    let line = |number| format!("{number:15x}\n").into_bytes();
    let content: Vec<u8> = (0..size << 16).flat_map(line).collect();
    std::fs::write(folder.join("file"), content).unwrap();
    room.give(&folder);
    room.envbox(&["import", "-q", "big", "large"]).succeeds();
}

/// The JSON of the member `name` of an archive.
fn member(room: &Room, archive: &str, name: &str) -> serde_json::Value {
    shell(room, &format!("tar -xOf {archive} {name}")).succeeds().json()
}

/// What lies in the working directory.
fn listing(room: &Room) -> Vec<std::ffi::OsString> {
    let entries = std::fs::read_dir(room.work()).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    names
}

/// The names that the index of a layout gives.
fn names(layout: &Path) -> Vec<String> {
    let index = std::fs::read(layout.join("index.json")).unwrap();
    let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
    let name = |manifest: &serde_json::Value| {
        let annotation = "org.opencontainers.image.ref.name";
        manifest["annotations"][annotation].as_str().unwrap_or_default().to_owned()
    };
    index["manifests"].as_array().unwrap().iter().map(name).collect()
}

for_everyone! {
    fn save_makes_a_layout_that_skopeo_reads(room) {
        let id = imported(room, "vmibuild:v1", 1_000_000_000);
        let words = ["save", "--format", "oci-dir", "-o", "out", "vmibuild:v1"];
        room.envbox(&words).succeeds().quietly();
        assert_eq!(names(&room.work().join("out")), ["v1"]);
        if !is_installed("skopeo") {
            return skip("skopeo is not installed");
        }
        let mut skopeo = room.program("skopeo");
        skopeo.args(["inspect", "oci:out:v1"]);
        let seen = room.run(skopeo).succeeds().json();
        assert_eq!(seen["Created"], "2001-09-09T01:46:40Z");
        let mut skopeo = room.program("skopeo");
        skopeo.args(["inspect", "--raw", "oci:out:v1"]);
        assert_eq!(room.run(skopeo).succeeds().json()["config"]["digest"], id);
    }

    fn save_names_images_by_tag_or_in_full(room) {
        let id = imported(room, "a:1", 1_000_000_000);
        imported(room, "b:1", 1_100_000_000);
        room.envbox(&["tag", "a:1", "a:2"]).succeeds();
        let save = |folder: &str, images: &[&str]| {
            let words: Vec<&str> = ["image", "save", "--format", "oci-dir", "--output", folder]
                .iter()
                .chain(images)
                .copied()
                .collect();
            room.envbox(&words).succeeds().quietly();
            names(&room.work().join(folder))
        };
        assert_eq!(save("all", &["a"]), ["1", "2"]);
        assert_eq!(save("twice", &["a:1", "a:1"]), ["1"]);
        assert_eq!(save("full", &["a:1", "b:1"]), ["a:1", "b:1"]);
        assert_eq!(save("nameless", &[short(&id)]), [""]);
    }

    fn save_touches_nothing_that_is_there(room) {
        imported(room, "a", 1_000_000_000);
        let work = room.work();
        std::fs::create_dir(work.join("full")).unwrap();
        std::fs::write(work.join("full/mine"), "mine").unwrap();
        std::fs::write(work.join("file"), "mine").unwrap();
        std::fs::create_dir(work.join("empty")).unwrap();
        symlink("empty", work.join("link")).unwrap();
        symlink("nowhere", work.join("dangling")).unwrap();
        let save = |folder: &str| {
            room.envbox(&["save", "--format", "oci-dir", "-o", folder, "a"])
        };
        for (folder, why) in [
            ("full", "is not an empty directory"),
            ("file", "is not an empty directory"),
            ("link", "is a symbolic link"),
            ("dangling", "is a symbolic link"),
            ("no/such/place", "cannot open the directory"),
        ] {
            save(folder).exits(1).warns(why);
        }
        assert_eq!(std::fs::read(work.join("full/mine")).unwrap(), b"mine");
        assert_eq!(std::fs::read(work.join("file")).unwrap(), b"mine");
        assert_eq!(std::fs::read_dir(work.join("empty")).unwrap().count(), 0);
        assert!(!work.join("nowhere").exists());
        room.envbox(&["save", "--format", "oci-dir", "-o", "new", "a", "gone"])
            .exits(1)
            .warns("no such image: gone");
        let mut left: Vec<_> =
            std::fs::read_dir(&work).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["dangling", "empty", "file", "full", "link", "tree"]);
    }

    fn save_makes_an_archive_that_skopeo_reads(room) {
        let id = imported(room, "vmibuild:v1", 1_000_000_000);
        room.envbox(&["save", "--format", "oci-archive", "-o", "a.tar", "vmibuild:v1"])
            .succeeds()
            .quietly();
        let mut stream = room.program("sh");
        stream.args(["-ec", "\"$0\" save --format oci-archive vmibuild:v1 > b.tar"]);
        stream.arg(env!("CARGO_BIN_EXE_envbox"));
        room.run(stream).succeeds().quietly();
        let read = |name: &str| std::fs::read(room.work().join(name)).unwrap();
        assert!(read("a.tar") == read("b.tar"), "a file and a stream are the same");
        room.envbox(&["save", "--format", "oci-dir", "vmibuild"]).exits(1).warns("with -o");
        room.envbox(&["save", "--format", "oci-dir", "-o", "out", "vmibuild:v1"]).succeeds();
        let script = "mkdir in; tar -C in -xf a.tar; diff -r in out";
        let mut compare = room.program("sh");
        compare.args(["-ec", script]);
        room.run(compare).succeeds().quietly();
        if !is_installed("skopeo") {
            return skip("skopeo is not installed");
        }
        let mut skopeo = room.program("skopeo");
        skopeo.args(["inspect", "--raw", "oci-archive:a.tar:v1"]);
        assert_eq!(room.run(skopeo).succeeds().json()["config"]["digest"], id);
    }

    fn save_notices_a_damaged_layer(room) {
        imported(room, "a", 1_000_000_000);
        let mut damage = room.program("sh");
        let line = "cd \"$ENVBOX_ROOT\"/layers/*/; if test -e tar; then sed -i s/root:/ruot:/ tar
            else echo x >tree/etc/passwd; fi";
        damage.args(["-ec", line]);
        room.run(damage).succeeds().quietly();
        let saved = room.envbox(&["save", "--format", "oci-dir", "-o", "out", "a"]);
        saved.exits(1).warns("layer sha256:");
        std::fs::write(room.work().join("old.tar"), "old").unwrap();
        room.give(&room.work().join("old.tar"));
        let saved = room.envbox(&["save", "--format", "oci-archive", "-o", "old.tar", "a"]);
        saved.exits(1).warns("layer sha256:");
        assert_eq!(std::fs::read(room.work().join("old.tar")).unwrap(), b"old");
        let mut left: Vec<_> = std::fs::read_dir(room.work())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        left.sort();
        assert_eq!(left, ["old.tar", "tree"]);
    }
}
