//! Snapshots that are copies: which are, and that they stay so. What is copied is
//! the image floor's matter.

use super::*;
use crate::mount::{Mount, TreeCopy};

fn copies(room: &Room) -> Store {
    room.reopen().with_driver(Some(Driver::Copy))
}

fn copy(mount: &Mount) -> &TreeCopy {
    let Mount::Copy(copy) = mount else { panic!("{mount:?}") };
    copy
}

#[test]
fn a_snapshot_is_a_copy_if_the_driver_says_so() {
    let room = Room::new();
    let chain = add_layer(&room.store, None, "low").unwrap();
    let store = copies(&room);
    for snapshot in [store.prepare(Some(chain)), store.prepare_copy(Some(chain))] {
        let snapshot = snapshot.unwrap();
        let folder = copy(snapshot.mount()).folder.clone().unwrap();
        assert!(folder.starts_with(snapshot.path()));
        // Whoever mounts it makes it.
        assert_eq!(fs::metadata(&folder).unwrap(), None);
        snapshot.remove().unwrap();
    }
    let foreign = room.directory.path().join("centos6");
    fs::create_dir(&foreign, 0o755).unwrap();
    copy(store.prepare_over(&foreign).unwrap().mount());
    // One layer needs none to be seen.
    assert!(matches!(store.view(Some(chain)).unwrap(), Mount::Bind { .. }));
    assert!(matches!(store.prepare(None).unwrap().mount(), Mount::Bind { .. }));
    // The store's own driver, and what is asked for in its place.
    store.set_driver(Driver::Copy).unwrap();
    copy(room.reopen().prepare(Some(chain)).unwrap().mount());
    let overlay = room.reopen().with_driver(Some(Driver::Overlay)).prepare(Some(chain)).unwrap();
    assert!(matches!(overlay.mount(), Mount::Overlay(_)));
}

#[test]
fn a_container_keeps_the_snapshot_that_it_was_made_with() {
    let room = Room::new();
    let id = import(&room.store, "a", Some("a")).id;
    let image = room.store.image(id).unwrap().unwrap();
    let [first, second] = ["first", "second"].map(|name| container(name, &image));
    let store = copies(&room);
    store.put_container(&first).unwrap();
    room.store.put_container(&second).unwrap();
    // Before anybody has made it, and after.
    let mount = room.store.container_mount(&first.id).unwrap();
    let folder = copy(&mount).folder.clone().unwrap();
    assert_eq!(folder, store.container_path(&first.id).join("copy"));
    fs::create_dir(&folder, 0o700).unwrap();
    assert_eq!(room.store.container_mount(&first.id).unwrap(), mount);
    let overlay = room.store.container_mount(&second.id).unwrap();
    assert!(matches!(overlay, Mount::Overlay(_)));
    assert_eq!(store.container_mount(&second.id).unwrap(), overlay);
    for record in [&first, &second] {
        store.remove_container(&record.id).unwrap();
    }
    room.check();
}

#[test]
fn layers_that_no_mount_understands_are_always_copied() {
    let room = Room::new();
    let low = add_layer(&room.store, None, "low").unwrap();
    let high = add_layer(&room.store, Some(low), "high").unwrap();
    let store = room.reopen().with_driver(Some(Driver::Overlay));
    assert!(matches!(store.view(Some(high)).unwrap(), Mount::Overlay(_)));
    let folder = store.layer(high).unwrap().folder;
    fs::write_volatile(&folder.join("marks"), b"").unwrap();
    assert!(store.is_for_copies(high).unwrap() && !store.is_for_copies(low).unwrap());
    let view = store.view(Some(high)).unwrap();
    assert!(copy(&view).folder.is_none() && copy(&view).lower.len() == 2);
    copy(store.prepare(Some(high)).unwrap().mount());
    // The layer below is nobody's matter.
    assert!(matches!(store.prepare(Some(low)).unwrap().mount(), Mount::Overlay(_)));
}
