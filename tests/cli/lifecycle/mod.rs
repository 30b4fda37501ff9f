//! Containers that live: made, started, stopped, removed, and killed from any
//! side.

mod boot;
mod detach;
mod health;
mod kill;
mod list;
mod oom;
mod pause;
mod restart;
mod start;
mod stop;

use crate::harness::process::eventually;
use crate::harness::{Output, Room, skip};

/// A program that runs until it is told to end, and obeys: it prints `ready`
/// when it does.
const OBEYS: &str = "trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done";

/// One that does not.
const DEAF: &str = "trap '' TERM; echo ready; while :; do sleep 0.05; done";

/// Imports the room's rootfs as `base` at the first call.
fn base(room: &Room) {
    if !room.work().join("rootfs").exists() {
        let rootfs = room.rootfs();
        let changes = ["-c", "LABEL of=image"];
        let words = ["import", rootfs.to_str().unwrap(), "base"];
        room.envbox(&[&words[..], &changes[..]].concat()).succeeds();
    }
}

/// `envbox run -d` with `flags` and a line for the image's shell; its ID.
fn background(room: &Room, flags: &[&str], line: &str) -> String {
    base(room);
    let words = [&["run", "-d"], flags, &["base", "sh", "-c", line]].concat();
    let output = room.envbox(&words).succeeds().stdout();
    let id = output.trim_end();
    assert_eq!(id.len(), 64, "{output}");
    id.to_owned()
}

/// As [`background`], once the program has said something.
fn ready(room: &Room, flags: &[&str], line: &str) -> String {
    let id = background(room, flags, line);
    crate::harness::process::eventually("a line in the log", || !log(room, &id).is_empty());
    id
}

/// What a container has printed, as its log has it.
fn log(room: &Room, id: &str) -> String {
    let path = room.path().join("store/containers").join(id).join("log/log.json");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let line = |line: &str| {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        entry["log"].as_str().unwrap().to_owned()
    };
    text.lines().map(line).collect()
}

/// `NAME STATE` of every container, in the order of their names.
fn states(room: &Room) -> Vec<String> {
    let words = ["ps", "-a", "--format", "{{.Names}} {{.State}}"];
    let text = room.envbox(&words).succeeds().stdout();
    let mut states: Vec<String> = text.lines().map(str::to_owned).collect();
    states.sort_unstable();
    states
}

/// How a container is listed: as in `Exited (3)`.
fn status(room: &Room, name: &str) -> String {
    let filter = format!("name={name}");
    let words = ["ps", "-a", "--filter", &filter, "--format", "{{.Status}}"];
    let text = room.envbox(&words).succeeds().stdout();
    match text.split_once(')') {
        Some((status, _)) => format!("{status})"),
        None => text.split_whitespace().next().unwrap_or_default().to_owned(),
    }
}

/// The names of the files in the run directory, but the one that is always
/// there.
fn run_files(room: &Room) -> Vec<String> {
    let entries = std::fs::read_dir(room.path().join("run/containers")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name != "lock").collect()
}

/// The process that a running container's file names.
fn process(room: &Room, id: &str) -> nix::unistd::Pid {
    let path = room.path().join("run/containers").join(format!("{id}.json"));
    let text = std::fs::read_to_string(path).unwrap();
    let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    nix::unistd::Pid::from_raw(last["pid"].as_i64().unwrap() as i32)
}

/// The parent of a process: of a container's first one, its monitor.
fn parent(process: nix::unistd::Pid) -> nix::unistd::Pid {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let (_, rest) = stat.rsplit_once(") ").unwrap();
    nix::unistd::Pid::from_raw(rest.split(' ').nth(1).unwrap().parse().unwrap())
}

/// `envbox` with words, which must succeed without a word on stderr.
#[track_caller]
fn quietly(room: &Room, words: &[&str]) -> Output {
    room.envbox(words).succeeds().quietly()
}

/// The monitor of a container, as soon as that runs.
#[track_caller]
fn monitor(room: &Room, id: &str) -> nix::unistd::Pid {
    let path = room.path().join("run/containers").join(format!("{id}.json"));
    let mut found = None;
    eventually("it runs", || {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let last = text.lines().last().and_then(|line| serde_json::from_str(line).ok());
        let pid = last.and_then(|last: serde_json::Value| last["pid"].as_i64());
        let stat = pid.and_then(|pid| std::fs::read_to_string(format!("/proc/{pid}/stat")).ok());
        let rest = stat.as_deref().and_then(|stat| stat.rsplit_once(") "));
        found = rest.and_then(|(_, rest)| rest.split(' ').nth(1)?.parse().ok());
        found.is_some()
    });
    nix::unistd::Pid::from_raw(found.unwrap())
}

/// Whether a process has ended, even if nobody has reaped it yet.
fn ended(process: nix::unistd::Pid) -> bool {
    ['X', 'Z'].contains(&crate::harness::process::state(process))
}

/// Kills a monitor, as the end of the host does.
fn lose(monitor: nix::unistd::Pid) {
    nix::sys::signal::kill(monitor, nix::sys::signal::Signal::SIGKILL).unwrap();
    eventually("it has gone", || ended(monitor));
}

/// One line that `inspect` tells of a container.
#[track_caller]
fn told(room: &Room, name: &str, format: &str) -> String {
    quietly(room, &["inspect", "--format", format, name]).stdout().trim_end().to_owned()
}

/// The actions of a container's events so far, without those that some text is
/// in.
fn actions(room: &Room, name: &str, but: &str) -> Vec<String> {
    let filter = format!("container={name}");
    let words = ["events", "--since", "1h", "--until", "0s", "--format", "{{.Action}}"];
    let text = quietly(room, &[&words[..], &["--filter", &filter]].concat()).stdout();
    text.lines().filter(|action| but.is_empty() || !action.contains(but)).map(Into::into).collect()
}

/// A folder `data` that containers of [`SHARED`] and the test see.
fn data(room: &Room) -> std::path::PathBuf {
    let data = room.work().join("data");
    if !data.exists() {
        std::fs::create_dir(&data).unwrap();
        room.give(&data);
    }
    data
}

/// Has the folder of [`data`] at `/data`.
const SHARED: [&str; 2] = ["-v", "./data:/data"];
