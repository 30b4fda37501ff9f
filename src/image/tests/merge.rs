//! Copies of stacks that are made by hand, in the space of users. That an overlay
//! shows the same is seen from outside, in `tests/cli/storage_driver`.

use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::*;
use crate::fs::Timestamp;
use crate::image::marks::MarkSpace;

struct Room {
    folder: tempfile::TempDir,
}

impl Room {
    fn new(layers: &[&str]) -> Self {
        let room = Self { folder: tempfile::tempdir().unwrap() };
        for layer in layers.iter().chain(&["copy"]) {
            std::fs::create_dir(room.path(layer)).unwrap();
        }
        room
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn dir(&self, path: &str) -> Dir {
        Dir::open(&self.path(path)).unwrap()
    }

    /// Files with their own paths in them.
    fn fill(&self, files: &[&str]) {
        for file in files {
            let path = self.path(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, file).unwrap();
        }
    }

    /// Removals as the kernel knows them, or as only we do.
    fn remove(&self, path: &str, is_own: bool) {
        let path = Path::new(path);
        std::fs::create_dir_all(self.folder.path().join(path.parent().unwrap())).unwrap();
        let dir = self.dir(path.parent().unwrap().to_str().unwrap());
        let name = path.file_name().unwrap();
        if is_own {
            dir.create_node(name, FileKind::Socket, (0, 0)).unwrap();
        } else {
            dir.create_node(name, FileKind::CharDevice, (0, 0)).unwrap();
        }
    }

    /// Copies `layers`, topmost first.
    fn copy(&self, layers: &[&str]) -> MergedCopy {
        let layers: Vec<Dir> = layers.iter().map(|layer| self.dir(layer)).collect();
        copy_merged(&layers, &self.dir("copy"), &mut |_| {}).unwrap()
    }

    /// What is in the copy; of a file what is in it.
    fn shown(&self) -> Vec<String> {
        let root = self.path("copy");
        let entries = walkdir::WalkDir::new(&root).min_depth(1).sort_by_file_name();
        let line = |entry: walkdir::DirEntry| {
            let path = entry.path().strip_prefix(&root).unwrap().display().to_string();
            match entry.file_type() {
                kind if kind.is_dir() => path + "/",
                kind if kind.is_file() => {
                    path + "=" + &std::fs::read_to_string(entry.path()).unwrap()
                }
                _ => path + "?",
            }
        };
        entries.into_iter().map(|entry| line(entry.unwrap())).collect()
    }
}

#[test]
fn names_are_those_of_the_topmost_layer() {
    for is_own in [false, true] {
        let room = Room::new(&["top", "middle", "base"]);
        room.fill(&["base/kept", "base/over", "base/gone", "base/back", "base/d/below"]);
        room.fill(&["base/d/deep/x", "base/dir/inside", "base/file", "base/hidden/x"]);
        room.fill(&["middle/over", "middle/d/beside", "middle/file/inside", "middle/hidden/y"]);
        room.fill(&["top/d/deep/y", "top/back", "top/dir"]);
        room.remove("middle/gone", is_own);
        room.remove("middle/back", is_own);
        room.remove("top/d/below", is_own);
        // Of a directory, and one on which nothing lies.
        room.remove("top/hidden", is_own);
        room.remove("top/none", is_own);
        let copied = room.copy(&["top", "middle", "base"]);
        let expected = [
            "back=top/back",
            "d/",
            "d/beside=middle/d/beside",
            "d/deep/",
            "d/deep/x=base/d/deep/x",
            "d/deep/y=top/d/deep/y",
            "dir=top/dir",
            "file/",
            "file/inside=middle/file/inside",
            "kept=base/kept",
            "over=middle/over",
        ];
        assert_eq!(room.shown(), expected);
        let size: usize =
            expected.iter().filter_map(|line| line.split_once('=')).map(|l| l.1.len()).sum();
        assert_eq!((copied.content_size, copied.report), (size as u64, Report::default()));
    }
}

#[test]
fn an_opaque_directory_hides_what_is_below() {
    let room = Room::new(&["top", "middle", "base"]);
    room.fill(&["base/own/x", "base/own/deep/x", "base/kernel/x", "base/own2/x"]);
    room.fill(&["middle/own/y", "middle/kernel/y", "middle/own2/y", "top/own/z", "top/kernel/z"]);
    room.remove("middle/own/.wh..wh..opq", true);
    room.remove("top/own2/.wh..wh..opq", true);
    MarkSpace::User.make_opaque(&room.dir("middle/kernel"), &room.path("marks")).unwrap();
    let names = ["kernel/", "kernel/y=middle/kernel/y", "kernel/z=top/kernel/z"];
    room.copy(&["top", "middle", "base"]);
    let others = ["own/", "own/y=middle/own/y", "own/z=top/own/z", "own2/"];
    assert_eq!(room.shown(), [&names[..], &others].concat());
    // No mark is left, not even overlayfs's own.
    assert!(fs::list_xattrs(&room.dir("copy"), OsStr::new("kernel")).unwrap().is_empty());
}

#[test]
fn a_file_is_copied_with_all_that_it_has() {
    let room = Room::new(&["base"]);
    room.fill(&["base/bin/su", "base/tmp/x"]);
    let base = room.dir("base");
    let time = Timestamp { seconds: 1_000_000_000, nanoseconds: 123_456_789 };
    let (bin, this) = (room.dir("base/bin"), OsStr::new("."));
    bin.create_link(OsStr::new("su2"), &bin, OsStr::new("su")).unwrap();
    bin.create_node(OsStr::new("pipe"), FileKind::Fifo, (0, 0)).unwrap();
    symlink("/no/where", room.path("base/bin/link")).unwrap();
    let has_xattrs = fs::offer_xattr(&bin, OsStr::new("su"), (OsStr::new("user.a"), b"b")).unwrap();
    let sparse = bin.create_file(OsStr::new("sparse")).unwrap();
    sparse.set_len(64 << 20).unwrap();
    sparse.write_all_at(b"end", (64 << 20) - 3).unwrap();
    let modes = [("su", 0o4755), ("pipe", 0o620), ("sparse", 0o400)];
    modes.iter().for_each(|(name, mode)| bin.set_mode(OsStr::new(name), *mode).unwrap());
    ["su", "pipe", "sparse", "link"]
        .iter()
        .for_each(|name| bin.set_mtime(OsStr::new(name), time).unwrap());
    base.set_mode(OsStr::new("tmp"), 0o1777).unwrap();
    base.set_mtime(OsStr::new("tmp"), time).unwrap();
    base.set_mtime(this, time).unwrap();
    base.set_mode(this, 0o555).unwrap();
    room.copy(&["base"]);
    let copy = room.dir("copy/bin");
    let looks = |dir: &Dir, name: &str| {
        let found = dir.metadata(OsStr::new(name)).unwrap();
        (found.kind, found.mode, found.uid, found.gid, found.size, found.mtime, found.links)
    };
    for name in ["su", "su2", "pipe", "sparse", "link"] {
        assert_eq!(looks(&copy, name), looks(&bin, name), "{name}");
    }
    assert_eq!(looks(&copy, "su").5, time);
    let inode = |name: &str| copy.metadata(OsStr::new(name)).unwrap().inode;
    assert_eq!(inode("su"), inode("su2"));
    assert_ne!(inode("su"), bin.metadata(OsStr::new("su")).unwrap().inode);
    assert_eq!(copy.read_link(OsStr::new("link")).unwrap(), b"/no/where");
    assert!(copy.metadata(OsStr::new("sparse")).unwrap().blocks < (1 << 20) / 512);
    let value = fs::read_xattr(&copy, OsStr::new("su"), OsStr::new("user.a")).unwrap();
    assert_eq!(value.is_some(), has_xattrs);
    for name in [".", "tmp"] {
        let (old, new) =
            (base.metadata(OsStr::new(name)), room.dir("copy").metadata(OsStr::new(name)));
        let (old, new) = (old.unwrap(), new.unwrap());
        assert_eq!((new.mode, new.mtime), (old.mode, old.mtime), "{name}");
    }
    base.set_mode(this, 0o755).unwrap();
    room.dir("copy").set_mode(this, 0o755).unwrap();
}

#[test]
fn links_of_layers_lead_nowhere() {
    let room = Room::new(&["top", "base", "outside"]);
    room.fill(&["outside/passwd", "base/etc/passwd", "base/var/x"]);
    // In place of a directory, and below one.
    symlink(room.path("outside"), room.path("top/etc")).unwrap();
    std::fs::create_dir(room.path("top/var")).unwrap();
    symlink("../../outside/passwd", room.path("top/var/x")).unwrap();
    room.copy(&["top", "base"]);
    assert_eq!(room.shown(), ["etc?", "var/", "var/x?"]);
    assert_eq!(std::fs::read_link(room.path("copy/etc")).unwrap(), room.path("outside"));
    assert_eq!(std::fs::read_to_string(room.path("outside/passwd")).unwrap(), "outside/passwd");
}

#[test]
fn names_of_a_file_that_are_hidden_are_none() {
    let room = Room::new(&["top", "base"]);
    room.fill(&["base/a", "top/a"]);
    std::fs::hard_link(room.path("base/a"), room.path("base/b")).unwrap();
    std::fs::hard_link(room.path("base/a"), room.path("base/c")).unwrap();
    room.copy(&["top", "base"]);
    assert_eq!(room.shown(), ["a=top/a", "b=base/a", "c=base/a"]);
    let inode = |name: &str| std::fs::metadata(room.path("copy").join(name)).unwrap().ino();
    assert_eq!(inode("b"), inode("c"));
    assert_ne!(inode("a"), inode("b"));
}

#[test]
fn a_deep_tree_takes_no_more_descriptors() {
    let room = Room::new(&["top", "base"]);
    let mut deep = String::from("base");
    (0..700).for_each(|_| deep.push_str("/d"));
    room.fill(&[&(deep.clone() + "/x"), &(deep.replacen("base", "top", 1) + "/y")]);
    room.copy(&["top", "base"]);
    let deep = room.path("copy").join(deep.strip_prefix("base/").unwrap());
    assert!(deep.join("x").exists() && deep.join("y").exists());
}

#[test]
fn what_may_not_be_read_is_left_out_and_told() {
    if rustix::process::geteuid().is_root() {
        let line = b"\nskipped: what_may_not_be_read_is_left_out_and_told: root may read all\n";
        std::io::Write::write_all(&mut std::io::stdout(), line).unwrap();
        return;
    }
    let room = Room::new(&["base"]);
    room.fill(&["base/shadow", "base/root/x", "base/x"]);
    for name in ["shadow", "root"] {
        let mode = PermissionsExt::from_mode(0o0);
        std::fs::set_permissions(room.path("base").join(name), mode).unwrap();
    }
    let copied = room.copy(&["base"]);
    assert_eq!(room.shown(), ["root/", "x=base/x"]);
    assert_eq!(copied.report.count(Topic::Unreadable), 2);
}
