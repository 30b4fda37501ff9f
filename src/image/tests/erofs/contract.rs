//! What is mounted is what is extracted.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::PathBuf;
use std::process::Command;

use super::*;
use crate::fs::{Dir, FileKind, Metadata};
use crate::image::canonical::{END, encode};
use crate::image::{ApplyOptions, Attributes, Entry, EntryKind, Segment, SparseMap, Xattrs, apply};

/// Up to this size contents are compared whole.
const WHOLE: u64 = 64 << 20;

/// What a tree has at one path.
#[derive(Debug, PartialEq)]
struct Seen {
    kind: FileKind,
    mode: u32,
    owner: (u32, u32),
    mtime: crate::fs::Timestamp,
    rdev: (u32, u32),
    size: u64,
    links: u64,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    target: Vec<u8>,
}

fn seen(root: &Path) -> BTreeMap<PathBuf, Seen> {
    let mut found = BTreeMap::new();
    let mut subdirectories: BTreeMap<PathBuf, u64> = BTreeMap::new();
    for entry in walkdir::WalkDir::new(root) {
        let entry = entry.unwrap();
        let path = entry.path().strip_prefix(root).unwrap().to_owned();
        let parent = Dir::open(entry.path().parent().unwrap()).unwrap();
        let (dir, name) = match entry.depth() {
            0 => (Dir::open(root).unwrap(), OsStr::new(".")),
            _ => (parent, entry.file_name()),
        };
        let Metadata { kind, mode, uid, gid, mtime, rdev, size, links, .. } =
            dir.metadata(name).unwrap();
        let xattrs = fs::list_xattrs(&dir, name).unwrap().into_iter().map(|attribute| {
            let value = fs::read_xattr(&dir, name, &attribute).unwrap().unwrap_or_default();
            (attribute.as_bytes().to_vec(), value)
        });
        let mut here = Seen {
            kind,
            mode,
            owner: (uid, gid),
            mtime,
            rdev,
            size,
            links,
            xattrs: xattrs.collect(),
            target: Vec::new(),
        };
        match kind {
            FileKind::Symlink => here.target = dir.read_link(name).unwrap(),
            FileKind::Directory => {
                // File systems count differently; ours counts as ext4 does.
                here.size = 0;
                if let Some(above) = path.parent() {
                    *subdirectories.entry(above.to_owned()).or_default() += 1;
                }
            }
            _ => {}
        }
        found.insert(path, here);
    }
    for (path, here) in &found {
        if here.kind == FileKind::Directory {
            let below = subdirectories.get(path).copied().unwrap_or_default();
            assert_eq!(here.links, 2 + below, "{}", path.display());
        }
    }
    found
}

/// Compares two files: all of small ones, of large ones what is data in the
/// first, its surroundings and the end.
fn same_content(one: &Path, other: &Path, size: u64) {
    let (a, b) = (std::fs::File::open(one).unwrap(), std::fs::File::open(other).unwrap());
    let same = |offset: u64, length: u64| {
        let (mut x, mut y) = (vec![0; length as usize], vec![0; length as usize]);
        a.read_exact_at(&mut x, offset).unwrap();
        b.read_exact_at(&mut y, offset).unwrap();
        assert!(x == y, "{} at {offset}", one.display());
    };
    if size <= WHOLE {
        return same(0, size);
    }
    let mut at = 0;
    while let Ok(start) = rustix::fs::seek(&a, rustix::fs::SeekFrom::Data(at)) {
        at = rustix::fs::seek(&a, rustix::fs::SeekFrom::Hole(start)).unwrap();
        let first = start.saturating_sub(8192);
        same(first, (at + 8192).min(size) - first);
    }
    same(size - 4096, 4096);
}

/// Which paths are names of one file.
fn groups(root: &Path) -> Vec<Vec<PathBuf>> {
    use std::os::unix::fs::MetadataExt;
    let mut groups: BTreeMap<u64, Vec<PathBuf>> = BTreeMap::new();
    for entry in walkdir::WalkDir::new(root).sort_by_file_name() {
        let entry = entry.unwrap();
        let inode = entry.path().symlink_metadata().unwrap().ino();
        assert_ne!(inode, 0);
        groups.entry(inode).or_default().push(entry.path().strip_prefix(root).unwrap().into());
    }
    let mut groups: Vec<_> = groups.into_values().filter(|paths| paths.len() > 1).collect();
    groups.sort();
    groups
}

/// The contract. The index is the same each time.
fn holds(test: &str, bytes: &[u8]) {
    let room = room();
    let at = |name: &str| room.path().join(name);
    let indexed = index(bytes, &at("index"), Level::Whole).unwrap();
    index(bytes, &at("again"), Level::Whole).unwrap();
    assert!(std::fs::read(at("index")).unwrap() == std::fs::read(at("again")).unwrap());
    if !can_mount(test) {
        return;
    }
    std::fs::create_dir(at("tree")).unwrap();
    let target = Dir::open(&at("tree")).unwrap();
    let applied = apply(TarReader::new(bytes), &target, &ApplyOptions::default()).unwrap();
    assert_eq!(indexed.report, applied.report);
    assert_eq!(
        (indexed.entries, indexed.content_size, indexed.newest_mtime),
        (applied.entries, applied.content_size, applied.newest_mtime)
    );
    assert_eq!(
        (indexed.has_root, indexed.has_end_marker),
        (applied.has_root, applied.has_end_marker)
    );
    std::fs::write(at("tar"), bytes).unwrap();
    let mounted = mount(&at("index"), &at("tar")).unwrap();
    let mounted = PathBuf::from(format!("/proc/self/fd/{}/.", mounted.as_raw_fd()));
    let (expected, found) = (seen(&at("tree")), seen(&mounted));
    for (path, expected) in &expected {
        let found = found.get(path).unwrap_or_else(|| panic!("{} is missing", path.display()));
        assert_eq!(found, expected, "{}", path.display());
        if expected.kind == FileKind::Regular {
            same_content(&at("tree").join(path), &mounted.join(path), expected.size);
        }
    }
    assert_eq!(found.len(), expected.len());
    assert_eq!(groups(&mounted), groups(&at("tree")));
}

fn member(path: &str, kind: EntryKind) -> Entry {
    let attributes = Attributes {
        mode: 0o4751,
        uid: 100_000,
        gid: 7,
        mtime: crate::fs::Timestamp { seconds: 77, nanoseconds: 5 },
        xattrs: Xattrs::new(),
    };
    Entry { path: path.as_bytes().to_vec(), kind, attributes }
}

fn file(size: u64) -> EntryKind {
    EntryKind::Regular { size, sparse: None }
}

/// A tar of `members`, whose stored bytes are a pattern.
pub(super) fn archive(members: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in members {
        encode(entry, &mut bytes);
        if let EntryKind::Regular { size, sparse } = &entry.kind {
            let stored = sparse.as_ref().map_or(*size, SparseMap::data_size);
            let start = bytes.len() as u64;
            bytes.extend((0..stored).map(|at| ((start + at) * 7 / 3) as u8 | 1));
            bytes.resize(bytes.len().next_multiple_of(512), 0);
        }
    }
    bytes.extend(END);
    bytes
}

#[test]
fn every_kind_and_size() {
    let long = "l".repeat(4000);
    let mut members = vec![
        member("", EntryKind::Directory),
        member("block", EntryKind::BlockDevice(8, 0xf_ff01)),
        member("char", EntryKind::CharDevice(0xfff, 255)),
        member("fifo", EntryKind::Fifo),
        member("null", EntryKind::CharDevice(1, 3)),
    ];
    for size in [0, 1, 511, 512, 513, 4095, 4096, 4097, 70_000, 1 << 20] {
        members.push(member(&format!("file{size}"), file(size)));
    }
    for length in [1, 59, 447, 448, 449, 511, 512, 513, 1000, 4000] {
        let target = long[..length].into();
        members.push(member(&format!("link{length}"), EntryKind::Symlink { target }));
    }
    holds("every_kind_and_size", &archive(&members));
}

#[test]
fn names_and_depths_at_their_limits() {
    let mut members = vec![member("d", EntryKind::Directory)];
    for index in 0..10_000 {
        members.push(member(&format!("many/name-{}", index * 7919 % 10_000), file(0)));
    }
    // What sorts before, between and behind `.` and `..`, and long names.
    for name in ["!", "-", ".", "..", ".a", "...", "..a", ".-", "\u{1}", "~", "a"] {
        if ![".", ".."].contains(&name) {
            members.push(member(&format!("dots/{name}"), file(0)));
        }
    }
    for index in 0..40 {
        let name = format!("{index:02}{}", "n".repeat(253));
        members.push(member(&format!("long/{name}"), EntryKind::Directory));
    }
    // Directories of every size around a block and what fits behind an inode.
    for count in 0..40 {
        for index in 0..count {
            members.push(member(&format!("sizes/{count}/{index:06}"), file(0)));
        }
    }
    let deep: Vec<String> = (0..200).map(|index| format!("level{index}")).collect();
    members.push(member(&deep.join("/"), file(9)));
    holds("names_and_depths_at_their_limits", &archive(&members));
}

#[test]
fn attributes_of_all_sorts() {
    let mut members = Vec::new();
    let mut add = |path: &str, kind: EntryKind, name: &[u8], value: &[u8]| {
        let mut entry = member(path, kind);
        entry.attributes.xattrs.insert(name.to_vec(), value.to_vec());
        members.push(entry);
    };
    let capability = [1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    add("cap", file(3), b"security.capability", &capability);
    add("bad-cap", file(3), b"security.capability", b"x");
    for length in [0, 1, 2, 3, 4, 100, 400, 440, 500, 2000] {
        add(&format!("user{length}"), file(3), b"user.x", &vec![b'v'; length]);
        add(&format!("dir{length}"), EntryKind::Directory, b"user.y", &vec![b'v'; length]);
    }
    let link = EntryKind::Symlink { target: b"t".to_vec() };
    add("user-of-link", link, b"user.x", b"dropped");
    add("opaque", EntryKind::Directory, b"trusted.overlay.opaque", b"y");
    add("user-opaque", EntryKind::Directory, b"user.overlay.opaque", b"y");
    add("selinux", file(0), b"security.selinux", b"label");
    let acl = |mask: u8| {
        let entry =
            |tag: u8, rights: u8, id: [u8; 4]| [tag, 0, rights, 0, id[0], id[1], id[2], id[3]];
        let none = [255; 4];
        let mut acl = vec![2, 0, 0, 0];
        acl.extend(entry(1, 7, none));
        acl.extend(entry(2, 6, [9, 0, 0, 0]));
        acl.extend(entry(4, 5, none));
        acl.extend(entry(16, mask, none));
        acl.extend(entry(32, 1, none));
        acl
    };
    add("acl", file(0), b"system.posix_acl_access", &acl(5));
    add("acl-dir", EntryKind::Directory, b"system.posix_acl_default", &acl(7));
    add("acl-of-file", file(0), b"system.posix_acl_default", &acl(7));
    add("bad-acl", file(0), b"system.posix_acl_access", b"\x02\0\0\0x");
    holds("attributes_of_all_sorts", &archive(&members));
}

#[test]
fn times_beyond_the_usual() {
    let mut members = Vec::new();
    for (seconds, nanoseconds) in [(-1, 500_000_000), (-2_000_000_000, 0), (5_000_000_000, 1)] {
        let mut entry = member(&format!("at{seconds}"), file(1));
        entry.attributes.mtime = crate::fs::Timestamp { seconds, nanoseconds };
        members.push(entry);
    }
    holds("times_beyond_the_usual", &archive(&members));
}

#[test]
fn later_members_replace_earlier_ones() {
    let link = |target: &str| EntryKind::HardLink { target: target.into() };
    let members = [
        member("a/b/c/f", file(10)),
        member("first", link("a/b/c/f")),
        member("a/b", file(20)),
        member("a/b", EntryKind::Directory),
        member("a/b/c", file(30)),
        member("second", link("first")),
        member("first", EntryKind::Symlink { target: b"a".to_vec() }),
        member("third", link("first")),
        member("dev", EntryKind::CharDevice(0, 0)),
        member("dev2", link("dev")),
        member("x", file(5)),
        member("x", EntryKind::CharDevice(0, 0)),
        member("y", EntryKind::CharDevice(0, 0)),
        member("y", EntryKind::Directory),
        member("z", EntryKind::Directory),
        member("z", link("second")),
        member("second", link("second")),
        member("fifo", EntryKind::Fifo),
        member("fifo2", link("fifo")),
        member("a", EntryKind::Directory),
    ];
    holds("later_members_replace_earlier_ones", &archive(&members));
}

fn sparse(path: &str, size: u64, segments: &[(u64, u64)]) -> Entry {
    let segments = segments.iter().map(|&(offset, length)| Segment { offset, length }).collect();
    member(path, EntryKind::Regular { size, sparse: Some(SparseMap { segments }) })
}

#[test]
fn sparse_files_with_segments_anywhere() {
    let (mib, gib) = (1 << 20, 1 << 30);
    let members = [
        sparse("hole", 3 * mib, &[(3 * mib, 0)]),
        sparse("odd", 3 * mib + 1, &[(3 * mib, 1)]),
        sparse("canonical", 5 * mib, &[(0, 4096), (2 * mib, 8192), (4 * mib, mib)]),
        sparse("unaligned", 9000, &[(1, 2), (700, 1000), (1800, 3), (5000, 4000)]),
        sparse("near", 4096 * 9, &[(512, 512), (4096, 5000), (9500, 600), (20_000, 512)]),
        sparse("one-chunk", 2000, &[(100, 50), (200, 50), (1990, 10)]),
        sparse("large", 5 * gib + 17, &[(4096, 4096), (4 * gib, 8192), (5 * gib, 17)]),
        sparse("larger", 300 * gib, &[(0, 1), (299 * gib + 7, 70_000)]),
        member("plain", file(9)),
    ];
    holds("sparse_files_with_segments_anywhere", &archive(&members));
}

/// What GNU tar says of a tree, in one of its dialects.
fn gnu_tar(tree: &Path, options: &[&str]) -> Vec<u8> {
    let output = Command::new("tar")
        .args(["--numeric-owner", "--sparse"])
        .args(options)
        .arg("-C")
        .arg(tree)
        .args(["-cf", "-", "."])
        .output()
        .unwrap();
    assert!(output.status.success());
    output.stdout
}

#[test]
fn archives_of_gnu_tar_in_every_dialect() {
    let room = room();
    let tree = room.path().join("tree");
    std::fs::create_dir_all(tree.join("d/e")).unwrap();
    std::fs::write(tree.join("d/e/file"), vec![7; 12_345]).unwrap();
    std::fs::hard_link(tree.join("d/e/file"), tree.join("d/link")).unwrap();
    std::os::unix::fs::symlink("file", tree.join("d/e/symlink")).unwrap();
    std::fs::set_permissions(tree.join("d"), std::fs::Permissions::from_mode(0o2750)).unwrap();
    std::fs::write(tree.join("n".repeat(200)), "long").unwrap();
    let holes = std::fs::File::create(tree.join("holes")).unwrap();
    for index in 0..30 {
        holes.write_all_at(&[9; 4096], index * 40_960 + 8192).unwrap();
    }
    holes.set_len((5 << 30) + 3).unwrap();
    let xattr = (OsStr::new("user.x"), &b"value"[..]);
    let dir = Dir::open(&tree).unwrap();
    fs::write_xattr(&dir, OsStr::new("holes"), xattr).unwrap();
    let pax = ["--format=pax", "--xattrs", "--xattrs-include=*"];
    for options in [
        vec!["--format=oldgnu"],
        vec!["--format=gnu"],
        [&pax[..], &["--sparse-version=0.0"]].concat(),
        [&pax[..], &["--sparse-version=0.1"]].concat(),
        [&pax[..], &["--sparse-version=1.0"]].concat(),
    ] {
        holds("archives_of_gnu_tar_in_every_dialect", &gnu_tar(&tree, &options));
    }
}

/// Of what no other archive here has.
const PYTHON: &str = r#"
import io, sys, tarfile
form = getattr(tarfile, sys.argv[1])
with tarfile.open(fileobj=sys.stdout.buffer, mode="w|", format=form) as archive:
    def add(name, kind=tarfile.REGTYPE, data=b"", **more):
        member = tarfile.TarInfo(name)
        member.type, member.size, member.mtime = kind, len(data), 1.25
        for key, value in more.items():
            setattr(member, key, value)
        archive.addfile(member, io.BytesIO(data))
    add("./", tarfile.DIRTYPE, mode=0o711)
    add("ü/" + "long" * 50 + "/" + "n" * 255, data=b"x" * 700, uid=3000000, gid=5)
    add("hard", tarfile.LNKTYPE, linkname="ü/" + "long" * 50 + "/" + "n" * 255)
    add("soft", tarfile.SYMTYPE, linkname="t" * 300)
    add("dev/null", tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666)
    add("empty")
    add("dev", tarfile.DIRTYPE, mode=0o1777, mtime=5)
"#;

#[test]
fn archives_of_python_in_every_dialect() {
    for format in ["PAX_FORMAT", "GNU_FORMAT"] {
        let Ok(output) = Command::new("python3").args(["-c", PYTHON, format]).output() else {
            return skipped("archives_of_python_in_every_dialect", "there is no python3");
        };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        holds("archives_of_python_in_every_dialect", &output.stdout);
    }
}
