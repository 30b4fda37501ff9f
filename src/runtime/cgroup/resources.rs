//! What a container may use, as plain data, and docker's rules for which
//! values make sense together. It writes nothing and knows no cgroup file.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::fs;

use super::number_list::NumberList;

/// Below this a container could not start: docker's limit since 20.10.
const LEAST_MEMORY: u64 = 6 << 20;

/// A ceiling, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Limit {
    /// At most this much.
    At(u64),
    /// No ceiling.
    Unlimited,
}

/// Processor time per time, in billionths of a processor: docker's `NanoCpus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cpus(pub u64);

/// The limits of a container: `None` is what nobody asked for. For an update
/// it is what stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// `--memory`: bytes.
    pub memory: Option<u64>,
    /// `--memory-swap`: bytes of memory and swap together. Without it twice
    /// the memory, as docker has it.
    pub memory_swap: Option<Limit>,
    /// `--memory-reservation`: bytes that are reclaimed last.
    pub memory_reservation: Option<u64>,
    /// `--cpus`.
    pub cpus: Option<Cpus>,
    /// `--cpu-shares`: weight against siblings, 2 to 262144; usually 1024.
    pub cpu_shares: Option<u64>,
    /// `--cpuset-cpus`.
    pub cpuset_cpus: Option<NumberList>,
    /// `--cpuset-mems`.
    pub cpuset_mems: Option<NumberList>,
    /// `--pids-limit`: processes and threads.
    pub pids_limit: Option<Limit>,
    /// `--blkio-weight`: 10 to 1000; usually 500.
    pub blkio_weight: Option<u16>,
    /// `--oom-score-adj`: -1000 to 1000. A process's, not a cgroup's: whoever
    /// starts the process writes `/proc/PID/oom_score_adj`.
    pub oom_score_adj: Option<i16>,
}

/// What the host has to give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostResources {
    /// Its processors.
    pub cpus: NumberList,
    /// Its memory nodes.
    pub mems: NumberList,
}

impl HostResources {
    /// Reads what is online now.
    ///
    /// # Errors
    /// Those of reading `/sys/devices/system/cpu/online`. A kernel without
    /// memory nodes has node 0.
    pub fn read() -> Result<Self> {
        let online = |kind: &str| fs::read_to_string(&online_path(kind));
        let cpus = online("cpu")?.trim().parse()?;
        let mems = fs::absent_is_none(online("node"))?.unwrap_or_else(|| "0".into());
        Ok(Self { cpus, mems: mems.trim().parse()? })
    }
}

fn online_path(kind: &str) -> std::path::PathBuf {
    Path::new("/sys/devices/system").join(kind).join("online")
}

impl Resources {
    /// Checks the values against each other and against the host, by docker's
    /// rules (moby, `verifyPlatformContainerResources`).
    ///
    /// # Errors
    /// `Invalid`, with the flag in the message.
    pub fn check(&self, host: &HostResources) -> Result<()> {
        self.check_memory()?;
        let processors = host.cpus.len() as u64;
        if let Some(Cpus(nano)) = self.cpus
            && !(10_000_000..=processors * 1_000_000_000).contains(&nano)
        {
            return Err(Error::invalid(format!(
                "invalid --cpus: the range is from 0.01 to {processors}.00, \
                 as there are only {processors} CPUs available"
            ))
            .hint(format!("write a number from 0.01 to {processors}")));
        }
        let lists = [
            ("--cpuset-cpus", "CPUs", &self.cpuset_cpus, &host.cpus),
            ("--cpuset-mems", "memory nodes", &self.cpuset_mems, &host.mems),
        ];
        for (flag, what, asked, there) in lists {
            if let Some(asked) = asked.as_ref().filter(|asked| !asked.is_within(there)) {
                return Err(Error::invalid(format!(
                    "invalid {flag}: requested {what} are not available: \
                     requested {asked}, available {there}"
                ))
                .hint(format!("write numbers out of {there}")));
            }
        }
        Ok(())
    }

    fn check_memory(&self) -> Result<()> {
        let small = |flag: &str, what: &str| {
            Error::invalid(format!("invalid {flag}: the minimum {what} allowed is 6MB"))
                .hint(format!("write {flag} 6m or more"))
        };
        if self.memory.is_some_and(|memory| memory < LEAST_MEMORY) {
            return Err(small("--memory", "memory limit"));
        }
        if self.memory_reservation.is_some_and(|memory| memory < LEAST_MEMORY) {
            return Err(small("--memory-reservation", "memory reservation"));
        }
        match (self.memory, self.memory_swap) {
            (Some(memory), Some(Limit::At(both))) if both < memory => {
                return Err(Error::invalid(
                    "invalid --memory-swap: the limit of memory and swap together is below \
                     the memory limit",
                )
                .hint("write memory and swap together, or -1 for no limit of swap"));
            }
            (None, Some(Limit::At(_))) => {
                return Err(Error::invalid(
                    "invalid --memory-swap: it needs a memory limit beside it",
                )
                .hint("add --memory"));
            }
            _ => {}
        }
        if let (Some(memory), Some(reservation)) = (self.memory, self.memory_reservation)
            && memory < reservation
        {
            return Err(Error::invalid(
                "invalid --memory-reservation: it is above the memory limit",
            )
            .hint("write less than --memory"));
        }
        Ok(())
    }

    /// These limits after `change`, whose values replace those here. A limit
    /// of memory and swap that followed from the old memory limit does not
    /// follow a new one (docker's manual, `update --memory`).
    ///
    /// # Errors
    /// `Invalid` if the new memory limit is above a limit of memory and swap
    /// that stays; call [`Resources::check`] on the result for the rest.
    pub fn updated_by(&self, change: &Self) -> Result<Self> {
        let stays = match change.memory {
            Some(_) => self.memory_and_swap(),
            None => self.memory_swap,
        };
        if let (Some(memory), None, Some(Limit::At(both))) =
            (change.memory, change.memory_swap, stays)
            && memory > both
        {
            return Err(Error::invalid(
                "invalid --memory: the memory limit should be smaller than the already set \
                 memoryswap limit",
            )
            .hint("update the memoryswap at the same time: add --memory-swap"));
        }
        let (old, new) = (self.clone(), change.clone());
        Ok(Self {
            memory: new.memory.or(old.memory),
            memory_swap: new.memory_swap.or(stays),
            memory_reservation: new.memory_reservation.or(old.memory_reservation),
            cpus: new.cpus.or(old.cpus),
            cpu_shares: new.cpu_shares.or(old.cpu_shares),
            cpuset_cpus: new.cpuset_cpus.or(old.cpuset_cpus),
            cpuset_mems: new.cpuset_mems.or(old.cpuset_mems),
            pids_limit: new.pids_limit.or(old.pids_limit),
            blkio_weight: new.blkio_weight.or(old.blkio_weight),
            oom_score_adj: new.oom_score_adj.or(old.oom_score_adj),
        })
    }

    /// The limit of memory and swap together: twice the memory where nobody
    /// says, as docker has it.
    fn memory_and_swap(&self) -> Option<Limit> {
        self.memory_swap.or(self.memory.map(|memory| Limit::At(memory.saturating_mul(2))))
    }

    /// The flags whose values need a cgroup, in docker's order.
    pub fn flags(&self) -> Vec<&'static str> {
        let all = [
            ("--memory", self.memory.is_some()),
            ("--memory-swap", self.memory_swap.is_some()),
            ("--memory-reservation", self.memory_reservation.is_some()),
            ("--cpus", self.cpus.is_some()),
            ("--cpu-shares", self.cpu_shares.is_some()),
            ("--cpuset-cpus", self.cpuset_cpus.is_some()),
            ("--cpuset-mems", self.cpuset_mems.is_some()),
            ("--pids-limit", matches!(self.pids_limit, Some(Limit::At(_)))),
            ("--blkio-weight", self.blkio_weight.is_some()),
        ];
        all.into_iter().filter(|(_, given)| *given).map(|(flag, _)| flag).collect()
    }
}
