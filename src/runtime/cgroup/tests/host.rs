//! The limits that the host's own trees can set, v1 or v2, as root; skipped
//! where there are none. On v2 they run in `scripts/guest`.

use std::collections::BTreeSet;

use super::super::{Cgroup, Controller, Cpus, Demand, Limit, Resources, Version};
use super::room::{Room, pid, signal};

#[test]
fn a_memory_limit_kills_and_is_told() {
    let test = "a_memory_limit_kills_and_is_told";
    let Some(mut room) = Room::host(test) else { return };
    if !room.has(test, Controller::Memory) {
        return;
    }
    let limit = 16 << 20;
    room.apply(&Resources {
        memory: Some(limit),
        memory_swap: Some(Limit::At(limit)),
        ..Resources::default()
    });
    assert_eq!(room.group.oom_kills().unwrap(), 0);
    let child = room.run("exec tail /dev/zero");
    assert_eq!(signal(child), Some(libc::SIGKILL));
    assert_eq!(room.group.oom_kills().unwrap(), 1);
}

#[test]
fn an_update_raises_and_lowers_a_memory_limit() {
    let test = "an_update_raises_and_lowers_a_memory_limit";
    let Some(room) = Room::host(test) else { return };
    if !room.has(test, Controller::Memory) {
        return;
    }
    for mebibytes in [16, 512, 64] {
        room.apply(&Resources { memory: Some(mebibytes << 20), ..Resources::default() });
        let limit = room.content_of(Controller::Memory, ["memory.limit_in_bytes", "memory.max"]);
        assert_eq!(limit, (mebibytes << 20).to_string());
    }
}

#[test]
fn a_pids_limit_stops_forks() {
    let test = "a_pids_limit_stops_forks";
    let Some(mut room) = Room::host(test) else { return };
    if !room.has(test, Controller::Pids) {
        return;
    }
    room.apply(&Resources { pids_limit: Some(Limit::At(1)), ..Resources::default() });
    let status = room.run("/bin/true; exit 0").wait().unwrap();
    assert!(!status.success());
    room.apply(&Resources { pids_limit: Some(Limit::Unlimited), ..Resources::default() });
    assert!(room.run("/bin/true; exit 0").wait().unwrap().success());
}

#[test]
fn processor_time_is_limited() {
    let test = "processor_time_is_limited";
    let Some(room) = Room::host(test) else { return };
    if !room.has(test, Controller::Cpu) {
        return;
    }
    room.apply(&Resources {
        cpus: Some(Cpus(500_000_000)),
        cpu_shares: Some(512),
        ..Resources::default()
    });
    if room.hierarchy.version() == Version::V2 {
        assert_eq!(room.content(Controller::Cpu, "cpu.max"), "50000 100000");
        return;
    }
    assert_eq!(room.content(Controller::Cpu, "cpu.cfs_quota_us"), "50000");
    assert_eq!(room.content(Controller::Cpu, "cpu.cfs_period_us"), "100000");
    assert_eq!(room.content(Controller::Cpu, "cpu.shares"), "512");
}

#[test]
fn processors_are_chosen_and_inherited() {
    let test = "processors_are_chosen_and_inherited";
    let Some(mut room) = Room::host(test) else { return };
    if !room.has(test, Controller::Cpuset) {
        return;
    }
    let nodes = room.content_of(Controller::Cpuset, ["cpuset.mems", "cpuset.mems.effective"]);
    assert!(!nodes.is_empty());
    room.apply(&Resources { cpuset_cpus: Some("0".parse().unwrap()), ..Resources::default() });
    let child = room.run("grep Cpus_allowed_list /proc/self/status");
    let mut text = String::new();
    std::io::Read::read_to_string(child.stdout.as_mut().unwrap(), &mut text).unwrap();
    assert_eq!(text.trim(), "Cpus_allowed_list:\t0");
}

#[test]
fn a_limit_that_the_kernel_refuses_is_named() {
    let test = "a_limit_that_the_kernel_refuses_is_named";
    let Some(room) = Room::host(test) else { return };
    if !room.has(test, Controller::Cpuset) {
        return;
    }
    let beyond = Resources { cpuset_cpus: Some("8191".parse().unwrap()), ..Resources::default() };
    let error = room.group.apply(&beyond, Demand::Asked).unwrap_err();
    assert!(error.chain().starts_with("cannot set --cpuset-cpus: "), "{error:?}");
    assert_eq!(room.group.apply(&beyond, Demand::Offered).unwrap()[0].flag, "--cpuset-cpus");
}

#[test]
fn use_is_counted() {
    let Some(mut room) = Room::host("use_is_counted") else { return };
    room.run("x=$(head -c 4000000 /dev/zero | tr '\\0' x); sleep 100");
    let statistics = loop {
        let statistics = room.group.statistics().unwrap();
        if statistics.memory.is_none_or(|memory| memory.usage > 4_000_000) {
            break statistics;
        }
    };
    assert!(statistics.pids.is_none_or(|pids| pids.current >= 1 && pids.limit.is_none()));
    assert!(statistics.cpu_nanoseconds.is_none_or(|used| used > 0));
    assert!(statistics.memory_limit() <= statistics.host_memory);
}

#[test]
fn a_sweep_kills_and_removes_what_has_no_record() {
    let Some(mut room) = Room::host("a_sweep_kills_and_removes_what_has_no_record") else {
        return;
    };
    let child = room.run("exec sleep 100");
    let pid = pid(child);
    let known = BTreeSet::from([room.id.clone()]);
    assert!(room.hierarchy.sweep(&known).unwrap().is_empty());
    // The group goes only when its process has been reaped.
    let reaper = std::thread::spawn(move || nix::sys::wait::waitpid(pid, None));
    let swept = room.hierarchy.sweep(&BTreeSet::new()).unwrap();
    reaper.join().unwrap().unwrap();
    room.children.clear();
    assert_eq!(swept, [room.id.clone()]);
    assert!(Cgroup::open(&room.hierarchy, &room.id).unwrap().is_none());
}
