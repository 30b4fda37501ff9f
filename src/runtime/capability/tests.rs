//! Facts about capability names, sets and docker's rules for them.

use super::*;

fn select(names: &[&str]) -> Vec<Selection> {
    names.iter().map(|name| Selection::parse(name).unwrap()).collect()
}

fn planned(add: &[&str], drop: &[&str]) -> CapabilitySet {
    plan(&select(add), &select(drop), false)
}

#[test]
fn numbers_are_those_of_the_kernel() {
    assert_eq!(Capability::ALL.len(), 41);
    for (number, capability) in (0..).zip(Capability::ALL) {
        assert_eq!(capability.number(), number, "{capability:?}");
    }
    assert_eq!(Capability::parse("CAP_SYS_ADMIN").unwrap().number(), 21);
    assert_eq!(Capability::parse("CAP_SETFCAP").unwrap().number(), 31);
}

#[test]
fn default_set_is_what_docker_gives() {
    assert_eq!(CapabilitySet::DEFAULT.iter().count(), 14);
    // The CapEff line of /proc/self/status in a container of docker's.
    assert_eq!(CapabilitySet::DEFAULT.bits(), 0xa804_25fb);
}

#[test]
fn parses_names_in_every_spelling() {
    for text in ["NET_ADMIN", "cap_net_admin", "Cap_Net_Admin", "net_admin"] {
        assert_eq!(Selection::parse(text).unwrap(), Selection::One(Capability::NetAdmin));
    }
    for text in ["ALL", "all", "CAP_ALL"] {
        assert_eq!(Selection::parse(text).unwrap(), Selection::All);
    }
}

#[test]
fn every_name_parses_to_itself() {
    for &capability in Capability::ALL {
        assert_eq!(Capability::parse(capability.name()).unwrap(), capability);
    }
}

#[test]
fn hints_at_the_nearest_name() {
    let error = Selection::parse("SYS_PTRASE").unwrap_err();
    assert_eq!(error.kind(), crate::error::Kind::Invalid);
    assert_eq!(error.to_string(), "there is no capability \"SYS_PTRASE\"");
    assert_eq!(error.hint_text(), Some("did you mean SYS_PTRACE?"));
    let far = Selection::parse("").unwrap_err();
    assert_eq!(far.hint_text(), Some("see capabilities(7) for the names"));
}

#[test]
fn nothing_asked_gives_the_default() {
    assert_eq!(planned(&[], &[]), CapabilitySet::DEFAULT);
}

#[test]
fn added_join_after_dropped_leave() {
    let set = planned(&["NET_ADMIN", "KILL"], &["CHOWN", "KILL"]);
    assert!(set.contains(Capability::NetAdmin));
    assert!(set.contains(Capability::Kill));
    assert!(!set.contains(Capability::Chown));
}

#[test]
fn drop_all_leaves_just_the_added() {
    assert_eq!(planned(&[], &["ALL"]), CapabilitySet::EMPTY);
    assert_eq!(planned(&["CHOWN"], &["ALL"]), CapabilitySet::of(&[Capability::Chown]));
}

#[test]
fn add_all_wins_over_drop_all_and_heeds_names() {
    assert_eq!(planned(&["ALL"], &["ALL"]), CapabilitySet::ALL);
    let set = planned(&["ALL"], &["SYS_ADMIN"]);
    assert_eq!(set.iter().count(), 40);
    assert!(!set.contains(Capability::SysAdmin));
}

#[test]
fn privileged_ignores_both_lists() {
    assert_eq!(plan(&[], &select(&["ALL"]), true), CapabilitySet::ALL);
}

#[test]
fn clips_what_an_older_kernel_does_not_know() {
    let clipped = CapabilitySet::ALL.clip(37);
    assert_eq!(clipped.bits(), (1 << 38) - 1);
    assert_eq!(CapabilitySet::ALL.clip(40), CapabilitySet::ALL);
    assert_eq!(CapabilitySet::ALL.clip(100), CapabilitySet::ALL);
    assert_eq!(CapabilitySet::ALL.clip(0), CapabilitySet::of(&[Capability::Chown]));
}
