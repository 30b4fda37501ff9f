//! Limits of a group that has some: in the host's own trees, v1 or v2, as
//! root; skipped where there are none. On v2 they run in `scripts/guest`.

use super::super::{Controller, Cpus, Limit, Resources};
use super::room::{Room, signal};

const MIB: u64 = 1 << 20;

/// Memory, and memory and swap together.
fn memory(memory: u64, both: u64) -> Resources {
    Resources {
        memory: Some(memory * MIB),
        memory_swap: Some(Limit::At(both * MIB)),
        ..Resources::default()
    }
}

/// Both of them, as the kernel has them; v2 counts swap alone.
fn in_force(room: &Room) -> (u64, u64) {
    let number = |names| room.content_of(Controller::Memory, names).parse::<u64>().unwrap() / MIB;
    let memory = number(["memory.limit_in_bytes", "memory.max"]);
    let more = number(["memory.memsw.limit_in_bytes", "memory.swap.max"]);
    match room.hierarchy.version() {
        super::super::Version::V1 => (memory, more),
        super::super::Version::V2 => (memory, memory + more),
    }
}

/// What can be read of every limit of the group.
fn everything(room: &Room) -> Vec<String> {
    let files = [
        (Controller::Memory, ["memory.limit_in_bytes", "memory.max"]),
        (Controller::Memory, ["memory.memsw.limit_in_bytes", "memory.swap.max"]),
        (Controller::Memory, ["memory.soft_limit_in_bytes", "memory.low"]),
        (Controller::Cpu, ["cpu.cfs_quota_us", "cpu.max"]),
        (Controller::Cpu, ["cpu.shares", "cpu.weight"]),
        (Controller::Cpuset, ["cpuset.cpus", "cpuset.cpus"]),
        (Controller::Pids, ["pids.max", "pids.max"]),
    ];
    files.into_iter().map(|(controller, names)| room.content_of(controller, names)).collect()
}

/// Whether the group has what these tests limit; skips the test if not.
fn is_whole(room: &Room, test: &str) -> bool {
    use Controller::{Cpu, Cpuset, Memory, Pids};
    [Memory, Cpu, Cpuset, Pids].into_iter().all(|controller| room.has(test, controller))
}

#[test]
fn both_limits_of_memory_move_in_any_direction() {
    let test = "both_limits_of_memory_move_in_any_direction";
    let Some(room) = Room::host(test) else { return };
    if !room.has(test, Controller::Memory) {
        return;
    }
    let mut old = memory(64, 128);
    room.apply(&old);
    // Upwards past the other one and back, and each against the other.
    for (one, both) in [(256, 512), (32, 32), (100, 100), (64, 512), (400, 400), (16, 800), (8, 8)]
    {
        let new = memory(one, both);
        let warnings = room.group.update(&new, &old.updated_by(&new).unwrap()).unwrap().warnings;
        assert!(warnings.is_empty(), "{warnings:?}");
        assert_eq!(in_force(&room), (one, both));
        old = new;
    }
    // The limit of both together stays.
    let more = Resources { memory: Some(6 * MIB), ..Resources::default() };
    room.group.update(&more, &old.updated_by(&more).unwrap()).unwrap();
    assert_eq!(in_force(&room), (6, 8));
}

#[test]
fn what_is_refused_leaves_every_limit_as_it_was() {
    let test = "what_is_refused_leaves_every_limit_as_it_was";
    let Some(room) = Room::host(test) else { return };
    if !is_whole(&room, test) {
        return;
    }
    let old = Resources { cpu_shares: Some(500), ..memory(64, 128) };
    room.apply(&old);
    let before = everything(&room);
    let change = Resources {
        memory_reservation: Some(32 * MIB),
        cpus: Some(Cpus(500_000_000)),
        cpu_shares: Some(700),
        cpuset_cpus: Some("8191".parse().unwrap()),
        pids_limit: Some(Limit::At(9)),
        ..memory(256, 512)
    };
    let error = room.group.update(&change, &old.updated_by(&change).unwrap()).unwrap_err();
    assert!(error.chain().starts_with("cannot set --cpuset-cpus: "), "{error:?}");
    assert_eq!(everything(&room), before);
}

#[test]
fn an_update_is_taken_back() {
    let test = "an_update_is_taken_back";
    let Some(room) = Room::host(test) else { return };
    if !is_whole(&room, test) {
        return;
    }
    let before = everything(&room);
    let change = Resources {
        memory_reservation: Some(32 * MIB),
        cpus: Some(Cpus(500_000_000)),
        cpu_shares: Some(700),
        cpuset_cpus: Some("0".parse().unwrap()),
        pids_limit: Some(Limit::At(9)),
        ..memory(64, 128)
    };
    let updated = room.group.update(&change, &change).unwrap();
    assert_ne!(everything(&room), before);
    updated.revert().unwrap();
    assert_eq!(everything(&room), before);
}

#[test]
fn a_process_lives_under_the_new_limit() {
    let test = "a_process_lives_under_the_new_limit";
    let Some(mut room) = Room::host(test) else { return };
    if !room.has(test, Controller::Memory) {
        return;
    }
    let old = memory(512, 512);
    room.apply(&old);
    let change = memory(16, 16);
    room.group.update(&change, &old.updated_by(&change).unwrap()).unwrap();
    let child = room.run("exec tail /dev/zero");
    assert_eq!(signal(child), Some(libc::SIGKILL));
}
