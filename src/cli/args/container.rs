//! What can be typed after the verbs on containers, and the options that
//! every verb has which starts one.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::engine::options::environment::EnvironmentOption;
use crate::engine::options::hostname::Hostname;
use crate::engine::options::isolation::IsolationOptions;
use crate::engine::options::log::{LogDriver, LogOption};
use crate::engine::options::mount::{MountOption, parse_mount, parse_tmpfs, parse_volume};
use crate::engine::options::namespace::Neighbor;
use crate::engine::options::network::{NetworkMode, NetworkOption};
use crate::engine::options::pull::PullPolicy;
use crate::engine::options::restart::RestartPolicy;
use crate::engine::options::security::SecurityOption;
use crate::engine::options::signal::Signal;
use crate::engine::options::ulimit::Ulimit;
use crate::engine::options::user::UserSpec;
use crate::engine::{ContainerFilter, ContainerOptions, Label, VolumesFrom};
use crate::error::{Error, Result};
use crate::id::ContainerName;
use crate::platform::Platform;
use crate::runtime::capability::Selection;

use super::attach::{Attach, ClientFlags};
use super::commit::Commit;
use super::container_filter::parse_ps_filter;
use super::copy::{Copy, Diff};
use super::exec::{Exec, Top};
use super::health::Health;
use super::image::{Export, InspectFormatFlag};
use super::isolation::Isolation;
use super::lifecycle::{Kill, Pause, Rename, Restart, Rm, Start, Stop, Unpause, Wait};
use super::logs::Logs;
use super::prune::ContainerPrune;
use super::resources::NewResources;
use super::stats::Stats;
use super::update::Update;

/// The verbs on containers as docker groups them.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ContainerVerb {
    Run(Box<Run>),
    Attach(Attach),
    Exec(Exec),
    Top(Top),
    Stats(Stats),
    Create(Box<Create>),
    Start(Start),
    Stop(Stop),
    Restart(Restart),
    Kill(Kill),
    Pause(Pause),
    Unpause(Unpause),
    Wait(Wait),
    Rename(Rename),
    Update(Update),
    #[command(visible_aliases = ["list", "ps"])]
    Ls(Ps),
    #[command(visible_alias = "remove")]
    Rm(Rm),
    Prune(ContainerPrune),
    Inspect(ContainerInspect),
    Logs(Logs),
    Export(Export),
    Cp(Copy),
    Diff(Diff),
    Commit(Commit),
    Port(Port),
}

/// Show details of containers
#[derive(Args, Debug)]
pub(in crate::cli) struct ContainerInspect {
    /// Names or IDs
    #[arg(value_name = "CONTAINER", required = true)]
    pub containers: Vec<String>,
    /// Show the sizes of their files as well
    #[arg(short, long)]
    pub size: bool,
    #[command(flatten)]
    pub format: InspectFormatFlag,
}

/// How a program in a container is started, by whichever verb.
#[derive(Args, Debug)]
pub(in crate::cli) struct Process {
    /// Set NAME=VALUE, or pass the caller's NAME on
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    pub env: Vec<EnvironmentOption>,
    /// Read such lines from a file
    #[arg(long, value_name = "FILE")]
    pub env_file: Vec<PathBuf>,
    /// Start in this directory
    #[arg(short, long, value_name = "DIRECTORY")]
    pub workdir: Option<PathBuf>,
    /// Run as this user: NAME|UID[:GROUP|GID]
    #[arg(short, long, value_name = "USER")]
    pub user: Option<UserSpec>,
}

/// The options that `run` and `shell` share.
#[derive(Args, Debug)]
pub(in crate::cli) struct Container {
    /// Mount a directory or a volume: [SOURCE:]TARGET[:OPTIONS]
    #[arg(short, long, value_name = "MOUNT", value_parser = parse_volume)]
    pub volume: Vec<MountOption>,
    /// Mount an empty file system in memory: TARGET[:OPTIONS]
    #[arg(long, value_name = "MOUNT", value_parser = parse_tmpfs)]
    pub tmpfs: Vec<MountOption>,
    #[command(flatten)]
    pub process: Process,
    /// The network: none, host, or of run and create container:NAME
    #[arg(long, visible_alias = "net", value_name = "NETWORK")]
    pub network: Option<NetworkOption>,
    /// Let nothing be written outside of mounts
    #[arg(long)]
    pub read_only: bool,
    /// Limit a resource: NAME=SOFT[:HARD], as in nofile=1024:4096
    #[arg(long, value_name = "LIMIT")]
    pub ulimit: Vec<Ulimit>,
    /// Give a capability, or ALL
    #[arg(long, value_name = "CAPABILITY", value_parser = Selection::parse)]
    pub cap_add: Vec<Selection>,
    /// Take a capability away, or ALL
    #[arg(long, value_name = "CAPABILITY", value_parser = Selection::parse)]
    pub cap_drop: Vec<Selection>,
    /// seccomp=unconfined|FILE, no-new-privileges, systempaths=unconfined
    #[arg(long, value_name = "OPTION")]
    pub security_opt: Vec<SecurityOption>,
    #[command(flatten)]
    pub resources: NewResources,
}

impl Container {
    /// Whose network it shares.
    pub fn neighbor(&self) -> Option<&Neighbor> {
        match &self.network {
            Some(NetworkOption::Container(neighbor)) => Some(neighbor),
            _ => None,
        }
    }

    fn network_mode(&self) -> Option<NetworkMode> {
        match &self.network {
            Some(NetworkOption::Mode(mode)) => Some(*mode),
            _ => None,
        }
    }

    /// The engine's form, with the host name that each verb spells its own
    /// way.
    pub fn into_options(self, hostname: Option<Hostname>) -> ContainerOptions {
        let network = self.network_mode();
        ContainerOptions {
            environment_files: self.process.env_file,
            environment: self.process.env,
            working_directory: self.process.workdir,
            user: self.process.user,
            mounts: self.volume.into_iter().chain(self.tmpfs).collect(),
            network,
            hostname,
            read_only: self.read_only,
            ulimits: self.ulimit,
            shm_size: self.resources.shm_size,
            resources: self.resources.into_resources(),
            added_capabilities: self.cap_add,
            dropped_capabilities: self.cap_drop,
            security: self.security_opt.into_iter().collect(),
            isolation: IsolationOptions::default(),
        }
    }
}

/// What `run` and `create` can be told of a new container.
#[derive(Args, Debug)]
pub(in crate::cli) struct NewContainer {
    /// The image, then the command instead of the image's own
    #[arg(
        value_names = ["IMAGE", "COMMAND"],
        num_args = 1..,
        required = true,
        trailing_var_arg = true
    )]
    pub words: Vec<String>,
    /// Remove the container when it ends
    #[arg(long)]
    pub rm: bool,
    /// Let the command read stdin
    #[arg(short, long)]
    pub interactive: bool,
    /// Give the command a terminal
    #[arg(short, long)]
    pub tty: bool,
    /// Run this instead of the image's entrypoint; "" for none
    #[arg(long, value_name = "PROGRAM")]
    pub entrypoint: Option<String>,
    /// Run an init as process 1: it reaps orphans and forwards signals
    #[arg(long)]
    pub init: bool,
    /// The container's name
    #[arg(long, value_name = "NAME")]
    pub name: Option<ContainerName>,
    /// The host name inside; the container's short ID without it
    #[arg(short = 'h', long, value_name = "NAME")]
    pub hostname: Option<Hostname>,
    /// The image of the name for this platform: OS/ARCHITECTURE[/VARIANT]
    #[arg(long, value_name = "PLATFORM")]
    pub platform: Option<Platform>,
    /// Fetch the image before: missing or never; there are no registries
    #[arg(long, value_name = "WHEN")]
    pub pull: Option<PullPolicy>,
    /// Mount type=bind|volume|tmpfs,source=...,target=...[,readonly]
    #[arg(long, value_name = "MOUNT", value_parser = parse_mount)]
    pub mount: Vec<MountOption>,
    /// Mount what another container has mounted: CONTAINER[:ro|rw]
    #[arg(long, value_name = "CONTAINER")]
    pub volumes_from: Vec<VolumesFrom>,
    /// Give the container a label
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    pub label: Vec<Label>,
    /// Read labels from a file, one a line
    #[arg(long, value_name = "FILE")]
    pub label_file: Vec<PathBuf>,
    /// Write the container's ID to a new file
    #[arg(long, value_name = "FILE")]
    pub cidfile: Option<PathBuf>,
    /// What stop sends; the image's STOPSIGNAL or SIGTERM without it
    #[arg(long, value_name = "SIGNAL")]
    pub stop_signal: Option<Signal>,
    /// How long stop waits before it kills; 10 without it, -1 for ever
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    pub stop_timeout: Option<i64>,
    /// When it is started again: no, on-failure[:COUNT], always or
    /// unless-stopped
    #[arg(long, value_name = "POLICY", default_value = "no", hide_default_value = true)]
    pub restart: RestartPolicy,
    /// Where its output is kept: json-file, or none
    #[arg(long, value_name = "DRIVER", default_value = "json-file", hide_default_value = true)]
    pub log_driver: LogDriver,
    /// Limit its log: max-size=SIZE, max-file=NUMBER
    #[arg(long, value_name = "OPTION")]
    pub log_opt: Vec<LogOption>,
    #[command(flatten)]
    pub container: Container,
    #[command(flatten)]
    pub isolation: Isolation,
    #[command(flatten)]
    pub health: Health,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    pub help: Option<bool>,
}

/// Run a command in a new container
///
/// Runs a command in a new container of IMAGE, and stays until it ends; with -d
/// prints its ID and leaves it running.
#[derive(Args, Debug)]
#[command(
    disable_help_flag = true,
    override_usage = "envbox run [OPTIONS] IMAGE [COMMAND] [ARG]...",
    after_help = super::EXIT_STATUS
)]
pub(in crate::cli) struct Run {
    /// Leave it running, and print its ID
    #[arg(short, long)]
    pub detach: bool,
    #[command(flatten)]
    pub client: ClientFlags,
    #[command(flatten)]
    pub new: NewContainer,
}

/// Make a container that is not started
///
/// Makes a container of IMAGE and prints its ID; `envbox start` runs it.
#[derive(Args, Debug)]
#[command(
    disable_help_flag = true,
    override_usage = "envbox create [OPTIONS] IMAGE [COMMAND] [ARG]..."
)]
pub(in crate::cli) struct Create {
    #[command(flatten)]
    pub new: NewContainer,
}

/// List containers
///
/// Lists the containers that run; with -a those as well that have ended and are
/// kept.
#[derive(Args, Debug)]
pub(in crate::cli) struct Ps {
    /// List those that have ended as well
    #[arg(short, long)]
    pub all: bool,
    /// Print the IDs alone
    #[arg(short, long)]
    pub quiet: bool,
    /// Print whole IDs and commands
    #[arg(long)]
    pub no_trunc: bool,
    /// List the newest NUMBER, whatever they do
    #[arg(short = 'n', long, value_name = "NUMBER")]
    pub last: Option<usize>,
    /// List the newest, whatever it does
    #[arg(short, long)]
    pub latest: bool,
    /// Show the sizes of their files as well
    #[arg(short, long)]
    pub size: bool,
    /// Only containers of which this is true: id=, name=, label=NAME[=VALUE],
    /// status=, exited=STATUS, ancestor=IMAGE, before=, since=CONTAINER,
    /// volume=NAME|PATH, network=, health=
    #[arg(short, long, value_name = "FILTER", value_parser = parse_ps_filter)]
    pub filter: Vec<ContainerFilter>,
    /// json, table, table TEMPLATE or TEMPLATE (Go's, as in docker ps)
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,
}

/// List the ports of a container that the host forwards
///
/// Lists the ports of a container that the host forwards to it: without a
/// network of its own it has none.
#[derive(Args, Debug)]
pub(in crate::cli) struct Port {
    /// Its name or ID
    #[arg(value_name = "CONTAINER")]
    pub container: String,
    /// Only where this port of the container's is: PORT[/PROTOCOL]
    #[arg(value_name = "PORT", value_parser = parse_port)]
    pub port: Option<String>,
}

/// Checks a port of a container's; the protocol is tcp where none is given.
fn parse_port(text: &str) -> Result<String> {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let is_port = number.parse::<u16>().is_ok_and(|number| number > 0);
    if is_port && ["tcp", "udp", "sctp"].contains(&protocol) {
        return Ok(format!("{number}/{protocol}"));
    }
    Err(Error::invalid(format!("invalid port {text:?}")).hint("write it as 80, or as 53/udp"))
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use crate::cli::args::{Arguments, Verb};

    fn run(words: &[&str]) -> super::Run {
        let words = ["envbox", "run"].iter().chain(words);
        match Arguments::try_parse_from(words).unwrap().verb {
            Verb::Run(run) => *run,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn what_follows_the_image_is_the_commands() {
        let parsed = run(&["-it", "--rm", "-h", "x", "-e", "A=1", "img", "ls", "-l", "--rm", "--"]);
        let parsed = parsed.new;
        assert!(parsed.rm && parsed.interactive && parsed.tty);
        assert_eq!(parsed.words, ["img", "ls", "-l", "--rm", "--"]);
        assert_eq!(run(&["img", "-e", "B"]).new.words, ["img", "-e", "B"]);
        assert!(Arguments::try_parse_from(["envbox", "run", "--nonsense", "img"]).is_err());
        assert!(Arguments::try_parse_from(["envbox", "run"]).is_err());
    }
}
