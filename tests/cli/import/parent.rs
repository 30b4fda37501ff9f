//! `envbox import --parent`: a small layer for a small change, and the same
//! filesystem as a plain import of the whole.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{identity_of, import, tar, text, tree};
use crate::harness::{Room, Who, for_everyone, skip};

for_everyone! {
    fn a_small_change_is_a_small_layer(room) {
        let (tree, id) = based(room);
        fs::write(tree.join("var/cache/data"), "changed").unwrap();
        let new = import(room, &["--parent", "base", text(&tree), "new"]);
        assert_ne!(new, id);
        assert_eq!(layers(room, "new"), 2);
        assert!(layer_sizes(room, "new")[1] < 8192, "{:?}", layer_sizes(room, "new"));
        same_as_plain(room, &tree, "new");
        // It is a function of the image and the tree.
        assert_eq!(import(room, &["--parent", &id, text(&tree)]), new);
    }

    fn every_kind_of_change_is_seen_in_the_image(room) {
        let (tree, _) = based(room);
        change(&tree);
        import(room, &["--parent", "base", text(&tree), "new"]);
        same_as_plain(room, &tree, "new");
    }

    fn a_parent_may_have_several_layers(room) {
        let (tree, _) = based(room);
        change(&tree);
        import(room, &["--parent", "base", text(&tree), "second"]);
        // What went comes back, and what came goes.
        fs::remove_dir_all(tree.join("var/cache/data")).unwrap();
        fs::write(tree.join("var/cache/data"), "back").unwrap();
        fs::remove_file(tree.join("new-link")).unwrap();
        fs::create_dir(tree.join("usr/share")).unwrap();
        fs::write(tree.join("usr/share/again"), "again").unwrap();
        room.give(&tree.join("usr"));
        room.give(&tree.join("var/cache"));
        import(room, &["--parent", "second", text(&tree), "third"]);
        assert_eq!(layers(room, "third"), 3);
        same_as_plain(room, &tree, "third");
    }

    fn an_equal_tree_makes_no_layer(room) {
        let (tree, _) = based(room);
        let words = ["--parent", "base", text(&tree), "same", "-c", "ENV A=b", "-m", "again"];
        import(room, &words);
        assert_eq!(layers(room, "same"), 1);
        let config = room.envbox(&["inspect", "same"]).succeeds().json();
        assert_eq!(config[0]["Config"]["Env"][0], "A=b", "{config}");
        let history = room.envbox(&["history", "--format", "{{.Comment}}|{{.Size}}", "same"]);
        assert!(history.succeeds().stdout().starts_with("again|0B\n"));
        same_as_plain(room, &tree, "same");
    }

    fn the_way_the_source_comes_does_not_matter(room) {
        let (tree, _) = based(room);
        change(&tree);
        let archive = tar(room, &tree, &["."]);
        let from_directory = import(room, &["--parent", "base", text(&tree)]);
        assert_eq!(import(room, &["--parent", "base", text(&archive)]), from_directory);
        let mut piped = room.command(&["import", "--parent", "base", "-"]);
        piped.stdin(fs::File::open(&archive).unwrap());
        assert_eq!(identity_of(&room.run(piped).succeeds().quietly()), from_directory);
    }

    fn what_is_excluded_is_not_in_the_image(room) {
        let (tree, _) = based(room);
        import(room, &["--parent", "base", text(&tree), "new", "--exclude=var/cache"]);
        import(room, &[text(&tree), "plain", "--exclude=var/cache"]);
        assert!(exported(room, "new") == exported(room, "plain"));
    }

    fn the_parents_config_is_the_base(room) {
        let tree = tree(room);
        let changes = ["-c", "ENV A=1", "-c", "USER nobody", "-c", "ONBUILD RUN true"];
        let platform = ["--platform", "linux/arm64"];
        import(room, &[&[text(&tree), "base"][..], &changes, &platform].concat());
        fs::write(tree.join("var/cache/data"), "changed").unwrap();
        import(room, &["--parent", "base", text(&tree), "new", "-c", "USER root"]);
        let image = &room.envbox(&["inspect", "new"]).succeeds().json()[0];
        assert_eq!(image["Config"]["Env"][0], "A=1", "{image}");
        assert_eq!(image["Config"]["User"], "root");
        assert_eq!(image["Config"]["OnBuild"], serde_json::Value::Null);
        assert_eq!(image["Architecture"], "arm64");
        let other = ["--parent", "base", text(&tree), "x86", "--platform", "linux/amd64"];
        import(room, &other);
        assert_eq!(room.envbox(&["inspect", "x86"]).json()[0]["Architecture"], "amd64");
    }

    fn the_epoch_bounds_its_times(room) {
        let tree = tree(room);
        let at = |words: &[&str]| {
            let mut command = room.command(words);
            command.env("SOURCE_DATE_EPOCH", "978307200");
            identity_of(&room.run(command).succeeds().quietly())
        };
        at(&["import", text(&tree), "base"]);
        let touched = Command::new("touch").arg(tree.join("var/cache/data")).status();
        assert!(touched.unwrap().success());
        at(&["import", "--parent", "base", text(&tree), "new"]);
        assert_eq!(layers(room, "new"), 1);
        let created = room.envbox(&["inspect", "--format", "{{.Created}}", "new"]).stdout();
        assert_eq!(created.trim(), "2001-01-01T00:00:00Z");
    }

    fn an_unknown_parent_is_named(room) {
        let tree = tree(room);
        let import = || room.envbox(&["import", "--parent", "bsae", text(&tree), "new"]).exits(1);
        import().warns("no such image: bsae").warns("hint: ");
        room.envbox(&["import", text(&tree), "base"]).succeeds();
        import().warns("no such image: bsae").warns("hint: did you mean base:latest?");
        let wrong = ["import", "--parent", "base", text(&tree), "new", "-c", "NONSENSE x"];
        room.envbox(&wrong).exits(1).warns("NONSENSE");
        assert_eq!(room.envbox(&["images", "-q"]).succeeds().stdout().lines().count(), 1);
    }

    fn another_store_loads_it(room) {
        let (tree, _) = based(room);
        change(&tree);
        let id = import(room, &["--parent", "base", text(&tree), "new:1"]);
        let save = ["save", "--format", "oci-archive", "-o", "new.tar", "new:1"];
        room.envbox(&save).succeeds().quietly();
        let here = exported(room, "new:1");
        let elsewhere = text(&room.path().join("other")).to_owned();
        let other = |words: &[&str]| {
            room.envbox(&[&["--root", elsewhere.as_str()], words].concat()).succeeds()
        };
        other(&["load", "-q", "-i", "new.tar"]);
        assert_eq!(other(&["images", "-q", "--no-trunc"]).stdout().trim(), id);
        other(&["export", "-o", "other.tar", "new:1"]);
        assert!(fs::read(room.work().join("other.tar")).unwrap() == here);
    }

    fn umoci_unpacks_the_same_tree(room) {
        if ["skopeo", "umoci"].iter().any(|program| Command::new(program).arg("--version").output().is_err()) {
            return skip("skopeo or umoci is not installed");
        }
        let tree = tree(room);
        // umoci writes out what a file has holes for.
        fs::remove_file(tree.join("var/log/lastlog")).unwrap();
        import(room, &[text(&tree), "base"]);
        change(&tree);
        import(room, &["--parent", "base", text(&tree), "new:1"]);
        room.envbox(&["save", "--format", "oci-archive", "-o", "new.tar", "new:1"]).succeeds();
        let run = |words: &[&str]| {
            let mut command = room.program(words[0]);
            command.args(&words[1..]);
            room.run(command).succeeds()
        };
        run(&["skopeo", "copy", "--insecure-policy", "oci-archive:new.tar:1", "oci:out:1"]);
        run(&["umoci", "unpack", "--rootless", "--image", "out:1", "bundle"]);
        let list = "find . -printf '%P %y %m %n %l %T@\\n' | LC_ALL=C sort";
        let listed = |place: &Path| run(&["sh", "-ec", &format!("cd {}; {list}", text(&place))]);
        let unpacked = room.work().join("bundle/rootfs");
        assert_eq!(listed(&unpacked).stdout(), listed(&tree).stdout());
        run(&["diff", "-r", "--no-dereference", "--exclude=pipe",
            text(&unpacked), text(&tree)]);
    }
}

/// The small tree, which is the image `base`, and that one's ID.
fn based(room: &Room) -> (PathBuf, String) {
    let tree = tree(room);
    let id = import(room, &[text(&tree), "base"]);
    (tree, id)
}

/// Changes something of every kind.
fn change(tree: &Path) {
    let make = |path: &str, content: &str| fs::write(tree.join(path), content).unwrap();
    // Content of the same size, and an attribute alone.
    make("etc/passwd", "root:x:0:0::/:/bin/SH\n");
    fs::set_permissions(tree.join("var/log"), PermissionsExt::from_mode(0o700)).unwrap();
    // Kinds.
    fs::remove_file(tree.join("var/cache/data")).unwrap();
    fs::create_dir(tree.join("var/cache/data")).unwrap();
    make("var/cache/data/inside", "inside");
    fs::remove_dir_all(tree.join("etc/empty")).unwrap();
    symlink("passwd", tree.join("etc/empty")).unwrap();
    fs::remove_file(tree.join("dangling")).unwrap();
    make("dangling", "no longer");
    // A directory goes, and a file.
    fs::remove_dir_all(tree.join("usr/share")).unwrap();
    fs::remove_file(tree.join("var/pipe")).unwrap();
    // A file gets a name more, and another one its first second one.
    fs::hard_link(tree.join("bin/sh"), tree.join("new-link")).unwrap();
    fs::hard_link(tree.join("etc/empty-file"), tree.join("var/linked")).unwrap();
    // A second of time and a fraction of one.
    let touch = |path: &str, time: &str| {
        let done = Command::new("touch").args(["-h", "-d", time]).arg(tree.join(path)).status();
        assert!(done.unwrap().success());
    };
    touch("usr/link", "2001-02-03T04:05:06.123456780Z");
    let set = ["-n", "user.comment", "-v", "another", "var/cache"];
    let set = Command::new("setfattr").args(set).current_dir(tree).status();
    assert!(set.unwrap().success());
    let owner = fs::metadata(tree).unwrap();
    for entry in walkdir::WalkDir::new(tree) {
        use std::os::unix::fs::{MetadataExt, lchown};
        let entry = entry.unwrap();
        let found = entry.path().symlink_metadata().unwrap();
        if found.uid() != owner.uid() {
            lchown(entry.path(), Some(owner.uid()), Some(owner.gid())).unwrap();
        }
    }
    fs::set_permissions(tree.join("bin/sh"), PermissionsExt::from_mode(0o4755)).unwrap();
}

#[track_caller]
fn same_as_plain(room: &Room, tree: &Path, image: &str) {
    room.envbox(&["import", text(&tree), "plain"]).succeeds();
    assert!(exported(room, image) == exported(room, "plain"), "{image} is another filesystem");
    room.envbox(&["rmi", "plain"]).succeeds();
}

fn exported(room: &Room, image: &str) -> Vec<u8> {
    room.envbox(&["export", "-o", "exported.tar", image]).succeeds().quietly();
    let path = room.work().join("exported.tar");
    let bytes = fs::read(&path).unwrap();
    fs::remove_file(path).unwrap();
    bytes
}

fn layers(room: &Room, image: &str) -> usize {
    let image = room.envbox(&["inspect", image]).succeeds().json();
    image[0]["RootFS"]["Layers"].as_array().unwrap().len()
}

/// Of their tars, lowest first, in bytes.
fn layer_sizes(room: &Room, image: &str) -> Vec<u64> {
    room.envbox(&["save", "--format", "oci-dir", "-o", "saved", image]).succeeds();
    let saved = room.work().join("saved");
    let read = |path: PathBuf| -> serde_json::Value {
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    };
    let index = read(saved.join("index.json"));
    let digest = index["manifests"][0]["digest"].as_str().unwrap().replace(':', "/");
    let manifest = read(saved.join("blobs").join(digest));
    fs::remove_dir_all(&saved).unwrap();
    let layers = manifest["layers"].as_array().unwrap();
    layers.iter().map(|layer| layer["size"].as_u64().unwrap()).collect()
}

#[test]
fn an_ordinary_user_compares_a_tree_that_is_roots() {
    if !nix::unistd::geteuid().is_root() {
        return skip("needs root");
    }
    Room::with(Who::User, |room| {
        let tree = tree(room);
        let own = |path: &Path| {
            std::os::unix::fs::lchown(path, Some(0), Some(0)).unwrap();
        };
        let all = |tree: &Path| {
            walkdir::WalkDir::new(tree).into_iter().for_each(|entry| own(entry.unwrap().path()));
            for (path, mode) in [("etc/passwd", 0o755), ("bin/sh", 0o4755)] {
                fs::set_permissions(tree.join(path), PermissionsExt::from_mode(mode)).unwrap();
            }
        };
        all(&tree);
        import(room, &[text(&tree), "base"]);
        change(&tree);
        fs::set_permissions(tree.join("var/log"), PermissionsExt::from_mode(0o775)).unwrap();
        all(&tree);
        import(room, &["--parent", "base", text(&tree), "new"]);
        same_as_plain(room, &tree, "new");
    });
}

#[test]
fn devices_that_a_user_may_not_make_are_compared() {
    if !nix::unistd::geteuid().is_root() {
        return skip("needs root");
    }
    Room::with(Who::User, |room| {
        let tree = tree(room);
        let node = |name: &str, minor: &str| {
            let path = tree.join(name);
            let made = Command::new("mknod").arg(&path).args(["c", "1", minor]).status();
            assert!(made.unwrap().success());
            room.give(&path);
        };
        for (name, minor) in [("bin/a", "3"), ("bin/b", "4"), ("bin/sha", "5")] {
            node(name, minor);
        }
        room.envbox(&["import", text(&tree), "base"]).succeeds();
        room.envbox(&["import", "--parent", "base", text(&tree), "same"]).succeeds();
        assert_eq!(layers(room, "same"), 1);
        fs::remove_file(tree.join("bin/a")).unwrap();
        fs::remove_file(tree.join("bin/b")).unwrap();
        node("bin/b", "9");
        room.envbox(&["import", "--parent", "base", text(&tree), "new"]).succeeds();
        let save = ["save", "--format", "oci-dir", "-o", "out", "new"];
        room.envbox(&save).succeeds();
        let script = "tar -tvf $(ls -S out/blobs/sha256/* | sed -n '2p') | \
                      awk '{print substr($0, 1, 1), $NF}'";
        let mut list = room.program("sh");
        list.args(["-ec", script]);
        let members = room.run(list).succeeds().stdout();
        assert_eq!(members, "d ./\nd bin/\n- bin/.wh.a\nc bin/b\n");
    });
}
