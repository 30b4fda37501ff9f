//! What `system check --repair` makes of a damaged store.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::time::Duration;

use super::crash::kill_at_all_moments;
use super::*;
use crate::oci::{Descriptor, ImageConfig, Manifest, media_type, to_canonical_json};
use crate::store::{Fault, RepairRequest, Repaired};

const LOGS: [&str; 2] = ["envbox.db-wal", "envbox.db-shm"];

/// Puts an image whose blobs are those of its layers, which hold a file each.
fn put(store: &Store, contents: &[&str], name: Option<&str>) -> ImageRecord {
    let mut below = None;
    let mut layers = Vec::new();
    for content in contents {
        let chain = add_layer(store, below, content).unwrap();
        layers.push(store.layer_record(chain).unwrap().unwrap());
        below = Some(chain);
    }
    let mut config =
        ImageConfig { os: "linux".into(), architecture: "amd64".into(), ..ImageConfig::default() };
    config.author = Some(contents.concat());
    config.rootfs.diff_ids = layers.iter().map(|layer| layer.diff_id).collect();
    let config = to_canonical_json(&config).unwrap();
    let descriptor = |layer: &LayerRecord| {
        Descriptor::new(media_type::LAYER_TAR, layer.diff_id.0, layer.tar_size)
    };
    let manifest = Manifest::new(
        Descriptor::of(media_type::CONFIG, &config),
        layers.iter().map(descriptor).collect(),
    );
    let chains: Vec<ChainId> = layers.iter().map(|layer| layer.chain_id).collect();
    let put = store.put_image(&NewImage {
        config: &config,
        manifest: &to_canonical_json(&manifest).unwrap(),
        layers: &chains,
        size: layers.iter().map(|layer| layer.content_size).sum(),
        imported_at: Timestamp { seconds: 1_700_000_000, nanoseconds: 5 },
        name: name.map(reference).as_ref(),
        action: "import",
    });
    store.image(put.unwrap().id).unwrap().unwrap()
}

fn volume(name: &str) -> VolumeRecord {
    VolumeRecord {
        name: name.parse().unwrap(),
        labels: BTreeMap::from([("team".to_owned(), "build".to_owned())]),
        options: BTreeMap::from([("o".to_owned(), "size=1".to_owned())]),
        created_at: Timestamp { seconds: 11, nanoseconds: 12 },
        anonymous: false,
    }
}

/// Two images that share a layer, one of several names; a container with a
/// volume, which ended; and one whose image is gone.
fn filled() -> Room {
    let room = Room::new();
    let store = &room.store;
    let one = put(store, &["base"], Some("one"));
    put(store, &["base", "top"], Some("x:1"));
    store.tag("x:1", &reference("localhost:5000/y/z:2")).unwrap();
    put(store, &["nameless"], None);
    store.put_container(&container("web", &one)).unwrap();
    let id = store.container("web").unwrap().id;
    let used = VolumeUse { volume: "data".parse().unwrap(), target: "/d".into(), read_only: true };
    let name = "web".parse().unwrap();
    let holder = VolumeHolder { id: &id, name: &name, snapshot: None };
    store.hold_volumes(holder, &[(volume("data"), used)]).unwrap();
    let state = ContainerState { exit_code: Some(3), stopped: true, ..ContainerState::default() };
    store.update_container_state(&id, &state, &[]).unwrap();
    store.rename_container(&id, &"site".parse().unwrap()).unwrap();
    let lone = put(store, &["lone"], Some("lone"));
    store.put_container(&container("orphan", &lone)).unwrap();
    store.remove_image(&RemoveImage { image: "lone", force: true, running: &[] }).unwrap();
    store.close_database();
    room
}

/// All that the database has, but for events.
fn content(store: &Store) -> String {
    let mut layers = store.layer_records().unwrap();
    layers.sort_by_key(|layer| layer.chain_id);
    format!(
        "{:#?}",
        (
            layers,
            store.images().unwrap(),
            store.containers().unwrap(),
            store.volumes().unwrap(),
            store.volume_users().unwrap(),
        )
    )
}

fn repair(store: &Store) -> Repaired {
    let request = RepairRequest {
        running: &[],
        measure: &|layer| fs::tree_size(&layer.folder.join("tree")),
        waiting: &|_| {},
    };
    store.repair(&request).unwrap()
}

fn lines(repaired: &Repaired) -> Vec<String> {
    let done = repaired.done.iter().map(ToString::to_string);
    let left = repaired.left.iter().map(ToString::to_string);
    done.chain(repaired.lost.iter().cloned()).chain(left).collect()
}

fn remove_database(room: &Room) {
    room.store.close_database();
    for name in ["envbox.db"].iter().chain(&LOGS) {
        fs::remove_file(&room.paths().root.join(name)).unwrap();
    }
}

#[test]
fn a_whole_store_is_left_as_it_is() {
    let room = filled();
    let before = content(&room.store);
    assert_eq!(lines(&repair(&room.store)), [""; 0]);
    assert_eq!(content(&room.store), before);
    assert_eq!(room.store.check().unwrap(), []);
    room.check();
}

#[test]
fn a_database_that_is_lost_is_rebuilt_whatever_became_of_it() {
    type Damage = fn(&Path);
    let logs = |root: &Path| LOGS.iter().for_each(|log| fs::remove_file(&root.join(log)).unwrap());
    let cases: [(&str, Damage); 6] = [
        ("removed", |root| fs::remove_file(&root.join("envbox.db")).unwrap()),
        ("emptied", |root| {
            fs::open_for_writing(&root.join("envbox.db")).unwrap().set_len(0).unwrap();
        }),
        ("cut", |root| {
            fs::open_for_writing(&root.join("envbox.db")).unwrap().set_len(100).unwrap();
        }),
        ("overwritten", |root| fs::overwrite(&root.join("envbox.db"), &[7; 9000]).unwrap()),
        ("a directory", |root| {
            fs::remove_file(&root.join("envbox.db")).unwrap();
            fs::create_dir(&root.join("envbox.db"), 0o700).unwrap();
        }),
        ("of the first day", |root| {
            fs::remove_file(&root.join("envbox.db")).unwrap();
            let first = Database::open(&root.join("envbox.db"), true).unwrap();
            first.migrate().unwrap();
            first.finish().unwrap();
        }),
    ];
    for (name, damage) in cases {
        let room = filled();
        let before = content(&room.store);
        room.store.close_database();
        let root = room.paths().root;
        damage(&root);
        if name != "removed" {
            logs(&root);
        }
        let store = room.reopen();
        // Of the first day it may be readable, and lack what came since.
        assert!(store.check().map_or(true, |faults| !faults.is_empty()), "{name}");
        let repaired = repair(&store);
        assert_eq!(content(&store), before, "{name}");
        assert!(repaired.lost.is_empty() && repaired.left.is_empty(), "{repaired:?}");
        let told = repaired.done[0].to_string();
        assert!(told.ends_with("(the old one is envbox.db.damaged-1)"), "{told}");
        assert_eq!(store.check().unwrap(), [], "{name}");
        assert!(fs::link_metadata(&root.join("envbox.db-journal")).unwrap().is_none());
        room.check();
    }
}

#[test]
fn a_database_that_went_back_in_time_is_rebuilt() {
    let room = filled();
    let root = room.paths().root;
    let old: Vec<Vec<u8>> = ["envbox.db", "envbox.db-wal"]
        .iter()
        .map(|name| fs::read(&root.join(name)).unwrap())
        .collect();
    put(&room.store, &["later"], Some("later"));
    let before = content(&room.store);
    remove_database(&room);
    fs::write_plain(&root.join("envbox.db"), &old[0]).unwrap();
    fs::write_plain(&root.join("envbox.db-wal"), &old[1]).unwrap();
    let store = room.reopen();
    assert!(store.check().unwrap().contains(&Fault::Older));
    repair(&store);
    assert_eq!(content(&store), before);
    assert_eq!(store.check().unwrap(), []);
    // Events go on where they were: nothing is older than anything again.
    store.tag("later", &reference("later:2")).unwrap();
    assert_eq!(store.check().unwrap(), []);
}

#[test]
fn without_records_images_come_back_without_names() {
    let room = filled();
    let before = room.store.images().unwrap();
    let id = room.store.container("site").unwrap().id;
    remove_database(&room);
    let root = room.paths().root;
    fs::remove_file(&root.join("index.json")).unwrap();
    fs::remove_file(&root.join(format!("containers/{id}/config.json"))).unwrap();
    fs::remove_file(&root.join("volumes/data/volume.json")).unwrap();
    let store = room.reopen();
    let repaired = repair(&store);
    let after = store.images().unwrap();
    assert_eq!(after.len(), before.len());
    for image in after {
        let old = before.iter().find(|old| old.id == image.id).unwrap();
        assert_eq!((image.size, &image.layers, image.names), (old.size, &old.layers, vec![]));
    }
    let all = lines(&repaired).join("\n");
    assert!(all.contains("the names of images are lost"), "{all}");
    assert!(all.contains("labels and options of volume data are lost"), "{all}");
    assert!(all.contains(&format!("containers/{id} cannot be taken up: cannot ")), "{all}");
    assert_eq!(store.containers().unwrap().len(), 1);
    // Its files stay until somebody says otherwise.
    assert_eq!(room.names_in("containers").len(), 2);
    assert!(fs::metadata(&root.join("index.json")).unwrap().is_some());
}

#[test]
fn leftovers_go_and_what_the_database_forgot_comes_back() {
    let room = filled();
    let before = content(&room.store);
    room.store.close_database();
    let forget = |transaction: &Transaction<'_>| {
        let sql = "DELETE FROM container_volumes; DELETE FROM containers; DELETE FROM names;
            DELETE FROM image_layers; DELETE FROM images; DELETE FROM layers; DELETE FROM volumes";
        Ok(transaction.execute_batch(sql)?)
    };
    room.store.write("test", forget).unwrap();
    room.store.close_database();
    let root = room.paths().root;
    let stray = format!("blobs/sha256/{}", "0".repeat(64));
    fs::write_plain(&root.join(&stray), b"{}").unwrap();
    let layer = format!("layers/{}", "0".repeat(64));
    fs::create_dir(&root.join(&layer), 0o700).unwrap();
    fs::create_dir(&root.join("tmp/dead"), 0o700).unwrap();
    let store = room.reopen();
    let told = lines(&repair(&store));
    for line in [
        format!("removed {stray}, which belonged to nothing"),
        format!("removed {layer}, which belonged to nothing"),
        "took up volume data".to_owned(),
    ] {
        assert!(told.contains(&line), "{line}: {told:?}");
    }
    assert_eq!(content(&store), before);
    assert_eq!(store.check().unwrap(), []);
    room.check();
}

#[test]
fn rows_without_an_object_go_where_nothing_is_lost() {
    let room = filled();
    let store = &room.store;
    let (web, orphan) = (store.container("site").unwrap(), store.container("orphan").unwrap());
    // Were all of several gone, their disk would be taken for one that is away.
    for name in ["lone", "there"] {
        store.ensure_volume(&volume(name)).unwrap();
    }
    let root = room.paths().root;
    for path in [format!("containers/{}", orphan.id), "volumes/lone".into(), "volumes/data".into()]
    {
        fs::remove_tree(&root.join(path)).unwrap();
    }
    let image = store.resolve("one").unwrap();
    let layer = format!("layers/{}", image.layers[0].0.encoded());
    fs::remove_tree(&root.join(&layer)).unwrap();
    store
        .write("test", |t| Ok(t.execute("UPDATE images SET size = 9 WHERE size = 4", [])?))
        .unwrap();
    store.close_database();
    let repaired = repair(store);
    assert_eq!(store.containers().unwrap(), [web]);
    assert_eq!(store.volumes().unwrap(), [volume("data"), volume("there")]);
    let told = [
        format!("forgot containers/{}, which was missing", orphan.id),
        "forgot volumes/lone/data, which was missing".to_owned(),
        format!("corrected the size of image {}", image.id),
    ];
    let done: Vec<String> = repaired.done.iter().map(ToString::to_string).collect();
    for line in told {
        assert!(done.contains(&line), "{line}: {done:?}");
    }
    assert_eq!(repaired.left, [Fault::Gone(layer), Fault::Gone("volumes/data/data".to_owned())]);
}

#[test]
fn the_record_of_a_running_container_stays() {
    let room = filled();
    let orphan = room.store.container("orphan").unwrap().id;
    fs::remove_tree(&room.paths().root.join(format!("containers/{orphan}"))).unwrap();
    let request = RepairRequest {
        running: std::slice::from_ref(&orphan),
        measure: &|_| Ok(0),
        waiting: &|_| {},
    };
    let repaired = room.store.repair(&request).unwrap();
    let hint = format!("(remove the container: envbox rm {orphan})");
    assert!(repaired.left[0].to_string().ends_with(&hint), "{repaired:?}");
    assert_eq!(room.store.container("orphan").unwrap().id, orphan);
}

#[test]
fn copies_that_say_something_else_are_written_again() {
    let room = filled();
    let root = room.paths().root;
    let id = room.store.container("site").unwrap().id;
    let config = format!("containers/{id}/config.json");
    let good = fs::read(&root.join("index.json")).unwrap();
    fs::write_plain(&root.join("index.json"), b"{}").unwrap();
    fs::overwrite(&root.join(&config), b"[]").unwrap();
    let faults = [Fault::Copy("index.json".to_owned()), Fault::Copy(config.clone())];
    assert_eq!(room.store.check().unwrap(), faults);
    let told = lines(&repair(&room.store));
    assert_eq!(told, ["corrected index.json".to_owned(), format!("corrected {config}")]);
    assert_eq!(fs::read(&root.join("index.json")).unwrap(), good);
    assert_eq!(room.store.check().unwrap(), []);
}

#[test]
fn a_store_of_before_has_no_fault_and_gets_its_index_with_the_next_name() {
    let room = filled();
    let index = room.paths().root.join("index.json");
    fs::remove_file(&index).unwrap();
    assert_eq!(room.store.check().unwrap(), []);
    room.store.tag("one", &reference("one:2")).unwrap();
    assert!(fs::read_to_string(&index).unwrap().contains("docker.io/library/one:2"));
}

#[test]
fn what_somebody_put_into_the_store_is_named_and_nothing_outside_is_touched() {
    let room = filled();
    let before = room.store.images().unwrap().len();
    remove_database(&room);
    let root = room.paths().root;
    let outside = room.directory.path().join("outside");
    fs::create_dir(&outside, 0o700).unwrap();
    fs::write_plain(&outside.join("config.json"), b"mine").unwrap();
    let hex = |digit: char| digit.to_string().repeat(64);
    symlink(&outside, root.join("containers").join(hex('1'))).unwrap();
    symlink(&outside, root.join("layers").join(hex('2'))).unwrap();
    symlink(outside.join("config.json"), root.join("blobs/sha256").join(hex('3'))).unwrap();
    symlink("/dev/zero", root.join("blobs/sha256").join(hex('4'))).unwrap();
    fs::write_plain(&root.join("blobs/sha256").join(hex('5')), b"\xff{").unwrap();
    let huge = fs::create_new(&root.join("blobs/sha256").join(hex('6'))).unwrap();
    huge.set_len(1 << 40).unwrap();
    symlink(&outside, root.join("volumes/linked")).unwrap();
    fs::create_dir(&root.join("volumes/..odd\u{1b}"), 0o700).unwrap();
    fs::create_dir(&root.join("layers/\n"), 0o700).unwrap();
    let deep = format!("{}1", "[".repeat(100_000));
    let digest = Digest::of(deep.as_bytes()).encoded();
    fs::write_plain(&root.join("blobs/sha256").join(&digest), deep.as_bytes()).unwrap();
    // A container of somebody's making whose config leads out of the store.
    let stranger = root.join("containers").join(hex('7'));
    fs::create_dir(&stranger, 0o700).unwrap();
    symlink(outside.join("config.json"), stranger.join("config.json")).unwrap();
    let store = room.reopen();
    let told = lines(&repair(&store)).join("\n");
    for digit in '3'..='7' {
        assert!(told.contains(&format!("{} cannot be taken up: ", hex(digit))), "{digit}: {told}");
    }
    assert!(told.contains("volumes/linked cannot be taken up: "), "{told}");
    assert!(told.contains(&format!("{digest} cannot be taken up: it is no manifest")), "{told}");
    assert!(!told.contains('\u{1b}'), "{told}");
    assert_eq!(store.images().unwrap().len(), before);
    // Nor does a second one, beside a database that works, leave the store.
    repair(&store);
    assert_eq!(fs::read(&outside.join("config.json")).unwrap(), b"mine");
    assert_eq!(fs::list(&outside).unwrap(), ["config.json"]);
}

#[test]
fn a_database_of_a_newer_envbox_is_left_alone() {
    let room = filled();
    let newer =
        |transaction: &Transaction<'_>| Ok(transaction.pragma_update(None, "user_version", 99)?);
    room.store.write("test", newer).unwrap();
    room.store.close_database();
    let request = RepairRequest { running: &[], measure: &|_| Ok(0), waiting: &|_| {} };
    let error = room.reopen().repair(&request).unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
    assert!(fs::metadata(&room.paths().root.join("envbox.db.damaged-1")).unwrap().is_none());
}

#[test]
fn who_uses_the_store_is_told() {
    let room = filled();
    let other = room.reopen();
    other.hold_lock().unwrap();
    let told = std::cell::RefCell::new(String::new());
    let waiting = |others: String| {
        *told.borrow_mut() = others;
        other.close_database();
    };
    let request = RepairRequest { running: &[], measure: &|_| Ok(0), waiting: &waiting };
    room.store.repair(&request).unwrap();
    assert!(told.borrow().contains("process") || told.borrow().contains("another envbox"));
}

#[test]
fn who_has_the_old_database_open_writes_into_the_new_one() {
    let room = filled();
    let reader = room.reopen();
    reader.images().unwrap();
    fs::remove_file(&room.paths().root.join("envbox.db-wal")).unwrap();
    fs::overwrite(&room.paths().root.join("envbox.db"), &[7; 9000]).unwrap();
    repair(&room.store);
    reader.tag("one", &reference("one:later")).unwrap();
    reader.close_database();
    assert!(room.store.named(&reference("one:later")).unwrap().is_some());
}

#[test]
fn names_that_can_be_read_in_a_damaged_database_are_kept_without_an_index() {
    for index in [None, Some(b"torn")] {
        let room = filled();
        let root = room.paths().root;
        room.store.close_database();
        let connection = rusqlite::Connection::open(root.join("envbox.db")).unwrap();
        let meddle = "PRAGMA foreign_keys = OFF; UPDATE names SET image = 'none' WHERE tag = '2'";
        connection.execute_batch(meddle).unwrap();
        drop(connection);
        fs::remove_file(&root.join("index.json")).unwrap();
        index.iter().for_each(|bytes| fs::write_plain(&root.join("index.json"), *bytes).unwrap());
        let repaired = repair(&room.store);
        let why = "envbox.db: names refer to images that are not there";
        assert!(repaired.done[0].to_string().contains(why), "{repaired:?}");
        let names = |image: ImageRecord| image.names.into_iter().map(|name| name.to_string());
        let mut names: Vec<_> = room.store.images().unwrap().into_iter().flat_map(names).collect();
        names.sort();
        assert_eq!(names, ["one:latest", "x:1"]);
        assert_eq!(room.store.check().unwrap(), []);
    }
}

#[test]
fn numbers_that_cannot_be_are_not_believed() {
    let room = filled();
    let root = room.paths().root;
    let index = fs::read_to_string(&root.join("index.json")).unwrap();
    let (start, number) = index.rsplit_once("newest-event\":\"").unwrap();
    let end = number.split_once('"').unwrap().1;
    for number in [i64::MAX, -1] {
        let index = format!("{start}newest-event\":\"{number}\"{end}");
        fs::write_plain(&root.join("index.json"), index.as_bytes()).unwrap();
        assert_eq!(room.store.check().unwrap(), []);
    }
    remove_database(&room);
    repair(&room.store);
    room.store.tag("one", &reference("one:later")).unwrap();
}

/// Loses its database and repairs it, for ever.
pub(super) fn churn(store: &Store) {
    for round in 0_u64.. {
        store.close_database();
        let path = store.paths.root.join("envbox.db");
        match round % 3 {
            0 => fs::remove_file(&path).unwrap(),
            1 => fs::write_plain(&path, &[1; 5000]).unwrap(),
            _ => {}
        }
        repair(store);
    }
}

#[test]
fn whenever_it_is_killed_another_repair_finishes() {
    let room = filled();
    let before = content(&room.store);
    room.store.close_database();
    let times = (25, Duration::from_micros(2_311));
    kill_at_all_moments((&room, "repair"), times, |round| {
        let store = room.reopen();
        let repaired = repair(&store);
        assert!(repaired.lost.is_empty() && repaired.left.is_empty(), "{repaired:?}");
        assert_eq!(content(&store), before, "round {round}");
        drop(store);
        room.check();
    });
}
