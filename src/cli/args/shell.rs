//! What can be typed after `envbox shell` and `envbox profile`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::engine::options::environment::EnvironmentOption;
use crate::engine::options::hostname::Hostname;
use crate::engine::options::mount::{MountOption, ShellMount, parse_tmpfs, parse_volume};
use crate::engine::options::network::NetworkMode;
use crate::engine::options::user::UserSpec;

/// Opens a shell in ROOTFS, an image or a directory. The directory stays as it is: what
/// the shell changes in it is thrown away at the end. The directory given by
/// --mount is the caller's own, and so is what is written there.
#[derive(Args, Debug)]
#[command(
    after_help = "Exit status: the command's own; 128+N if signal N ended it; 125 if envbox \
    failed,\n126 if the command cannot be executed, 127 if it is not there."
)]
pub(in crate::cli) struct Shell {
    /// An image, or (with a slash) the directory that holds bin, etc and usr
    #[arg(value_name = "ROOTFS")]
    pub target: String,
    /// The command, instead of the profile's shell
    #[arg(value_name = "COMMAND", last = true)]
    pub command: Vec<String>,
    /// Mount this directory where the profile builds (/builddir), or any
    /// mount in the form type=bind,source=...,target=...
    #[arg(long, value_name = "DIRECTORY")]
    pub mount: Vec<ShellMount>,
    /// Bind SOURCE:TARGET[:OPTIONS]
    #[arg(short, long, value_name = "MOUNT", value_parser = parse_volume)]
    pub volume: Vec<MountOption>,
    /// Mount an empty file system in memory: TARGET[:OPTIONS]
    #[arg(long, value_name = "MOUNT", value_parser = parse_tmpfs)]
    pub tmpfs: Vec<MountOption>,
    /// Set NAME=VALUE, or pass the caller's NAME on
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    pub env: Vec<EnvironmentOption>,
    /// Start here instead of in the builddir
    #[arg(short, long, value_name = "DIRECTORY")]
    pub workdir: Option<PathBuf>,
    /// Run as this user: NAME|UID[:GROUP|GID]
    #[arg(short, long, value_name = "USER")]
    pub user: Option<UserSpec>,
    /// The network: none or host
    #[arg(long, value_name = "NETWORK")]
    pub network: Option<NetworkMode>,
    /// The host name inside
    #[arg(long, value_name = "NAME")]
    pub hostname: Option<Hostname>,
    /// The profile of defaults
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Run this line by the profile's shell
    #[arg(short = 'c', value_name = "LINE", conflicts_with = "command")]
    pub line: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ProfileVerb {
    /// List the profiles
    Ls,
    /// Print a profile with all that it inherits
    Show {
        /// Its name
        name: String,
        /// toml or json
        #[arg(long, default_value = "toml", value_parser = ["toml", "json"])]
        format: String,
    },
    /// Check the file of a profile
    Validate {
        /// The file
        file: PathBuf,
    },
}
