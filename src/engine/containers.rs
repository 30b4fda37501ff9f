//! Containers that run and containers that are kept: what `ps` lists.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::fs::Timestamp;
use crate::id::{ContainerId, ContainerName};
use crate::store::ContainerRecord;

use super::Engine;
use super::lifecycle::KeptSpec;
use super::running::{self, Running};

/// The status of a container whose monitor was killed before it could note
/// one: its processes were killed with it.
pub(super) const KILLED: i32 = 137;

/// What a container does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContainerStatus {
    /// It was made and not started.
    Created,
    /// It runs, since then.
    Running(Timestamp),
    /// It ended with this status; `None` if nobody saw when.
    Exited(i32, Option<Timestamp>),
}

/// A container in a list.
#[derive(Clone, Debug)]
pub struct ContainerSummary {
    /// Its ID.
    pub id: ContainerId,
    /// Its name.
    pub name: ContainerName,
    /// Its image, as it was asked for, or the directory that it stands on.
    pub image: String,
    /// The command with its arguments.
    pub command: Vec<String>,
    /// When it was made.
    pub created: Timestamp,
    /// What it does.
    pub status: ContainerStatus,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Whether it goes when it ends.
    pub auto_remove: bool,
}

impl Engine {
    /// All containers, the newest first: those that run, and those that are
    /// kept.
    ///
    /// # Errors
    /// Those of the store and of the run directory.
    pub fn containers(&self) -> Result<Vec<ContainerSummary>> {
        let mut running: BTreeMap<ContainerId, Running> = running::list(&self.settings.store.run)?
            .into_iter()
            .map(|running| (running.id.clone(), running))
            .collect();
        let kept = match self.existing_store()? {
            Some(store) => store.containers()?,
            None => Vec::new(),
        };
        let mut all: Vec<ContainerSummary> = kept
            .into_iter()
            .map(|record| {
                let alive = running.remove(&record.id);
                of_record(record, alive)
            })
            .collect();
        all.extend(running.into_values().map(of_running));
        self.remove_orphans(&mut all);
        all.sort_by_key(|container| std::cmp::Reverse(container.created));
        Ok(all)
    }
}

/// What a list tells of a kept container, and of it running if it does.
pub(super) fn of_record(record: ContainerRecord, running: Option<Running>) -> ContainerSummary {
    let spec = KeptSpec::of(&record);
    let state = record.state;
    let status = match (running, state.started_at) {
        (Some(running), _) => ContainerStatus::Running(Timestamp::from_seconds(running.started)),
        (None, None) => ContainerStatus::Created,
        (None, Some(_)) => {
            ContainerStatus::Exited(state.exit_code.unwrap_or(KILLED), state.finished_at)
        }
    };
    ContainerSummary {
        image: if spec.image.is_empty() { record.image.to_string() } else { spec.image },
        command: spec.command,
        id: record.id,
        name: record.name,
        created: record.created_at,
        status,
        labels: spec.labels,
        auto_remove: spec.auto_remove,
    }
}

/// What a list tells of a container that goes when it ends.
pub(super) fn of_running(running: Running) -> ContainerSummary {
    let since = Timestamp::from_seconds(running.started);
    ContainerSummary {
        id: running.id,
        name: running.name,
        image: running.image_name,
        command: running.command,
        created: since,
        status: ContainerStatus::Running(since),
        labels: running.labels,
        auto_remove: true,
    }
}
