//! v2 in a directory that looks like it: which files are touched, and what is
//! made of their content. What the kernel does with them needs the kernel.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::super::hierarchy::{Rights, unified_base};
use super::super::mounts::{CgroupMount, MountKind};
use super::super::{
    BlockUse, Cgroup, Controller, Demand, Hierarchy, Layout, Limit, MemoryUse, PidsUse, Resources,
    Version, without_cgroup,
};
use crate::error::Kind;
use crate::id::ContainerId;

struct Fake {
    root: TempDir,
    hierarchy: Hierarchy,
    id: ContainerId,
}

impl Fake {
    /// A tree whose root has `controllers`.
    fn new(controllers: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("envbox");
        for directory in [root.path(), &folder] {
            fs::create_dir_all(directory).unwrap();
            fs::write(directory.join("cgroup.controllers"), controllers).unwrap();
            fs::write(directory.join("cgroup.subtree_control"), "").unwrap();
            fs::write(directory.join("cgroup.procs"), "").unwrap();
        }
        let hierarchy = hierarchy(root.path());
        Self { root, hierarchy, id: ContainerId::from_random([1; 32]) }
    }

    fn directory(&self, id: &ContainerId) -> PathBuf {
        self.root.path().join("envbox").join(self.hierarchy.name(id))
    }

    /// The group as another command finds it, with `files` in it.
    fn group(&self, files: &[(&str, &str)]) -> Cgroup {
        let directory = self.directory(&self.id);
        fs::create_dir_all(&directory).unwrap();
        for (file, content) in files {
            fs::write(directory.join(file), content).unwrap();
        }
        Cgroup::open(&self.hierarchy, &self.id).unwrap().unwrap()
    }

    fn content(&self, file: &str) -> String {
        fs::read_to_string(self.directory(&self.id).join(file)).unwrap()
    }
}

fn hierarchy(root: &Path) -> Hierarchy {
    let table = format!("1 1 0:1 / {} rw - cgroup2 cgroup2 rw\n", root.display());
    Hierarchy::from_tables(&table, "0::/\n", Path::new("/store")).unwrap()
}

const ALL: &str = "cpuset cpu io memory pids\n";

#[test]
fn finds_the_controllers_of_the_tree() {
    let fake = Fake::new("cpu memory\n");
    assert_eq!(fake.hierarchy.layout(), Layout::Unified);
    assert_eq!(fake.hierarchy.version(), Version::V2);
    let expected = [Controller::Cpu, Controller::Cpuacct, Controller::Freezer, Controller::Memory];
    assert_eq!(fake.hierarchy.controllers(), expected);
}

#[test]
fn a_new_group_asks_for_the_controllers_from_the_top_down() {
    let fake = Fake::new("memory\n");
    fs::remove_dir_all(fake.root.path().join("envbox")).unwrap();
    let group = Cgroup::create(&fake.hierarchy, &fake.id).unwrap();
    let asked = fs::read_to_string(fake.root.path().join("cgroup.subtree_control")).unwrap();
    assert_eq!(asked, "+memory");
    // No kernel has answered: only what needs no controller works.
    let works: Vec<Controller> = group.controllers().collect();
    assert_eq!(works, [Controller::Cpuacct, Controller::Freezer]);
    assert!(group.directory().unwrap().is_some());
    group.remove().unwrap();
    group.remove().unwrap();
    assert!(Cgroup::open(&fake.hierarchy, &fake.id).unwrap().is_none());
}

#[test]
fn limits_are_written_to_their_files() {
    let fake = Fake::new(ALL);
    let group = fake.group(&[
        ("cgroup.controllers", ALL),
        ("memory.max", ""),
        ("memory.swap.max", ""),
        ("io.weight", ""),
    ]);
    let resources =
        Resources { memory: Some(8 << 20), blkio_weight: Some(1000), ..Resources::default() };
    assert!(group.apply(&resources, Demand::Asked).unwrap().is_empty());
    assert_eq!(fake.content("memory.max"), "8388608");
    assert_eq!(fake.content("memory.swap.max"), "8388608");
    assert_eq!(fake.content("io.weight"), "default 10000");
}

#[test]
fn a_limit_that_was_asked_for_and_cannot_be_is_an_error_with_its_flag() {
    let fake = Fake::new("memory pids\n");
    let group = fake.group(&[("cgroup.controllers", "memory\n"), ("memory.max", "")]);
    let cpus = Resources { cpu_shares: Some(5), ..Resources::default() };
    let error = group.apply(&cpus, Demand::Asked).unwrap_err();
    let message = "cannot set --cpu-shares: the host has no cgroup controller \"cpu\"";
    assert_eq!((error.chain().as_str(), error.kind()), (message, Kind::Unsupported));
    // The base has it, the group does not: it was not passed on.
    let pids = Resources { pids_limit: Some(super::super::Limit::At(5)), ..Resources::default() };
    let error = group.apply(&pids, Demand::Asked).unwrap_err();
    assert!(error.chain().ends_with("cannot pass its controller \"pids\" on"), "{error:?}");
    let warnings = group.apply(&pids, Demand::Offered).unwrap();
    assert_eq!(warnings.iter().map(|warning| warning.flag).collect::<Vec<_>>(), ["--pids-limit"]);
}

#[test]
fn a_default_that_cannot_be_is_a_warning_and_no_limit_needs_no_controller() {
    let fake = Fake::new("memory\n");
    let group = fake.group(&[("cgroup.controllers", "memory\n"), ("memory.max", "")]);
    let memory = Resources { memory: Some(8 << 20), ..Resources::default() };
    let warnings = group.apply(&memory, Demand::Asked).unwrap();
    assert_eq!(warnings[0].flag, "--memory-swap");
    assert_eq!(
        warnings[0].reason.chain(),
        "cannot set --memory-swap: the kernel has no memory.swap.max"
    );
    let unlimited = Some(super::super::Limit::Unlimited);
    let lifted =
        Resources { memory_swap: unlimited, pids_limit: unlimited, ..Resources::default() };
    assert!(group.apply(&lifted, Demand::Asked).unwrap().is_empty());
}

#[test]
fn an_update_writes_what_is_not_in_force_yet_and_warns_of_what_nobody_asked_for() {
    let fake = Fake::new(ALL);
    let group = fake.group(&[
        ("cgroup.controllers", ALL),
        ("memory.max", "8388608\n"),
        ("memory.low", "changed by hand\n"),
        ("io.weight", "default 100\n8:0 300\n"),
    ]);
    let old = Resources {
        memory: Some(8 << 20),
        memory_reservation: Some(7 << 20),
        ..Resources::default()
    };
    let change = Resources { blkio_weight: Some(1000), ..Resources::default() };
    let updated = group.update(&change, &old.updated_by(&change).unwrap()).unwrap();
    // This kernel cannot limit swap.
    let flags: Vec<_> = updated.warnings.iter().map(|warning| warning.flag).collect();
    assert_eq!(flags, ["--memory-swap"]);
    assert_eq!(fake.content("memory.max"), "8388608\n");
    assert!(fake.content("memory.low").starts_with("7340032"));
    assert!(fake.content("io.weight").starts_with("default 10000"));
    let swap = Resources { memory_swap: Some(Limit::Unlimited), ..change.clone() };
    assert!(group.update(&swap, &old.updated_by(&swap).unwrap()).unwrap().warnings.is_empty());
    let swap = Resources { memory_swap: Some(Limit::At(9 << 20)), ..change };
    let error = group.update(&swap, &old.updated_by(&swap).unwrap()).unwrap_err();
    assert_eq!(error.chain(), "cannot set --memory-swap: the kernel has no memory.swap.max");
}

#[test]
fn statistics_are_dockers() {
    let fake = Fake::new(ALL);
    let group = fake.group(&[
        ("cgroup.controllers", ALL),
        ("memory.current", "1000\n"),
        ("memory.stat", "anon 1\ninactive_file 300\n"),
        ("memory.max", "max\n"),
        ("memory.events", "low 0\noom 2\noom_kill 1\n"),
        ("cpu.stat", "usage_usec 5\nuser_usec 3\n"),
        ("pids.current", "3\n"),
        ("pids.max", "10\n"),
        ("io.stat", "8:0 rbytes=4096 wbytes=8192 rios=1 wios=2\n"),
    ]);
    let statistics = group.statistics().unwrap();
    assert_eq!(statistics.memory, Some(MemoryUse { usage: 700, limit: None }));
    assert_eq!(statistics.memory_limit(), statistics.host_memory);
    assert_eq!(statistics.cpu_nanoseconds, Some(5000));
    assert_eq!(statistics.pids, Some(PidsUse { current: 3, limit: Some(10) }));
    assert_eq!(statistics.block, Some(BlockUse { read: 4096, written: 8192 }));
    assert_eq!(group.oom_kills().unwrap(), 1);
}

#[test]
fn freezing_waits_for_the_event_and_killing_is_one_write() {
    let fake = Fake::new("\n");
    let group = fake.group(&[
        ("cgroup.freeze", "0"),
        ("cgroup.events", "populated 1\nfrozen 1\n"),
        ("cgroup.kill", ""),
    ]);
    group.freeze().unwrap();
    assert_eq!(fake.content("cgroup.freeze"), "1");
    fs::write(fake.directory(&fake.id).join("cgroup.events"), "populated 1\nfrozen 0\n").unwrap();
    group.thaw().unwrap();
    assert_eq!(fake.content("cgroup.freeze"), "0");
    group.kill().unwrap();
    assert_eq!(fake.content("cgroup.kill"), "1");
}

#[test]
fn processes_below_the_group_are_found_and_those_of_other_namespaces_left_out() {
    let fake = Fake::new("\n");
    let group = fake.group(&[("cgroup.procs", "30\n0\n7\n")]);
    let below = fake.directory(&fake.id).join("system.slice");
    fs::create_dir(&below).unwrap();
    fs::write(below.join("cgroup.procs"), "12\n").unwrap();
    let pids: Vec<i32> = group.processes().unwrap().iter().map(|pid| pid.as_raw()).collect();
    assert_eq!(pids, [7, 12, 30]);
}

#[test]
fn only_this_stores_groups_without_a_record_are_left_over() {
    let fake = Fake::new("\n");
    let [dead, alive] = [2, 3].map(|byte| ContainerId::from_random([byte; 32]));
    for id in [&dead, &alive] {
        fs::create_dir(fake.directory(id)).unwrap();
    }
    let table = format!("1 1 0:1 / {} rw - cgroup2 cgroup2 rw\n", fake.root.path().display());
    let other = Hierarchy::from_tables(&table, "0::/\n", Path::new("/other")).unwrap();
    let recorded = BTreeSet::from([alive]);
    assert_eq!(fake.hierarchy.leftovers(&recorded).unwrap(), std::slice::from_ref(&dead));
    assert!(other.leftovers(&recorded).unwrap().is_empty());
    assert_eq!(fake.hierarchy.sweep(&recorded).unwrap(), [dead]);
    assert!(fake.hierarchy.leftovers(&recorded).unwrap().is_empty());
}

const OWN: &str = "/user.slice/user-1000.slice/user@1000.service/app.slice/a.scope";

fn base_of(own: &str, given: &[&str]) -> crate::error::Result<(PathBuf, Rights)> {
    let mount = CgroupMount { point: "/cg".into(), root: "/".into(), kind: MountKind::Unified };
    let writable = |path: &Path| given.iter().any(|top| path.starts_with(format!("/cg{top}")));
    let base = unified_base(&mount, Some(Path::new(own)), &writable)?;
    Ok((base.directory, base.rights))
}

#[test]
fn the_topmost_delegated_cgroup_above_the_own_one_is_the_base() {
    let service = "/user.slice/user-1000.slice/user@1000.service";
    let (directory, rights) = base_of(OWN, &[service]).unwrap();
    assert_eq!((directory, rights), (format!("/cg{service}").into(), Rights::Delegated));
    assert_eq!(base_of(OWN, &[""]).unwrap(), ("/cg".into(), Rights::Whole));
    assert_eq!(base_of(OWN, &[OWN]).unwrap().0, PathBuf::from(format!("/cg{OWN}")));
}

#[test]
fn a_session_that_is_not_delegated_has_no_cgroup_and_a_hint() {
    let own = "/user.slice/user-1000.slice/session-3.scope";
    let error = base_of(own, &["/user.slice/user-1000.slice/user@1000.service"]).unwrap_err();
    assert_eq!(error.kind(), Kind::Denied);
    assert!(error.chain().contains("session-3.scope is not delegated"), "{error:?}");
    assert!(error.hint_text().unwrap().contains("systemd-run --user --scope"));
    assert!(base_of("/../../x", &[]).unwrap_err().chain().contains("outside"));
}

#[test]
fn a_host_without_cgroups_matters_only_to_who_asks_for_limits() {
    let none = || Hierarchy::from_tables("", "", Path::new("/store")).unwrap_err();
    let nothing = without_cgroup(&Resources::default(), Demand::Asked, none()).unwrap();
    assert!(nothing.is_empty());
    let memory = Resources { memory: Some(8 << 20), ..Resources::default() };
    let error = without_cgroup(&memory, Demand::Asked, none()).unwrap_err();
    assert_eq!(
        error.chain(),
        "cannot set --memory: there are no cgroups: no cgroup file system is mounted"
    );
    assert!(error.hint_text().is_some());
    assert_eq!(without_cgroup(&memory, Demand::Offered, none()).unwrap()[0].flag, "--memory");
}

#[test]
fn v1_that_cannot_be_written_is_roots_alone() {
    let table = "\
32 31 0:29 / /no/such/cpu rw - cgroup cgroup rw,cpu
41 31 0:38 / /no/such/unified rw - cgroup2 cgroup2 rw
";
    let error = Hierarchy::from_tables(table, "0::/\n", Path::new("/store")).unwrap_err();
    assert_eq!(error.kind(), Kind::Denied);
    assert_eq!(error.chain(), "there are no cgroups for this user: cgroup v1 is root's alone");
    assert!(error.hint_text().unwrap().contains("cgroup v2"));
}
