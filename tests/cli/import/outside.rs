//! An ordinary user imports a tree that is somebody else's: owners are who they
//! are on the host, and what may not be read is named.

use std::fs;
use std::os::unix::fs::{PermissionsExt, lchown};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};

use super::{fails, identity_of, import, nothing_is_left, text, tree};
use crate::harness::{Room, Who, skip};

/// Runs a test in a user's room with a tree that is root's.
fn with_roots_tree(test: impl FnOnce(&Room, &PathBuf)) {
    if !geteuid().is_root() {
        return skip("needs root");
    }
    Room::with(Who::User, |room| {
        let tree = tree(room);
        for entry in walkdir::WalkDir::new(&tree) {
            lchown(entry.unwrap().path(), Some(0), Some(0)).unwrap();
        }
        for (path, mode) in [("etc/passwd", 0o644), ("bin/sh", 0o4755)] {
            fs::set_permissions(tree.join(path), PermissionsExt::from_mode(mode)).unwrap();
        }
        test(room, &tree);
    });
}

#[test]
fn it_is_the_image_that_root_makes() {
    with_roots_tree(|room, tree| {
        let by_user = import(room, &[text(tree)]);
        Room::with(Who::Root, |rootful| assert_eq!(import(rootful, &[text(tree)]), by_user));
    });
}

#[test]
fn a_tree_that_root_unpacked_into_the_users_directory_keeps_its_owners() {
    with_roots_tree(|room, tree| {
        room.give(&tree.join("var/cache"));
        lchown(tree, fs::metadata(room.work()).ok().map(|m| owner(&m)), None).unwrap();
        let by_user = import(room, &[text(tree)]);
        Room::with(Who::Root, |rootful| assert_eq!(import(rootful, &[text(tree)]), by_user));
    });
}

#[test]
fn owners_without_a_number_in_the_users_own_tree_are_told() {
    if !geteuid().is_root() {
        return skip("needs root");
    }
    Room::with(Who::User, |room| {
        let tree = tree(room);
        import(room, &[text(&tree)]);
        let id = |metadata: &fs::Metadata| (owner(metadata), group(metadata));
        let user = id(&fs::metadata(room.work()).unwrap());
        let inside = |path: &str| id(&fs::symlink_metadata(tree.join(path)).unwrap());
        assert_eq!(inside("etc/passwd"), user);
        let give = |path: &str, uid, gid| lchown(tree.join(path), Some(uid), Some(gid)).unwrap();
        fs::set_permissions(tree.join("etc/passwd"), PermissionsExt::from_mode(0o644)).unwrap();
        give("etc/passwd", 3_000_000_000, user.1);
        give("usr/share/doc/deep", user.0, 3_000_000_000);
        give("usr/link", 3_000_000_000, 3_000_000_000);
        // These are known: 65534 is the number of one of them.
        let sub_ids = fs::read_to_string("/etc/subuid").unwrap();
        let own = sub_ids.lines().find_map(|line| line.strip_prefix("envbox-test:"));
        let start: u32 = own.unwrap().split(':').next().unwrap().parse().unwrap();
        give("var/cache/data", start + 65533, start + 65533);
        give("etc/empty-file", start + 41, start + 65533);
        let told = "envbox: note: 3 files belong to users or groups that this user's sub-IDs do \
                    not cover; 65534 is recorded for them (etc/passwd, usr/link, \
                    usr/share/doc/deep)\n";
        let output = room.envbox(&["import", text(&tree), "x"]).succeeds();
        assert_eq!(output.stderr(), told);
        // The store's own copy has them as they are meant.
        room.envbox(&["export", "-o", "x.tar", "x"]).succeeds().quietly();
        room.envbox(&["import", "x.tar"]).succeeds().quietly();
    });
}

fn group(metadata: &fs::Metadata) -> u32 {
    std::os::unix::fs::MetadataExt::gid(metadata)
}

fn owner(metadata: &fs::Metadata) -> u32 {
    std::os::unix::fs::MetadataExt::uid(metadata)
}

#[test]
fn what_could_not_be_kept_is_told() {
    with_roots_tree(|room, tree| {
        let _sockets = ["one", "two"].map(|name| UnixListener::bind(tree.join("var").join(name)));
        let output = room.envbox(&["import", text(tree)]).succeeds();
        output.warns("note: 2 sockets were left out (var/one, var/two)");
    });
}

#[test]
fn a_file_that_may_not_be_read_is_named() {
    with_roots_tree(|room, tree| {
        fs::set_permissions(tree.join("etc/passwd"), PermissionsExt::from_mode(0o600)).unwrap();
        fails(room, &[text(tree), "x"])
            .warns("tree/etc/passwd: Permission denied")
            .warns("hint: run as root, or leave it out with --exclude");
        fs::set_permissions(tree.join("usr"), PermissionsExt::from_mode(0o700)).unwrap();
        fails(room, &[text(tree), "x", "--exclude=passwd"]).warns("tree/usr: Permission denied");
        import(room, &[text(tree), "--exclude=etc/passwd", "--exclude=usr"]);
    });
}

#[test]
fn a_reader_that_dies_takes_the_import_along() {
    with_roots_tree(|room, tree| {
        // So much that it is still being read when it dies.
        let big = fs::File::create(tree.join("var/big")).unwrap();
        big.set_len(256 << 20).unwrap();
        for megabyte in 0..256 {
            std::os::unix::fs::FileExt::write_all_at(&big, b"x", megabyte << 20).unwrap();
        }
        let mut command = room.command(&["import", text(tree), "x"]);
        let mut import = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let child = loop {
            let path = format!("/proc/{0}/task/{0}/children", import.id());
            let children = fs::read_to_string(path).unwrap_or_default();
            // The last child is the reader once the maps are written.
            let ready = fs::read_dir(room.path().join("store/tmp")).is_ok_and(|d| d.count() > 0);
            match children.split_whitespace().next() {
                Some(child) if ready => break child.parse().unwrap(),
                _ if import.try_wait().unwrap().is_some() => panic!("it was too fast"),
                _ => std::thread::sleep(Duration::from_millis(2)),
            }
        };
        kill(Pid::from_raw(child), Signal::SIGKILL).unwrap();
        let output = import.wait_with_output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{words}");
        assert!(words.contains("the process that reads") && words.contains("died of SIGKILL"));
        assert!(words.contains("hint: "), "{words}");
        nothing_is_left(room);
    });
}

#[test]
fn a_killed_import_leaves_no_reader() {
    with_roots_tree(|room, tree| {
        let big = fs::File::create(tree.join("var/big")).unwrap();
        for megabyte in 0..256 {
            std::os::unix::fs::FileExt::write_all_at(&big, b"x", megabyte << 20).unwrap();
        }
        let mut import = room.command(&["import", text(tree), "x"]).spawn().unwrap();
        while !fs::read_dir(room.path().join("store/tmp")).is_ok_and(|d| d.count() > 0) {
            assert!(import.try_wait().unwrap().is_none(), "it was too fast");
            std::thread::sleep(Duration::from_millis(2));
        }
        import.kill().unwrap();
        import.wait().unwrap();
        // The room's own end would name a reader that lives on.
        let small = ["import", text(tree), "--exclude=big"];
        identity_of(&room.envbox(&small).succeeds());
    });
}
