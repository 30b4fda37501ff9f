//! Archives of images and their documents, as far as a load reads them before
//! it needs a store.

use std::fs;
use std::io::{Seek, SeekFrom, Write};

use envbox::digest::{DiffId, Digest};
use envbox::engine::read_archive;
use envbox::fs::File;
use envbox::oci::{Descriptor, ImageConfig, Index, Manifest, media_type, to_canonical_json};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::members::tar_of;

/// The most bytes of one member.
const LIMIT: u64 = 1 << 20;

/// A document that is understood is written in one form, which means the same.
pub fn json(input: &[u8]) {
    settles::<ImageConfig>(input);
    settles::<Manifest>(input);
    settles::<Index>(input);
}

fn settles<T: Serialize + DeserializeOwned>(input: &[u8]) {
    let Ok(value) = serde_json::from_slice::<T>(input) else { return };
    let written = to_canonical_json(&value).expect("a document can be written");
    let again: T = serde_json::from_slice(&written).expect("what is written can be read");
    let rewritten = to_canonical_json(&again).expect("a document can be written");
    assert_eq!(String::from_utf8_lossy(&written), String::from_utf8_lossy(&rewritten));
}

/// An archive is read the same way where it lies and as a stream, and leaves
/// nothing but what it is to leave.
pub fn archive(input: &[u8]) {
    let room = tempfile::tempdir().expect("a temporary directory");
    let folder = room.path().join("folder");
    fs::create_dir(&folder).expect("a directory");
    let streamed = read_archive(open(input), Some(&folder), LIMIT);
    let lying = read_archive(open(input), None, LIMIT);
    // A compressed or sparse one can be read as a stream only.
    if let Ok(lying) = lying {
        assert!(streamed.is_ok_and(|streamed| streamed == lying));
    }
    let beside = fs::read_dir(room.path()).expect("a directory").count();
    assert_eq!(beside, 1);
}

/// An index of any content, among blobs that are all right: `$N` in it is the
/// digest and the size of the `N`th (see [`blobs`]).
pub fn index(input: &[u8]) {
    let mut blobs = blobs();
    let mut text = String::from_utf8_lossy(input).into_owned();
    for (number, (_, bytes)) in blobs.iter().enumerate() {
        let (digest, size) = (Digest::of(bytes), bytes.len());
        let fields = format!(r#""digest":"{digest}","size":{size}"#);
        text = text.replace(&format!("${number}"), &fields);
    }
    blobs.push(("index.json".to_owned(), text.into_bytes()));
    archive(&tar_of(&blobs));
}

/// Blobs by path: a layer, a config, a manifest of both, an index of that, and
/// an index of the index.
fn blobs() -> Vec<(String, Vec<u8>)> {
    let layer = tar_of(&[("a".to_owned(), b"A".to_vec())]);
    let mut config = ImageConfig { os: "linux".into(), ..ImageConfig::default() };
    config.architecture = "amd64".into();
    config.rootfs.diff_ids.push(DiffId(Digest::of(&layer)));
    let config = to_canonical_json(&config).expect("a config");
    let layers = vec![Descriptor::of(media_type::LAYER_TAR, &layer)];
    let manifest = Manifest::new(Descriptor::of(media_type::CONFIG, &config), layers);
    let manifest = to_canonical_json(&manifest).expect("a manifest");
    let inner = index_of(media_type::MANIFEST, &manifest);
    let outer = index_of(media_type::INDEX, &inner);
    let path = |bytes: &[u8]| format!("blobs/sha256/{}", Digest::of(bytes).encoded());
    [layer, config, manifest, inner, outer].map(|bytes| (path(&bytes), bytes)).into()
}

fn index_of(media_type: &str, bytes: &[u8]) -> Vec<u8> {
    to_canonical_json(&Index::new(vec![Descriptor::of(media_type, bytes)])).expect("an index")
}

fn open(input: &[u8]) -> File {
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(input).expect("a temporary file");
    file.seek(SeekFrom::Start(0)).expect("a temporary file");
    file
}
