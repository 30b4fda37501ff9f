//! Indexes of layers upon each other: what an overlay of the mounted ones
//! shows is what an overlay of extracted ones shows, mark by mark.

use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::contract::archive;
use super::*;
use crate::image::layer::LayerTarget;
use crate::image::load::below::Trees;
use crate::image::marks::MarkSpace;
use crate::image::{Attributes, Counters, Entry, EntryKind, LayerLimits, LoadOptions, load_layer};
use crate::mount::LayerForm;

/// Members by lines: `d/` a directory, `l -> t` a hard link, `s => t` a
/// symbolic link, `c*` a character device 0:0, else a file.
fn tar(lines: &[&str]) -> Vec<u8> {
    let member = |line: &&str| {
        let (path, kind) = if let Some((path, target)) = line.split_once(" -> ") {
            (path, EntryKind::HardLink { target: target.into() })
        } else if let Some((path, target)) = line.split_once(" => ") {
            (path, EntryKind::Symlink { target: target.into() })
        } else if let Some(path) = line.strip_suffix('/') {
            (path, EntryKind::Directory)
        } else if let Some(path) = line.strip_suffix('*') {
            (path, EntryKind::CharDevice(0, 0))
        } else {
            (*line, EntryKind::Regular { size: line.len() as u64 * 100, sparse: None })
        };
        let attributes = Attributes { mode: 0o751, uid: 3, gid: 4, ..Attributes::default() };
        Entry { path: path.into(), kind, attributes }
    };
    archive(&lines.iter().map(member).collect::<Vec<_>>())
}

/// The names in a tree with their inodes' looks; `-` is a whiteout, `!` an
/// opaque directory.
fn shown(root: &Path) -> Vec<String> {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    let line = |entry: walkdir::DirEntry| {
        let path = entry.path().strip_prefix(root).unwrap().display().to_string();
        let found = entry.path().symlink_metadata().unwrap();
        if found.file_type().is_char_device() {
            return format!("{path} - {}", found.rdev());
        }
        let opaque = ::xattr::get(entry.path(), "trusted.overlay.opaque").unwrap();
        let mark = if opaque.as_deref() == Some(b"y") { " !" } else { "" };
        let (content, links) = match found.file_type() {
            kind if kind.is_file() => (std::fs::read(entry.path()).unwrap(), found.nlink()),
            kind if kind.is_symlink() => {
                let target = std::fs::read_link(entry.path()).unwrap();
                (target.as_os_str().as_bytes().to_vec(), found.nlink())
            }
            _ => (Vec::new(), 0),
        };
        let digest = crate::digest::Digest::of(&content);
        let owner = (found.uid(), found.gid(), found.mtime());
        format!("{path}{mark} {:o} {owner:?} {links} {digest}", found.mode())
    };
    let entries = walkdir::WalkDir::new(root).sort_by_file_name();
    entries.into_iter().map(|entry| line(entry.unwrap())).collect()
}

/// An overlay of `lower`, topmost first.
fn overlay(lower: &[PathBuf]) -> OwnedFd {
    use rustix::mount::*;
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).unwrap();
    for layer in lower {
        fsconfig_set_string(&context, "lowerdir+", layer).unwrap();
    }
    fsconfig_create(&context).unwrap();
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::MOUNT_ATTR_RDONLY).unwrap()
}

fn path_of(mount: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/.", mount.as_raw_fd()))
}

/// Both forms of some layers, lowest first, show the same.
fn same_in_both_forms(test: &str, layers: &[&[&str]]) -> Vec<String> {
    if !can_mount(test) {
        return Vec::new();
    }
    let room = room();
    let counters = Counters::default();
    let (mut targets, mut mounts): (Vec<LayerTarget>, Vec<OwnedFd>) = (Vec::new(), Vec::new());
    for (number, lines) in layers.iter().enumerate() {
        let (bytes, folder) = (tar(lines), room.path().join(number.to_string()));
        let target = LayerTarget::within(&folder, LayerForm::Tree);
        std::fs::create_dir_all(&target.tree).unwrap();
        let lower: Vec<LayerTarget> = targets.iter().rev().cloned().collect();
        let marks = MarkSpace::Trusted;
        let below = Trees(&lower);
        let limits = LayerLimits::NONE;
        let options = LoadOptions { below: &below, marks, limits, counters: &counters };
        load_layer(Box::new(std::io::Cursor::new(bytes.clone())), &target, &options).unwrap();
        std::fs::write(folder.join("tar"), &bytes).unwrap();
        let below: Vec<PathBuf> = mounts.iter().rev().map(path_of).collect();
        let view = match below.as_slice() {
            [] => None,
            [one] => Some(Dir::open(one).unwrap()),
            _ => Some(Dir::open(&path_of(&overlay(&below))).unwrap()),
        };
        let level = view.as_ref().map_or(Level::Lowest, Level::Upon);
        index(&bytes, &folder.join("index"), level).unwrap();
        mounts.push(mount(&folder.join("index"), &folder.join("tar")).unwrap());
        let mounted = path_of(mounts.last().unwrap());
        assert_eq!(shown(&mounted), shown(&target.tree), "layer {number}");
        targets.push(target);
    }
    let indexes: Vec<PathBuf> = mounts.iter().rev().map(path_of).collect();
    let trees: Vec<PathBuf> = targets.iter().rev().map(|target| target.tree.clone()).collect();
    let merged = |layers: &[PathBuf]| match layers {
        [one] => shown(one),
        _ => shown(&path_of(&overlay(layers))),
    };
    let shown = merged(&indexes);
    assert_eq!(shown, merged(&trees));
    shown.iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

#[test]
fn whiteouts_and_opaque_directories_hide_what_is_below() {
    let test = "whiteouts_and_opaque_directories_hide_what_is_below";
    let seen = same_in_both_forms(
        test,
        &[
            &["a/", "a/gone", "a/kept", "b/", "b/hidden", "c", "d/e/f", "g/h", ".wh.nothing"],
            &["a/.wh.gone", "b/.wh..wh..opq", "b/new", ".wh.c", "d/.wh.e", "d/e/new", "g/.wh.no"],
        ],
    );
    if !seen.is_empty() {
        let expected = ["", "a", "a/kept", "b", "b/new", "d", "d/e", "d/e/new", "g", "g/h"];
        assert_eq!(seen, expected);
    }
}

#[test]
fn any_order_of_marks_means_the_same_as_extracted() {
    let test = "any_order_of_marks_means_the_same_as_extracted";
    let lower: &[&str] = &["a/b/c", "a/b/d", "a/e", "f", "g/h/i", "link => a", "k/", "k/l", "m/n"];
    let uppers: &[&[&str]] = &[
        &["a/b/", "a/.wh.b", "a/b/new"],
        &["a/.wh.b", "a/b/", "a/b/.wh.c"],
        &["a/b/.wh.c", "a/b/.wh..wh..opq", "a/b/x"],
        &["a/b/x", "a/.wh..wh..opq", "a/.wh.e"],
        &[".wh.f", "f"],
        &["f", ".wh.f"],
        &["f/", "f/x", ".wh.f"],
        &[".wh.f", "f/x/y"],
        &[".wh..wh..opq", "a/new"],
        &["link/x"],
        &["g/h/i", "g/h/.wh.i", "g/", ".wh.g", "g/h/"],
        &["f*", "k*", "nothing*", "m/n*"],
        &["k*", "k/", "k/x"],
        &["k", "k/", "k/.wh.l"],
        &["new/.wh.x", "new/y"],
        &[".wh.a", "a/b/", "a", "a/", "a/b/"],
        &["k/.wh..wh.meta", ".wh..wh.aufs", "k/x"],
    ];
    for upper in uppers {
        same_in_both_forms(test, &[lower, upper]);
        same_in_both_forms(test, &[lower, upper, &["a/b/.wh.c", "f", "g/h/j", "k/m"]]);
    }
}

#[test]
fn hard_links_to_files_below_bring_them_up() {
    let test = "hard_links_to_files_below_bring_them_up";
    let lower: &[&str] = &["a/file", "a/link => target", "d/"];
    let upper: &[&str] = &["x/first -> a/file", "second -> a/file", "b -> a/link", "d/x"];
    let seen = same_in_both_forms(test, &[lower, upper]);
    if !seen.is_empty() {
        let expected = ["", "a", "a/file", "a/link", "b", "d", "d/x", "second", "x", "x/first"];
        assert_eq!(seen, expected);
    }
}
