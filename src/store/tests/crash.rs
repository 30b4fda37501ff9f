//! `kill -9`: a second process, this test program with one ignored test, works
//! in the store of its working directory until it is killed.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::*;

const CHILD: &str = "store::tests::crash::child";
const SCENARIO: &str = "scenario";
const READY: &str = "ready";

/// Starts the child at `scenario`.
pub(super) fn spawn(room: &Room, scenario: &str) -> Child {
    let directory = room.directory.path();
    fs::remove_file(&directory.join(READY)).unwrap();
    fs::write_volatile(&directory.join(SCENARIO), scenario.as_bytes()).unwrap();
    let mut child = Command::new("/proc/self/exe")
        .args(["--exact", CHILD, "--ignored", "--nocapture"])
        .current_dir(directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // The harness says so before it runs the test.
    let stdout = child.stdout.take().unwrap();
    assert!(BufReader::new(stdout).lines().any(|line| line.unwrap().contains("running 1 test")));
    child
}

/// Kills a child of `scenario` again and again, each time a `step` later, with
/// `then` after each. No event is waited for: any moment is one to be killed at.
pub(super) fn kill_at_all_moments(
    (room, scenario): (&Room, &str),
    (rounds, step): (u32, Duration),
    mut then: impl FnMut(u32),
) {
    for round in 0..rounds {
        let mut child = spawn(room, scenario);
        std::thread::sleep(Duration::from_millis(2) + step * round);
        child.kill().unwrap();
        child.wait().unwrap();
        then(round);
    }
}

/// What the child does. Nothing where no scenario lies.
#[test]
#[ignore = "the other half of the tests beside it"]
fn child() {
    let Some(scenario) = fs::read_optional(Path::new(SCENARIO)).unwrap() else { return };
    let store = Store::open(&paths(Path::new("."))).unwrap();
    match scenario.as_slice() {
        b"pending" => {
            let pending = store.begin_layer(Driver::Overlay).unwrap();
            fs::write_volatile(&pending.location().folder.join("tree").join("file"), b"half")
                .unwrap();
            let chain = store.resolve("kept").unwrap().chain();
            let snapshot = store.prepare(chain).unwrap();
            fs::write_volatile(Path::new(READY), b"").unwrap();
            wait_for_the_end();
            drop((pending, snapshot));
        }
        b"volumes" => volumes::churn(&store),
        b"repair" => repair::churn(&store),
        _ => churn(&store),
    }
}

fn wait_for_the_end() {
    loop {
        std::thread::park();
    }
}

/// Comes and goes, for ever.
fn churn(store: &Store) {
    for round in 0_u64.. {
        let comment = (round % 3).to_string();
        let low = add_layer(store, None, &comment).unwrap();
        let high = add_layer(store, Some(low), "high").unwrap();
        add_image(store, &comment, &[low, high], Some("churn")).unwrap();
        let image = store.resolve("churn").unwrap();
        let record = container("churn", &image);
        store.put_container(&record).unwrap();
        store.container_mount(&record.id).unwrap();
        drop(store.prepare(image.chain()).unwrap());
        store.remove_container(&record.id).unwrap();
        let request = RemoveImage { image: "churn", force: false, running: &[] };
        store.remove_image(&request).unwrap();
        store.close_database();
    }
}

#[test]
fn a_killed_process_leaves_nothing_and_a_living_one_is_left_alone() {
    let room = Room::new();
    import(&room.store, "kept", Some("kept"));
    let mut child = spawn(&room, "pending");
    let ready = room.directory.path().join(READY);
    while fs::metadata(&ready).unwrap().is_none() {
        assert!(child.try_wait().unwrap().is_none(), "the child ended");
        std::thread::yield_now();
    }
    drop(room.reopen());
    assert_eq!(room.names_in("tmp").len(), 2);
    let request = RemoveImage { image: "kept", force: false, running: &[] };
    room.store.remove_image(&request).unwrap();
    assert_eq!(room.names_in("layers").len(), 1, "the child's snapshot stands on it");
    // A collection waits for whoever holds the lock.
    room.store.close_database();
    child.kill().unwrap();
    child.wait().unwrap();
    let store = room.reopen();
    assert_eq!(room.names_in("tmp"), [""; 0]);
    store.collect().unwrap();
    room.check();
}

#[test]
fn whenever_it_is_killed_the_store_is_whole() {
    let room = Room::new();
    import(&room.store, "kept", Some("kept"));
    room.store.close_database();
    let times = (25, Duration::from_micros(1_777));
    kill_at_all_moments((&room, "churn"), times, |_| {
        room.check();
        // What the killed one had finished may be there: away with it.
        let store = room.reopen();
        for record in store.containers().unwrap() {
            store.remove_container(&record.id).unwrap();
        }
        let left = store.images().unwrap();
        for image in left.iter().filter(|image| image.names != [reference("kept:latest")]) {
            let request = RemoveImage { image: &image.id.to_string(), force: true, running: &[] };
            store.remove_image(&request).unwrap();
        }
        store.collect().unwrap();
        assert_eq!(room.names_in("layers").len(), 1);
        room.check();
    });
}
