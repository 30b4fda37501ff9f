//! What is refused, and how the image is made, seen without mounting.

use super::contract::archive;
use super::*;
use crate::error::Kind;
use crate::image::{ApplyOptions, Attributes, Entry, EntryKind, apply};

fn member(path: &str, kind: EntryKind) -> Entry {
    let attributes = Attributes { mode: 0o755, ..Attributes::default() };
    Entry { path: path.into(), kind, attributes }
}

fn file(path: &str, size: u64) -> Entry {
    member(path, EntryKind::Regular { size, sparse: None })
}

fn dir(path: &str) -> Entry {
    member(path, EntryKind::Directory)
}

fn link(path: &str, target: &str) -> Entry {
    member(path, EntryKind::HardLink { target: target.into() })
}

fn symlink(path: &str) -> Entry {
    member(path, EntryKind::Symlink { target: b"/etc".to_vec() })
}

/// Asserts that both, index and extraction, refuse `members` in the same words.
fn refused(members: &[Entry]) {
    let room = tempfile::tempdir().unwrap();
    let bytes = archive(members);
    let error = index(&bytes, &room.path().join("index"), Level::Whole).unwrap_err();
    let target = Dir::open(room.path()).unwrap();
    let options = ApplyOptions::default();
    let expected = apply(TarReader::new(bytes.as_slice()), &target, &options).unwrap_err();
    assert_eq!(error.chain(), expected.chain());
    assert_eq!((error.kind(), error.hint_text()), (expected.kind(), expected.hint_text()));
    assert_eq!(error.kind(), Kind::Invalid);
}

#[test]
fn hostile_members_are_refused_in_the_words_of_the_extractor() {
    refused(&[file("../x", 1)]);
    refused(&[file("/etc/x", 1)]);
    refused(&[file("a/../../x", 1)]);
    refused(&[symlink("s"), file("s/x", 1)]);
    refused(&[symlink("d/s"), dir("d/s/t")]);
    refused(&[file("f", 0), file("f/x", 1)]);
    refused(&[member("n", EntryKind::CharDevice(0, 0)), file("n/x", 1)]);
    refused(&[dir("d"), link("x", "d")]);
    refused(&[link("x", "missing")]);
    refused(&[link("x", "missing/too")]);
    refused(&[link("x", "x")]);
    refused(&[dir("d"), link("d", "d")]);
    refused(&[file("d/x", 1), link("d", "d/x")]);
    refused(&[file("f", 0), link("x", "f/y")]);
    refused(&[dir("d"), symlink("s"), link("x", "s/y")]);
    refused(&[link("x", "../../etc/passwd")]);
    refused(&[file("", 1)]);
    refused(&[file(&"n".repeat(256), 1)]);
    refused(&[file(&"d/".repeat(2100), 1)]);
    refused(&[file("d/.wh.x", 0)]);
    refused(&[file(".wh..wh..opq", 0)]);
}

#[test]
fn a_whiteout_that_removes_no_name_is_refused() {
    let room = tempfile::tempdir().unwrap();
    for (number, path) in [".wh.", "d/.wh..", ".wh...", ".wh.d/x"].iter().enumerate() {
        let path_of_index = room.path().join(number.to_string());
        let error = index(&archive(&[file(path, 0)]), &path_of_index, Level::Lowest).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid, "{path}");
        assert!(error.chain().contains(path), "{}", error.chain());
    }
}

#[test]
fn a_cut_off_tar_is_refused() {
    let room = tempfile::tempdir().unwrap();
    let bytes = archive(&[file("f", 5000)]);
    let error = index(&bytes[..3000], &room.path().join("index"), Level::Whole).unwrap_err();
    assert!(error.chain().contains("cut off"), "{}", error.chain());
}

#[test]
fn an_index_is_no_larger_than_it_has_to_be() {
    let room = tempfile::tempdir().unwrap();
    let path = room.path().join("index");
    index(&archive(&[dir(""), file("f", 5000)]), &path, Level::Whole).unwrap();
    // Three blocks before the inodes, and one of those.
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(bytes.len(), 4 * 512);
    assert_eq!(bytes[1024..1028], 0xe0f5_e1e2_u32.to_le_bytes());
    // The tar: header of the root, of the file, ten blocks of data, the end.
    assert_eq!(bytes[1024 + 128 + 64..][..4], 14_u32.to_le_bytes());
}

#[test]
fn sparse_members_do_not_make_a_large_index() {
    use crate::image::{Segment, SparseMap};
    let room = tempfile::tempdir().unwrap();
    let path = room.path().join("index");
    let size = 1 << 40;
    let segments =
        vec![Segment { offset: 4096, length: 4096 }, Segment { offset: size, length: 0 }];
    let sparse = Some(SparseMap { segments });
    for (count, most) in [(1, 300 << 10), (100, 40 << 20)] {
        let kind = || EntryKind::Regular { size, sparse: sparse.clone() };
        let members: Vec<_> = (0..count).map(|n| member(&format!("f{n}"), kind())).collect();
        let path = path.with_extension(count.to_string());
        index(&archive(&members), &path, Level::Whole).unwrap();
        assert!(path.metadata().unwrap().len() < 5 << 30);
        let allocated = std::os::unix::fs::MetadataExt::blocks(&std::fs::metadata(&path).unwrap());
        assert!(allocated * 512 < most, "{allocated} blocks of {count} members");
    }
    // One byte every two mebibytes, each of which a chunk would be copied for.
    let scattered = (0..16_384).map(|n| Segment { offset: (n << 21) + 1, length: 1 });
    let sparse = Some(SparseMap { segments: scattered.collect() });
    let kind = EntryKind::Regular { size: 32 << 30, sparse };
    let error = index(&archive(&[member("f", kind)]), &path, Level::Whole).unwrap_err();
    assert!(error.hint_text().unwrap().contains("--storage-driver overlay"));
    let segments = vec![Segment { offset: 4097, length: 4096 }];
    let sparse = Some(SparseMap { segments });
    let size = 1 << 60;
    let bytes = archive(&[member("f", EntryKind::Regular { size, sparse })]);
    let error = index(&bytes, &room.path().join("other"), Level::Whole).unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
}

#[test]
fn a_member_takes_little_memory() {
    use crate::image::erofs::tree::{Inode, Name};
    assert!(size_of::<Inode>() + size_of::<Name>() <= 72);
}
