//! `envbox top`: the processes of a container as the host has them. Read from
//! `/proc`, or by the host's ps(1) where its options are asked for.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::{Uid, User};

use crate::error::{Error, Kind, Result};
use crate::fs::{self, Timestamp};
use crate::runtime::join::is_gone;

use super::Engine;

/// Clock ticks a second in `/proc` (`USER_HZ` of x86-64 and arm64).
const TICKS: u64 = 100;

/// The numbers of the terminals in devpts (Documentation/admin-guide/devices.txt).
const UNIX98_MAJORS: std::ops::Range<u32> = 136..144;

/// A process of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessSummary {
    /// The host's name for its user, or the number where there is none.
    pub user: String,
    /// Its number on the host.
    pub pid: u32,
    /// Its parent's number on the host.
    pub parent: u32,
    /// Percentage of one processor since its start, at most 99.
    pub percent: u64,
    /// When it started.
    pub started: Timestamp,
    /// Its terminal as the container names it, without `/dev/`.
    pub terminal: Option<String>,
    /// Processor time in seconds.
    pub seconds: u64,
    /// Its command line, or its name in brackets where it has none.
    pub command: String,
}

/// What ps(1) printed of the processes of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrintedProcesses {
    /// The words of the first line.
    pub titles: Vec<String>,
    /// As many words each, what is left over in the last one.
    pub rows: Vec<Vec<String>>,
}

/// What `/proc/PID/stat` tells (proc_pid_stat(5)).
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stat {
    name: String,
    parent: u32,
    terminal: u32,
    /// Of processor time.
    ticks: u64,
    /// Since boot.
    start: u64,
}

impl Engine {
    /// The processes of the running container `name`, by number.
    ///
    /// # Errors
    /// `NotFound`; `InUse` if it does not run.
    pub fn processes(&self, name: &str) -> Result<Vec<ProcessSummary>> {
        let members = self.members(name)?;
        let boot = boot_time()?;
        let now = Timestamp::now().seconds;
        let found = members.into_iter();
        found.filter_map(|(pid, stat)| summary(pid, stat, (boot, now)).transpose()).collect()
    }

    /// The processes of the running container `name` as ps(1) prints them
    /// with `options`, one of whose columns must be `PID`.
    ///
    /// # Errors
    /// Those of [`Engine::processes`]; `Invalid` with the words of ps.
    pub fn printed_processes(&self, name: &str, options: &[String]) -> Result<PrintedProcesses> {
        // Refused before ps(1) is started.
        self.running_target(name)?;
        let output = Command::new("ps").args(options).output().map_err(|error| {
            Error::io_named("cannot run ps", error).hint("install it: apt-get install procps")
        })?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(Error::invalid(format!("ps failed: {words}")));
        }
        let members = self.members(name)?.into_iter().map(|(pid, _)| pid).collect();
        choose(&String::from_utf8_lossy(&output.stdout), &members)
    }

    /// The processes of the running container `name`, by number: those of its
    /// cgroup. Without one, those of its PID namespace, unless that is not its
    /// own: then its first process and what descends from it.
    fn members(&self, name: &str) -> Result<Vec<(u32, Stat)>> {
        let (running, target) = self.running_target(name)?;
        if let Some(group) = self.open_group(&running.id)? {
            let pids = group.processes()?.into_iter();
            let pids: BTreeSet<u32> = pids.map(|pid| pid.as_raw().cast_unsigned()).collect();
            return Ok(all()?.into_iter().filter(|(pid, _)| pids.contains(pid)).collect());
        }
        match target.is_first() {
            Ok(true) => members(|pid| target.lives_with(pid)),
            Ok(false) => members(|pid| Ok(Some(pid) == target.number())),
            Err(error) if is_gone(&error) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

/// The lines of ps(1) that are of `members`.
fn choose(printed: &str, members: &BTreeSet<u32>) -> Result<PrintedProcesses> {
    let mut lines = printed.lines();
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let titles = words(lines.next().unwrap_or_default());
    let Some(column) = titles.iter().position(|title| title == "PID") else {
        return Err(Error::invalid("ps prints no column PID").hint("add it: -o pid"));
    };
    let rows = lines.map(words).filter(|row| {
        let pid = row.get(column).and_then(|word| word.parse().ok());
        pid.is_some_and(|pid| members.contains(&pid))
    });
    let joined = rows.map(|mut row| {
        let rest = row.split_off(row.len().min(titles.len() - 1));
        row.push(rest.join(" "));
        row
    });
    Ok(PrintedProcesses { rows: joined.collect(), titles })
}

/// All processes of the host, by number.
fn all() -> Result<Vec<(u32, Stat)>> {
    let names = fs::list(Path::new("/proc"))?;
    let mut all = Vec::new();
    for pid in names.iter().filter_map(|name| name.to_str()?.parse::<u32>().ok()) {
        let stat = gone_is_none(fs::read_optional(&folder(pid).join("stat")))?;
        all.extend(stat.and_then(|stat| parse(&stat)).map(|stat| (pid, stat)));
    }
    all.sort_by_key(|(pid, _)| *pid);
    Ok(all)
}

/// The processes that are `chosen`, and what descends from them, by number.
fn members(chosen: impl Fn(u32) -> Result<bool>) -> Result<Vec<(u32, Stat)>> {
    let (mut members, mut others) = (Vec::new(), Vec::new());
    for (pid, stat) in all()? {
        let list = if chosen(pid)? { &mut members } else { &mut others };
        list.push((pid, stat));
    }
    let mut numbers: BTreeSet<u32> = members.iter().map(|(pid, _)| *pid).collect();
    loop {
        let (below, rest): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|(_, stat)| numbers.contains(&stat.parent));
        if below.is_empty() {
            break;
        }
        numbers.extend(below.iter().map(|(pid, _)| *pid));
        members.extend(below);
        others = rest;
    }
    members.sort_by_key(|(pid, _)| *pid);
    Ok(members)
}

fn folder(pid: u32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}"))
}

/// A process may end while it is looked at.
fn gone_is_none<T>(result: Result<Option<T>>) -> Result<Option<T>> {
    match result {
        Err(error) if is_gone(&error) || error.kind() == Kind::Denied => Ok(None),
        other => other,
    }
}

fn parse(stat: &[u8]) -> Option<Stat> {
    let stat = String::from_utf8_lossy(stat);
    let (before, fields) = stat.rsplit_once(')')?;
    let name = before.split_once('(')?.1.to_owned();
    // The first of these is field 3.
    let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    Some(Stat {
        name,
        parent: u32::try_from(number(4)?).ok()?,
        terminal: u32::try_from(number(7)?).ok()?,
        ticks: number(14)? + number(15)?,
        start: number(22)?,
    })
}

/// `None` if it has ended meanwhile. `times` are those of the boot and of now.
fn summary(pid: u32, stat: Stat, times: (i64, i64)) -> Result<Option<ProcessSummary>> {
    let (boot, now) = times;
    let Some(status) = gone_is_none(fs::read_optional(&folder(pid).join("status")))? else {
        return Ok(None);
    };
    let words = gone_is_none(fs::read_optional(&folder(pid).join("cmdline")))?.unwrap_or_default();
    let words = String::from_utf8_lossy(&words);
    let words = words.trim_end_matches('\0').replace('\0', " ");
    let started = boot.saturating_add_unsigned(stat.start / TICKS);
    let age = u64::try_from(now - started).unwrap_or(0).max(1);
    Ok(Some(ProcessSummary {
        user: user(&String::from_utf8_lossy(&status)),
        pid,
        parent: stat.parent,
        percent: (stat.ticks * 100 / TICKS / age).min(99),
        started: Timestamp::from_seconds(started),
        terminal: terminal(stat.terminal),
        seconds: stat.ticks / TICKS,
        command: if words.is_empty() { format!("[{}]", stat.name) } else { words },
    }))
}

/// Whose process it is, by the effective user of proc_pid_status(5).
fn user(status: &str) -> String {
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    let uid = line.and_then(|line| line.split_whitespace().nth(1)).unwrap_or("?");
    let known = uid.parse().ok().and_then(|uid| User::from_uid(Uid::from_raw(uid)).ok().flatten());
    known.map_or_else(|| uid.to_owned(), |user| user.name)
}

/// The name of the terminal with the device number `device`: minor number in
/// bits 31-20 and 7-0, major number in bits 15-8.
fn terminal(device: u32) -> Option<String> {
    let (major, minor) = (device >> 8 & 0xff, (device >> 20 << 8) | (device & 0xff));
    match major {
        0 => None,
        _ if UNIX98_MAJORS.contains(&major) => {
            Some(format!("pts/{}", (major - UNIX98_MAJORS.start) << 8 | minor))
        }
        4 if minor < 64 => Some(format!("tty{minor}")),
        4 => Some(format!("ttyS{}", minor - 64)),
        _ => None,
    }
}

/// Seconds since 1970 (proc_stat(5), `btime`).
fn boot_time() -> Result<i64> {
    let stat = fs::read(Path::new("/proc/stat"))?;
    let stat = String::from_utf8_lossy(&stat);
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "));
    line.and_then(|time| time.parse().ok())
        .ok_or_else(|| Error::internal("/proc/stat tells no time of the boot"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_may_have_any_name() {
        let line = b"7 (a) b (c) S 5 2 3 34817 5 6 7 8 9 10 110 120 13 14 15 16 17 18 777 20 21";
        let stat = parse(line).unwrap();
        assert_eq!((stat.name.as_str(), stat.parent, stat.terminal), ("a) b (c", 5, 34817));
        assert_eq!((stat.ticks, stat.start), (230, 777));
        assert_eq!(parse(b"7 (x) S 5"), None);
    }

    #[test]
    fn terminals_have_the_names_of_their_numbers() {
        assert_eq!(terminal(0), None);
        assert_eq!(terminal(34817).as_deref(), Some("pts/1"));
        assert_eq!(terminal(1 << 20 | 136 << 8 | 2).as_deref(), Some("pts/258"));
        assert_eq!(terminal(4 << 8 | 1).as_deref(), Some("tty1"));
        assert_eq!(terminal(4 << 8 | 64).as_deref(), Some("ttyS0"));
    }

    #[test]
    fn lines_of_other_processes_are_left_out() {
        let printed = "  PID TT  COMMAND\n   10 ?   sh -c x\n  100 ?   other\n   11 ?   a\n";
        let found = choose(printed, &BTreeSet::from([10, 11])).unwrap();
        assert_eq!(found.titles, ["PID", "TT", "COMMAND"]);
        assert_eq!(found.rows, [["10", "?", "sh -c x"], ["11", "?", "a"]]);
        assert!(choose("CMD\nx\n", &BTreeSet::new()).is_err());
        assert!(choose("", &BTreeSet::new()).is_err());
    }
}
