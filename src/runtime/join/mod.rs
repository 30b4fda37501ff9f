//! Another process in a container that runs. The container's first process is
//! the way in ([`Target`]): its namespaces are taken by setns(2), and a new
//! child of this process ([`start()`]) becomes the program there.
//!
//! Unlike at a container's start, hostile processes are already inside and
//! can look. So three processes do it:
//!
//! ```text
//! caller --clone--> joiner --setns, CLONE_PARENT--> program, the caller's child
//! ```
//!
//! - The caller never enters: nothing of its own can be had inside.
//! - The joiner enters all but the PID namespace, so no process inside has a
//!   number for it. Before it does, it closes every descriptor but stdio, the
//!   report sockets and the sealed program, and is not dumpable any more: its
//!   child is not for one moment (CVE-2016-9962). After, it never looks at
//!   `/proc`, which is the container's.
//! - The child gives up its privileges by the steps of a start, and the sealed
//!   program executes the command, never this one (CVE-2019-5736). Working
//!   directory and user are resolved inside the root, magic links refused
//!   (CVE-2024-21626).
//!
//! A new container that shares namespaces of others ([`Doors`]) is started in
//! the same way where it is to live among their processes: see
//! [`start`](super::start).
//!
//! It knows nothing of the container's name or settings: a
//! [`ProcessSpec`](super::spec::ProcessSpec) comes in.

mod birth;
mod fetch;
mod start;
mod target;

pub(super) use birth::{receive_birth, send_birth};
pub(super) use fetch::{proc, shared_memory};
pub use start::{JoinPlan, Privileges, plan, start};
pub use target::{ProcessId, Target, is_gone};

/// The containers whose namespaces a new one is to share, by their first
/// processes. Where such a namespace is the caller's own ([`Target::is_apart`]),
/// there is nothing to join.
#[derive(Debug, Default)]
pub struct Doors {
    /// Whose network.
    pub network: Option<Target>,
    /// Whose System V IPC, message queues and shared memory.
    pub ipc: Option<Target>,
    /// Whose processes.
    pub pid: Option<Target>,
}
