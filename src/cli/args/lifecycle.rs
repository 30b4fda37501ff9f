//! What can be typed after the verbs on containers that exist.

use clap::Args;

use crate::engine::options::signal::Signal;
use crate::id::ContainerName;

use super::attach::ClientFlags;

/// Start containers
///
/// Starts containers that are made or have ended, and prints their names.
#[derive(Args, Debug)]
pub(in crate::cli) struct Start {
    /// Names or IDs
    #[arg(value_name = "CONTAINER", required = true)]
    pub containers: Vec<String>,
    /// Show the output, forward signals, and end with the container's status
    #[arg(short, long)]
    pub attach: bool,
    /// As -a, and let the command read stdin
    #[arg(short, long)]
    pub interactive: bool,
    #[command(flatten)]
    pub client: ClientFlags,
}

/// Stop containers that run
///
/// Sends the container's signal, then SIGKILL when its time is up; returns as
/// soon as it has ended.
#[derive(Args, Debug)]
pub(in crate::cli) struct Stop {
    /// Names or IDs
    #[arg(value_name = "CONTAINER", required = true)]
    pub containers: Vec<String>,
    #[command(flatten)]
    pub how: How,
}

/// Stop containers and start them again
#[derive(Args, Debug)]
pub(in crate::cli) struct Restart {
    /// Names or IDs
    #[arg(value_name = "CONTAINER", required = true)]
    pub containers: Vec<String>,
    #[command(flatten)]
    pub how: How,
}

/// How `stop` and `restart` end a container.
#[derive(Args, Debug)]
pub(in crate::cli) struct How {
    /// Kill it after so many seconds; -1 for never
    #[arg(
        short,
        long,
        visible_alias = "timeout",
        value_name = "SECONDS",
        allow_negative_numbers = true
    )]
    pub time: Option<i64>,
    /// Send this signal first
    #[arg(short, long, value_name = "SIGNAL")]
    pub signal: Option<Signal>,
}

/// Send a signal to containers that run
#[derive(Args, Debug)]
pub(in crate::cli) struct Kill {
    /// Names or IDs
    #[arg(value_name = "CONTAINER", required = true)]
    pub containers: Vec<String>,
    /// The signal, by name or number
    #[arg(short, long, value_name = "SIGNAL", default_value_t = Signal::KILL)]
    pub signal: Signal,
}

/// Let the processes of containers stand still
///
/// They go on with envbox unpause, or when the container is stopped.
#[derive(Args, Debug)]
pub(in crate::cli) struct Pause {
    /// Names or IDs
    #[arg(value_name = "CONTAINER", required = true)]
    pub containers: Vec<String>,
}

/// Let the processes of containers go on
#[derive(Args, Debug)]
pub(in crate::cli) struct Unpause {
    /// Names or IDs
    #[arg(value_name = "CONTAINER", required = true)]
    pub containers: Vec<String>,
}

/// Wait until containers have ended, and print their exit statuses
#[derive(Args, Debug)]
pub(in crate::cli) struct Wait {
    /// Names or IDs
    #[arg(value_name = "CONTAINER", required = true)]
    pub containers: Vec<String>,
}

/// Give a container another name
#[derive(Args, Debug)]
pub(in crate::cli) struct Rename {
    /// Its name or ID
    pub container: String,
    /// The new name
    pub name: ContainerName,
}

/// Remove containers
#[derive(Args, Debug)]
pub(in crate::cli) struct Rm {
    /// Names or IDs
    #[arg(value_name = "CONTAINER", required = true)]
    pub containers: Vec<String>,
    /// Kill those that run; what is missing is no error
    #[arg(short, long)]
    pub force: bool,
    /// Remove the volumes that were made for them alone, without a name, too
    #[arg(short, long)]
    pub volumes: bool,
}
