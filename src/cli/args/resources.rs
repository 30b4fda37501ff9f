//! What can be typed of the resources that a container may use.

use clap::Args;

use crate::engine::options::resources::{
    parse_blkio_weight, parse_cpu_shares, parse_cpus, parse_memory, parse_memory_swap,
    parse_oom_score_adj, parse_pids_limit, parse_shm_size, without_zeros,
};
use crate::runtime::cgroup::{Cpus, Limit, NumberList};

/// The limits that can be changed while a container runs.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Resources")]
pub(in crate::cli) struct Resources {
    /// Memory at most: a size, as in 512m
    #[arg(short, long, value_name = "SIZE", value_parser = parse_memory)]
    pub memory: Option<u64>,
    /// Memory and swap at most, together; -1 for no limit of swap
    #[arg(
        long,
        value_name = "SIZE",
        value_parser = parse_memory_swap,
        allow_negative_numbers = true
    )]
    pub memory_swap: Option<Limit>,
    /// Memory that is reclaimed last
    #[arg(long, value_name = "SIZE", value_parser = parse_memory)]
    pub memory_reservation: Option<u64>,
    /// Processors, as in 1.5
    #[arg(long, value_name = "NUMBER", value_parser = parse_cpus)]
    pub cpus: Option<Cpus>,
    /// Weight against other containers for processor time; 1024 without it
    #[arg(short, long, value_name = "WEIGHT", value_parser = parse_cpu_shares)]
    pub cpu_shares: Option<u64>,
    /// The processors to run on, as in 0-2,4
    #[arg(long, value_name = "LIST")]
    pub cpuset_cpus: Option<NumberList>,
    /// The memory nodes to use, as in 0,1
    #[arg(long, value_name = "LIST")]
    pub cpuset_mems: Option<NumberList>,
    /// Processes and threads at most; -1 for no limit
    #[arg(
        long,
        value_name = "NUMBER",
        value_parser = parse_pids_limit,
        allow_negative_numbers = true
    )]
    pub pids_limit: Option<Limit>,
    /// Weight for block devices, 10 to 1000; 500 without it
    #[arg(long, value_name = "WEIGHT", value_parser = parse_blkio_weight)]
    pub blkio_weight: Option<u16>,
}

/// What a new container can be told.
#[derive(Args, Debug)]
#[command(next_help_heading = "Resources")]
pub(in crate::cli) struct NewResources {
    #[command(flatten)]
    pub limits: Resources,
    /// How readily it is killed for want of memory: -1000, never, to 1000
    #[arg(
        long,
        value_name = "NUMBER",
        value_parser = parse_oom_score_adj,
        allow_negative_numbers = true
    )]
    pub oom_score_adj: Option<i16>,
    /// Size of /dev/shm; 64m without it
    #[arg(long, value_name = "SIZE", value_parser = parse_shm_size)]
    pub shm_size: Option<u64>,
}

impl Resources {
    /// Whether none of the flags was given.
    pub fn is_empty(&self) -> bool {
        self.memory.is_none()
            && self.memory_swap.is_none()
            && self.memory_reservation.is_none()
            && self.cpus.is_none()
            && self.cpu_shares.is_none()
            && self.cpuset_cpus.is_none()
            && self.cpuset_mems.is_none()
            && self.pids_limit.is_none()
            && self.blkio_weight.is_none()
    }

    /// The engine's form.
    pub fn into_resources(self) -> crate::runtime::cgroup::Resources {
        without_zeros(crate::runtime::cgroup::Resources {
            memory: self.memory,
            memory_swap: self.memory_swap,
            memory_reservation: self.memory_reservation,
            cpus: self.cpus,
            cpu_shares: self.cpu_shares,
            cpuset_cpus: self.cpuset_cpus,
            cpuset_mems: self.cpuset_mems,
            pids_limit: self.pids_limit,
            blkio_weight: self.blkio_weight,
            oom_score_adj: None,
        })
    }
}

impl NewResources {
    /// The engine's form.
    pub fn into_resources(self) -> crate::runtime::cgroup::Resources {
        crate::runtime::cgroup::Resources {
            oom_score_adj: self.oom_score_adj,
            ..self.limits.into_resources()
        }
    }
}
