//! `envbox save`, read by skopeo and unpacked by umoci.

use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};
use std::path::Path;
use std::process::Command;

use super::imported::{imported, short};
use crate::harness::{Room, Who, for_everyone, skip};

fn is_installed(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
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

/// A tree with one of everything that a layer can hold.
fn rich_tree(tree: &Path) {
    let path = |name: &str| tree.join(name);
    for folder in ["bin", "etc", "tmp", "dev"] {
        std::fs::create_dir_all(path(folder)).unwrap();
    }
    std::fs::write(path("bin/su"), "su").unwrap();
    lchown(path("bin/su"), Some(0), Some(42)).unwrap();
    std::fs::set_permissions(path("bin/su"), PermissionsExt::from_mode(0o6755)).unwrap();
    std::fs::write(path("etc/user"), "user").unwrap();
    lchown(path("etc/user"), Some(1000), Some(100_000)).unwrap();
    std::fs::hard_link(path("etc/user"), path("etc/linked")).unwrap();
    std::fs::hard_link(path("etc/user"), path("bin/linked")).unwrap();
    symlink("/etc/user", path("etc/symlink")).unwrap();
    lchown(path("etc/symlink"), Some(5), Some(6)).unwrap();
    std::fs::write(path("etc/na\u{ef}ve name"), vec![7; 100_000]).unwrap();
    std::fs::set_permissions(path("tmp"), PermissionsExt::from_mode(0o1777)).unwrap();
    let made = Command::new("sh")
        .current_dir(tree)
        .args([
            "-ec",
            "mknod dev/null c 1 3; mknod dev/loop0 b 7 0; mkfifo -m 600 dev/pipe;
             touch -d '1999-12-31 23:59:59.123456789 UTC' etc/user etc/linked;
             touch -h -d '1960-01-01 00:00:00.5 UTC' etc/symlink; touch -d @1 etc .",
        ])
        .status();
    assert!(made.unwrap().success());
    // cap_net_raw, permitted and effective (capabilities(7), revision 2).
    let mut capability = [0; 20];
    capability[..8].copy_from_slice(&[1, 0, 0, 2, 0, 0x20, 0, 0]);
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::lsetxattr(path("bin/linked"), "security.capability", &capability, flags).unwrap();
}

/// A line a file: what stat(2) tells of it.
fn listing(tree: &Path) -> Vec<String> {
    let entries = walkdir::WalkDir::new(tree).sort_by_file_name();
    let line = |entry: walkdir::DirEntry| {
        let found = entry.path().symlink_metadata().unwrap();
        let content = match found.file_type() {
            kind if kind.is_symlink() => format!("{:?}", std::fs::read_link(entry.path()).unwrap()),
            kind if kind.is_file() => format!("{:?}", std::fs::read(entry.path()).unwrap().len()),
            _ => format!("{}", found.rdev()),
        };
        format!(
            "{:?} {:o} {}:{} {}.{:09} {} {content}",
            entry.path().strip_prefix(tree).unwrap(),
            found.mode(),
            found.uid(),
            found.gid(),
            found.mtime(),
            found.mtime_nsec(),
            if found.is_dir() { 0 } else { found.nlink() },
        )
    };
    entries.into_iter().map(|entry| line(entry.unwrap())).collect()
}

#[test]
fn saved_image_unpacked_by_umoci_is_the_source() {
    Room::with(Who::Root, |room| {
        if !is_installed("umoci") {
            return skip("umoci is not installed");
        }
        let tree = room.work().join("tree");
        rich_tree(&tree);
        let id = room.envbox(&["import", tree.to_str().unwrap(), "rich"]).succeeds().stdout();
        room.envbox(&["save", "--format", "oci-dir", "-o", "out", "rich"]).succeeds().quietly();
        let mut umoci = room.program("umoci");
        umoci.args(["unpack", "--image", "out:latest", "bundle"]);
        room.run(umoci).succeeds();
        let unpacked = room.work().join("bundle/rootfs");
        assert_eq!(listing(&unpacked), listing(&tree));
        // Attributes included.
        let again = room.envbox(&["import", unpacked.to_str().unwrap()]).succeeds().stdout();
        assert_eq!(again, id);
    });
}
