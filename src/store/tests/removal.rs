//! The matrix of `rmi`.

use super::*;

fn remove(room: &Room, image: &str, force: bool) -> Result<Vec<String>> {
    remove_while(room, image, force, &[])
}

fn remove_while(
    room: &Room,
    image: &str,
    force: bool,
    running: &[RunningContainer],
) -> Result<Vec<String>> {
    let removed = room.store.remove_image(&RemoveImage { image, force, running })?;
    let text = |removed: Removed| match removed {
        Removed::Untagged(name) => format!("untagged {name}"),
        Removed::Image(_) => "image".to_owned(),
        Removed::Layer(_) => "layer".to_owned(),
    };
    Ok(removed.into_iter().map(text).collect())
}

fn refusal(result: Result<Vec<String>>) -> String {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), Kind::InUse);
    assert!(error.hint_text().is_some());
    error.to_string()
}

#[test]
fn the_last_name_takes_the_image_along() {
    let room = Room::new();
    import(&room.store, "a", Some("a:1"));
    room.store.tag("a:1", &reference("a:2")).unwrap();
    assert_eq!(remove(&room, "a:1", false).unwrap(), ["untagged a:1"]);
    assert_eq!(remove(&room, "a:2", false).unwrap(), ["untagged a:2", "image", "layer"]);
    assert!(room.names_in("layers").is_empty() && room.names_in("blobs/sha256").is_empty());
    assert_eq!(room.store.resolve("a:1").unwrap_err().kind(), Kind::NotFound);
    room.check();
}

#[test]
fn an_id_with_one_name_goes_with_it() {
    let room = Room::new();
    let id = import(&room.store, "a", Some("a")).id;
    let expected = ["untagged a:latest", "image", "layer"];
    assert_eq!(remove(&room, &id.0.short(), false).unwrap(), expected);
    let id = import(&room.store, "a", None).id;
    assert_eq!(remove(&room, &id.to_string(), false).unwrap(), ["image", "layer"]);
}

#[test]
fn an_id_with_several_names_needs_force() {
    let room = Room::new();
    let id = import(&room.store, "a", Some("a")).id;
    room.store.tag("a", &reference("b")).unwrap();
    let message = refusal(remove(&room, &id.0.short(), false));
    assert!(message.contains("a:latest, b:latest"), "{message}");
    let expected = ["untagged a:latest", "untagged b:latest", "image", "layer"];
    assert_eq!(remove(&room, &id.0.short(), true).unwrap(), expected);
}

#[test]
fn a_digest_goes_with_the_last_tag_of_its_repository() {
    let room = Room::new();
    let digest = format!("a@{}", Digest::of(b"m"));
    import(&room.store, "a", Some("a:1"));
    import(&room.store, "a", Some(&digest));
    room.store.tag("a:1", &reference("a:2")).unwrap();
    assert_eq!(remove(&room, "a:2", false).unwrap(), ["untagged a:2"]);
    let untagged = format!("untagged {digest}");
    assert_eq!(remove(&room, "a:1", false).unwrap(), ["untagged a:1", &untagged, "image", "layer"]);
}

#[test]
fn a_stopped_container_is_named_and_yields_to_force() {
    let room = Room::new();
    let id = import(&room.store, "a", Some("a")).id;
    let image = room.store.image(id).unwrap().unwrap();
    room.store.put_container(&container("build", &image)).unwrap();
    for text in ["a", &id.0.short()] {
        let message = refusal(remove(&room, text, false));
        assert!(message.contains("the stopped container build"), "{message}");
    }
    // Its layers stay for it, and go with it.
    assert_eq!(remove(&room, "a", true).unwrap(), ["untagged a:latest", "image"]);
    assert_eq!(room.names_in("layers").len(), 1);
    let record = room.store.container("build").unwrap();
    room.store.container_mount(&record.id).unwrap();
    room.store.remove_container(&record.id).unwrap();
    assert!(room.names_in("layers").is_empty());
    room.check();
}

#[test]
fn a_running_container_keeps_its_image_whatever_is_asked() {
    let room = Room::new();
    let id = import(&room.store, "a", Some("a")).id;
    let running = RunningContainer {
        id: crate::id::ContainerId::from_random([1; 32]),
        name: "deft_knuth".into(),
        image: id,
    };
    let running = std::slice::from_ref(&running);
    let message = refusal(remove_while(&room, "a", false, running));
    assert!(message.contains("the running container deft_knuth"), "{message}");
    for force in [false, true] {
        refusal(remove_while(&room, &id.0.short(), force, running));
    }
    // A second name may go, and by force the last one.
    room.store.tag("a", &reference("b")).unwrap();
    assert_eq!(remove_while(&room, "b", false, running).unwrap(), ["untagged b:latest"]);
    assert_eq!(remove_while(&room, "a", true, running).unwrap(), ["untagged a:latest"]);
    assert!(room.store.image(id).unwrap().unwrap().is_dangling());
}

#[test]
fn a_kept_container_that_runs_is_not_taken_for_a_stopped_one() {
    let room = Room::new();
    let id = import(&room.store, "a", Some("a")).id;
    let record = container("web", &room.store.image(id).unwrap().unwrap());
    room.store.put_container(&record).unwrap();
    let running = [RunningContainer { id: record.id, name: "web".into(), image: id }];
    let message = refusal(remove_while(&room, &id.0.short(), true, &running));
    assert!(message.contains("running container web"), "{message}");
}

#[test]
fn shared_layers_go_with_their_last_image() {
    let room = Room::new();
    let low = add_layer(&room.store, None, "low").unwrap();
    let high = add_layer(&room.store, Some(low), "high").unwrap();
    add_image(&room.store, "base", &[low], Some("base")).unwrap();
    add_image(&room.store, "top", &[low, high], Some("top")).unwrap();
    assert_eq!(remove(&room, "base", false).unwrap(), ["untagged base:latest", "image"]);
    let expected = ["untagged top:latest", "image", "layer", "layer"];
    assert_eq!(remove(&room, "top", false).unwrap(), expected);
    room.check();
}

fn prune(room: &Room, image: crate::digest::ImageId, tagged: bool) -> usize {
    prune_while(room, image, tagged, &[])
}

fn prune_while(
    room: &Room,
    image: crate::digest::ImageId,
    tagged: bool,
    running: &[RunningContainer],
) -> usize {
    room.store.prune_image(&PruneImage { image, tagged, running }).unwrap().len()
}

#[test]
fn only_images_that_nobody_uses_are_pruned() {
    let room = Room::new();
    let named = import(&room.store, "a", Some("a")).id;
    let nameless = import(&room.store, "b", None).id;
    let image = room.store.image(nameless).unwrap().unwrap();
    let record = container("kept", &image);
    room.store.put_container(&record).unwrap();
    assert_eq!((prune(&room, named, false), prune(&room, nameless, true)), (0, 0));
    room.store.remove_container(&record.id).unwrap();
    let running = [RunningContainer { id: record.id, name: "one".into(), image: nameless }];
    assert_eq!(prune_while(&room, nameless, false, &running), 0);
    // The image with its layer; then a name more.
    assert_eq!((prune(&room, nameless, false), prune(&room, nameless, false)), (2, 0));
    assert_eq!(prune(&room, named, true), 3);
    room.check();
}

#[test]
fn an_image_known_by_digest_alone_is_pruned_as_one_without_a_tag() {
    let room = Room::new();
    let digest = format!("a@{}", Digest::of(b"manifest"));
    let pulled = import(&room.store, "a", Some(&digest)).id;
    assert_eq!(prune(&room, pulled, false), 3);
    room.check();
}

#[test]
fn an_image_on_which_a_container_was_started_meanwhile_is_not_pruned() {
    let room = Room::new();
    let chain = add_layer(&room.store, None, "shared").unwrap();
    let one = add_image(&room.store, "one", &[chain], None).unwrap().id;
    let two = add_image(&room.store, "two", &[chain], None).unwrap().id;
    let snapshot = room.store.prepare(Some(chain)).unwrap();
    assert_eq!((prune(&room, one, false), prune(&room, two, false)), (0, 0));
    // Once it is known whose it is, the other one may go.
    let id = crate::id::ContainerId::from_random([1; 32]);
    let running = [RunningContainer { id, name: "one".into(), image: one }];
    assert_eq!(prune_while(&room, one, false, &running), 0);
    assert_eq!(prune_while(&room, two, false, &running), 1);
    drop(snapshot);
    assert_eq!(prune(&room, one, false), 2);
    room.check();
}
