//! What a room may not leave behind: processes and mounts. Both are found by
//! the room's path, which nothing else on the machine mentions.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long what is about to end may take: a killed client's monitor tears its
/// container down after the client has gone.
const GRACE: Duration = Duration::from_secs(3);

/// Ends and removes everything of a room; what should not have been there.
pub fn clear(room: &Path) -> Vec<String> {
    let start = Instant::now();
    let mut left = find(room);
    while !left.is_empty() && start.elapsed() < GRACE {
        std::thread::sleep(Duration::from_millis(20));
        left = find(room);
    }
    while let Some(process) = processes(room).first() {
        let _ = kill(*process, Signal::SIGKILL);
        std::thread::sleep(Duration::from_millis(20));
        if start.elapsed() > GRACE * 3 {
            break;
        }
    }
    for mount in mounts(room).iter().rev() {
        let _ = umount2(mount, MntFlags::MNT_DETACH);
    }
    remove(room);
    left
}

/// The processes and mounts of a room, in words.
pub fn find(room: &Path) -> Vec<String> {
    let describe = |process: &Pid| {
        let name = fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
        format!("process {process} ({})", name.trim())
    };
    let mut left: Vec<String> = processes(room).iter().map(describe).collect();
    left.extend(mounts(room).iter().map(|mount| format!("mount {}", mount.display())));
    left
}

/// Processes other than this one whose environment, folders or mounts lead into
/// the room. A container's own environment is clean, its mounts never are.
fn processes(room: &Path) -> BTreeSet<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else { return BTreeSet::new() };
    let names = entries.flatten().map(|entry| entry.file_name());
    let ids = names.filter_map(|name| name.to_str()?.parse::<i32>().ok());
    let others = ids.filter(|id| *id != std::process::id().cast_signed());
    others.filter(|id| belongs(*id, room)).map(Pid::from_raw).collect()
}

fn belongs(process: i32, room: &Path) -> bool {
    let file = |name: &str| fs::read(format!("/proc/{process}/{name}")).unwrap_or_default();
    let link = |name: &str| fs::read_link(format!("/proc/{process}/{name}"));
    let within = |name: &str| link(name).is_ok_and(|target| target.starts_with(room));
    // A mount that the machine's own namespace has is found as a mount.
    let elsewhere = link("ns/mnt").ok() != fs::read_link("/proc/self/ns/mnt").ok();
    ["cwd", "root", "exe"].into_iter().any(within)
        || mentions(&file("environ"), room)
        || (elsewhere && mentions(&file("mountinfo"), room))
}

fn mentions(text: &[u8], room: &Path) -> bool {
    let room = room.as_os_str().as_encoded_bytes();
    text.windows(room.len()).any(|window| window == room)
}

/// Mount points below the room, outer ones first (proc_pid_mountinfo(5)).
fn mounts(room: &Path) -> Vec<PathBuf> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points = text.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
    points.filter(|point| point.starts_with(room)).collect()
}

/// Removes the room; what subordinate ids own, as the root of a user namespace
/// that has them.
fn remove(room: &Path) {
    if fs::remove_dir_all(room).is_ok() {
        return;
    }
    let words = ["--user", "--map-root-user", "--map-auto", "rm", "-rf", "--"];
    let _ = Command::new("unshare").args(words).arg(room).status();
}
