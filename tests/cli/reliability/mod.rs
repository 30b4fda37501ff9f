//! Containers under hard conditions: killed from any side at any moment, many
//! at a time, without room on the disk, attacked from inside. After each of it
//! every command answers in the words of docker, what is listed is true, and
//! nothing is left.

mod answers;
mod attacks;
mod exhausted;
mod flood;
mod kills;
mod parallel;
mod random;

use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::harness::Room;
use crate::harness::process::{eventually, state};

use random::Random;

/// What takes longer hangs.
const LIMIT: Duration = Duration::from_secs(60);

/// A program that runs until it is told to end, and obeys.
const OBEYS: &str = "trap 'exit 7' TERM; while :; do sleep 0.05; done";

/// A command of a room's that is on its way.
struct Started {
    words: String,
    child: Child,
    output: [File; 2],
}

/// What a command said, and its status: none if a signal ended it.
struct Answer {
    words: String,
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Started {
    fn envbox(room: &Room, words: &[&str]) -> Self {
        Self::new(room.command(words), words.join(" "))
    }

    fn new(mut command: Command, words: String) -> Self {
        // Files: nobody has to read for the command to go on.
        let output = [(); 2].map(|()| tempfile::tempfile().unwrap());
        let [stdout, stderr] = output.each_ref().map(|file| file.try_clone().unwrap());
        let child = command.stdout(stdout).stderr(stderr).spawn().unwrap();
        Self { words, child, output }
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// Waits for the end.
    #[track_caller]
    fn finish(mut self) -> Answer {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if start.elapsed() > LIMIT {
                let wait = std::fs::read_to_string(format!("/proc/{}/wchan", self.child.id()));
                let _ = self.child.kill();
                panic!("hangs in {wait:?}: {}", self.words);
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let [stdout, stderr] = self.output.map(text);
        Answer { words: self.words, status: status.code(), stdout, stderr }
    }
}

fn text(mut file: File) -> String {
    let mut bytes = Vec::new();
    file.rewind().and_then(|()| file.read_to_end(&mut bytes)).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { words, status, stdout, stderr } = self;
        write!(f, "`envbox {words}` ({status:?})\n--- stdout\n{stdout}\n--- stderr\n{stderr}")
    }
}

/// Imports the room's rootfs as `base`.
fn import(room: &Room) {
    let rootfs = room.rootfs();
    room.envbox(&["import", rootfs.to_str().unwrap(), "base"]).succeeds();
}

/// The ID, name and state of each container that is listed.
#[track_caller]
fn list(room: &Room) -> Vec<[String; 3]> {
    let format = "{{.ID}} {{.Names}} {{.State}}";
    let text = room.envbox(&["ps", "-a", "--no-trunc", "--format", format]).succeeds().quietly();
    let line = |line: &str| {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        words.try_into().unwrap()
    };
    text.stdout().lines().map(line).collect()
}

/// The first process that a container's file names, if it is there and does.
fn first_process(room: &Room, id: &str) -> Option<Pid> {
    let path = room.path().join("run/containers").join(format!("{id}.json"));
    let text = std::fs::read_to_string(path).ok()?;
    let last: serde_json::Value = serde_json::from_str(text.lines().last()?).ok()?;
    Some(Pid::from_raw(last["pid"].as_i64()?.try_into().ok()?))
}

/// Waits until what is listed is true: who runs is alive, and of the others
/// nothing says that they run or are about to.
#[track_caller]
fn expect_true_states(room: &Room) {
    let mut last = Vec::new();
    let lies = |[id, _, state_shown]: &[String; 3]| match state_shown.as_str() {
        "running" | "paused" => {
            first_process(room, id).is_none_or(|pid| matches!(state(pid), 'X' | 'Z'))
        }
        "restarting" => first_process(room, id).is_some(),
        _ => room.path().join("run/containers").join(format!("{id}.json")).exists(),
    };
    let start = Instant::now();
    while start.elapsed() < LIMIT {
        last = list(room);
        if !last.iter().any(lies) {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("not true: {last:?}\n{:?}", names(&room.path().join("run/containers")));
}

/// The names in a directory.
fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Removes every container, and waits until nothing of any is left. What is
/// left of processes the room sees when it is dropped.
#[track_caller]
fn expect_nothing_left(room: &Room) {
    let ids: Vec<String> = list(room).into_iter().map(|[id, ..]| id).collect();
    if !ids.is_empty() {
        let words = ["rm", "-f"].into_iter().chain(ids.iter().map(String::as_str));
        room.envbox(&words.collect::<Vec<_>>()).succeeds();
    }
    let mut left = Vec::new();
    let start = Instant::now();
    while start.elapsed() < LIMIT {
        assert!(list(room).is_empty());
        left = leftovers(room);
        if left.is_empty() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("left behind: {left:#?}");
}

fn leftovers(room: &Room) -> Vec<String> {
    let mut left = Vec::new();
    for place in ["run/containers", "store/containers", "store/tmp"] {
        let found = names(&room.path().join(place)).into_iter().filter(|name| name != "lock");
        left.extend(found.map(|name| format!("{place}/{name}")));
    }
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let room = room.path().to_str().unwrap();
    left.extend(mounts.lines().filter(|line| line.contains(room)).map(str::to_owned));
    left
}

/// The directories of containers and what is listed are the same.
#[track_caller]
fn expect_a_directory_each(room: &Room) {
    let mut listed: Vec<String> = list(room).into_iter().map(|[id, ..]| id).collect();
    listed.sort_unstable();
    let mut found = names(&room.path().join("store/containers"));
    found.sort_unstable();
    assert_eq!(found, listed);
}

/// Every process of the room that is envbox's own, monitors among them.
fn own_processes(room: &Room) -> Vec<(Pid, String)> {
    let all = names(Path::new("/proc")).into_iter().filter_map(|name| name.parse().ok());
    let named = all.map(Pid::from_raw).map(|pid| (pid, crate::harness::process::comm(pid)));
    let own = named.filter(|(_, name)| name.starts_with("envbox"));
    own.filter(|(pid, _)| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let room = room.path().as_os_str().as_encoded_bytes();
        environment.windows(room.len()).any(|window| window == room)
    })
    .collect()
}

fn end(process: Pid) -> bool {
    kill(process, Signal::SIGKILL).is_ok()
}

/// Waits until a file is in what a container has written.
#[track_caller]
fn expect_written(room: &Room, id: &str, path: &str) {
    let file = room.path().join("store/containers").join(id).join("upper").join(path);
    eventually(&format!("{path} is written"), || file.exists());
}
