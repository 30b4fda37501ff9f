//! Control groups: what a container may use of the host, what it uses, and a
//! handle on all of its processes at once. It knows nothing of flags as they
//! are typed, of records, or of when a container starts and ends.
//!
//! ```text
//! v2   BASE/envbox/STORE-ID
//! v1   /sys/fs/cgroup/CONTROLLER/envbox/STORE-ID   for each hierarchy
//! ```
//!
//! `BASE` is the root of the tree for whoever may write there, else the
//! topmost cgroup above the caller's own that is delegated to the caller
//! (`hierarchy`). `STORE` tells the stores of one host apart, so that a sweep
//! never touches another store's containers. `envbox` stays, as `docker` and
//! `libpod_parent` do.
//!
//! Limits are a plan, then acts: [`plan::writes`] turns [`Resources`] into a
//! list of files and values, one file of `controller` for each controller;
//! [`Cgroup::apply`] writes it, and says of each value that the host refuses
//! which flag it came from. [`Cgroup::update`] changes a group that has limits
//! already, all that was asked for or nothing.
//!
//! Entering: on v2 a process is born in the group (`CLONE_INTO_CGROUP` with
//! [`Cgroup::directory`]). On v1 it moves itself ([`Entrance::enter`]): a
//! single thread that writes `0` into `tasks` takes no global lock, where a
//! process ID in `cgroup.procs` waits milliseconds for an RCU grace period
//! (`cgroup_procs_write_start`, kernel/cgroup/cgroup.c).
//!
//! Life: whoever starts a container records it, creates the group, starts;
//! whoever buries it removes the group, then the record. So a group without a
//! record is nobody's ([`Hierarchy::leftovers`]).
//!
//! Deliberately absent: systemd's D-Bus interface (no scope is asked of it),
//! device rules, real-time scheduling, and v2 controllers of a hybrid host,
//! whose v2 tree is left alone.

mod apply;
mod controller;
mod group;
mod hierarchy;
mod kill;
mod mounts;
mod number_list;
pub mod plan;
mod resources;
mod statistics;
mod update;

#[cfg(test)]
mod tests;

pub use apply::{Demand, Warning, without_cgroup};
pub use controller::Controller;
pub use group::{Cgroup, Entrance};
pub use hierarchy::{Hierarchy, Layout, Version};
pub use number_list::NumberList;
pub use resources::{Cpus, HostResources, Limit, Resources};
pub use statistics::{BlockUse, MemoryUse, PidsUse, Statistics};
pub use update::Updated;
