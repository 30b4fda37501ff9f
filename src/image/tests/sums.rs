//! The sums are of every byte, and a damaged file of them is known as one.

use super::*;
use crate::mount::LayerForm;

fn tar() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let long = "long/".repeat(40) + "name";
    for (name, data) in [("a", &b"one"[..]), ("empty", b""), (&long, &[7; 1500]), ("a", b"two")] {
        let mut header = tar::Header::new_gnu();
        header.set_size(data.len() as u64);
        builder.append_data(&mut header, name, data).unwrap();
    }
    builder.into_inner().unwrap()
}

fn sums(tar: &[u8]) -> Sums {
    Sums::of(tar).unwrap()
}

#[test]
fn each_member_has_its_own() {
    let tar = tar();
    let whole = sums(&tar);
    assert_eq!(whole.members.len(), 4);
    assert_eq!(whole.members[0].path, crc32fast::hash(b"a"));
    assert_eq!(whole.members[0].bytes, crc32fast::hash(&tar[..1024]));
    assert_eq!(whole.members[1].bytes, crc32fast::hash(&tar[1024..1536]));
    assert_eq!(whole.rest, crc32fast::hash(&tar[tar.len() - 1024..]));
}

#[test]
fn no_byte_is_left_out() {
    let whole = tar();
    let expected = sums(&whole);
    for place in 0..whole.len() {
        let mut other = whole.clone();
        other[place] ^= 0x10;
        let found = Sums::of(other.as_slice());
        assert!(found.is_err() || found.is_ok_and(|found| found != expected), "{place}");
    }
}

#[test]
fn data_that_is_read_counts_as_what_is_skipped() {
    let tar = tar();
    let mut reader = TarReader::new(tar.as_slice());
    reader.keep_sums();
    while reader.next_entry().unwrap().is_some() {
        reader.copy_data(&mut |_, _| Ok(())).unwrap();
    }
    assert_eq!(reader.take_sums(), Some(sums(&tar)));
}

#[test]
fn a_damaged_file_is_known_as_one() {
    let room = tempfile::tempdir().unwrap();
    let layer = LayerTarget::within(room.path(), LayerForm::Tree);
    std::fs::write(&layer.frame, "frame").unwrap();
    let written = sums(&tar());
    written.save(&layer).unwrap();
    let loaded = LayerSums::load(&layer).unwrap().unwrap();
    assert_eq!(loaded.sums, written);
    assert!(loaded.is_of_own_form());
    loaded.check_files(&layer).unwrap();
    std::fs::write(&layer.frame, "Frame").unwrap();
    let error = loaded.check_files(&layer).unwrap_err();
    assert_eq!(error.chain(), "its file frame is not as it was written");

    let bytes = std::fs::read(&layer.sums).unwrap();
    for place in 0..bytes.len() {
        let mut other = bytes.clone();
        other[place] ^= 1;
        assert_eq!(LayerSums::parse(&other), None, "{place}");
        assert_eq!(LayerSums::parse(&bytes[..place]), None, "{place}");
    }
}

#[test]
fn a_layer_of_an_older_envbox_has_none() {
    let room = tempfile::tempdir().unwrap();
    let layer = LayerTarget::within(room.path(), LayerForm::Tree);
    assert_eq!(LayerSums::load(&layer).unwrap(), None);
}
