//! Processor time: `cpu` limits it, `cpuacct` counts it.

use super::super::plan::{Ground, Write};
use super::super::{Cpus, Resources, Statistics, Version};
use super::{Controller, Files, Rules};
use crate::error::Result;

pub(super) struct Cpu;

/// Microseconds over which a quota is counted: docker's and the kernel's own.
const PERIOD: u64 = 100_000;

impl Rules for Cpu {
    fn writes(resources: &Resources, ground: &Ground) -> Vec<Write> {
        let mut writes = Vec::new();
        let mut add = |flag, file, value| {
            writes.push(Write::given(Controller::Cpu, flag, (file, value)));
        };
        if let Some(shares) = resources.cpu_shares {
            match ground.version {
                Version::V1 => add("--cpu-shares", "cpu.shares", shares.to_string()),
                Version::V2 => add("--cpu-shares", "cpu.weight", weight(shares).to_string()),
            }
        }
        if let Some(cpus) = resources.cpus {
            let quota = quota(cpus);
            match ground.version {
                Version::V1 => {
                    add("--cpus", "cpu.cfs_period_us", PERIOD.to_string());
                    add("--cpus", "cpu.cfs_quota_us", quota.to_string());
                }
                Version::V2 => add("--cpus", "cpu.max", format!("{quota} {PERIOD}")),
            }
        }
        writes
    }

    fn measure(files: &Files<'_>, statistics: &mut Statistics) -> Result<()> {
        statistics.cpu_nanoseconds = match files.version {
            Version::V1 => files.number("cpuacct.usage")?,
            Version::V2 => files.keyed("cpu.stat", "usage_usec")?.map(|usec| usec * 1000),
        };
        Ok(())
    }
}

/// Microseconds of processor time in a period.
fn quota(Cpus(nano): Cpus) -> u64 {
    nano / (1_000_000_000 / PERIOD)
}

/// v1's shares as v2's weight: the OCI's formula since runc 1.3.2 and crun
/// 1.23, a curve through (2, 1), (1024, 100) and (262144, 10000), the ends and
/// defaults of both (opencontainers/cgroups, `ConvertCPUSharesToCgroupV2Value`).
fn weight(shares: u64) -> u64 {
    match shares {
        ..=2 => 1,
        262_144.. => 10_000,
        shares => {
            let log = (shares as f64).log2();
            let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
            // Between 1 and 10000 by the curve's ends.
            10_f64.powf(exponent).ceil() as u64
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_follow_the_curve() {
        let pairs =
            [(0, 1), (2, 1), (1024, 100), (2000, 170), (262_144, 10_000), (1 << 40, 10_000)];
        for (shares, expected) in pairs {
            assert_eq!(weight(shares), expected, "{shares}");
        }
        assert!((3..262_144).all(|shares| weight(shares) <= weight(shares + 1)));
    }

    #[test]
    fn quotas_are_microseconds_of_a_tenth_of_a_second() {
        assert_eq!(quota(Cpus(1_500_000_000)), 150_000);
        assert_eq!(quota(Cpus(10_000_000)), 1000);
    }
}
