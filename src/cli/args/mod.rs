//! What can be typed. Values become types of the engine's here. One file for
//! the verbs of a kind; their work is in `command`.

pub(super) mod image;
pub(super) mod import;
pub(super) mod shell;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use image::Images;
use import::Import;
use shell::{ProfileVerb, Shell};

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
