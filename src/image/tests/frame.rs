//! A tar comes back from the tree and the frame, whatever it was.

use std::io::Cursor;

use super::*;
use crate::image::load::below::Trees;
use crate::image::{Counters, LayerLimits, LoadOptions, MarkSpace, load_layer, rewrite_layer};
use crate::mount::LayerForm;

fn header(name: &str, kind: tar::EntryType, size: usize) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_path(name).unwrap();
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(size as u64);
    header.set_cksum();
    header
}

fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, data) in members {
        let kind = match name.ends_with('/') {
            true => tar::EntryType::Directory,
            false => tar::EntryType::Regular,
        };
        builder.append(&header(name, kind, data.len()), *data).unwrap();
    }
    builder.into_inner().unwrap()
}

/// Loads `tar` and writes it again.
fn again(tar: &[u8]) -> (tempfile::TempDir, Result<Vec<u8>>) {
    let room = tempfile::tempdir().unwrap();
    let target = LayerTarget::within(room.path(), LayerForm::Tree);
    fs::create_dir(&target.tree, 0o755).unwrap();
    let options = LoadOptions {
        below: &Trees(&[]),
        marks: MarkSpace::Trusted,
        limits: LayerLimits::NONE,
        counters: &Counters::default(),
    };
    let loaded = load_layer(Box::new(Cursor::new(tar.to_vec())), &target, &options);
    let written = loaded.and_then(|loaded| {
        assert_eq!(loaded.tar_size, tar.len() as u64);
        let mut output = Vec::new();
        rewrite_layer(&target, &mut output).map(|()| output)
    });
    (room, written)
}

#[test]
fn whatever_is_replaced_comes_back() {
    let tar = archive(&[
        ("a", b"one"),
        ("a", b"other"),
        ("d/", b""),
        ("d/x", b"in d"),
        ("d/x", b"again in d"),
        ("d", b"no directory"),
        ("d/", b""),
        ("d/x", b"third"),
        ("a", &[7; 100_000]),
        ("zeros", &[0; 300_000]),
    ]);
    assert!(again(&tar).1.unwrap() == tar);
}

#[test]
fn whatever_surrounds_the_members_comes_back() {
    let mut tar = archive(&[("a", b"one")]);
    tar.extend([9; 200_000]);
    assert!(again(&tar).1.unwrap() == tar);
    assert!(again(&[]).1.unwrap().is_empty());
    assert!(again(&tar[..1024]).1.unwrap() == tar[..1024]);
}

#[test]
fn a_file_that_became_shorter_is_told() {
    let tar = archive(&[("a", b"one"), ("b", b"two")]);
    let (room, _) = again(&tar);
    let target = LayerTarget::within(room.path(), LayerForm::Tree);
    fs::open_for_writing(&target.tree.join("b")).unwrap().set_len(1).unwrap();
    let error = rewrite_layer(&target, &mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), crate::error::Kind::Mismatch);
    fs::remove_file(&target.tree.join("a")).unwrap();
    let error = rewrite_layer(&target, &mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), crate::error::Kind::Mismatch);
}

#[test]
fn a_damaged_frame_is_told() {
    let (room, _) = again(&archive(&[("a", b"one")]));
    let target = LayerTarget::within(room.path(), LayerForm::Tree);
    let frame = fs::read(&target.frame).unwrap();
    for (at, bit) in [(frame.len() / 2, 1), (frame.len() - 1, 4), (0, 1)] {
        let mut damaged = frame.clone();
        damaged[at] ^= bit;
        fs::write_volatile(&target.frame, &damaged).unwrap();
        let mut output = Vec::new();
        let told = rewrite_layer(&target, &mut output).is_err();
        // What is not told here is by the digest.
        assert!(told || output != archive(&[("a", b"one")]), "{at}");
    }
}
