//! What the file of a container says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::ImageId;
use crate::id::{ContainerId, ContainerName};
use crate::runtime::join::ProcessId;
use crate::runtime::spec::ProcessSpec;
use crate::store::SpecText;

use super::super::options::signal::Signal;

/// What a container does whose file names a process, or did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activity {
    /// It runs, or is about to.
    #[default]
    Runs,
    /// Its processes stand still.
    Paused,
    /// It has ended, and is to be started again.
    Restarts,
}

/// A container that runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Running {
    /// Its ID.
    pub id: ContainerId,
    /// Its name.
    pub name: ContainerName,
    /// Its image, if it stands on one.
    pub image: Option<ImageId>,
    /// What `ps` shows as its image.
    pub image_name: String,
    /// The command with its arguments.
    pub command: Vec<String>,
    /// Seconds since 1970.
    pub started: i64,
    /// Its first process, by its number outside; none until that runs. The
    /// number is not used again for as long as the file is locked.
    #[serde(default)]
    pub pid: Option<u32>,
    /// What it does.
    #[serde(default)]
    pub activity: Activity,
    /// Whether its health is checked.
    #[serde(default)]
    pub is_checked: bool,
    /// When that process started: see [`ProcessId`].
    #[serde(default)]
    pub pid_start: Option<u64>,
    /// The program and what it may do: another one that is run beside it may do
    /// the same.
    #[serde(default)]
    pub process: Option<ProcessSpec>,
    /// Its labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// The number of the signal that stops it, if not SIGTERM's.
    #[serde(default)]
    pub stop_signal: Option<i32>,
    /// How long it is given then, in seconds; negative for ever.
    #[serde(default)]
    pub stop_timeout: Option<i64>,
    /// What was asked for, as the record of a kept one has it; none for those.
    #[serde(default)]
    pub spec: Option<SpecText>,
}

impl Running {
    /// The first process; none until it runs.
    pub(in crate::engine) fn first_process(&self) -> Option<ProcessId> {
        Some(ProcessId { pid: self.pid?, start: self.pid_start? })
    }

    /// What stops it.
    pub(in crate::engine) fn stop_signal(&self) -> Signal {
        let own = self.stop_signal.and_then(|number| number.to_string().parse().ok());
        own.unwrap_or(Signal::TERM)
    }

    /// Whether it has come up: it runs, or is to run again.
    pub(in crate::engine) fn is_up(&self) -> bool {
        self.pid.is_some() || self.activity == Activity::Restarts
    }
}
