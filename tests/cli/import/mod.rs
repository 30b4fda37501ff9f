//! `envbox import`, end to end: what becomes an image, and what is said when
//! nothing does.

mod excludes;
mod identity;
mod interrupted;
mod outside;
mod parent;
mod recorded;
mod refused;
mod told;
mod web;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{Output, Room, for_everyone};

for_everyone! {
    fn the_two_commands_work(room) {
        let rootfs = room.rootfs();
        let id = import(room, &[text(&rootfs), "base"]);
        assert!(id.starts_with("sha256:") && id.len() == 71, "{id}");
        room.envbox(&["images", "-q", "--no-trunc"]).succeeds().says(&id);
        room.envbox(&["shell", "base", "-c", "exit 5"]).exits(5);
    }
}

fn text(path: &impl AsRef<Path>) -> &str {
    path.as_ref().to_str().expect("the test's own paths are text")
}

/// Imports, which must succeed without a word; the image's ID.
#[track_caller]
fn import(room: &Room, arguments: &[&str]) -> String {
    identity_of(&room.envbox(&with_verb(arguments)).succeeds().quietly())
}

/// Imports, which must fail with 1, make no image, and leave nothing unswept.
#[track_caller]
fn fails(room: &Room, arguments: &[&str]) -> Output {
    let output = room.envbox(&with_verb(arguments)).exits(1);
    assert_eq!(output.stdout(), "", "{output}");
    nothing_is_left(room);
    output
}

fn with_verb<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    std::iter::once("import").chain(arguments.iter().copied()).collect()
}

/// The ID, which is alone on stdout.
#[track_caller]
fn identity_of(output: &Output) -> String {
    let id = output.stdout();
    assert_eq!(id.lines().count(), 1, "{output}");
    id.trim().to_owned()
}

/// The ID of the image that has the name `repository:tag`.
#[track_caller]
fn named(room: &Room, repository: &str, tag: &str) -> String {
    let list = room.envbox(&["images", "--no-trunc"]).succeeds().stdout();
    let rows = list.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let row = rows.into_iter().find(|row| row.starts_with(&[repository, tag]));
    row.unwrap_or_else(|| panic!("no {repository}:{tag} in\n{list}"))[2].to_owned()
}

#[track_caller]
fn nothing_is_left(room: &Room) {
    assert_eq!(room.envbox(&["images", "-q"]).succeeds().stdout(), "");
    assert_eq!(unfinished(room), Vec::<PathBuf>::new());
}

/// What lies in the store's folder for unfinished work.
fn unfinished(room: &Room) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(room.path().join("store/tmp")) else { return Vec::new() };
    entries.map(|entry| entry.expect("can be listed").path()).collect()
}

/// A small tree with one of everything that its maker may make, given to the
/// room's user.
fn tree(room: &Room) -> PathBuf {
    let root = room.work().join("tree");
    let make = |path: &str, content: &[u8]| fs::write(root.join(path), content).expect("is mine");
    for folder in ["bin", "etc/empty", "usr/share/doc/deep/deeper", "var/log", "var/cache", "tmp"] {
        fs::create_dir_all(root.join(folder)).expect("is mine");
    }
    make("bin/sh", b"no program");
    make("etc/passwd", b"root:x:0:0::/:/bin/sh\n");
    make("usr/share/doc/deep/deeper/note", &[b'x'; 70_000]);
    make("var/cache/data", b"cached");
    make("etc/empty-file", b"");
    fs::write(root.join(OsStr::from_bytes(b"etc/latin\xe9")), "kept").expect("is mine");
    make(&format!("usr/share/{}", "long".repeat(60)), b"a long name");
    fs::hard_link(root.join("bin/sh"), root.join("bin/bash")).expect("is mine");
    symlink("/etc/passwd", root.join("usr/link")).expect("is mine");
    symlink("nowhere", root.join("dangling")).expect("is mine");
    let sparse = fs::File::create(root.join("var/log/lastlog")).expect("is mine");
    std::os::unix::fs::FileExt::write_all_at(&sparse, b"end", 1 << 30).expect("is mine");
    sparse.set_len(1 << 40).expect("is mine");
    for (path, mode) in [("bin/sh", 0o4755), ("tmp", 0o1777), ("etc/passwd", 0o600)] {
        fs::set_permissions(root.join(path), PermissionsExt::from_mode(mode)).expect("is mine");
    }
    let tools: [&[&str]; 3] = [
        &["mkfifo", "var/pipe"],
        &["setfattr", "-n", "user.comment", "-v", "kept", "etc/passwd"],
        &["touch", "-h", "-d", "2001-02-03T04:05:06.123456789Z", "usr/link", "etc/passwd"],
    ];
    for words in tools {
        let status = Command::new(words[0]).args(&words[1..]).current_dir(&root).status();
        assert!(status.expect("is installed").success(), "{words:?}");
    }
    room.give(&root);
    // Giving takes the set-user-ID bit.
    fs::set_permissions(root.join("bin/sh"), PermissionsExt::from_mode(0o4755)).expect("is mine");
    root
}

/// A tar of `tree`, made by GNU tar with `options`, in the room's work folder.
/// It names root as the owner, as the tree's owner is inside the user's
/// namespace.
fn tar(room: &Room, tree: &Path, options: &[&str]) -> PathBuf {
    let archive = room.work().join("archive.tar");
    let made = Command::new("tar")
        .args(["--format=posix", "--pax-option=delete=atime,delete=ctime", "--sparse"])
        .args(["--xattrs", "--xattrs-include=user.*", "--numeric-owner"])
        .args(["--owner=0", "--group=0", "--warning=no-file-ignored"])
        .args(["-C", text(&tree), "-cf", text(&archive)])
        .args(options)
        .status();
    assert!(made.expect("is installed").success());
    room.give(&archive);
    archive
}
