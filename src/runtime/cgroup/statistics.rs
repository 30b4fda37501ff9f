//! What a group uses, as `docker stats` counts it. Data and arithmetic; how
//! it is shown is the cli's.

use std::path::Path;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::fs;

/// What a group has used so far, and the host beside it. `None` where no
/// controller counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Statistics {
    /// Memory.
    pub memory: Option<MemoryUse>,
    /// Processor time since the group was made.
    pub cpu_nanoseconds: Option<u64>,
    /// Processes and threads.
    pub pids: Option<PidsUse>,
    /// Block devices.
    pub block: Option<BlockUse>,
    /// Time of all processors of the host since it was booted, idle or not.
    pub host_nanoseconds: u64,
    /// Processors that are online.
    pub host_processors: u64,
    /// The host's memory in bytes: the limit of what has none.
    pub host_memory: u64,
}

/// Memory of a group, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct MemoryUse {
    /// In use, without the page cache that is inactive.
    pub usage: u64,
    /// The group's own limit; v1 tells a number beyond any memory for none.
    pub limit: Option<u64>,
}

/// Processes and threads of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PidsUse {
    /// How many there are.
    pub current: u64,
    /// How many there may be.
    pub limit: Option<u64>,
}

/// Bytes that a group has read from and written to block devices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BlockUse {
    /// Read.
    pub read: u64,
    /// Written.
    pub written: u64,
}

impl Statistics {
    /// The memory limit that is shown: the group's, or all that the host has.
    pub fn memory_limit(&self) -> u64 {
        let own = self.memory.and_then(|memory| memory.limit);
        own.map_or(self.host_memory, |limit| limit.min(self.host_memory))
    }

    /// Use of memory in percent of [`Statistics::memory_limit`].
    pub fn memory_percent(&self) -> Option<f64> {
        let usage = self.memory?.usage;
        let limit = self.memory_limit();
        (limit > 0).then(|| usage as f64 / limit as f64 * 100.0)
    }

    /// Use of processors since `before` in percent, 100 for one of them: the
    /// group's share of the host's time, times the host's processors.
    pub fn cpu_percent(&self, before: &Self) -> Option<f64> {
        let used = self.cpu_nanoseconds?.checked_sub(before.cpu_nanoseconds?)?;
        let host = self.host_nanoseconds.checked_sub(before.host_nanoseconds)?;
        (host > 0).then(|| used as f64 / host as f64 * self.host_processors as f64 * 100.0)
    }
}

/// Statistics with the host's part alone.
///
/// # Errors
/// Those of reading `/proc/stat` and `/proc/meminfo`.
pub(super) fn of_host() -> Result<Statistics> {
    let stat = fs::read_to_string(Path::new("/proc/stat"))?;
    let memory = fs::read_to_string(Path::new("/proc/meminfo"))?;
    let unknown = |file| Error::internal(format!("{file} has no known form"));
    let (host_nanoseconds, host_processors) =
        host_time(&stat).ok_or_else(|| unknown("/proc/stat"))?;
    let host_memory = host_memory(&memory).ok_or_else(|| unknown("/proc/meminfo"))?;
    Ok(Statistics { host_nanoseconds, host_processors, host_memory, ..Statistics::default() })
}

/// The sum of user, nice, system, idle, iowait, irq and softirq of the line
/// `cpu` (proc_stat(5)), as docker sums them, and the number of lines `cpuN`.
fn host_time(stat: &str) -> Option<(u64, u64)> {
    /// `USER_HZ`, the unit of the file: 100 on x86-64 and arm64.
    const NANOSECONDS_PER_TICK: u64 = 1_000_000_000 / 100;
    let mut lines = stat.lines().filter_map(|line| line.strip_prefix("cpu"));
    let all = lines.next()?.strip_prefix(' ')?;
    let ticks: Result<Vec<u64>, _> = all.split_whitespace().take(7).map(str::parse).collect();
    let ticks: u64 = ticks.ok()?.iter().sum();
    Some((ticks * NANOSECONDS_PER_TICK, lines.count() as u64))
}

fn host_memory(meminfo: &str) -> Option<u64> {
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = total.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_time_is_dockers_sum() {
        let stat = "cpu  1 2 3 4 5 6 7 100 100 100\ncpu0 1 2\ncpu1 3 4\nintr 5\n";
        assert_eq!(host_time(stat), Some((280_000_000, 2)));
        assert_eq!(host_time("cpu  x\n"), None);
        assert_eq!(host_memory("MemTotal:       2 kB\nMemFree: 1 kB\n"), Some(2048));
    }

    #[test]
    fn percents_are_dockers() {
        let at = |cpu, host| Statistics {
            cpu_nanoseconds: Some(cpu),
            host_nanoseconds: host,
            host_processors: 2,
            host_memory: 1000,
            memory: Some(MemoryUse { usage: 250, limit: Some(1 << 62) }),
            ..Statistics::default()
        };
        // One of two processors all of the time.
        assert_eq!(at(50, 200).cpu_percent(&at(0, 100)), Some(100.0));
        assert_eq!(at(50, 100).cpu_percent(&at(0, 100)), None);
        assert_eq!(at(0, 200).cpu_percent(&at(50, 100)), None);
        assert_eq!((at(0, 0).memory_limit(), at(0, 0).memory_percent()), (1000, Some(25.0)));
    }

    #[test]
    fn the_host_is_read() {
        let host = of_host().unwrap();
        assert!(host.host_nanoseconds > 0 && host.host_processors > 0 && host.host_memory > 0);
    }
}
