//! Containers that run and containers that are kept: what `ps` lists, and how
//! a kept one is removed.

use std::collections::BTreeMap;

use crate::error::{Error, Kind, Result};
use crate::fs::Timestamp;
use crate::id::{ContainerId, ContainerName};
use crate::store::ContainerRecord;

use super::running::{self, Running};
use super::{Engine, OwnVolumes};

/// The status of a container whose monitor was killed before it could note
/// one: its processes were killed with it.
const KILLED: i32 = 137;

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
        all.sort_by_key(|container| std::cmp::Reverse(container.created));
        Ok(all)
    }

    /// Removes the kept container `name` (a name, an ID or the beginning of
    /// one); what it is called in the answer is what was asked for.
    ///
    /// # Errors
    /// `NotFound`; `InUse` while it runs.
    pub fn remove_container(&self, name: &str, volumes: OwnVolumes) -> Result<()> {
        let store = self.store()?;
        let running = running::list(&self.settings.store.run)?;
        let found = match store.container(name) {
            Ok(found) => found.id,
            Err(error) if error.kind() == Kind::NotFound => {
                let named = |running: &&Running| {
                    running.name.as_str() == name || running.id.as_str().starts_with(name)
                };
                match running.iter().find(named) {
                    Some(running) if !name.is_empty() => running.id.clone(),
                    _ => return Err(error),
                }
            }
            Err(error) => return Err(error),
        };
        if running.iter().any(|running| running.id == found) {
            return Err(Error::new(
                Kind::InUse,
                format!("cannot remove container {name:?}: it is running"),
            )
            .hint("end its program first"));
        }
        if volumes == OwnVolumes::Removed {
            store.release_container_volumes(&found)?;
        }
        store.remove_container(&found)
    }
}

/// What a list tells of a kept container, and of it running if it does.
pub(super) fn of_record(record: ContainerRecord, running: Option<Running>) -> ContainerSummary {
    let text = |key: &str| record.spec.get(key).and_then(serde_json::Value::as_str);
    let words = record.spec.get("command").and_then(serde_json::Value::as_array);
    let words = words.into_iter().flatten().filter_map(serde_json::Value::as_str);
    let state = record.state;
    let status = match (running, state.started_at) {
        (Some(running), _) => ContainerStatus::Running(Timestamp::from_seconds(running.started)),
        (None, None) => ContainerStatus::Created,
        (None, Some(_)) => {
            ContainerStatus::Exited(state.exit_code.unwrap_or(KILLED), state.finished_at)
        }
    };
    ContainerSummary {
        image: text("image").map_or_else(|| record.image.to_string(), str::to_owned),
        command: words.map(str::to_owned).collect(),
        id: record.id,
        name: record.name,
        created: record.created_at,
        status,
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
    }
}
