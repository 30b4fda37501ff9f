//! What can be typed. Values become types of the engine's here. One file for
//! the verbs of a kind; their work is in `command`.

pub(super) mod attach;
pub(super) mod commit;
pub(super) mod container;
mod container_filter;
pub(super) mod copy;
pub(super) mod disk_usage;
pub(super) mod events;
mod excludes;
pub(super) mod exec;
mod filter;
mod health;
pub(super) mod image;
pub(super) mod image_diff;
mod image_filter;
pub(super) mod import;
mod isolation;
pub(super) mod lifecycle;
pub(super) mod load;
pub(super) mod logs;
pub(super) mod prune;
pub(super) mod resources;
pub(super) mod save;
pub(super) mod shell;
pub(super) mod stats;
pub(super) mod system;
mod until;
pub(super) mod update;
pub(super) mod verify;
pub(super) mod volume;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::store::Driver;

use attach::Attach;
use commit::{Commit, History};
use container::{ContainerVerb, Create, Port, Ps, Run};
use copy::{Copy, Diff};
use events::Events;
use exec::{Exec, Top};
use image::{Export, ImageVerb, Images, Inspect, RemoveImages, Tag};
use import::Import;
use lifecycle::{Kill, Pause, Rename, Restart, Rm, Start, Stop, Unpause, Wait};
use load::Load;
use logs::Logs;
use save::Save;
use shell::{Init, ProfileVerb, Shell};
use stats::Stats;
use system::SystemVerb;
use update::Update;
use volume::VolumeVerb;

/// The most members of a tar, unless the user says more: the largest layers and
/// root filesystems that were seen have some hundred thousand, and what is
/// needed to index a layer grows with them.
const MAX_ENTRIES: u64 = 1_000_000;

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
    /// How new layers are kept: erofs, overlay or copy [env: ENVBOX_STORAGE_DRIVER]
    #[arg(long, value_name = "DRIVER")]
    pub storage_driver: Option<Driver>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    Import(Box<Import>),
    Images(Images),
    Tag(Tag),
    History(History),
    Rmi(RemoveImages),
    Inspect(Inspect),
    Save(Save),
    Load(Load),
    Export(Export),
    /// Work with images
    #[command(subcommand)]
    Image(ImageVerb),
    /// Work with containers
    #[command(subcommand)]
    Container(ContainerVerb),
    /// Work with volumes
    #[command(subcommand)]
    Volume(VolumeVerb),
    Shell(Box<Shell>),
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
    Ps(Ps),
    Rm(Rm),
    Logs(Logs),
    Cp(Copy),
    Diff(Diff),
    Commit(Commit),
    Port(Port),
    Events(Events),
    /// Work with the store and all containers as a whole
    #[command(subcommand)]
    System(SystemVerb),
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

/// The verb that was typed, also where the rest of the line is wrong.
pub(super) fn verb_of(arguments: &[OsString]) -> Option<String> {
    let lenient = Arguments::command().ignore_errors(true);
    let matches = lenient.try_get_matches_from(arguments).ok()?;
    matches.subcommand_name().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verb_is_known_whatever_is_wrong_with_the_rest() {
        let verb = |line: &str| {
            let words: Vec<OsString> = line.split(' ').map(Into::into).collect();
            verb_of(&words)
        };
        for line in [
            "envbox shell --no-such",
            "envbox shell --network",
            "envbox --root x shell --network what",
        ] {
            assert_eq!(verb(line).as_deref(), Some("shell"), "{line}");
        }
        assert_eq!(verb("envbox import a UPPER --no-such").as_deref(), Some("import"));
        assert_eq!(verb("envbox --root shell import"), Some("import".into()));
        assert_eq!(verb("envbox no-such"), None);
        assert_eq!(verb("envbox --no-such shell x"), None);
    }
}
