//! Memory and swap.

use super::super::plan::{Ground, Origin, Write};
use super::super::{Limit, MemoryUse, Resources, Statistics, Version};
use super::{Controller, Files, Rules};
use crate::error::Result;

pub(super) struct Memory;

const LEGACY: &str = "memory.limit_in_bytes";
const LEGACY_WITH_SWAP: &str = "memory.memsw.limit_in_bytes";

impl Rules for Memory {
    fn writes(resources: &Resources, ground: &Ground) -> Vec<Write> {
        let mut writes = match ground.version {
            Version::V1 => legacy(resources, ground.memory_and_swap),
            Version::V2 => unified(resources),
        };
        if let Some(bytes) = resources.memory_reservation {
            let file = match ground.version {
                Version::V1 => "memory.soft_limit_in_bytes",
                Version::V2 => "memory.low",
            };
            writes.push(write("--memory-reservation", file, bytes.to_string()));
        }
        writes
    }

    fn measure(files: &Files<'_>, statistics: &mut Statistics) -> Result<()> {
        let (used, limit, cache) = match files.version {
            Version::V1 => ("memory.usage_in_bytes", LEGACY, "total_inactive_file"),
            Version::V2 => ("memory.current", "memory.max", "inactive_file"),
        };
        let Some(used) = files.number(used)? else { return Ok(()) };
        // What docker does: a cache that nobody looks at is not use.
        let cache = files.keyed("memory.stat", cache)?.unwrap_or(0);
        let usage = if cache < used { used - cache } else { used };
        let limit = files.number(limit)?;
        statistics.memory = Some(MemoryUse { usage, limit });
        Ok(())
    }
}

fn write(flag: &'static str, file: &'static str, value: String) -> Write {
    Write::given(Controller::Memory, flag, (file, value))
}

/// The limit of memory and swap together, and where it comes from.
fn together(resources: &Resources) -> Option<(Limit, Origin)> {
    match (resources.memory, resources.memory_swap) {
        (_, Some(Limit::Unlimited)) => Some((Limit::Unlimited, Origin::Lifted)),
        (_, Some(limit)) => Some((limit, Origin::Given)),
        (Some(memory), None) => Some((Limit::At(memory.saturating_mul(2)), Origin::Implied)),
        (None, None) => None,
    }
}

fn legacy(resources: &Resources, in_force: Option<u64>) -> Vec<Write> {
    let memory = resources.memory.map(|bytes| write("--memory", LEGACY, bytes.to_string()));
    let both = together(resources).map(|(limit, origin)| {
        let value = match limit {
            Limit::At(bytes) => bytes.to_string(),
            Limit::Unlimited => "-1".to_owned(),
        };
        write("--memory-swap", LEGACY_WITH_SWAP, value).from(origin)
    });
    // Whichever way: the memory limit never passes the other one.
    let rises = matches!((resources.memory, in_force), (Some(new), Some(old)) if new > old);
    let order = if rises { [both, memory] } else { [memory, both] };
    order.into_iter().flatten().collect()
}

/// v2 limits swap alone.
fn unified(resources: &Resources) -> Vec<Write> {
    let mut writes = Vec::new();
    if let Some(bytes) = resources.memory {
        writes.push(write("--memory", "memory.max", bytes.to_string()));
    }
    if let Some((limit, origin)) = together(resources) {
        let value = match limit {
            Limit::At(both) => both.saturating_sub(resources.memory.unwrap_or(0)).to_string(),
            Limit::Unlimited => "max".to_owned(),
        };
        writes.push(write("--memory-swap", "memory.swap.max", value).from(origin));
    }
    writes
}

/// v1's limit of memory and swap together that is in force.
///
/// # Errors
/// Those of reading it.
pub(in crate::runtime::cgroup) fn memory_and_swap(files: &Files<'_>) -> Result<Option<u64>> {
    files.number(LEGACY_WITH_SWAP)
}

/// How many processes the kernel has killed for want of memory.
///
/// # Errors
/// Those of reading it.
pub(in crate::runtime::cgroup) fn oom_kills(files: &Files<'_>) -> Result<u64> {
    let file = match files.version {
        Version::V1 => "memory.oom_control",
        Version::V2 => "memory.events",
    };
    Ok(files.keyed(file, "oom_kill")?.unwrap_or(0))
}
