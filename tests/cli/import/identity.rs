//! The same tree is the same image, however it comes.

use std::fs;
use std::os::unix::fs::lchown;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{identity_of, import, tar, text, tree};
use crate::harness::{Room, Who, for_everyone};

for_everyone! {
    fn a_directory_and_a_tar_of_it_are_one_image(room) {
        let tree = tree(room);
        let archive = tar(room, &tree, &["."]);
        assert_eq!(import(room, &[text(&tree)]), import(room, &[text(&archive)]));
    }

    fn the_order_of_an_archive_does_not_matter(room) {
        let tree = tree(room);
        // The reverse: children come before their parents, links the other way.
        let list = room.work().join("list");
        let script = "find . -print0 | LC_ALL=C sort -rz > \"$0\"";
        let listed = Command::new("sh").args(["-c", script]).arg(&list).current_dir(&tree).status();
        assert!(listed.unwrap().success());
        let shuffled = tar(room, &tree, &["--no-recursion", "--null", "-T", text(&list)]);
        let output = room.envbox(&["import", text(&shuffled)]).succeeds();
        assert_eq!(import(room, &[text(&tree)]), identity_of(&output));
    }

    fn compression_does_not_matter(room) {
        let tree = tree(room);
        let archive = tar(room, &tree, &["."]);
        let id = import(room, &[text(&archive)]);
        for program in ["gzip", "bzip2", "xz", "zstd"] {
            // The name says nothing: the content tells.
            let packed = room.work().join("packed");
            let mut command = Command::new(program);
            command.arg("-c").stdin(fs::File::open(&archive).unwrap());
            command.stdout(fs::File::create(&packed).unwrap());
            assert!(command.status().unwrap().success(), "{program}");
            room.give(&packed);
            assert_eq!(import(room, &[text(&packed)]), id, "{program}");
        }
    }

    fn a_pipe_is_as_good_as_a_file(room) {
        let tree = tree(room);
        let archive = tar(room, &tree, &["."]);
        let mut command = room.command(&["import", "-", "piped"]);
        let mut cat = Command::new("cat").arg(&archive).stdout(Stdio::piped()).spawn().unwrap();
        command.stdin(cat.stdout.take().unwrap());
        let piped = identity_of(&room.run(command).succeeds().quietly());
        assert!(cat.wait().unwrap().success());
        assert_eq!(import(room, &[text(&archive)]), piped);
        let mut command = room.command(&["import", "-"]);
        command.stdin(fs::File::open(&archive).unwrap());
        assert_eq!(identity_of(&room.run(command).succeeds()), piped);
    }

    fn the_epoch_makes_trees_of_other_times_one(room) {
        let tree = tree(room);
        let imported = |epoch: &str| {
            let mut command = room.command(&["import", text(&tree)]);
            command.env("SOURCE_DATE_EPOCH", epoch);
            room.run(command)
        };
        let before = identity_of(&imported("978307200").succeeds());
        fs::write(tree.join("etc/passwd"), "root:x:0:0::/:/bin/sh\n").unwrap();
        assert_eq!(identity_of(&imported("978307200").succeeds()), before);
        assert_ne!(identity_of(&imported("978307201").succeeds()), before);
        imported("yesterday").exits(1).warns("SOURCE_DATE_EPOCH is \"yesterday\"").warns("hint: ");
    }

    fn a_second_import_is_the_same_image(room) {
        let tree = tree(room);
        assert_eq!(import(room, &[text(&tree), "one"]), import(room, &[text(&tree), "two"]));
    }
}

/// Makes everything below `tree` the property of host IDs `first`, and one file
/// of `other`.
fn own(tree: &Path, first: u32, other: u32) {
    for entry in walkdir::WalkDir::new(tree) {
        let entry = entry.unwrap();
        let id = if entry.file_name() == "data" { other } else { first };
        lchown(entry.path(), Some(id), Some(id)).unwrap();
    }
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o4755);
    fs::set_permissions(tree.join("bin/sh"), mode).unwrap();
}

#[test]
fn root_and_an_ordinary_user_make_the_same_image() {
    if !nix::unistd::geteuid().is_root() {
        return crate::harness::skip("needs root");
    }
    Room::with(Who::Root, |rootful| {
        let tree = tree(rootful);
        own(&tree, 0, 7);
        let expected = import(rootful, &[text(&tree)]);
        Room::with(Who::User, |rootless| {
            let Some(first) = first_sub_id() else {
                return crate::harness::skip("the user has no sub-IDs");
            };
            let user = nix::unistd::User::from_name("envbox-test").unwrap().unwrap();
            own(&tree, user.uid.as_raw(), first + 6);
            assert_eq!(import(rootless, &[text(&tree)]), expected);
        });
    });
}

/// The host's number of the user's first sub-ID (subuid(5)).
fn first_sub_id() -> Option<u32> {
    let text = fs::read_to_string("/etc/subuid").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("envbox-test:"))?;
    line.split(':').next()?.parse().ok()
}
