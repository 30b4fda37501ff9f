//! What a hand in the store leaves behind is told.

use super::*;
use crate::store::Fault;

fn lines(store: &Store) -> Vec<String> {
    store.check().unwrap().iter().map(ToString::to_string).collect()
}

/// Does `sql` to the database, which forbids nothing.
fn meddle(room: &Room, sql: &str) {
    room.store.close_database();
    let connection = rusqlite::Connection::open(room.paths().root.join("envbox.db")).unwrap();
    connection.execute_batch(&format!("PRAGMA foreign_keys = OFF; {sql}")).unwrap();
}

fn filled() -> (Room, ChainId) {
    let room = Room::new();
    let base = add_layer(&room.store, None, "base").unwrap();
    let top = add_layer(&room.store, Some(base), "top").unwrap();
    add_image(&room.store, "x", &[base, top], Some("x:1")).unwrap();
    // The size that tests give is none of its layers'.
    meddle(&room, "UPDATE images SET size = 7");
    (room, top)
}

#[test]
fn a_whole_store_has_no_fault() {
    let (room, _) = filled();
    assert_eq!(room.store.check().unwrap(), []);
}

#[test]
fn what_is_missing_is_told() {
    let (room, top) = filled();
    let root = room.paths().root;
    let layer = format!("layers/{}", top.0.encoded());
    fs::remove_tree(&root.join(&layer)).unwrap();
    let blob = format!("blobs/sha256/{}", room.names_in("blobs/sha256")[0]);
    fs::remove_file(&root.join(&blob)).unwrap();
    assert_eq!(room.store.check().unwrap(), [Fault::Gone(layer), Fault::Gone(blob)]);
    assert!(lines(&room.store)[0].contains("is missing (remove the images that have it"));
}

#[test]
fn what_belongs_to_nothing_is_told() {
    let (room, top) = filled();
    let root = room.paths().root;
    let stray = format!("layers/{}", "0".repeat(64));
    for path in [stray.as_str(), "volumes/lost", "layers/note"] {
        fs::create_dir(&root.join(path), 0o700).unwrap();
    }
    let faults = [
        Fault::Unrecorded(stray),
        Fault::Foreign("layers/note".to_owned()),
        Fault::Unrecorded("volumes/lost".to_owned()),
    ];
    assert_eq!(room.store.check().unwrap(), faults);
    // A layer on which somebody runs may have lost its image.
    let snapshot = room.store.prepare(Some(top)).unwrap();
    meddle(
        &room,
        "DELETE FROM names; DELETE FROM image_layers; DELETE FROM images; DELETE FROM layers",
    );
    let found = room.reopen().check().unwrap();
    assert!(!found.iter().any(|fault| fault.to_string().contains(&top.0.encoded())), "{found:?}");
    snapshot.remove().unwrap();
    assert!(room.reopen().check().unwrap().len() > found.len());
}

#[test]
fn rows_that_do_not_fit_are_told() {
    let (room, top) = filled();
    meddle(
        &room,
        "UPDATE images SET size = 8; UPDATE layers SET driver = 'erofs' WHERE parent IS NULL",
    );
    let image = room.store.images().unwrap()[0].id;
    let ChainId(base) = room.store.layer_record(top).unwrap().unwrap().parent.unwrap();
    let faults = [Fault::Size(image, 8, 7), Fault::Driver(ChainId(base), "erofs".to_owned())];
    assert_eq!(room.store.check().unwrap(), faults);
    meddle(
        &room,
        "UPDATE images SET size = 7; UPDATE layers SET driver = 'overlay', parent = NULL",
    );
    assert_eq!(room.store.check().unwrap(), [Fault::Stack(image)]);
    meddle(&room, "UPDATE names SET image = 'none'");
    let reference = Fault::Reference("names".to_owned(), "images".to_owned());
    assert_eq!(room.store.check().unwrap()[0], reference);
}

#[test]
fn a_database_that_is_none_is_told() {
    for damage in [None, Some(100), Some(5000)] {
        let (room, _) = filled();
        room.store.close_database();
        let path = room.paths().root.join("envbox.db");
        for log in ["envbox.db-wal", "envbox.db-shm"] {
            fs::remove_file(&path.with_file_name(log)).unwrap();
        }
        match damage {
            None => fs::remove_file(&path).unwrap(),
            Some(size) => fs::open_for_writing(&path).unwrap().set_len(size).unwrap(),
        }
        let found = room.store.check();
        assert!(found.is_err() || found.is_ok_and(|found| !found.is_empty()), "{damage:?}");
    }
}
