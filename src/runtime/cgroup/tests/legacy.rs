//! v1 in the host's own trees, as root; skipped where it has none.

use std::collections::BTreeSet;

use super::super::{Cgroup, Controller, Cpus, Demand, Entrance, Limit, Resources};
use super::room::{Room, pid, signal};

#[test]
fn a_memory_limit_kills_and_is_told() {
    let test = "a_memory_limit_kills_and_is_told";
    let Some(mut room) = Room::legacy(test) else { return };
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
    let Some(room) = Room::legacy(test) else { return };
    if !room.has(test, Controller::Memory) {
        return;
    }
    for mebibytes in [16, 512, 64] {
        room.apply(&Resources { memory: Some(mebibytes << 20), ..Resources::default() });
        let limit = room.content(Controller::Memory, "memory.limit_in_bytes");
        assert_eq!(limit, (mebibytes << 20).to_string());
    }
}

#[test]
fn a_pids_limit_stops_forks() {
    let test = "a_pids_limit_stops_forks";
    let Some(mut room) = Room::legacy(test) else { return };
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
    let Some(room) = Room::legacy(test) else { return };
    if !room.has(test, Controller::Cpu) {
        return;
    }
    room.apply(&Resources {
        cpus: Some(Cpus(500_000_000)),
        cpu_shares: Some(512),
        ..Resources::default()
    });
    assert_eq!(room.content(Controller::Cpu, "cpu.cfs_quota_us"), "50000");
    assert_eq!(room.content(Controller::Cpu, "cpu.cfs_period_us"), "100000");
    assert_eq!(room.content(Controller::Cpu, "cpu.shares"), "512");
}

#[test]
fn processors_are_chosen_and_inherited() {
    let test = "processors_are_chosen_and_inherited";
    let Some(mut room) = Room::legacy(test) else { return };
    if !room.has(test, Controller::Cpuset) {
        return;
    }
    assert!(!room.content(Controller::Cpuset, "cpuset.mems").is_empty());
    room.apply(&Resources { cpuset_cpus: Some("0".parse().unwrap()), ..Resources::default() });
    let child = room.run("grep Cpus_allowed_list /proc/self/status");
    let mut text = String::new();
    std::io::Read::read_to_string(child.stdout.as_mut().unwrap(), &mut text).unwrap();
    assert_eq!(text.trim(), "Cpus_allowed_list:\t0");
}

#[test]
fn a_limit_that_the_kernel_refuses_is_named() {
    let test = "a_limit_that_the_kernel_refuses_is_named";
    let Some(room) = Room::legacy(test) else { return };
    if !room.has(test, Controller::Cpuset) {
        return;
    }
    let beyond = Resources { cpuset_cpus: Some("8191".parse().unwrap()), ..Resources::default() };
    let error = room.group.apply(&beyond, Demand::Asked).unwrap_err();
    assert!(error.chain().starts_with("cannot set --cpuset-cpus: "), "{error:?}");
    assert_eq!(room.group.apply(&beyond, Demand::Offered).unwrap()[0].flag, "--cpuset-cpus");
}

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
fn use_is_counted() {
    let Some(mut room) = Room::legacy("use_is_counted") else { return };
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

#[test]
fn a_sweep_kills_and_removes_what_has_no_record() {
    let Some(mut room) = Room::legacy("a_sweep_kills_and_removes_what_has_no_record") else {
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
