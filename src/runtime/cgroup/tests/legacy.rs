//! What is v1's alone, in the host's own trees, as root; skipped where it has
//! none.

use super::super::{Cgroup, Controller, Entrance};
use super::room::{Room, pid, signal};

#[test]
fn frozen_processes_stand_still_and_go_on() {
    let test = "frozen_processes_stand_still_and_go_on";
    let Some(mut room) = Room::legacy(test) else { return };
    if !room.has(test, Controller::Freezer) || !room.has(test, Controller::Cpuacct) {
        return;
    }
    room.run("while :; do :; done");
    room.group.freeze().unwrap();
    assert_eq!(room.content(Controller::Freezer, "freezer.state"), "FROZEN");
    let used = || room.group.statistics().unwrap().cpu_nanoseconds;
    let before = used();
    std::thread::sleep(std::time::Duration::from_millis(20));
    assert_eq!(used(), before);
    room.group.thaw().unwrap();
    assert_eq!(room.content(Controller::Freezer, "freezer.state"), "THAWED");
    while used() == before {}
}

#[test]
fn all_processes_are_killed_frozen_or_not() {
    let Some(mut room) = Room::legacy("all_processes_are_killed_frozen_or_not") else { return };
    for freeze in [false, true] {
        room.run("while :; do sleep 100 & sleep 0.001; done");
        while room.group.processes().unwrap().len() < 5 {}
        if freeze {
            room.group.freeze().unwrap();
        }
        room.group.kill().unwrap();
        let child = room.children.last_mut().unwrap();
        assert_eq!(signal(child), Some(libc::SIGKILL));
        while !room.group.processes().unwrap().is_empty() {}
    }
}

#[test]
fn a_thread_moves_itself_into_every_tree() {
    let Some(room) = Room::legacy("a_thread_moves_itself_into_every_tree") else { return };
    let doors: Entrance = room.group.entrance().unwrap();
    let name = room.hierarchy.name(&room.id);
    // v1 moves the thread that writes, and it is over before the group goes.
    let table = std::thread::spawn(move || {
        doors.enter().unwrap();
        std::fs::read_to_string("/proc/thread-self/cgroup").unwrap()
    });
    let table = table.join().unwrap();
    let inside = table.lines().filter(|line| line.ends_with(&name)).count();
    assert_eq!(inside, room.hierarchy.bases().len(), "{table}");
    assert!(room.group.directory().unwrap().is_none());
}

#[test]
fn a_group_with_processes_is_in_use_and_one_below_goes_along() {
    let Some(mut room) = Room::legacy("a_group_with_processes_is_in_use_and_one_below_goes_along")
    else {
        return;
    };
    let child = room.run("exec sleep 100");
    let pid = pid(child);
    let again = Cgroup::create(&room.hierarchy, &room.id).unwrap_err();
    assert_eq!(again.kind(), crate::error::Kind::InUse);
    assert!(again.chain().contains(&pid.to_string()), "{again:?}");
    room.group.kill().unwrap();
    let child = room.children.last_mut().unwrap();
    child.wait().unwrap();
    let inner = room.group.files(Controller::Memory).map(|files| files.path("inner"));
    inner.iter().for_each(|inner| std::fs::create_dir(inner).unwrap());
    room.group.remove().unwrap();
    assert!(Cgroup::open(&room.hierarchy, &room.id).unwrap().is_none());
    room.group.remove().unwrap();
}
