//! Volumes, and who uses them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::crash::kill_at_all_moments;
use super::*;
use crate::id::{ContainerId, ContainerName, VolumeName};

/// What an envbox without volumes made of a new store.
const OLD_SCHEMA: &str = include_str!("../schema_1.sql");

fn name(text: &str) -> VolumeName {
    text.parse().unwrap()
}

fn volume(text: &str) -> VolumeRecord {
    VolumeRecord {
        name: name(text),
        labels: BTreeMap::from([("team".to_owned(), "build".to_owned())]),
        options: BTreeMap::new(),
        created_at: Timestamp { seconds: 11, nanoseconds: 12 },
        anonymous: false,
    }
}

fn anonymous(text: &str) -> VolumeRecord {
    VolumeRecord { anonymous: true, labels: BTreeMap::new(), ..volume(text) }
}

fn at(record: &VolumeRecord, target: &str) -> (VolumeRecord, VolumeUse) {
    let used =
        VolumeUse { volume: record.name.clone(), target: target.to_owned(), read_only: false };
    (record.clone(), used)
}

/// A container that goes with its end.
struct Passing {
    id: ContainerId,
    name: ContainerName,
    snapshot: EphemeralSnapshot,
}

impl Passing {
    fn new(store: &Store, name: &str) -> Self {
        let id = Digest::of(name.as_bytes()).encoded().parse().unwrap();
        Self { id, name: name.parse().unwrap(), snapshot: store.prepare(None).unwrap() }
    }

    fn holder(&self) -> VolumeHolder<'_> {
        VolumeHolder { id: &self.id, name: &self.name, snapshot: Some(&self.snapshot) }
    }
}

fn keep(room: &Room, name: &str) -> ContainerRecord {
    let id = import(&room.store, name, None).id;
    let record = container(name, &room.store.image(id).unwrap().unwrap());
    room.store.put_container(&record).unwrap();
    record
}

fn kept(record: &ContainerRecord) -> VolumeHolder<'_> {
    VolumeHolder { id: &record.id, name: &record.name, snapshot: None }
}

#[test]
fn a_volume_is_made_once_listed_and_removed() {
    let room = Room::new();
    let made = room.store.ensure_volume(&volume("data")).unwrap();
    assert_eq!(made, volume("data"));
    let again = VolumeRecord { created_at: Timestamp::from_seconds(99), ..volume("data") };
    assert_eq!(room.store.ensure_volume(&again).unwrap(), made);
    room.store.ensure_volume(&volume("cache")).unwrap();
    let all = room.reopen().volumes().unwrap();
    assert_eq!(all, [volume("cache"), volume("data")]);
    assert_eq!(fs::metadata(&room.store.volume_data(&made.name)).unwrap().unwrap().mode, 0o755);
    room.check();
    fs::write_volatile(&room.store.volume_data(&made.name).join("file"), b"x").unwrap();
    room.store.remove_volume(&made.name).unwrap();
    assert_eq!(room.names_in("volumes"), ["cache"]);
    for error in [
        room.store.remove_volume(&made.name).unwrap_err(),
        room.store.volume(&made.name).unwrap_err(),
    ] {
        assert_eq!(error.kind(), Kind::NotFound);
        assert_eq!(error.to_string(), "no such volume: data");
    }
    let actions: Vec<String> = room
        .store
        .events(None)
        .unwrap()
        .filter(|event| event.kind == "volume" && event.id == "data")
        .map(|event| event.action)
        .collect();
    assert_eq!(actions, ["create", "destroy"]);
    room.check();
}

#[test]
fn a_store_without_volumes_is_brought_up_to_date() {
    let room = Room::new();
    let record = keep(&room, "old");
    room.store.close_database();
    fs::remove_dir(&room.paths().root.join("volumes")).unwrap();
    downgrade(&room.paths().root.join("envbox.db"));
    let store = room.reopen();
    assert_eq!(store.containers().unwrap(), [record]);
    assert_eq!(store.volumes().unwrap(), []);
    store.ensure_volume(&volume("data")).unwrap();
    drop(store);
    room.check();
}

/// Makes the database what the first schema alone makes of it, with its rows.
fn downgrade(path: &Path) {
    let new = path.with_extension("new");
    let old = rusqlite::Connection::open(&new).unwrap();
    old.execute_batch(OLD_SCHEMA).unwrap();
    old.pragma_update(None, "application_id", 0x656e_7662).unwrap();
    old.pragma_update(None, "user_version", 1).unwrap();
    old.execute("ATTACH ?1 AS newer", [path.to_str().unwrap()]).unwrap();
    for table in ["layers", "images", "image_layers", "names", "containers"] {
        // Later schemas have more columns.
        let columns = "SELECT group_concat(name) FROM pragma_table_info(?1)";
        let columns: String = old.query_one(columns, [table], |row| row.get(0)).unwrap();
        let copy = format!("INSERT INTO {table} SELECT {columns} FROM newer.{table}");
        old.execute_batch(&copy).unwrap();
    }
    drop(old);
    for log in ["db-wal", "db-shm"] {
        fs::remove_file(&path.with_extension(log)).unwrap();
    }
    fs::rename(&new, path).unwrap();
}

#[test]
fn a_volume_that_is_used_is_not_removed() {
    let room = Room::new();
    let record = keep(&room, "web");
    let passing = Passing::new(&room.store, "job");
    let data = volume("data");
    room.store.hold_volumes(kept(&record), &[at(&data, "/data")]).unwrap();
    room.store.hold_volumes(passing.holder(), &[at(&data, "/in")]).unwrap();
    let error = room.reopen().remove_volume(&data.name).unwrap_err();
    assert_eq!(error.kind(), Kind::InUse);
    let expected = "cannot remove volume data: it is in use by containers web, job";
    assert_eq!(error.to_string(), expected);
    let users = room.reopen().volume_users().unwrap();
    let targets: Vec<&str> = users.iter().map(|user| user.used.target.as_str()).collect();
    assert_eq!(targets, ["/data", "/in"]);
    passing.snapshot.release_volumes(&room.paths()).unwrap();
    // Before the lock, which the process that frees the rest has for a while.
    passing.snapshot.unclaim().unwrap();
    assert_eq!(room.store.volume_users().unwrap().len(), 1);
    passing.snapshot.remove().unwrap();
    room.store.remove_container(&record.id).unwrap();
    assert_eq!(room.store.volume_users().unwrap(), []);
    room.store.remove_volume(&data.name).unwrap();
}

#[test]
fn anonymous_volumes_go_with_a_container_that_is_not_kept() {
    let room = Room::new();
    let passing = Passing::new(&room.store, "job");
    let own = anonymous(&"a".repeat(64));
    let shared = anonymous(&"b".repeat(64));
    let wanted = [at(&own, "/own"), at(&shared, "/shared"), at(&volume("data"), "/data")];
    room.store.hold_volumes(passing.holder(), &wanted).unwrap();
    assert_eq!(room.store.volumes().unwrap().len(), 3);
    let other = Passing::new(&room.store, "other");
    let named = VolumeRecord { anonymous: false, ..shared.clone() };
    room.store.hold_volumes(other.holder(), &[at(&named, "/shared")]).unwrap();
    passing.snapshot.release_volumes(&room.paths()).unwrap();
    passing.snapshot.remove().unwrap();
    // `other` uses it still, by name.
    assert_eq!(room.names_in("volumes"), [shared.name.as_str(), "data"]);
    other.snapshot.remove().unwrap();
    drop(room.reopen());
    assert_eq!(room.names_in("volumes"), [shared.name.as_str(), "data"]);
}

#[test]
fn what_a_dead_container_had_goes_at_the_next_opening() {
    let room = Room::new();
    let own = anonymous(&"a".repeat(64));
    let passing = Passing::new(&room.store, "job");
    room.store.hold_volumes(passing.holder(), &[at(&own, "/own")]).unwrap();
    // Dropped like one whose start failed: only a store can let them go.
    drop(passing);
    assert_eq!(room.names_in("volumes").len(), 1);
    drop(room.reopen());
    assert_eq!(room.names_in("volumes"), [""; 0]);
    room.check();
}

#[test]
fn a_kept_container_keeps_its_volumes_until_they_are_to_go() {
    let room = Room::new();
    let record = keep(&room, "web");
    let own = anonymous(&"a".repeat(64));
    let wanted = [at(&own, "/own"), at(&volume("data"), "/data")];
    room.store.hold_volumes(kept(&record), &wanted).unwrap();
    // Another start: the same places.
    room.store.hold_volumes(kept(&record), &wanted).unwrap();
    assert_eq!(room.store.volume_users().unwrap().len(), 2);
    room.store.release_container_volumes(&record.id).unwrap();
    room.store.remove_container(&record.id).unwrap();
    assert_eq!(room.names_in("volumes"), ["data"]);
    room.check();
}

#[test]
fn content_comes_in_whole_and_only_into_an_empty_volume() {
    let room = Room::new();
    let store = &room.store;
    let data = volume("data");
    let job = Passing::new(store, "job");
    store.hold_volumes(job.holder(), &[at(&data, "/data")]).unwrap();
    let fill = |content: &str, keep: bool| {
        let pending = store.begin_volume_content(&data.name).unwrap();
        fs::write_volatile(&pending.directory().join("file"), content.as_bytes()).unwrap();
        Dir::open(pending.directory().parent().unwrap())
            .unwrap()
            .set_mode(pending.directory().file_name().unwrap(), 0o1770)
            .unwrap();
        keep && pending.commit(Some(&job.id)).unwrap()
    };
    let file = || fs::read_to_string(&store.volume_data(&data.name).join("file"));
    assert!(!fill("dropped", false));
    assert!(store.is_volume_empty(&data.name).unwrap());
    assert!(fill("first", true));
    assert!(!fill("second", true));
    assert_eq!(file().unwrap(), "first");
    // Somebody else may have mounted it: the directory must stay the same.
    fs::remove_file(&store.volume_data(&data.name).join("file")).unwrap();
    let other = Passing::new(store, "other");
    store.hold_volumes(other.holder(), &[at(&data, "/data")]).unwrap();
    let before = fs::metadata(&store.volume_data(&data.name)).unwrap().unwrap().inode;
    assert!(fill("third", true));
    let after = fs::metadata(&store.volume_data(&data.name)).unwrap().unwrap();
    assert_eq!((file().unwrap().as_str(), after.inode, after.mode), ("third", before, 0o1770));
    drop((job, other));
    room.check();
}

#[test]
fn a_volume_whose_row_was_lost_is_taken_up_again() {
    let room = Room::new();
    let record = VolumeRecord { anonymous: true, ..volume("data") };
    room.store.ensure_volume(&record).unwrap();
    fs::write_volatile(&room.store.volume_data(&record.name).join("file"), b"x").unwrap();
    let forget =
        |transaction: &Transaction<'_>| Ok(transaction.execute("DELETE FROM volumes", [])?);
    room.store.write("test", forget).unwrap();
    // A collection waits for whoever holds the lock.
    room.store.close_database();
    let store = room.reopen();
    store.collect().unwrap();
    let fresh = VolumeRecord { labels: BTreeMap::new(), ..volume("data") };
    assert_eq!(store.ensure_volume(&fresh).unwrap(), record);
    assert!(!store.is_volume_empty(&record.name).unwrap());
}

#[test]
fn a_volume_on_its_way_out_comes_back_if_its_row_stays() {
    let room = Room::new();
    room.store.ensure_volume(&volume("data")).unwrap();
    fs::write_volatile(&room.store.volume_data(&name("data")).join("file"), b"x").unwrap();
    let workspace = room.store.begin(&[]).unwrap();
    let fails: Result<()> = room.store.write("test", |transaction| {
        room.store.take_volume(transaction, &workspace, &name("data"))?;
        Err(Error::invalid("the disk is full").into())
    });
    assert!(fails.is_err());
    assert_eq!(room.names_in("volumes"), [""; 0]);
    // As after a kill: nobody holds the workspace.
    workspace.abandon();
    let store = room.reopen();
    assert!(!store.is_volume_empty(&name("data")).unwrap());
    room.check();
}

/// Comes and goes, for ever.
pub(super) fn churn(store: &Store) {
    for round in 0_u64.. {
        store.ensure_volume(&volume("named")).unwrap();
        let passing = Passing::new(store, "job");
        let own = anonymous(&Digest::of(&round.to_le_bytes()).encoded());
        let wanted = [at(&own, "/own"), at(&volume("named"), "/named")];
        store.hold_volumes(passing.holder(), &wanted).unwrap();
        let pending = store.begin_volume_content(&own.name).unwrap();
        for file in ["a", "b", "c"] {
            fs::write_volatile(&pending.directory().join(file), b"x").unwrap();
        }
        assert!(pending.commit(Some(&passing.id)).unwrap());
        passing.snapshot.release_volumes(&store.paths).unwrap();
        passing.snapshot.remove().unwrap();
        store.remove_volume(&name("named")).unwrap();
        store.close_database();
    }
}

#[test]
fn whenever_it_is_killed_no_volume_is_half_or_left_over() {
    let room = Room::new();
    room.store.ensure_volume(&volume("kept")).unwrap();
    fs::write_volatile(&room.store.volume_data(&name("kept")).join("file"), b"x").unwrap();
    room.store.close_database();
    let times = (40, Duration::from_micros(911));
    kill_at_all_moments((&room, "volumes"), times, |round| {
        drop(room.reopen());
        room.check();
        let names: Vec<String> =
            room.names_in("volumes").into_iter().filter(|name| name != "named").collect();
        assert_eq!(names, ["kept"], "round {round}");
        assert!(!room.store.is_volume_empty(&name("kept")).unwrap());
    });
}
