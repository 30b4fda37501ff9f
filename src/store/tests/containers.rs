//! Kept containers.

use super::*;
use crate::mount::Mount;

fn room_with_image() -> (Room, ImageRecord) {
    let room = Room::new();
    let id = import(&room.store, "a", Some("a")).id;
    let image = room.store.image(id).unwrap().unwrap();
    (room, image)
}

#[test]
fn a_container_is_kept_with_its_directory() {
    let (room, image) = room_with_image();
    let record = container("web", &image);
    room.store.put_container(&record).unwrap();
    assert_eq!(room.store.containers().unwrap(), std::slice::from_ref(&record));
    let Mount::Overlay(overlay) = room.store.container_mount(&record.id).unwrap() else {
        panic!("not an overlay")
    };
    let upper = overlay.upper.unwrap();
    assert!(!upper.volatile);
    fs::write_volatile(&upper.upper.join("written"), b"x").unwrap();
    // Another process finds the same.
    let Mount::Overlay(again) = room.reopen().container_mount(&record.id).unwrap() else {
        panic!("not an overlay")
    };
    assert_eq!(fs::read(&again.upper.unwrap().upper.join("written")).unwrap(), b"x");
    room.store.remove_container(&record.id).unwrap();
    assert!(room.names_in("containers").is_empty());
    assert_eq!(room.store.container("web").unwrap_err().kind(), Kind::NotFound);
    room.check();
}

#[test]
fn a_name_belongs_to_one() {
    let (room, image) = room_with_image();
    let first = container("web", &image);
    room.store.put_container(&first).unwrap();
    let second = ContainerRecord { name: first.name.clone(), ..container("other", &image) };
    let error = room.store.put_container(&second).unwrap_err();
    assert_eq!(error.kind(), Kind::AlreadyExists);
    let expected =
        format!("the container name \"web\" is already in use by container \"{}\"", first.id);
    assert_eq!(error.to_string(), expected);
    room.check();
    let second = container("other", &image);
    room.store.put_container(&second).unwrap();
    let error = room.store.rename_container(&second.id, &first.name).unwrap_err();
    assert_eq!(error.kind(), Kind::AlreadyExists);
    room.store.rename_container(&second.id, &"third".parse().unwrap()).unwrap();
    assert_eq!(room.store.container("third").unwrap().id, second.id);
    assert_ne!(room.store.unused_container_name().unwrap(), first.name);
}

#[test]
fn resolves_ids_names_and_prefixes() {
    let (room, image) = room_with_image();
    for index in 0..17 {
        room.store.put_container(&container(&format!("c{index}"), &image)).unwrap();
    }
    let record = room.store.container("c3").unwrap();
    for text in [record.id.as_str(), record.id.short(), "c3", "/c3"] {
        assert_eq!(room.store.container(text).unwrap().id, record.id, "{text}");
    }
    let shared = (b'0'..=b'f').map(char::from).find(|digit| {
        let all = room.store.containers().unwrap();
        all.iter().filter(|record| record.id.as_str().starts_with(*digit)).count() > 1
    });
    let error = room.store.container(&shared.unwrap().to_string()).unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.to_string().contains("(c"), "{error}");
    for text in ["", "none", "0123456789abcdef0"] {
        assert_eq!(room.store.container(text).unwrap_err().kind(), Kind::NotFound, "{text}");
    }
}

#[test]
fn states_survive() {
    let (room, image) = room_with_image();
    let record = container("web", &image);
    room.store.put_container(&record).unwrap();
    let state = ContainerState {
        started_at: Some(Timestamp { seconds: 1, nanoseconds: 2 }),
        finished_at: Some(Timestamp { seconds: 3, nanoseconds: 4 }),
        exit_code: Some(139),
        oom_killed: true,
        restarts: 3,
        stopped: true,
        error: Some("why".into()),
        health: Some("{}".into()),
    };
    let event = Event::container("die", &record.id, [("exitCode".into(), "139".into())]);
    room.store.update_container_state(&record.id, &state, std::slice::from_ref(&event)).unwrap();
    assert_eq!(room.reopen().container("web").unwrap().state, state);
    let other = container("other", &image).id;
    let error = room
        .store
        .update_container_state(&other, &state, std::slice::from_ref(&event))
        .unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
}

#[test]
fn a_spec_is_replaced_and_its_copy_stays_the_same_file() {
    let (room, image) = room_with_image();
    let mut record = container("web", &image);
    let json = serde_json::json!({"image": "a:1", "command": ["a long one, gone afterwards"]});
    record.spec = SpecText::of(&json).unwrap();
    room.store.put_container(&record).unwrap();
    let path = room.store.container_path(&record.id).join("config.json");
    let file = fs::open(&path).unwrap();
    fs::lock(&file, fs::LockMode::Exclusive, &path).unwrap();
    let json = serde_json::json!({"image": "a:1", "labels": {}});
    let spec = SpecText::of(&json).unwrap();
    let event = Event::container("update", &record.id, []);
    room.store.update_container_spec(&record.id, &spec, &event).unwrap();
    assert_eq!(room.reopen().container("web").unwrap().spec, spec);
    let copy: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(copy["spec"], json);
    // Whoever looks still finds it locked.
    assert!(!fs::try_lock(&fs::open(&path).unwrap(), &path).unwrap());
    assert!(room.store.events(None).unwrap().any(|event| event.action == "update"));
    // One that lost the copy has its record alone.
    fs::remove_file(&path).unwrap();
    room.store.update_container_spec(&record.id, &record.spec, &event).unwrap();
    assert_eq!(room.store.container("web").unwrap().spec, record.spec);
    assert!(fs::metadata(&path).unwrap().is_none());
    let other = container("other", &image).id;
    let error = room.store.update_container_spec(&other, &spec, &event).unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
}

#[test]
fn every_change_leaves_an_event() {
    let (room, image) = room_with_image();
    let mut record = container("web", &image);
    let spec = serde_json::json!({"image": "a:1", "labels": {"team": "x"}});
    record.spec = SpecText::of(&spec).unwrap();
    room.store.put_container(&record).unwrap();
    let die = Event::container("die", &record.id, []);
    room.store.update_container_state(&record.id, &ContainerState::default(), &[die]).unwrap();
    room.store.rename_container(&record.id, &"other".parse().unwrap()).unwrap();
    room.store.remove_container(&record.id).unwrap();
    let events = room.store.events(None).unwrap();
    let events: Vec<Event> = events.filter(|event| event.kind == "container").collect();
    let actions: Vec<&str> = events.iter().map(|event| event.action.as_str()).collect();
    assert_eq!(actions, ["create", "die", "rename", "destroy"]);
    let told = |index: usize, key: &str| events[index].attributes.get(key).map(String::as_str);
    assert_eq!((told(0, "image"), told(0, "team")), (Some("a:1"), Some("x")));
    assert_eq!((told(2, "oldName"), told(2, "name")), (Some("web"), Some("other")));
    assert_eq!(told(3, "name"), Some("other"));
}
