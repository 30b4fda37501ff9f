//! Processes as `/proc` tells of them, and waiting for a fact.

use std::fs;
use std::time::{Duration, Instant};

use nix::unistd::Pid;

/// How long a fact may take before it counts as never.
const LIMIT: Duration = Duration::from_secs(60);

/// Waits until a fact holds.
#[track_caller]
pub fn eventually(fact: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < LIMIT, "never: {fact}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The children of a process.
pub fn children(parent: Pid) -> Vec<Pid> {
    let list = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
    let list = list.unwrap_or_default();
    list.split_whitespace().filter_map(|id| id.parse().ok()).map(Pid::from_raw).collect()
}

/// The child of `parent` whose name is `name`, once it is there.
#[track_caller]
pub fn child(parent: Pid, name: &str) -> Pid {
    let mut found = None;
    eventually(&format!("a child {name} of {parent}"), || {
        let named = |pid: &Pid| comm(*pid) == name;
        found = children(parent).into_iter().find(named);
        found.is_some()
    });
    found.expect("was found")
}

/// The name of a process (proc_pid_comm(5)); empty if it has ended.
pub fn comm(process: Pid) -> String {
    let name = fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
    name.trim_end().to_owned()
}

/// The state letter of a process (proc_pid_stat(5)); `X` if it has ended.
pub fn state(process: Pid) -> char {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    state.unwrap_or('X')
}

/// The process below `ancestor` whose name is `name`, once it is there.
#[track_caller]
pub fn descendant(ancestor: Pid, name: &str) -> Pid {
    let mut found = None;
    eventually(&format!("a process {name} below {ancestor}"), || {
        found = find_below(ancestor, name);
        found.is_some()
    });
    found.expect("was found")
}

fn find_below(ancestor: Pid, name: &str) -> Option<Pid> {
    children(ancestor)
        .into_iter()
        .find_map(|child| if comm(child) == name { Some(child) } else { find_below(child, name) })
}

/// Whether a process belongs to its terminal's foreground group.
pub fn is_foreground(process: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // Fields 5 and 8 of proc_pid_stat(5); the state is the third.
    let Some((_, rest)) = stat.rsplit_once(") ") else { return false };
    let fields: Vec<&str> = rest.split(' ').collect();
    fields[2] == fields[5]
}
