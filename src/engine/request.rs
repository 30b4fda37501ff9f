//! What a container is asked to be, after image, profile and options have
//! been put together and before anything is looked up in the rootfs.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::id::ContainerName;
use crate::oci::Healthcheck;
use crate::platform::Platform;
use crate::runtime::capability::{self, CapabilitySet, Selection};
use crate::runtime::cgroup::Resources;
use crate::runtime::spec::{HostOwner, Links, NetworkNamespace};

use super::lifecycle::text::{self, StoredMount};
use super::options::environment::EnvironmentOption;
use super::options::health::HealthCheck;
use super::options::hostname::Hostname;
use super::options::isolation::IsolationOptions;
use super::options::mount::MountOption;
use super::options::network::NetworkMode;
use super::options::resources::SHM_SIZE;
use super::options::security::SecurityOptions;
use super::options::ulimit::Ulimit;
use super::options::user::UserSpec;

/// What a container stands on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rootfs {
    /// An image of the store, by any of its names.
    Image(String),
    /// A directory of the host, which stays as it is.
    Directory(PathBuf),
}

/// How the program's stdio is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Terminal {
    /// The caller's descriptors, untouched.
    Inherit,
    /// As [`Self::Inherit`], with `/dev/null` as stdin: docker without `-i`.
    NoInput,
    /// A new terminal, shown on the caller's and fed from it.
    New,
    /// A new terminal that gets no input: docker's `-t` without `-i`.
    NewNoInput,
}

impl Terminal {
    /// Whether the program gets a terminal of its own.
    pub fn is_new(self) -> bool {
        matches!(self, Self::New | Self::NewNoInput)
    }

    /// Whether the caller's input reaches the program.
    pub fn has_input(self) -> bool {
        matches!(self, Self::Inherit | Self::New)
    }
}

/// A limit, and whether the user asked for it by name: then the host's
/// refusal is an error, else it is lowered to what the host allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// The limit.
    #[serde(with = "text")]
    pub ulimit: Ulimit,
    /// Whether it came from the command line.
    pub explicit: bool,
}

/// A mount, and whose files it shows as root's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "StoredMount", try_from = "StoredMount")]
pub struct MountRequest {
    /// The mount.
    pub option: MountOption,
    /// See [`HostOwner`].
    pub owner: Option<HostOwner>,
    /// See [`Links`].
    pub links: Links,
}

/// What a container has from others: docker's `--volumes-from`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Inherited {
    /// The values of the option.
    pub from: Vec<String>,
    /// The targets of the mounts that came from there.
    pub targets: Vec<String>,
}

/// What every verb that starts a container can be told.
#[derive(Clone, Debug, Default)]
pub struct ContainerOptions {
    /// `--env-file`.
    pub environment_files: Vec<PathBuf>,
    /// `--env`, over the files.
    pub environment: Vec<EnvironmentOption>,
    /// `--workdir`.
    pub working_directory: Option<PathBuf>,
    /// `--user`.
    pub user: Option<UserSpec>,
    /// `--volume`, `--tmpfs`, and `--mount` in docker's form.
    pub mounts: Vec<MountOption>,
    /// `--network`.
    pub network: Option<NetworkMode>,
    /// `--hostname`.
    pub hostname: Option<Hostname>,
    /// `--read-only`.
    pub read_only: bool,
    /// `--ulimit`; the last one of a resource counts.
    pub ulimits: Vec<Ulimit>,
    /// What it may use of the host.
    pub resources: Resources,
    /// `--shm-size`: bytes.
    pub shm_size: Option<u64>,
    /// `--cap-add`.
    pub added_capabilities: Vec<Selection>,
    /// `--cap-drop`.
    pub dropped_capabilities: Vec<Selection>,
    /// `--security-opt`.
    pub security: SecurityOptions,
    /// What `run` and `create` can be told beyond.
    pub isolation: IsolationOptions,
}

impl ContainerOptions {
    /// The bounding set by docker's rules.
    pub(super) fn capabilities(&self) -> CapabilitySet {
        let privileged = self.isolation.privileged;
        capability::plan(&self.added_capabilities, &self.dropped_capabilities, privileged)
    }

    /// These limits over `defaults`, which nobody asked for by name.
    pub(super) fn limits(&self, defaults: &[Ulimit]) -> Vec<Limit> {
        let asked = |ulimit: &Ulimit| self.ulimits.iter().any(|u| u.resource == ulimit.resource);
        let mut limits: Vec<Limit> = defaults
            .iter()
            .filter(|ulimit| !asked(ulimit))
            .map(|&ulimit| Limit { ulimit, explicit: false })
            .collect();
        for &ulimit in &self.ulimits {
            limits.retain(|limit| limit.ulimit.resource != ulimit.resource);
            limits.push(Limit { ulimit, explicit: true });
        }
        limits
    }
}

impl From<NetworkMode> for NetworkNamespace {
    fn from(mode: NetworkMode) -> Self {
        match mode {
            NetworkMode::None => Self::Isolated,
            NetworkMode::Host => Self::Host,
        }
    }
}

/// Of a container that was made before there was a choice.
fn shm_size() -> u64 {
    SHM_SIZE
}

/// A container, asked for. As JSON it is what a kept container remembers, so
/// that it can be started again: the values of options stand there in the form
/// in which they are typed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerRequest {
    /// What it stands on, with its config.
    pub rootfs: Rootfs,
    /// Which image of the name, where it has several.
    #[serde(default)]
    pub platform: Option<Platform>,
    /// Commands in order of preference: the first whose program is there.
    pub commands: Vec<Vec<String>>,
    /// How many words of the first one are its entrypoint.
    #[serde(default)]
    pub entrypoint: usize,
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
    #[serde(with = "text")]
    pub user: UserSpec,
    /// What is mounted beside the system's own.
    pub mounts: Vec<MountRequest>,
    /// Which of them are other containers', too.
    #[serde(default)]
    pub inherited: Inherited,
    /// The host name; the short container ID if `None`.
    #[serde(with = "text::optional")]
    pub hostname: Option<Hostname>,
    /// The network; whose, where it is joined, is [`IsolationOptions::network_of`].
    pub network: NetworkNamespace,
    /// Stdio.
    pub terminal: Terminal,
    /// Whether its input, if it has any, goes on when a client has no more:
    /// docker's rule for one that was made in the background.
    #[serde(default)]
    pub input_stays_open: bool,
    /// Whether an init is PID 1.
    pub init: bool,
    /// Whether the root is read-only.
    pub read_only: bool,
    /// Limits.
    pub limits: Vec<Limit>,
    /// What it may use of the host, by its cgroup.
    #[serde(default)]
    pub resources: Resources,
    /// Bytes of `/dev/shm`.
    #[serde(default = "shm_size")]
    pub shm_size: u64,
    /// The bounding set.
    pub capabilities: CapabilitySet,
    /// Filter and masks.
    #[serde(with = "text::security")]
    pub security: SecurityOptions,
    /// Names, settings, namespaces and devices; an older envbox kept none.
    #[serde(default)]
    pub isolation: IsolationOptions,
    /// How its health is probed, if it is.
    #[serde(default)]
    pub health: Option<HealthCheck>,
    /// The same as it was asked for, docker's form: what nobody said is 0, and
    /// what is not probed may be said as well.
    #[serde(default)]
    pub healthcheck: Option<Healthcheck>,
    /// The name under which it is kept, or that it shows while it runs.
    pub name: Option<ContainerName>,
    /// Whether it is kept after its end.
    pub keep: bool,
    /// Descriptors that the program gets under their own numbers; they mean
    /// nothing to another command.
    #[serde(skip)]
    pub keep_descriptors: Vec<i32>,
}
