//! What a container is asked to be, after image, profile and options have
//! been put together and before anything is looked up in the rootfs.

use std::path::PathBuf;

use crate::id::ContainerName;
use crate::runtime::capability::CapabilitySet;
use crate::runtime::spec::{HostOwner, NetworkNamespace};

use super::options::hostname::Hostname;
use super::options::mount::MountOption;
use super::options::security::SecurityOptions;
use super::options::ulimit::Ulimit;
use super::options::user::UserSpec;

/// What a container stands on.
#[derive(Clone, Debug)]
pub enum Rootfs {
    /// An image of the store, by any of its names.
    Image(String),
    /// A directory of the host, which stays as it is.
    Directory(PathBuf),
}

/// How the program's stdio is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Terminal {
    /// The caller's descriptors, untouched.
    Inherit,
    /// As [`Self::Inherit`], with `/dev/null` as stdin: docker without `-i`.
    NoInput,
    /// A new terminal, shown on the caller's.
    New,
}

/// A limit, and whether the user asked for it by name: then the host's
/// refusal is an error, else it is lowered to what the host allows.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// The limit.
    pub ulimit: Ulimit,
    /// Whether it came from the command line.
    pub explicit: bool,
}

/// A mount, and whose files it shows as root's.
#[derive(Clone, Debug)]
pub struct MountRequest {
    /// The mount.
    pub option: MountOption,
    /// See [`HostOwner`].
    pub owner: Option<HostOwner>,
}

/// A container, asked for.
#[derive(Clone, Debug)]
pub struct ContainerRequest {
    /// What it stands on, with its config.
    pub rootfs: Rootfs,
    /// Commands in order of preference: the first whose program is there.
    pub commands: Vec<Vec<String>>,
    /// `NAME=value` in full, but for what only the rootfs can tell.
    pub environment: Vec<(String, String)>,
    /// Values for `LANG` in order of preference; none to leave it.
    pub locales: Vec<String>,
    /// Values for `TERM` in order of preference, the caller's first; none to
    /// leave it.
    pub terminal_types: Vec<String>,
    /// Where the program starts.
    pub working_directory: PathBuf,
    /// Who runs it.
    pub user: UserSpec,
    /// What is mounted beside the system's own.
    pub mounts: Vec<MountRequest>,
    /// The host name; the short container ID if `None`.
    pub hostname: Option<Hostname>,
    /// The network.
    pub network: NetworkNamespace,
    /// Stdio.
    pub terminal: Terminal,
    /// Whether an init is PID 1.
    pub init: bool,
    /// Whether the root is read-only.
    pub read_only: bool,
    /// Limits.
    pub limits: Vec<Limit>,
    /// The bounding set.
    pub capabilities: CapabilitySet,
    /// Filter and masks.
    pub security: SecurityOptions,
    /// The name under which it is kept, or that it shows while it runs.
    pub name: Option<ContainerName>,
    /// Whether it is kept after its end.
    pub keep: bool,
    /// Descriptors that the program gets under their own numbers.
    pub keep_descriptors: Vec<i32>,
}
