//! What can be typed after `envbox shell`, `envbox init` and `envbox
//! profile`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::engine::options::hostname::Hostname;
use crate::engine::options::mount::ShellMount;
use crate::engine::options::network::NetworkMode;
use crate::id::ContainerName;
use crate::platform::Platform;

use super::container::Container;

/// Open a build shell in an image or a root filesystem
///
/// Opens a shell in ROOTFS, an image or a directory; without one, in the image
/// that envbox.toml names, here or in a folder above. The root filesystem
/// stays as it is: what the shell changes in it is thrown away at the end. The
/// directory given by --mount is the caller's own, and so is what is written
/// there.
// Its -c is the shell's own.
#[derive(Args, Debug)]
#[command(
    after_help = super::EXIT_STATUS,
    mut_arg("cpu_shares", |argument| argument.short(None))
)]
pub(in crate::cli) struct Shell {
    /// An image, or (beginning with / or .) the directory that holds bin, etc
    /// and usr
    #[arg(value_name = "ROOTFS")]
    pub target: Option<String>,
    /// The command, instead of the profile's shell
    #[arg(value_name = "COMMAND", last = true)]
    pub command: Vec<String>,
    /// Mount this directory where the profile builds (/builddir), or any
    /// mount in the form type=bind,source=...,target=...
    #[arg(long, value_name = "DIRECTORY")]
    pub mount: Vec<ShellMount>,
    /// Run this line by the profile's shell
    #[arg(short = 'c', value_name = "LINE", conflicts_with = "command")]
    pub line: Option<String>,
    /// The image of the name for this platform: OS/ARCHITECTURE[/VARIANT]
    #[arg(long, value_name = "PLATFORM")]
    pub platform: Option<Platform>,
    /// The profile of defaults
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Keep the container under this name: see envbox ps -a
    #[arg(long, value_name = "NAME")]
    pub keep: Option<ContainerName>,
    /// The host name inside
    #[arg(long, value_name = "NAME")]
    pub hostname: Option<Hostname>,
    #[command(flatten)]
    pub container: Container,
}

/// Write the envbox.toml of a project
///
/// Writes envbox.toml into this directory, so that a bare `envbox shell` works
/// here and below. Asks for what is not given if there is a terminal.
#[derive(Args, Debug)]
pub(in crate::cli) struct Init {
    /// The image
    #[arg(value_name = "IMAGE")]
    pub image: Option<String>,
    /// The profile; chosen by the image without it
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Mount as `shell --mount`; a directory other than this one goes to the
    /// builddir
    #[arg(long, value_name = "MOUNT")]
    pub mount: Vec<ShellMount>,
    /// The network: none or host
    #[arg(long, value_name = "NETWORK")]
    pub network: Option<NetworkMode>,
    /// Name the image by its digest, so that it can never be another one
    #[arg(long)]
    pub pin: bool,
    /// Replace the file if there is one
    #[arg(short, long)]
    pub force: bool,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ProfileVerb {
    /// List the profiles
    #[command(visible_alias = "list")]
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
