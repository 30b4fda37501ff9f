//! What every v2 cgroup does without a controller, in the host's own tree:
//! also a hybrid host has one.

use super::super::{Cgroup, Controller, Demand, Limit, Resources};
use super::room::{Room, pid, signal};
use crate::error::Kind;

#[test]
fn a_v2_group_freezes_and_thaws() {
    let Some(mut room) = Room::unified("a_v2_group_freezes_and_thaws") else { return };
    room.run("while :; do :; done");
    for _ in 0..3 {
        room.group.freeze().unwrap();
        let events = || room.content(Controller::Freezer, "cgroup.events");
        assert!(events().ends_with("frozen 1"), "{}", events());
        room.group.thaw().unwrap();
        assert!(events().ends_with("frozen 0"), "{}", events());
    }
}

#[test]
fn a_v2_group_dies_as_a_whole() {
    let Some(mut room) = Room::unified("a_v2_group_dies_as_a_whole") else { return };
    for freeze in [false, true] {
        room.run("while :; do sleep 100 & sleep 0.001; done");
        while room.group.processes().unwrap().len() < 5 {}
        if freeze {
            room.group.freeze().unwrap();
        }
        room.group.kill().unwrap();
        assert_eq!(signal(room.children.last_mut().unwrap()), Some(libc::SIGKILL));
        room.group.thaw().unwrap();
    }
    room.group.remove().unwrap();
    // All of it again is success.
    room.group.kill().unwrap();
    room.group.remove().unwrap();
    assert!(room.group.processes().unwrap().is_empty());
}

#[test]
fn a_v2_group_counts_processor_time() {
    let Some(mut room) = Room::unified("a_v2_group_counts_processor_time") else { return };
    room.run("while :; do :; done");
    while room.group.statistics().unwrap().cpu_nanoseconds.unwrap() == 0 {}
}

#[test]
fn a_v2_group_is_entered_by_its_door_and_is_in_use_then() {
    let test = "a_v2_group_is_entered_by_its_door_and_is_in_use_then";
    let Some(mut room) = Room::unified(test) else { return };
    assert!(room.group.directory().unwrap().is_some());
    room.group.entrance().unwrap();
    let own = pid(room.run("exec sleep 100"));
    assert_eq!(room.group.processes().unwrap(), [own]);
    let error = Cgroup::create(&room.hierarchy, &room.id).unwrap_err();
    assert_eq!(error.kind(), Kind::InUse);
}

#[test]
fn a_controller_that_the_v2_tree_lacks_is_named() {
    let test = "a_controller_that_the_v2_tree_lacks_is_named";
    let Some(room) = Room::unified(test) else { return };
    if room.hierarchy.controllers().contains(&Controller::Pids) {
        room.apply(&Resources { pids_limit: Some(Limit::At(5)), ..Resources::default() });
        assert_eq!(room.content(Controller::Pids, "pids.max"), "5");
        return;
    }
    let limits = Resources { pids_limit: Some(Limit::At(5)), ..Resources::default() };
    let error = room.group.apply(&limits, Demand::Asked).unwrap_err();
    // For root the host has none, for others it was not delegated.
    let message = error.chain();
    assert!(message.starts_with("cannot set --pids-limit: the"), "{message}");
    assert!(message.contains("cgroup controller \"pids\""), "{message}");
    assert!(error.hint_text().is_some());
}
