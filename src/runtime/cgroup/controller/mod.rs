//! The controllers, one file each: which of its files a limit is written to
//! and what it measures (Documentation/admin-guide/cgroup-v1/ and
//! cgroup-v2.rst). They know no paths but names in one directory.

mod blkio;
mod cpu;
mod cpuset;
mod files;
pub(super) mod freezer;
mod memory;
mod pids;

use crate::error::Result;

use super::plan::{Ground, Write};
use super::{Resources, Statistics};

pub(super) use cpuset::inherit;
pub(super) use files::{Files, errno};
pub(super) use memory::{memory_and_swap, oom_kills};

/// A controller that is used here, by its v1 name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Controller {
    /// Block devices; `io` on v2.
    Blkio,
    /// Processor time: limits.
    Cpu,
    /// Processor time: use. No controller on v2, where every cgroup has it.
    Cpuacct,
    /// Which processors and memory nodes.
    Cpuset,
    /// Stops all processes. No controller on v2, where every cgroup has it.
    Freezer,
    /// Memory and swap.
    Memory,
    /// Number of processes and threads.
    Pids,
}

impl Controller {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Blkio,
        Self::Cpu,
        Self::Cpuacct,
        Self::Cpuset,
        Self::Freezer,
        Self::Memory,
        Self::Pids,
    ];

    /// The name on v1.
    pub fn legacy_name(self) -> &'static str {
        match self {
            Self::Blkio => "blkio",
            Self::Cpu => "cpu",
            Self::Cpuacct => "cpuacct",
            Self::Cpuset => "cpuset",
            Self::Freezer => "freezer",
            Self::Memory => "memory",
            Self::Pids => "pids",
        }
    }

    /// The name on v2; `None` for what every v2 cgroup has.
    pub fn unified_name(self) -> Option<&'static str> {
        match self {
            Self::Blkio => Some("io"),
            Self::Cpuacct | Self::Freezer => None,
            other => Some(other.legacy_name()),
        }
    }

    /// The controllers in a list of v2 names: `cpuset cpu io memory pids`,
    /// and those that need no name.
    pub(super) fn of_unified(names: &str) -> Vec<Self> {
        let there = |controller: &Self| {
            controller.unified_name().is_none_or(|own| names.split_whitespace().any(|n| n == own))
        };
        Self::ALL.into_iter().filter(there).collect()
    }
}

/// What a controller does for a container.
trait Rules {
    /// What its limits are, in the order in which they are written.
    fn writes(resources: &Resources, ground: &Ground) -> Vec<Write>;

    /// Adds what it has measured, if it measures.
    ///
    /// # Errors
    /// Those of reading its files.
    fn measure(_files: &Files<'_>, _statistics: &mut Statistics) -> Result<()> {
        Ok(())
    }
}

/// What all controllers write.
pub(super) fn writes(resources: &Resources, ground: &Ground) -> Vec<Write> {
    let all = [
        memory::Memory::writes,
        cpu::Cpu::writes,
        cpuset::Cpuset::writes,
        pids::Pids::writes,
        blkio::Blkio::writes,
    ];
    all.into_iter().flat_map(|writes| writes(resources, ground)).collect()
}

/// Adds to `statistics` what `controller` has measured in its directory.
///
/// # Errors
/// Those of reading its files.
pub(super) fn measure(
    controller: Controller,
    files: &Files<'_>,
    statistics: &mut Statistics,
) -> Result<()> {
    match controller {
        Controller::Blkio => blkio::Blkio::measure(files, statistics),
        Controller::Cpuacct => cpu::Cpu::measure(files, statistics),
        Controller::Memory => memory::Memory::measure(files, statistics),
        Controller::Pids => pids::Pids::measure(files, statistics),
        Controller::Cpu | Controller::Cpuset | Controller::Freezer => Ok(()),
    }
}
