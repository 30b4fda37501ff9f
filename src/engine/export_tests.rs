//! A kept container leaves as it is seen from within, and is inspected by what
//! it wrote; whatever of it was mounted.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;

use super::super::profile::SearchPath;
use super::super::{ContainerStatus, ImportRequest, ImportSource, Inspected, Settings, Sizes};
use super::*;
use crate::fs::{self, Dir, FileKind, Timestamp};
use crate::image::TarReader;
use crate::runtime::idmap::Caller;
use crate::store::{ContainerState, SpecText, StorePaths};

/// An engine with its store in `room`.
fn engine(room: &Path) -> Engine {
    let settings = Settings {
        storage_driver: None,
        store: StorePaths { root: room.join("store"), run: room.join("run") },
        profiles: SearchPath { folders: Vec::new() },
        caller: Caller { uid: 0, gid: 0, name: None },
        sudo: None,
        environment: BTreeMap::new(),
        working_directory: room.to_owned(),
        epoch: None,
    };
    Engine::new(settings, Box::new(|_| ()))
}

/// Puts a container of an image into the store that wrote a file of five
/// bytes and removed another one.
fn put_container(engine: &Engine, room: &Path) {
    let tree = room.join("tree");
    fs::ensure_dir(&tree.join("etc"), 0o755).unwrap();
    for name in ["kept", "gone"] {
        fs::write_plain(&tree.join("etc").join(name), b"abc").unwrap();
    }
    let request = ImportRequest {
        source: ImportSource::Path("tree".into()),
        reference: Some("base".parse().unwrap()),
        ..ImportRequest::default()
    };
    engine.import(&request, |_| {}).unwrap();
    let store = engine.store().unwrap();
    let image = store.resolve("base").unwrap();
    let record = ContainerRecord {
        id: "a".repeat(64).parse().unwrap(),
        name: "box".parse().unwrap(),
        image: image.id,
        chain: image.chain(),
        created_at: Timestamp::now(),
        spec: SpecText::of(&serde_json::json!({"image": "base", "command": ["sh"]})).unwrap(),
        state: ContainerState::default(),
    };
    store.put_container(&record).unwrap();
    store.container_mount(&record.id).unwrap();
    let upper = store.container_path(&record.id).join("upper");
    let etc = Dir::open(&upper).unwrap().create_dir(OsStr::new("etc")).unwrap();
    fs::write_plain(&upper.join("etc/new"), b"12345").unwrap();
    etc.create_node(OsStr::new("gone"), FileKind::CharDevice, (0, 0)).unwrap();
}

fn members(tar: &[u8]) -> Vec<String> {
    let mut reader = TarReader::new(tar);
    let mut members = Vec::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        members.push(String::from_utf8(entry.path).unwrap());
    }
    members
}

#[test]
fn a_container_is_exported_as_it_is_seen() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let room = tempfile::tempdir().unwrap();
    let engine = engine(room.path());
    put_container(&engine, room.path());
    let export = |source: &str| {
        let request = ExportRequest { source: source.into(), excludes: ExcludeOptions::default() };
        let mut tar = Vec::new();
        engine.export(&request, TarOutput::Stream(&mut tar)).unwrap();
        members(&tar)
    };
    assert_eq!(export("box"), ["", "etc", "etc/kept", "etc/new"]);
    assert_eq!(export("aaaa"), export("box"));
    assert_eq!(export("base"), ["", "etc", "etc/gone", "etc/kept"]);
}

#[test]
fn a_container_is_inspected_before_an_image() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let room = tempfile::tempdir().unwrap();
    let engine = engine(room.path());
    put_container(&engine, room.path());
    engine.tag("base", &"box".parse().unwrap()).unwrap();
    let Inspected::Container(container) = engine.inspect("box", None, Sizes::Counted).unwrap()
    else {
        panic!("the container comes first");
    };
    assert_eq!(container.summary.status, ContainerStatus::Created);
    let size = container.size.unwrap();
    assert_eq!((size.written, size.image), (5, 6));
    assert!(matches!(engine.inspect("base", None, Sizes::Unknown), Ok(Inspected::Image(_))));
    let error = engine.remove_image("base", false).map(drop);
    assert!(error.is_ok(), "another name is left");
    let error = engine.remove_image("box", false).unwrap_err();
    assert_eq!(error.kind(), Kind::InUse);
    assert!(error.to_string().contains("the stopped container box"), "{error}");
}

#[test]
fn a_tree_is_read_beside_the_container_that_writes_it() {
    let copy = |read_only| {
        let folder = Some("/c".into());
        Mount::Copy(TreeCopy { lower: Vec::new(), stack: Vec::new(), folder, read_only })
    };
    assert_eq!(read_only(copy(false)), copy(true));
    let bind = |read_only| Mount::Bind { source: "/a".into(), read_only };
    assert_eq!(read_only(bind(false)), bind(true));
    let upper = crate::mount::Upper { upper: "/u".into(), work: "/w".into(), volatile: false };
    let overlay = |lower: &[&str], upper| {
        Mount::Overlay(Overlay {
            lower: lower.iter().map(|path| Lower::Directory(path.into())).collect(),
            upper,
        })
    };
    assert_eq!(read_only(overlay(&["/b", "/a"], Some(upper))), overlay(&["/u", "/b", "/a"], None));
}
