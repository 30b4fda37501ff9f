//! Layers, snapshots and collection.

use super::*;
use crate::mount::{LayerForm, Lower, Mount, Overlay};

#[test]
fn a_layer_is_there_once_committed_and_gone_if_not() {
    let room = Room::new();
    let pending = room.store.begin_layer(Driver::Overlay).unwrap();
    fs::write_volatile(&pending.location().folder.join("tree").join("file"), b"x").unwrap();
    fs::write_volatile(&pending.location().folder.join("overrides"), b"o").unwrap();
    let record = layer_record(None, "x");
    assert_eq!(room.store.layer(record.chain_id).unwrap_err().kind(), Kind::NotFound);
    pending.commit(record).unwrap();
    let location = room.store.layer(record.chain_id).unwrap();
    assert_eq!(fs::read(&location.folder.join("tree/file")).unwrap(), b"x");
    assert_eq!(fs::read(&location.folder.join("overrides")).unwrap(), b"o");
    assert_eq!(room.store.layer_record(record.chain_id).unwrap(), Some(record));
    drop(room.store.begin_layer(Driver::Overlay).unwrap());
    assert!(room.names_in("tmp").is_empty());
    room.check();
}

#[test]
fn a_layer_needs_its_parent_and_its_right_name() {
    let room = Room::new();
    let parent = layer_record(None, "p").chain_id;
    let error = add_layer(&room.store, Some(parent), "x").unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    let wrong = LayerRecord { chain_id: parent, ..layer_record(None, "x") };
    let error = room.store.begin_layer(Driver::Overlay).unwrap().commit(wrong).unwrap_err();
    assert_eq!(error.kind(), Kind::Mismatch);
    assert!(room.names_in("layers").is_empty());
    room.check();
}

/// As [`add_layer`], for an image that is to come.
fn spool_layer(store: &Store, spool: &mut Spool, content: &str) -> Result<ChainId> {
    let record = layer_record(None, content);
    let pending = store.begin_layer(Driver::Overlay)?;
    fs::write_volatile(&pending.location().folder.join("tree").join("file"), content.as_bytes())?;
    spool.commit(pending, record)?;
    Ok(record.chain_id)
}

#[test]
fn a_layer_goes_with_its_spool_unless_an_image_stands_on_it_or_is_to() {
    let room = Room::new();
    let fail = || Err::<(), Error>(Error::invalid("no image"));
    let store = &room.store;
    let error = store.spooled(|spool| spool_layer(store, spool, "x").and_then(|_| fail()));
    assert_eq!(error.unwrap_err().kind(), Kind::Invalid);
    assert!(room.names_in("layers").is_empty() && room.names_in("tmp").is_empty());
    // The first of two that make the same layer fails.
    let other = room.reopen();
    let mut second = other.begin_spool().unwrap();
    let error = store.spooled(|first| {
        spool_layer(store, first, "x")?;
        spool_layer(&other, &mut second, "x")?;
        fail()
    });
    assert_eq!(error.unwrap_err().kind(), Kind::Invalid);
    add_image(&other, "x", &[layer_record(None, "x").chain_id], None).unwrap();
    other.end_spool(second).unwrap();
    assert_eq!(room.names_in("layers").len(), 1);
    room.check();
}

#[test]
fn simultaneous_imports_of_one_tree_both_succeed() {
    let room = Room::new();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let paths = room.paths();
            scope.spawn(move || {
                let store = Store::open(&paths).unwrap();
                for index in 0..10 {
                    import(&store, &format!("same {index}"), Some("same"));
                }
            });
        }
    });
    assert_eq!(room.store.images().unwrap().len(), 10);
    assert_eq!(room.names_in("layers").len(), 10);
    room.check();
}

#[test]
fn a_hollow_directory_without_a_row_is_replaced() {
    let room = Room::new();
    let chain = layer_record(None, "x").chain_id;
    let directory = room.paths().root.join(Item::Layer(chain).to_string());
    fs::ensure_dir(&directory.join("tree"), 0o700).unwrap();
    add_layer(&room.store, None, "x").unwrap();
    assert_eq!(fs::read(&directory.join("tree/file")).unwrap(), b"x");
}

#[test]
fn a_row_without_its_directory_is_mended_by_the_next_import() {
    let room = Room::new();
    let chain = add_layer(&room.store, None, "x").unwrap();
    let directory = room.paths().root.join(Item::Layer(chain).to_string());
    fs::remove_tree(&directory).unwrap();
    add_layer(&room.store, None, "x").unwrap();
    assert_eq!(fs::read(&directory.join("tree/file")).unwrap(), b"x");
}

#[test]
fn snapshots_stack_the_layers_topmost_first() {
    let room = Room::new();
    let low = add_layer(&room.store, None, "low").unwrap();
    let high = add_layer(&room.store, Some(low), "high").unwrap();
    let trees = [high, low]
        .map(|chain| Lower::Directory(room.store.layer(chain).unwrap().folder.join("tree")))
        .to_vec();
    let view = room.store.view(Some(high)).unwrap();
    assert_eq!(view, Mount::Overlay(Overlay { lower: trees.clone(), upper: None }));
    let snapshot = room.store.prepare(Some(high)).unwrap();
    let Mount::Overlay(overlay) = snapshot.mount() else { panic!("{snapshot:?}") };
    assert_eq!(overlay.lower, trees);
    let upper = overlay.upper.clone().unwrap();
    assert!(upper.volatile && upper.upper.starts_with(room.paths().root.join("tmp")));
    snapshot.remove().unwrap();
    assert_eq!(fs::metadata(&upper.upper).unwrap(), None);
    let unknown = layer_record(None, "?").chain_id;
    assert_eq!(room.store.prepare(Some(unknown)).unwrap_err().kind(), Kind::NotFound);
    room.check();
}

#[test]
fn a_snapshot_of_nothing_is_an_empty_writable_directory() {
    let room = Room::new();
    let snapshot = room.store.prepare(None).unwrap();
    let Mount::Bind { source, read_only: false } = snapshot.mount() else { panic!("{snapshot:?}") };
    assert!(fs::list(source).unwrap().is_empty());
    let Mount::Bind { source, read_only: true } = room.store.view(None).unwrap() else {
        panic!("not a bind")
    };
    assert!(fs::metadata(&source).unwrap().is_some());
}

#[test]
fn a_foreign_directory_is_a_lower_one_unless_the_store_is_in_it() {
    let room = Room::new();
    let foreign = room.directory.path().join("centos6");
    fs::create_dir(&foreign, 0o755).unwrap();
    let snapshot = room.store.prepare_over(&foreign).unwrap();
    let Mount::Overlay(overlay) = snapshot.mount() else { panic!("{snapshot:?}") };
    assert_eq!(overlay.lower, [Lower::Directory(fs::canonical(&foreign).unwrap())]);
    let error = room.store.prepare_over(room.directory.path()).unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    let error = room.store.prepare_over(&foreign.join("none")).unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
}

#[test]
fn a_collection_takes_what_nothing_stands_on() {
    let room = Room::new();
    let image = import(&room.store, "kept", Some("kept"));
    let low = add_layer(&room.store, None, "low").unwrap();
    add_layer(&room.store, Some(low), "high").unwrap();
    room.store.put_blob(Digest::of(b"b"), &b"b"[..]).unwrap();
    let stray = room.paths().root.join("containers").join(Digest::of(b"c").encoded());
    fs::create_dir(&stray, 0o700).unwrap();
    let collected = room.store.collect().unwrap();
    let [layers, containers, blobs] =
        [collected.layers.len(), collected.containers.len(), collected.blobs.len()];
    // The files are `low`, `high` and the blob's one byte.
    assert_eq!((layers, containers, blobs, collected.reclaimed), (2, 1, 1, 8));
    assert_eq!(room.store.images().unwrap()[0].id, image.id);
    assert_eq!(room.store.collect().unwrap(), Collected::default());
    room.check();
}

#[test]
fn the_layers_of_a_living_snapshot_outlast_image_and_collection() {
    let room = Room::new();
    import(&room.store, "a", Some("a"));
    let chain = room.store.resolve("a").unwrap().chain();
    let snapshot = room.store.prepare(chain).unwrap();
    let request = RemoveImage { image: "a", force: false, running: &[] };
    room.store.remove_image(&request).unwrap();
    assert_eq!(room.names_in("layers").len(), 1);
    assert_eq!(room.store.collect().unwrap().layers, []);
    // Meanwhile the same tree comes back: the one in use stays in place.
    import(&room.store, "a", Some("a"));
    room.store.remove_image(&request).unwrap();
    drop(snapshot);
    assert_eq!(room.store.collect().unwrap().layers, [chain.unwrap()]);
    room.check();
}

#[test]
fn a_collection_does_not_wait_for_ever_and_takes_nothing_then() {
    let room = Room::new();
    let importing = room.reopen();
    let layer = add_layer(&importing, None, "on its way").unwrap();
    room.store.close_database();
    let patience = std::time::Duration::from_millis(30);
    let error = room.store.collect_within(patience).unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(error.hint_text().is_some());
    add_image(&importing, "late", &[layer], Some("late")).unwrap();
    importing.close_database();
    assert_eq!(room.store.collect().unwrap(), Collected::default());
    room.check();
}

#[test]
fn a_layer_whose_image_is_on_its_way_outlasts_a_collection() {
    let room = Room::new();
    let loading = room.reopen();
    let mut spool = loading.begin_spool().unwrap();
    let record = layer_record(None, "low");
    let pending = loading.begin_layer(Driver::Overlay).unwrap();
    fs::write_volatile(&pending.location().folder.join("tree/file"), b"low").unwrap();
    spool.commit(pending, record).unwrap();
    // As `commit` does while its container is being stopped.
    loading.close_database();
    assert_eq!(room.store.collect().unwrap(), Collected::default());
    add_image(&loading, "a", &[record.chain_id], Some("a")).unwrap();
    loading.end_spool(spool).unwrap();
    room.check();
}

#[test]
fn a_layer_is_exchanged_for_another_form_unless_somebody_turns_up() {
    let room = Room::new();
    import(&room.store, "a", Some("a"));
    let chain = room.store.resolve("a").unwrap().chain().unwrap();
    let form = || room.store.layer(chain).unwrap().form;
    let archive = || {
        let pending = room.store.begin_layer(Driver::Erofs).unwrap();
        let folder = pending.location().folder;
        fs::write_volatile(&folder.join("tar"), b"tar").unwrap();
        pending
    };
    let held = room.store.hold(&[chain]).unwrap();
    let error = archive().replace(chain, || Ok(())).unwrap_err();
    assert_eq!((error.kind(), form()), (Kind::InUse, LayerForm::Tree));
    room.store.let_go(held).unwrap();
    // A container that is claimed between the two looks.
    let looks = std::cell::Cell::new(0);
    let claimed = || {
        looks.set(looks.get() + 1);
        if looks.get() < 2 { Ok(()) } else { Err(Error::new(Kind::InUse, "it runs")) }
    };
    let error = archive().replace(chain, claimed).unwrap_err();
    assert_eq!((error.kind(), form(), looks.get()), (Kind::InUse, LayerForm::Tree, 2));
    let file = room.store.layer(chain).unwrap().folder.join("tree/file");
    assert_eq!(fs::read(&file).unwrap(), b"a");
    archive().replace(chain, || Ok(())).unwrap();
    assert_eq!(form(), LayerForm::Archive);
    assert!(room.names_in("tmp").is_empty());
}

#[test]
fn held_layers_stay_until_they_are_let_go_of_or_their_holder_is_killed() {
    let room = Room::new();
    let request = RemoveImage { image: "a", force: false, running: &[] };
    for is_killed in [false, true] {
        import(&room.store, "a", Some("a"));
        let chain = room.store.resolve("a").unwrap().chain().unwrap();
        let held = room.store.hold(&[chain, chain]).unwrap();
        room.store.remove_image(&request).unwrap();
        assert_eq!(room.names_in("layers").len(), 1);
        assert!(fs::metadata(held.path()).unwrap().is_some());
        match is_killed {
            false => room.store.let_go(held).unwrap(),
            true => {
                held.abandon();
                assert_eq!(room.reopen().sweep().unwrap(), 0);
            }
        }
        assert!(room.names_in("layers").is_empty(), "{is_killed}");
        assert!(room.names_in("tmp").is_empty());
        assert_eq!(room.store.hold(&[chain]).unwrap_err().kind(), Kind::NotFound);
    }
    room.check();
}

#[test]
fn a_layer_whose_content_was_removed_comes_back() {
    let room = Room::new();
    import(&room.store, "a", Some("a"));
    let chain = room.store.resolve("a").unwrap().chain().unwrap();
    let tree = room.store.layer(chain).unwrap().folder.join("tree");
    fs::remove_tree(&tree).unwrap();
    assert!(!room.store.has_content(chain).unwrap());
    import(&room.store, "a", Some("a"));
    assert_eq!(fs::read(&tree.join("file")).unwrap(), b"a");
    let manifest = room.store.resolve("a").unwrap().manifest;
    fs::remove_file(&room.paths().root.join("blobs/sha256").join(manifest.encoded())).unwrap();
    import(&room.store, "a", Some("a"));
    assert!(room.store.image_manifest(&room.store.resolve("a").unwrap()).is_ok());
}
