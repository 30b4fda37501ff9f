//! What can be typed. Values become types of the engine's here.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::engine::options::environment::EnvironmentOption;
use crate::engine::options::hostname::Hostname;
use crate::engine::options::mount::{MountOption, ShellMount, parse_tmpfs, parse_volume};
use crate::engine::options::network::NetworkMode;
use crate::engine::options::user::UserSpec;
use crate::platform::Platform;
use crate::reference::ImageRef;

/// Opens reproducible build shells in root filesystems, without a daemon, as
/// root or as an ordinary user.
#[derive(Debug, Parser)]
#[command(name = "envbox", version, arg_required_else_help = true, max_term_width = 100)]
pub(super) struct Arguments {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Args, Debug)]
pub(super) struct Global {
    /// Where the store lies [env: ENVBOX_ROOT]
    #[arg(long, value_name = "DIRECTORY")]
    pub root: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Make an image of a root filesystem: a directory or a tar
    Import(Box<Import>),
    /// List the images
    Images(Images),
    /// Open a build shell in an image or a root filesystem
    Shell(Box<Shell>),
    /// Show the profiles of shells
    #[command(subcommand)]
    Profile(ProfileVerb),
}

/// Makes an image of SOURCE and prints its ID. The same tree gives the same ID
/// on every machine, from a directory or a tar of it.
#[derive(Args, Debug)]
pub(super) struct Import {
    /// A directory, a tar file (plain, gzip, bzip2, xz, zstd), or - for stdin
    pub source: String,
    /// The image's name
    pub reference: Option<ImageRef>,
    /// Leave out what matches, by the rules of tar --exclude
    #[arg(long, value_name = "PATTERN")]
    pub exclude: Vec<String>,
    /// Apply a Dockerfile instruction to the image's configuration
    #[arg(short, long, value_name = "INSTRUCTION")]
    pub change: Vec<String>,
    /// The message of the image's history
    #[arg(short, long, value_name = "TEXT")]
    pub message: Option<String>,
    /// Who made it
    #[arg(long, value_name = "NAME")]
    pub author: Option<String>,
    /// What it is for; told by its programs otherwise
    #[arg(long, value_name = "OS/ARCH")]
    pub platform: Option<Platform>,
    /// The profile whose rules apply; the image remembers it
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
}

#[derive(Args, Debug)]
pub(super) struct Images {
    /// Print the IDs alone
    #[arg(short, long)]
    pub quiet: bool,
    /// Print whole IDs
    #[arg(long)]
    pub no_trunc: bool,
}

/// Opens a shell in ROOTFS, an image or a directory. The directory stays as it is: what
/// the shell changes in it is thrown away at the end. The directory given by
/// --mount is the caller's own, and so is what is written there.
#[derive(Args, Debug)]
#[command(
    after_help = "Exit status: the command's own; 128+N if signal N ended it; 125 if envbox \
    failed,\n126 if the command cannot be executed, 127 if it is not there."
)]
pub(super) struct Shell {
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
pub(super) enum ProfileVerb {
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
