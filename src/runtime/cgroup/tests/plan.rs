//! What is written for which limits, in which order.

use super::super::plan::{Ground, Origin, writes};
use super::super::{Cpus, Limit, Resources, Version};

fn printed(resources: &Resources, version: Version) -> Vec<String> {
    let ground = Ground { version, memory_and_swap: None };
    writes(resources, &ground).iter().map(ToString::to_string).collect()
}

fn everything() -> Resources {
    Resources {
        memory: Some(512 << 20),
        memory_swap: Some(Limit::At(768 << 20)),
        memory_reservation: Some(256 << 20),
        cpus: Some(Cpus(1_500_000_000)),
        cpu_shares: Some(1024),
        cpuset_cpus: Some("3,0-1".parse().unwrap()),
        cpuset_mems: Some("0".parse().unwrap()),
        pids_limit: Some(Limit::At(100)),
        blkio_weight: Some(500),
        oom_score_adj: Some(-500),
    }
}

#[test]
fn everything_on_v2() {
    let expected = [
        "memory.max = 536870912",
        "memory.swap.max = 268435456",
        "memory.low = 268435456",
        "cpu.weight = 100",
        "cpu.max = 150000 100000",
        "cpuset.cpus = 0-1,3",
        "cpuset.mems = 0",
        "pids.max = 100",
        "io.bfq.weight = 500 or io.weight = default 4950",
    ];
    assert_eq!(printed(&everything(), Version::V2), expected);
}

#[test]
fn everything_on_v1() {
    let expected = [
        "memory.limit_in_bytes = 536870912",
        "memory.memsw.limit_in_bytes = 805306368",
        "memory.soft_limit_in_bytes = 268435456",
        "cpu.shares = 1024",
        "cpu.cfs_period_us = 100000",
        "cpu.cfs_quota_us = 150000",
        "cpuset.cpus = 0-1,3",
        "cpuset.mems = 0",
        "pids.max = 100",
        "blkio.bfq.weight = 500 or blkio.weight = 500",
    ];
    assert_eq!(printed(&everything(), Version::V1), expected);
}

#[test]
fn nothing_is_written_for_nothing() {
    for version in [Version::V1, Version::V2] {
        let score = Resources { oom_score_adj: Some(5), ..Resources::default() };
        assert!(printed(&Resources::default(), version).is_empty());
        assert!(printed(&score, version).is_empty());
    }
}

#[test]
fn swap_is_as_much_as_memory_where_nobody_says() {
    let resources = Resources { memory: Some(10 << 20), ..Resources::default() };
    let ground = Ground { version: Version::V2, memory_and_swap: None };
    let plan = writes(&resources, &ground);
    assert_eq!(plan[1].to_string(), "memory.swap.max = 10485760");
    assert_eq!(
        plan.iter().map(|write| write.origin).collect::<Vec<_>>(),
        [Origin::Given, Origin::Implied]
    );
    assert_eq!(printed(&resources, Version::V1)[1], "memory.memsw.limit_in_bytes = 20971520");
}

#[test]
fn no_limit_takes_one_away() {
    let resources = Resources {
        memory: Some(10 << 20),
        memory_swap: Some(Limit::Unlimited),
        pids_limit: Some(Limit::Unlimited),
        ..Resources::default()
    };
    let v1 = ["memory.limit_in_bytes = 10485760", "memory.memsw.limit_in_bytes = -1"];
    assert_eq!(printed(&resources, Version::V1)[..2], v1);
    let v2 = ["memory.max = 10485760", "memory.swap.max = max", "pids.max = max"];
    assert_eq!(printed(&resources, Version::V2), v2);
}

#[test]
fn the_wider_limit_of_v1_moves_first_upwards_and_last_downwards() {
    let resources = Resources { memory: Some(100 << 20), ..Resources::default() };
    let first = |in_force| {
        let ground = Ground { version: Version::V1, memory_and_swap: Some(in_force) };
        writes(&resources, &ground)[0].targets[0].file
    };
    assert_eq!(first(50 << 20), "memory.memsw.limit_in_bytes");
    assert_eq!(first(100 << 20), "memory.limit_in_bytes");
    assert_eq!(first(u64::MAX), "memory.limit_in_bytes");
}
