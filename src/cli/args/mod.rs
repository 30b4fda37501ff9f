//! What can be typed. Values become types of the engine's here. One file for
//! the verbs of a kind; their work is in `command`.

pub(super) mod container;
pub(super) mod image;
mod image_filter;
pub(super) mod import;
pub(super) mod shell;
mod until;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use container::{ContainerVerb, Ps, Rm, Run};
use image::{Export, ImageVerb, Images, Inspect, RemoveImages, Save, Tag};
use import::Import;
use shell::{Init, ProfileVerb, Shell};

const COMPLETION_HELP: &str = "For bash:  envbox completion bash \
    >~/.local/share/bash-completion/completions/envbox\n\
    For zsh:   envbox completion zsh >DIRECTORY/_envbox, a DIRECTORY of $fpath\n\
    For fish:  envbox completion fish >~/.config/fish/completions/envbox.fish";

/// The statuses of the verbs that run something (docker run).
const EXIT_STATUS: &str = "Exit status: the command's own; 128+N if signal N ended it; 125 if \
    envbox failed,\n126 if the command cannot be executed, 127 if it is not there.";

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
    Import(Box<Import>),
    Images(Images),
    Tag(Tag),
    Rmi(RemoveImages),
    Inspect(Inspect),
    Save(Save),
    Export(Export),
    /// Work with images
    #[command(subcommand)]
    Image(ImageVerb),
    /// Work with containers
    #[command(subcommand)]
    Container(ContainerVerb),
    Shell(Box<Shell>),
    Run(Box<Run>),
    Ps(Ps),
    Rm(Rm),
    Init(Init),
    /// Show the profiles of shells
    #[command(subcommand)]
    Profile(ProfileVerb),
    /// Print the completions for a shell
    #[command(after_help = COMPLETION_HELP)]
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages
    Manual {
        /// Where to
        directory: PathBuf,
    },
}
