//! Opening, versions, locks.

use super::*;

#[test]
fn a_machine_without_a_store_has_none_and_gets_none() {
    let directory = tempfile::tempdir().unwrap();
    assert!(Store::open_existing(&paths(directory.path())).unwrap().is_none());
    assert!(fs::list(directory.path()).unwrap().is_empty());
}

#[test]
fn a_new_store_is_private_and_empty() {
    let room = Room::new();
    for folder in ["", "blobs", "layers", "containers", "volumes", "tmp"] {
        let metadata = fs::metadata(&room.paths().root.join(folder)).unwrap().unwrap();
        assert_eq!(metadata.mode, 0o700, "{folder}");
    }
    assert!(room.store.images().unwrap().is_empty());
    assert!(Store::open_existing(&room.paths()).unwrap().is_some());
    room.check();
}

#[test]
fn refuses_a_store_of_a_newer_format() {
    let room = Room::new();
    fs::write_volatile(&room.paths().root.join("version"), b"2\n").unwrap();
    let error = Store::open(&room.paths()).unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
    let root = room.paths().root;
    let expected = format!("the store at {} was made by a newer envbox (format 2)", root.display());
    assert_eq!(error.to_string(), expected);
    assert!(error.hint_text().unwrap().contains("--root"));
}

#[test]
fn refuses_a_database_of_a_newer_schema() {
    let room = Room::new();
    room.store
        .write("test", |transaction| Ok(transaction.pragma_update(None, "user_version", 99)?))
        .unwrap();
    let error = room.reopen().images().unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
    assert!(error.to_string().contains("(format 99)"), "{error}");
}

#[test]
fn refuses_a_version_that_is_no_number() {
    let room = Room::new();
    fs::write_volatile(&room.paths().root.join("version"), b"one").unwrap();
    assert_eq!(Store::open(&room.paths()).unwrap_err().kind(), Kind::Invalid);
}

#[test]
fn many_may_create_one_store_at_once() {
    let directory = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for index in 0..8 {
            let paths = paths(directory.path());
            scope.spawn(move || import(&Store::open(&paths).unwrap(), &format!("i{index}"), None));
        }
    });
    let store = Store::open(&paths(directory.path())).unwrap();
    assert_eq!(store.images().unwrap().len(), 8);
}

#[test]
fn a_place_that_is_no_directory_is_told_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    fs::write_volatile(&directory.path().join("store"), b"").unwrap();
    assert_eq!(Store::open(&paths(directory.path())).unwrap_err().kind(), Kind::Invalid);
    // /proc refuses new directories whoever asks, like a read-only disk.
    let nowhere = StorePaths { root: "/proc/envbox".into(), run: "/proc".into() };
    let error = Store::open(&nowhere).unwrap_err();
    assert!(error.chain().starts_with("cannot create the store at /proc/envbox: "), "{error}");
}

#[test]
fn a_database_that_was_deleted_is_not_made_anew() {
    let room = Room::new();
    import(&room.store, "a", Some("a"));
    room.store.close_database();
    for name in ["envbox.db", "envbox.db-wal", "envbox.db-shm"] {
        fs::remove_file(&room.paths().root.join(name)).unwrap();
    }
    let error = room.reopen().images().unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(error.hint_text().unwrap().contains("backup"));
}

#[test]
fn works_on_after_the_database_was_closed() {
    let room = Room::new();
    let put = import(&room.store, "a", Some("a"));
    room.store.close_database();
    assert_eq!(room.store.resolve("a").unwrap().id, put.id);
}

#[test]
fn keeps_the_newest_events() {
    let room = Room::new();
    import(&room.store, "a", Some("a"));
    room.store.tag("a", &reference("b:1")).unwrap();
    room.store.untag(&reference("b:1")).unwrap();
    let events: Vec<Event> = room.store.events(None).unwrap().collect();
    let actions: Vec<&str> = events.iter().map(|event| event.action.as_str()).collect();
    assert_eq!(actions, ["import", "tag", "untag"]);
    assert_eq!(events[1].attributes["name"], "b:1");
    let after = Timestamp { seconds: events[2].time.seconds + 1, nanoseconds: 0 };
    assert_eq!(room.store.events(Some(after)).unwrap().count(), 0);
    room.store
        .write("test", |transaction| {
            for _ in 0..5000 {
                super::event::record(transaction, &events[0])?;
            }
            Ok(())
        })
        .unwrap();
    assert_eq!(room.store.events(None).unwrap().count(), 4096);
}

#[test]
fn blobs_are_verified_both_ways() {
    let room = Room::new();
    let digest = Digest::of(b"bytes");
    let error = room.store.put_blob(digest, &b"other"[..]).unwrap_err();
    assert_eq!(error.kind(), Kind::Mismatch);
    assert!(room.names_in("blobs/sha256").is_empty());
    room.store.put_blob(digest, &b"bytes"[..]).unwrap();
    assert_eq!(room.store.blob(digest).unwrap(), b"bytes");
    let mut read = Vec::new();
    std::io::copy(&mut room.store.open_blob(digest, 5).unwrap(), &mut read).unwrap();
    assert_eq!(read, b"bytes");
    let path = room.paths().root.join(Item::Blob(digest).to_string());
    fs::write_volatile(&path, b"bites").unwrap();
    assert_eq!(room.store.blob(digest).unwrap_err().kind(), Kind::Mismatch);
    room.store.remove_blob(digest).unwrap();
    assert_eq!(room.store.blob(digest).unwrap_err().kind(), Kind::NotFound);
    let put = import(&room.store, "a", None);
    assert_eq!(room.store.remove_blob(put.id.0).unwrap_err().kind(), Kind::InUse);
    room.check();
}
