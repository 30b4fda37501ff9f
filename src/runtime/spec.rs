//! What a container is to be: the runtime's input, as plain data. The engine
//! makes it from an image's config and the user's options; it holds no
//! descriptor and names nothing that is not in it.
//!
//! It is the runtime spec's content (config.md, config-linux.md) with each
//! string parsed, which is why it is not oci-spec's `Spec`: capabilities are a
//! set, the filter is a choice, a mount is one of a few known kinds.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::capability::CapabilitySet;

/// A container, described.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeSpec {
    /// Host name in a new UTS namespace; `None` for the caller's namespace.
    pub hostname: Option<String>,
    /// NIS domain name in the new UTS namespace.
    pub domain: Option<String>,
    /// Whose System V IPC, message queues and shared memory it sees.
    pub ipc: IpcNamespace,
    /// Whose processes it sees.
    #[serde(default)]
    pub pid: PidNamespace,
    /// Settings of the kernel's in the new namespaces.
    pub sysctls: Vec<SysctlSpec>,
    /// Device nodes beside those of every container.
    pub devices: Vec<DeviceSpec>,
    /// What else is done before the program starts.
    #[serde(default)]
    pub hooks: HooksSpec,
    /// Whether the root is mounted read-only.
    pub read_only_root: bool,
    /// What is mounted into the rootfs, in this order.
    pub mounts: Vec<MountSpec>,
    /// Paths that are covered: files by `/dev/null`, directories by an empty
    /// read-only tmpfs. Missing ones are skipped.
    pub masked_paths: Vec<PathBuf>,
    /// Paths that are made read-only. Missing ones are skipped.
    pub readonly_paths: Vec<PathBuf>,
    /// Which network the container sees.
    pub network: NetworkNamespace,
    /// The program.
    pub process: ProcessSpec,
}

/// The network namespace of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NetworkNamespace {
    /// A new one with nothing but loopback.
    Isolated,
    /// The caller's.
    Host,
    /// Another container's.
    Joined,
}

/// The PID namespace of a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PidNamespace {
    /// A new one.
    #[default]
    Private,
    /// The caller's.
    Host,
    /// Another container's.
    Joined,
}

/// The IPC namespace of a container, and its `/dev/shm`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IpcNamespace {
    /// Both new.
    #[default]
    Private,
    /// A new namespace, and nothing mounted at `/dev/shm`.
    None,
    /// The caller's.
    Host,
    /// Another container's.
    Joined,
}

/// A setting of the kernel's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SysctlSpec {
    /// Its file, below `/proc/sys`.
    pub path: PathBuf,
    /// What is written.
    pub value: String,
}

/// A device node of the host's in the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceSpec {
    /// The node on the host, absolute.
    pub source: PathBuf,
    /// Where, as the container sees it.
    pub target: PathBuf,
    /// What is not to be as it is on the host; a node of the host's own, which
    /// is all that a user namespace can have, stays as it is.
    #[serde(default)]
    pub attributes: NodeAttributes,
}

impl DeviceSpec {
    /// A node as it is on the host.
    pub fn new(source: impl Into<PathBuf>, target: impl Into<PathBuf>) -> Self {
        let attributes = NodeAttributes::default();
        Self { source: source.into(), target: target.into(), attributes }
    }
}

/// Owner and mode of a device node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeAttributes {
    /// User ID.
    pub uid: Option<u32>,
    /// Group ID.
    pub gid: Option<u32>,
    /// Permission bits.
    pub mode: Option<u32>,
}

/// A program of the host's that sees the container before its own program
/// starts: a createContainer hook (runtime spec, config.md, "POSIX-platform
/// Hooks"). It runs in the container's namespaces, the host's files still in
/// sight, with all the privileges that the container is made with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookSpec {
    /// The program, absolute, on the host.
    pub path: PathBuf,
    /// Its arguments, beginning with its name.
    pub args: Vec<String>,
    /// Its environment in full: `NAME=value`.
    pub env: Vec<String>,
    /// Seconds that it may take.
    pub timeout: Option<u64>,
}

/// Hooks, and what they find.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HooksSpec {
    /// In this order.
    pub create_container: Vec<HookSpec>,
    /// The bundle's directory, which is where they start.
    pub bundle: PathBuf,
    /// What each reads: the container's state as JSON.
    pub state: String,
}

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountSpec {
    /// What is mounted.
    pub source: MountSource,
    /// Where, as the container sees it; created if missing.
    pub target: PathBuf,
    /// Whether writes are refused.
    pub access: Access,
}

/// What may be written below a mount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Everything.
    #[default]
    Writable,
    /// Nothing.
    ReadOnly,
    /// Nothing, but for the mounts below it.
    ReadOnlyTop,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MountSource {
    /// A file or directory of the host with all that is mounted below it.
    Bind {
        /// Absolute.
        path: PathBuf,
        /// Whether mounts below come along.
        recursive: bool,
        /// How later mounts spread.
        propagation: Propagation,
        /// Whose files appear as the container's root's.
        owner: Option<HostOwner>,
        /// What a symbolic link at the very path means.
        links: Links,
        /// What its files are not good for.
        #[serde(default)]
        restrictions: Restrictions,
    },
    /// An empty file system in memory.
    Tmpfs {
        /// Options as mount(8) names them: of tmpfs (`size=64m`), and of any
        /// mount (`noexec`).
        options: Vec<String>,
    },
    /// What an NFS server has.
    Nfs(NfsExport),
    /// procfs of the PID namespace.
    Proc,
    /// sysfs.
    Sysfs,
    /// A minimal `/dev` with `pts`, `shm` and `mqueue`.
    Devices {
        /// Size of `/dev/shm` in bytes.
        shm_size: u64,
    },
}

/// What the files of a mount are not good for (mount(8)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restrictions {
    /// `nosuid`.
    pub no_suid: bool,
    /// `nodev`.
    pub no_devices: bool,
    /// `noexec`.
    pub no_exec: bool,
}

/// A directory that an NFS server exports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NfsExport {
    /// By which name the kernel's client is asked.
    pub fstype: NfsType,
    /// `[SERVER]:/DIRECTORY`. The kernel takes the address from `options`.
    pub device: String,
    /// As mount(8) and nfs(5) name them, `addr` among them: a name or an
    /// address.
    pub options: Vec<String>,
}

/// The kernel's two file system types for NFS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NfsType {
    /// Of the version that the options say, or the kernel's first.
    Nfs,
    /// Of version 4.
    Nfs4,
}

/// What a symbolic link at the end of a mount's source means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Links {
    /// It is the caller's way to name a place.
    #[default]
    Follow,
    /// Somebody else may have put it there.
    Refuse,
}

/// Mount propagation (Documentation/filesystems/sharedsubtree); with `R` also
/// of the mounts below.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Propagation {
    /// None.
    Private,
    /// None.
    #[default]
    RPrivate,
    /// From the host into the container.
    Slave,
    /// From the host into the container.
    RSlave,
    /// Both ways.
    Shared,
    /// Both ways.
    RShared,
}

/// The host's user whose files a bind mount shows as owned by root, and who
/// owns what root writes there (an idmapped mount, mount_setattr(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostOwner {
    /// Host user ID.
    pub uid: u32,
    /// Host group ID.
    pub gid: u32,
}

/// The program and the state it starts in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessSpec {
    /// Command and arguments; the command is looked up in `PATH`.
    pub args: Vec<String>,
    /// `NAME=value`.
    pub env: Vec<String>,
    /// Working directory; created if missing, as docker does.
    pub cwd: PathBuf,
    /// Whether envbox's init is PID 1 and the program its child.
    pub init: bool,
    /// Whether the program gets a new terminal.
    pub terminal: bool,
    /// Numeric user.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// File mode creation mask.
    pub umask: u32,
    /// How readily the kernel kills it for want of memory, if not as its
    /// caller: -1000 to 1000.
    #[serde(default)]
    pub oom_score_adj: Option<i16>,
    /// Resource limits.
    pub rlimits: Vec<RlimitSpec>,
    /// The bounding set, and for root also permitted and effective.
    pub capabilities: CapabilitySet,
    /// Whether set-user-ID programs give nothing.
    pub no_new_privileges: bool,
    /// The system call filter.
    pub seccomp: SeccompSpec,
    /// Whether uname(2) tells a 32-bit machine.
    pub personality_32bit: bool,
    /// Descriptors that are passed on under their own numbers.
    pub keep_descriptors: Vec<i32>,
}

/// One resource limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RlimitSpec {
    /// `RLIMIT_*` of getrlimit(2).
    pub resource: u32,
    /// Soft limit; `u64::MAX` for none.
    pub soft: u64,
    /// Hard limit; `u64::MAX` for none.
    pub hard: u64,
}

/// Which system call filter a container gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SeccompSpec {
    /// Docker's default policy for the capabilities that the process has.
    Default {
        /// With a single ID there is nobody to give a file to: chown(2) and
        /// its kin succeed and change nothing.
        chown_succeeds: bool,
    },
    /// None.
    Unconfined,
    /// A profile in docker's JSON form.
    Profile(serde_json::Value),
}
