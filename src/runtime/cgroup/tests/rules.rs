//! Docker's rules for which limits make sense.

use super::super::{Cpus, HostResources, Limit, Resources};

fn host() -> HostResources {
    HostResources { cpus: "0-1".parse().unwrap(), mems: "0".parse().unwrap() }
}

const MIB: u64 = 1 << 20;

#[test]
fn what_makes_no_sense_is_refused_by_its_flag() {
    let none = Resources::default;
    for (resources, message) in [
        (
            Resources { memory: Some(6 * MIB - 1), ..none() },
            "invalid --memory: the minimum memory limit allowed is 6MB",
        ),
        (
            Resources { memory_reservation: Some(MIB), ..none() },
            "invalid --memory-reservation: the minimum memory reservation allowed is 6MB",
        ),
        (
            Resources { memory: Some(20 * MIB), memory_swap: Some(Limit::At(10 * MIB)), ..none() },
            "invalid --memory-swap: the limit of memory and swap together is below the memory \
             limit",
        ),
        (
            Resources { memory_swap: Some(Limit::At(10 * MIB)), ..none() },
            "invalid --memory-swap: it needs a memory limit beside it",
        ),
        (
            Resources { memory: Some(10 * MIB), memory_reservation: Some(20 * MIB), ..none() },
            "invalid --memory-reservation: it is above the memory limit",
        ),
        (
            Resources { cpus: Some(Cpus(2_000_000_001)), ..none() },
            "invalid --cpus: the range is from 0.01 to 2.00, as there are only 2 CPUs available",
        ),
        (
            Resources { cpus: Some(Cpus(9_999_999)), ..none() },
            "invalid --cpus: the range is from 0.01 to 2.00, as there are only 2 CPUs available",
        ),
        (
            Resources { cpuset_cpus: Some("1-2".parse().unwrap()), ..none() },
            "invalid --cpuset-cpus: requested CPUs are not available: requested 1-2, \
             available 0-1",
        ),
        (
            Resources { cpuset_mems: Some("1".parse().unwrap()), ..none() },
            "invalid --cpuset-mems: requested memory nodes are not available: requested 1, \
             available 0",
        ),
    ] {
        let error = resources.check(&host()).unwrap_err();
        assert_eq!(error.chain(), message);
        assert!(error.hint_text().is_some(), "{message}");
    }
}

#[test]
fn what_makes_sense_passes() {
    let resources = Resources {
        memory: Some(6 * MIB),
        memory_swap: Some(Limit::At(6 * MIB)),
        memory_reservation: Some(6 * MIB),
        cpus: Some(Cpus(2_000_000_000)),
        cpuset_cpus: Some("0-1".parse().unwrap()),
        ..Resources::default()
    };
    resources.check(&host()).unwrap();
    let endless = Resources { memory_swap: Some(Limit::Unlimited), ..Resources::default() };
    endless.check(&host()).unwrap();
    Resources::default().check(&HostResources::read().unwrap()).unwrap();
}

#[test]
fn an_update_replaces_what_it_names() {
    let old = Resources {
        memory: Some(10 * MIB),
        memory_swap: Some(Limit::At(20 * MIB)),
        cpu_shares: Some(5),
        ..Resources::default()
    };
    let more = Resources { memory: Some(30 * MIB), ..Resources::default() };
    let error = old.updated_by(&more).unwrap_err();
    assert!(error.chain().contains("smaller than the already set memoryswap limit"), "{error:?}");
    assert!(error.hint_text().unwrap().contains("--memory-swap"));
    let both = Resources { memory_swap: Some(Limit::Unlimited), ..more };
    let new = old.updated_by(&both).unwrap();
    assert_eq!((new.memory, new.memory_swap), (Some(30 * MIB), Some(Limit::Unlimited)));
    assert_eq!(new.cpu_shares, Some(5));
}

#[test]
fn swap_that_followed_from_memory_stays_when_the_memory_changes() {
    let old = Resources { memory: Some(10 * MIB), ..Resources::default() };
    let memory = |mebibytes| Resources { memory: Some(mebibytes * MIB), ..Resources::default() };
    let new = old.updated_by(&memory(15)).unwrap();
    assert_eq!((new.memory, new.memory_swap), (Some(15 * MIB), Some(Limit::At(20 * MIB))));
    assert_eq!(old.updated_by(&memory(21)).unwrap_err().kind(), crate::error::Kind::Invalid);
    // Nothing was said of swap, and nothing is.
    let shares = Resources { cpu_shares: Some(5), ..Resources::default() };
    assert_eq!(old.updated_by(&shares).unwrap().memory_swap, None);
    assert_eq!(Resources::default().updated_by(&memory(15)).unwrap(), memory(15));
    let endless = Resources { memory_swap: Some(Limit::Unlimited), ..old };
    assert_eq!(endless.updated_by(&memory(90)).unwrap().memory_swap, Some(Limit::Unlimited));
}

#[test]
fn limits_survive_their_record() {
    let resources = Resources {
        memory_swap: Some(Limit::Unlimited),
        cpus: Some(Cpus(1)),
        cpuset_cpus: Some("0-3".parse().unwrap()),
        pids_limit: Some(Limit::At(3)),
        ..Resources::default()
    };
    let json = serde_json::to_string(&resources).unwrap();
    assert_eq!(serde_json::from_str::<Resources>(&json).unwrap(), resources);
    assert_eq!(serde_json::from_str::<Resources>("{}").unwrap(), Resources::default());
    assert_eq!(resources.flags(), ["--memory-swap", "--cpus", "--cpuset-cpus", "--pids-limit"]);
}
