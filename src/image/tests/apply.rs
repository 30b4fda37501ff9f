//! Hostile archives, one attack each, and the rules of replacement.

use std::path::Path;

use super::*;
use crate::image::canonical::{self, END};
use crate::image::sparse::data_runs;
use crate::image::{ExcludeSet, Xattrs};

fn entry(path: &str, kind: EntryKind) -> Entry {
    let attributes = Attributes {
        mode: 0o755,
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        mtime: Timestamp::from_seconds(77),
        xattrs: Xattrs::new(),
    };
    Entry { path: path.as_bytes().to_vec(), kind, attributes }
}

fn dir(path: &str) -> (Entry, &'static [u8]) {
    (entry(path, EntryKind::Directory), b"")
}

fn file(path: &str, content: &'static [u8]) -> (Entry, &'static [u8]) {
    (entry(path, EntryKind::Regular { size: content.len() as u64, sparse: None }), content)
}

fn symlink(path: &str, target: &str) -> (Entry, &'static [u8]) {
    (entry(path, EntryKind::Symlink { target: target.into() }), b"")
}

fn link(path: &str, target: &str) -> (Entry, &'static [u8]) {
    (entry(path, EntryKind::HardLink { target: target.into() }), b"")
}

fn archive(members: &[(Entry, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (entry, content) in members {
        canonical::encode(entry, &mut bytes);
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.extend(END);
    bytes
}

fn applied(members: &[(Entry, &[u8])], room: &Path) -> Result<Applied> {
    std::fs::create_dir_all(room.join("tree")).unwrap();
    let target = Dir::open(&room.join("tree")).unwrap();
    apply(TarReader::new(archive(members).as_slice()), &target, &ApplyOptions::default())
}

fn applied_without(set: &ExcludeSet, members: &[(Entry, &[u8])], room: &Path) -> Result<Applied> {
    std::fs::create_dir_all(room.join("tree")).unwrap();
    let target = Dir::open(&room.join("tree")).unwrap();
    let folder = room.join("left-out");
    let options = ApplyOptions {
        left_out: Some(LeftOut { set, folder: &folder }),
        ..ApplyOptions::default()
    };
    apply(TarReader::new(archive(members).as_slice()), &target, &options)
}

fn names(folder: &Path) -> Vec<String> {
    let names = Dir::open(folder).unwrap().names().unwrap();
    names.iter().map(|name| name.to_string_lossy().into_owned()).collect()
}

/// Asserts that `members` are refused for `reason`, that the last one is
/// named, and that nothing outside of the tree was touched.
fn refused(members: &[(Entry, &[u8])], reason: &str) {
    let room = tempfile::tempdir().unwrap();
    std::fs::write(room.path().join("victim"), "whole").unwrap();
    let error = applied(members, room.path()).unwrap_err();
    let text = error.chain();
    assert!(text.contains(reason), "{text}");
    let last = String::from_utf8_lossy(&members[members.len() - 1].0.path).into_owned();
    assert!(text.contains(&last), "{text}");
    assert_eq!(std::fs::read(room.path().join("victim")).unwrap(), b"whole");
    assert_eq!(std::fs::read_dir(room.path()).unwrap().count(), 2);
}

#[test]
fn refuses_absolute_paths() {
    refused(&[file("/tmp/x", b"")], "absolute");
}

#[test]
fn refuses_dot_dot() {
    refused(&[file("../victim", b"x")], "leaves the tree");
    refused(&[dir("a"), file("a/../../victim", b"x")], "leaves the tree");
}

#[test]
fn refuses_to_pass_through_a_symbolic_link() {
    refused(&[symlink("out", ".."), file("out/victim", b"x")], "a symbolic link");
    refused(&[dir("d"), symlink("d/in", "."), dir("d/in/x")], "a symbolic link");
}

#[test]
fn refuses_to_pass_through_a_file() {
    refused(&[file("f", b""), file("f/x", b"")], "no directory");
}

#[test]
fn refuses_hard_links_that_leave_the_tree() {
    refused(&[link("h", "../victim")], "leaves the tree");
    refused(&[link("h", "/etc/passwd")], "absolute");
    refused(&[symlink("out", ".."), link("h", "out/victim")], "passes through");
}

#[test]
fn refuses_hard_links_to_nothing_and_to_directories() {
    refused(&[link("h", "missing")], "no earlier member");
    refused(&[link("h", "missing/deep")], "no earlier member");
    refused(&[link("h", "h")], "itself");
    refused(&[dir("d"), link("h", "d")], "a directory");
}

#[test]
fn a_hard_link_that_cannot_be_replaces_nothing() {
    for members in [
        vec![dir("a"), file("a/b", b"kept"), link("a", "a/b")],
        vec![dir("a"), file("a/b", b"kept"), link("a", "missing")],
        vec![dir("a"), file("a/b", b"kept"), link("a", "a")],
    ] {
        let room = tempfile::tempdir().unwrap();
        let error = applied(&members, room.path()).unwrap_err();
        assert!(error.chain().contains("the hard link \"a\""), "{}", error.chain());
        assert_eq!(std::fs::read(room.path().join("tree/a/b")).unwrap(), b"kept");
    }
}

/// A device that no file system is asked to hold, for whoever runs this.
fn beside(path: &str) -> (Entry, &'static [u8]) {
    (entry(path, EntryKind::CharDevice(0, 0)), b"")
}

#[test]
fn hard_links_to_what_is_beside_the_tree() {
    let room = tempfile::tempdir().unwrap();
    let members = [
        beside("null"),
        link("null", "null"),
        file("other", b""),
        link("other", "null"),
        dir("d"),
        link("d/null", "other"),
    ];
    let applied_to = applied(&members, room.path()).unwrap();
    for path in ["null", "other", "d/null"] {
        assert!(applied_to.overrides.has_node(path.as_bytes()), "{path}");
        assert!(!room.path().join("tree").join(path).exists(), "{path}");
    }
    let room = tempfile::tempdir().unwrap();
    let error = applied(&[dir("d"), beside("d/n"), link("d", "d/n")], room.path()).unwrap_err();
    assert!(error.chain().contains("have to be in it"), "{}", error.chain());
}

#[test]
fn what_keeps_a_hard_link_from_its_target_is_told() {
    if rustix::process::geteuid().is_root() {
        return;
    }
    use std::os::unix::fs::PermissionsExt;
    let room = tempfile::tempdir().unwrap();
    let locked = room.path().join("tree/locked");
    std::fs::create_dir_all(&locked).unwrap();
    std::fs::write(locked.join("f"), "x").unwrap();
    std::fs::set_permissions(&locked, PermissionsExt::from_mode(0o0)).unwrap();
    let error = applied(&[link("h", "locked/f")], room.path()).unwrap_err();
    assert_eq!(error.kind(), Kind::Denied);
    assert!(error.chain().starts_with("cannot make the hard link \"h\""), "{}", error.chain());
    assert!(error.chain().ends_with("Permission denied"), "{}", error.chain());
    std::fs::set_permissions(&locked, PermissionsExt::from_mode(0o700)).unwrap();
}

#[test]
fn a_device_that_means_a_removal_to_overlayfs_stays_beside_the_tree() {
    let room = tempfile::tempdir().unwrap();
    let members = [dir(""), file("gone", b"x"), beside("gone")];
    let applied = applied(&members, room.path()).unwrap();
    assert!(applied.overrides.has_node(b"gone"));
    assert_eq!(applied.report.count(Topic::Overridden), 1);
    assert!(!room.path().join("tree/gone").exists());
}

#[test]
fn refuses_names_that_mean_a_removal() {
    refused(&[dir("d"), file("d/.wh.x", b"")], "means a removal");
    refused(&[file(".wh..wh..opq", b"")], "means a removal");
    refused(&[file(".wh.d/x", b"")], "means a removal");
    let room = tempfile::tempdir().unwrap();
    let excludes = ExcludeSet::parse([&b".wh.*"[..]]).unwrap();
    let members = [file(".wh.x", b""), file("x.wh.", b"")];
    assert_eq!(applied_without(&excludes, &members, room.path()).unwrap().entries, 1);
}

#[test]
fn names_as_long_as_linux_has_them() {
    let room = tempfile::tempdir().unwrap();
    let longest = "n".repeat(255);
    applied(&[file(&longest, b""), dir(&format!("d/{longest}"))], room.path()).unwrap();
    let error = applied(&[file(&format!("d/{longest}n/f"), b"")], room.path()).unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.chain().contains("longer than 255 bytes"), "{}", error.chain());
    let huge = applied(&[file(&"h".repeat(1 << 19), b"")], room.path()).unwrap_err();
    assert!(huge.chain().len() < 500, "{}", huge.chain().len());
}

#[test]
fn refuses_a_root_that_is_no_directory() {
    let room = tempfile::tempdir().unwrap();
    let error = applied(&[symlink(".", "/")], room.path()).unwrap_err();
    assert!(error.chain().contains("replace the root"), "{}", error.chain());
}

#[test]
fn writing_over_a_link_does_not_write_through_it() {
    let room = tempfile::tempdir().unwrap();
    std::fs::write(room.path().join("victim"), "whole").unwrap();
    let members = [
        symlink("l", "../victim"),
        file("l", b"new"),
        file("a", b"1"),
        link("b", "a"),
        file("b", b"2"),
    ];
    let applied = applied(&members, room.path()).unwrap();
    assert_eq!(applied.report.count(Topic::Replaced), 2);
    assert_eq!(std::fs::read(room.path().join("victim")).unwrap(), b"whole");
    assert_eq!(std::fs::read(room.path().join("tree/l")).unwrap(), b"new");
    assert_eq!(std::fs::read(room.path().join("tree/a")).unwrap(), b"1");
    assert_eq!(std::fs::read(room.path().join("tree/b")).unwrap(), b"2");
}

#[test]
fn later_members_replace_earlier_ones() {
    let room = tempfile::tempdir().unwrap();
    let members = [
        file("d/x/y", b"1"),
        file("d/x", b"2"),
        file("e", b"3"),
        dir("e"),
        file("e/f", b"4"),
        (
            Entry {
                attributes: Attributes {
                    mode: 0o700,
                    ..entry("", EntryKind::Directory).attributes
                },
                ..entry("e", EntryKind::Directory)
            },
            b"",
        ),
    ];
    let applied = applied(&members, room.path()).unwrap();
    let tree = Dir::open(&room.path().join("tree")).unwrap();
    assert_eq!(std::fs::read(room.path().join("tree/d/x")).unwrap(), b"2");
    assert_eq!(std::fs::read(room.path().join("tree/e/f")).unwrap(), b"4");
    assert_eq!(tree.metadata(OsStr::new("e")).unwrap().mode, 0o700);
    assert_eq!(applied.report.count(Topic::ImplicitDirectory), 1);
}

#[test]
fn directories_keep_time_and_mode_in_any_order() {
    let room = tempfile::tempdir().unwrap();
    let read_only = |path: &str| {
        let mut entry = entry(path, EntryKind::Directory);
        entry.attributes.mode = 0o2555;
        (entry, &b""[..])
    };
    let members = [
        read_only("a"),
        read_only("a/b"),
        dir("c"),
        file("a/b/f", b""),
        dir("c/d"),
        file("a/g", b""),
    ];
    applied(&members, room.path()).unwrap();
    let tree = Dir::open(&room.path().join("tree")).unwrap();
    for path in ["a", "a/b"] {
        let metadata = tree.metadata(OsStr::new(path)).unwrap();
        assert_eq!((metadata.mode, metadata.mtime.seconds), (0o2555, 77), "{path}");
    }
    assert_eq!(tree.metadata(OsStr::new("c")).unwrap().mtime.seconds, 77);
    let root = tree.own_metadata().unwrap();
    assert_eq!((root.mode, root.mtime), (0o755, Timestamp::default()));
}

#[test]
fn excluded_members_and_their_children_are_left_out() {
    let room = tempfile::tempdir().unwrap();
    let excludes = ExcludeSet::parse([&b"a"[..]]).unwrap();
    let members = [file("a/b", b"1"), dir("a"), file("c", b"2")];
    let applied = applied_without(&excludes, &members, room.path()).unwrap();
    assert_eq!(applied.entries, 1);
    assert_eq!(names(&room.path().join("tree")), ["c"]);
}

#[test]
fn a_hard_link_to_what_is_left_out_is_the_file() {
    let room = tempfile::tempdir().unwrap();
    let excludes = ExcludeSet::parse([&b"/out"[..]]).unwrap();
    let members = [
        dir(""),
        dir("out"),
        file("out/a", b"old"),
        file("out/a", b"data"),
        // Of two that are left out, the second is a name of the first.
        link("out/b", "out/a"),
        link("kept", "out/b"),
        link("again", "out/a"),
        symlink("out/l", "nowhere"),
        link("l", "out/l"),
        beside("out/null"),
        link("null", "out/null"),
        beside("zero"),
        link("out/zero", "zero"),
        link("out/dangling", "out/none"),
        link("out/directory", "out"),
        // Of one that stays, a name that is left out.
        file("s", b"s"),
        link("out/s", "s"),
        link("t", "out/s"),
        file("out/replaced", b""),
        dir("out/replaced"),
    ];
    let applied = applied_without(&excludes, &members, room.path()).unwrap();
    let tree = room.path().join("tree");
    assert_eq!(names(&tree), ["again", "kept", "l", "s", "t"]);
    assert_eq!(names(room.path()), ["tree"], "what was left out is gone");
    assert_eq!(std::fs::read(tree.join("kept")).unwrap(), b"data");
    assert_eq!(std::fs::read_link(tree.join("l")).unwrap(), Path::new("nowhere"));
    let target = Dir::open(&tree).unwrap();
    let look = |name: &str| target.metadata(OsStr::new(name)).unwrap();
    for (name, other, links) in [("kept", "again", 2), ("s", "t", 2), ("l", "l", 1)] {
        assert_eq!(look(name).inode, look(other).inode, "{name}");
        assert_eq!((look(name).links, look(name).mtime.seconds), (links, 77), "{name}");
    }
    let beside = ["null", "zero", "out/null", "out/zero"];
    let is_beside = beside.map(|path| applied.overrides.has(path.as_bytes()));
    assert_eq!(is_beside, [true, true, false, false]);
    assert_eq!(applied.report.count(Topic::Overridden), 2);
    assert_eq!(applied.report.count(Topic::Replaced), 0);
    let members = [file("out/f", b""), dir("out/f"), link("h", "out/f")];
    let room = tempfile::tempdir().unwrap();
    let error = applied_without(&excludes, &members, room.path()).unwrap_err();
    assert!(error.chain().contains("no earlier member"), "{}", error.chain());
}

#[test]
fn only_directories_that_are_never_listed_are_told() {
    let room = tempfile::tempdir().unwrap();
    let members = [
        file("a/b/c/f", b""),
        dir("a/b"),
        dir("a"),
        file("d/e/f", b""),
        // What is no more was not created.
        file("d/e", b""),
        file("d-e/f", b""),
    ];
    let applied = applied(&members, room.path()).unwrap();
    let findings = &applied.report.topics[&Topic::ImplicitDirectory];
    assert_eq!(
        (findings.count, &findings.examples[..]),
        (3, &["a/b/c", "d", "d-e"].map(String::from)[..])
    );
}

#[test]
fn paths_as_deep_as_a_layer_may_be() {
    let room = tempfile::tempdir().unwrap();
    let deep = "d/".repeat(2047);
    let members =
        [file(&format!("{deep}ff"), b"1"), file("z", b"2"), file(&format!("{deep}g"), b"3")];
    let applied = applied(&members, room.path()).unwrap();
    assert_eq!(applied.report.count(Topic::ImplicitDirectory), 2047);
    fs::remove_tree(&room.path().join("tree")).unwrap();
    let read = |entry| TarReader::new(archive(&[(entry, b"")]).as_slice()).next_entry();
    // Neither the `./` nor the slash at its end count.
    let longest = read(entry(&format!("./{deep}ff"), EntryKind::Directory)).unwrap().unwrap();
    assert_eq!(longest.path.len(), 4096);
    let error = read(entry(&format!("{deep}fff"), EntryKind::Directory)).unwrap_err();
    assert!(error.chain().contains("longer than 4096"), "{}", error.chain());
}

#[test]
fn zeros_become_holes() {
    let bytes = [vec![0; 70_000], vec![1; 10], vec![0; 200_000]].concat();
    let runs = data_runs(0, &bytes);
    let covered: u64 = runs.iter().map(|(_, run)| run.len() as u64).sum();
    assert!(covered <= 65_536, "{covered}");
    let mut copy = vec![0; bytes.len()];
    for (offset, run) in data_runs(100, &bytes) {
        let at = offset as usize - 100;
        copy[at..at + run.len()].copy_from_slice(run);
    }
    assert_eq!(copy, bytes);
}
