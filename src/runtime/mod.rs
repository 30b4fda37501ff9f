//! Bundle in, process out: makes a Linux container of a root filesystem and a
//! [`spec::RuntimeSpec`]. It knows nothing of images, stores or terminals of
//! users.
//!
//! A start has three parts:
//!
//! 1. [`plan`]: the spec becomes a list of [`step`]s. Whatever can be made in
//!    the parent is made there, as detached mounts ([`source`]), so that
//!    errors of the user's have words.
//! 2. [`start`]: one clone(2) with all namespaces; the child runs the steps and
//!    executes the program ([`exec`]). It reports by number ([`channel`]).
//! 3. Whoever called keeps the first process: reaps it, forwards signals.
//!
//! [`join`] adds a process to a container that runs, by the same steps.
//!
//! Needs Linux 5.12 (mount_setattr(2)). [`cgroup`] makes and limits its cgroup,
//! and there is no network but loopback, the host's, or another container's.
//!
//! Invariants: the parent has one thread; every descriptor of ours is closed
//! at execve(2); every path that the image or the spec names is resolved
//! inside the root ([`crate::fs::Rootfs`]); the engine's binary is never
//! `/proc/1/exe` of a running container.

pub mod archive;
pub mod capability;
pub mod cgroup;
pub mod channel;
pub mod credentials;
pub mod exec;
pub mod hook;
pub mod idmap;
pub mod join;
mod nfs;
mod overlay;
pub mod plan;
pub mod seccomp;
pub mod source;
pub mod spec;
pub mod start;
pub mod step;
pub mod sysctl;
pub mod terminal;

pub use plan::hard_limit;
