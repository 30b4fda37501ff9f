//! What can be typed after the verbs on containers, and the options that
//! every verb has which starts one.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::engine::ContainerOptions;
use crate::engine::options::environment::EnvironmentOption;
use crate::engine::options::hostname::Hostname;
use crate::engine::options::mount::{MountOption, parse_mount, parse_tmpfs, parse_volume};
use crate::engine::options::network::NetworkMode;
use crate::engine::options::security::SecurityOption;
use crate::engine::options::ulimit::Ulimit;
use crate::engine::options::user::UserSpec;
use crate::id::ContainerName;
use crate::runtime::capability::Selection;

use super::exec::{Exec, Top};
use super::image::{Export, InspectFormatFlag};

/// The verbs on containers as docker groups them.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ContainerVerb {
    Run(Box<Run>),
    Exec(Exec),
    Top(Top),
    #[command(visible_aliases = ["list", "ps"])]
    Ls(Ps),
    #[command(visible_alias = "remove")]
    Rm(Rm),
    Inspect(ContainerInspect),
    Export(Export),
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

/// The options that `run` and `shell` share.
#[derive(Args, Debug)]
pub(in crate::cli) struct Container {
    /// Bind SOURCE:TARGET[:OPTIONS]
    #[arg(short, long, value_name = "MOUNT", value_parser = parse_volume)]
    pub volume: Vec<MountOption>,
    /// Mount an empty file system in memory: TARGET[:OPTIONS]
    #[arg(long, value_name = "MOUNT", value_parser = parse_tmpfs)]
    pub tmpfs: Vec<MountOption>,
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
    /// The network: none or host
    #[arg(long, visible_alias = "net", value_name = "NETWORK")]
    pub network: Option<NetworkMode>,
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
}

impl Container {
    /// The engine's form, with the host name that each verb spells its own
    /// way.
    pub fn into_options(self, hostname: Option<Hostname>) -> ContainerOptions {
        ContainerOptions {
            environment_files: self.env_file,
            environment: self.env,
            working_directory: self.workdir,
            user: self.user,
            mounts: self.volume.into_iter().chain(self.tmpfs).collect(),
            network: self.network,
            hostname,
            read_only: self.read_only,
            ulimits: self.ulimit,
            added_capabilities: self.cap_add,
            dropped_capabilities: self.cap_drop,
            security: self.security_opt.into_iter().collect(),
        }
    }
}

/// Run a command in a new container
///
/// Runs a command in a new container of IMAGE, and stays until it ends.
#[derive(Args, Debug)]
#[command(
    disable_help_flag = true,
    override_usage = "envbox run [OPTIONS] IMAGE [COMMAND] [ARG]...",
    after_help = super::EXIT_STATUS
)]
pub(in crate::cli) struct Run {
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
    /// Mount type=bind|tmpfs,source=...,target=...[,readonly]
    #[arg(long, value_name = "MOUNT", value_parser = parse_mount)]
    pub mount: Vec<MountOption>,
    #[command(flatten)]
    pub container: Container,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    pub help: Option<bool>,
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
    /// json, table, table TEMPLATE or TEMPLATE (Go's, as in docker ps)
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,
}

/// Remove containers that have ended
#[derive(Args, Debug)]
pub(in crate::cli) struct Rm {
    /// Names or IDs
    #[arg(value_name = "CONTAINER", required = true)]
    pub containers: Vec<String>,
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
        assert!(parsed.rm && parsed.interactive && parsed.tty);
        assert_eq!(parsed.words, ["img", "ls", "-l", "--rm", "--"]);
        assert_eq!(run(&["img", "-e", "B"]).words, ["img", "-e", "B"]);
        assert!(Arguments::try_parse_from(["envbox", "run", "--nonsense", "img"]).is_err());
        assert!(Arguments::try_parse_from(["envbox", "run"]).is_err());
    }
}
