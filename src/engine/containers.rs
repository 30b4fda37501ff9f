//! Containers that run and containers that are kept: what `ps` lists.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Result;
use crate::fs::Timestamp;
use crate::id::{ContainerId, ContainerName};
use crate::monitor::HealthStatus;
use crate::store::ContainerRecord;

use super::Engine;
use super::held;
use super::lifecycle::KeptSpec;
use super::running::{self, Activity, Running};

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
    /// It runs since then, and its processes stand still.
    Paused(Timestamp),
    /// It ended with this status then, and is to be started again.
    Restarting(i32, Option<Timestamp>),
    /// It ended with this status; `None` if nobody saw when.
    Exited(i32, Option<Timestamp>),
}

impl ContainerStatus {
    /// docker: it has a process, or is to have one again.
    pub fn is_up(&self) -> bool {
        matches!(self, Self::Running(_) | Self::Paused(_) | Self::Restarting(..))
    }
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
    /// What its health is, if it runs and that is checked.
    pub health: Option<HealthStatus>,
}

impl Engine {
    /// All containers, the newest first: those that run, and those that are
    /// kept.
    ///
    /// # Errors
    /// Those of the store and of the run directory.
    pub fn containers(&self) -> Result<Vec<ContainerSummary>> {
        let (running, kept) = self.look(|| match self.existing_store()? {
            Some(store) => store.containers(),
            None => Ok(Vec::new()),
        })?;
        let mut running: BTreeMap<ContainerId, Running> =
            running.into_iter().map(|running| (running.id.clone(), running)).collect();
        let mut all: Vec<ContainerSummary> = kept
            .into_iter()
            .map(|record| {
                let alive = running.remove(&record.id);
                let health = alive.as_ref().map_or(Ok(None), |alive| self.health(alive))?;
                Ok(ContainerSummary { health, ..of_record(record, alive) })
            })
            .collect::<Result<_>>()?;
        for alive in running.into_values().filter(|found| found.pid.is_some()) {
            let health = self.health(&alive)?;
            all.push(ContainerSummary { health, ..of_running(alive) });
        }
        self.remove_orphans(&mut all);
        all.sort_by_key(|container| std::cmp::Reverse(container.created));
        Ok(all)
    }

    fn health(&self, alive: &Running) -> Result<Option<HealthStatus>> {
        if !alive.is_checked || alive.pid.is_none() {
            return Ok(None);
        }
        let health = running::health(&self.settings.store.run, &alive.id)?;
        Ok(health.map(|health| health.status))
    }

    /// Who is claimed or runs, and the records that `read` reads, as both were
    /// at one time: who is started between the two looks has a record that says
    /// so and no file, as one whose monitor was killed. Only the latter still
    /// has none when its record, read again, says the same. One whose file was
    /// taken away counts as claimed: its monitor holds its directory.
    ///
    /// # Errors
    /// Those of the run directory and of `read`.
    pub(super) fn look(
        &self,
        read: impl Fn() -> Result<Vec<ContainerRecord>>,
    ) -> Result<(Vec<Running>, Vec<ContainerRecord>)> {
        let look = || {
            let claimed = running::list_claimed(&self.settings.store.run)?;
            self.bury()?;
            Ok((claimed, read()?))
        };
        let (mut running, mut kept) = look()?;
        let mut missing = started_without_file(&running, &kept);
        while !missing.is_empty() {
            (running, kept) = look()?;
            let still = started_without_file(&running, &kept);
            if still == missing {
                break;
            }
            missing = still;
        }
        let ids: BTreeSet<&ContainerId> = missing.iter().map(|(id, _)| id).collect();
        for record in kept.iter().filter(|record| ids.contains(&record.id)) {
            if held::is_held(&self.store()?.container_path(&record.id))? {
                let spec = KeptSpec::of(record);
                running.push(spec.claimed((&record.id, &record.name), Some(record.image)));
            }
        }
        Ok((running, kept))
    }
}

fn started_without_file(
    running: &[Running],
    kept: &[ContainerRecord],
) -> Vec<(ContainerId, Option<Timestamp>)> {
    let files: BTreeSet<&ContainerId> = running.iter().map(|running| &running.id).collect();
    let started = |record: &&ContainerRecord| {
        record.state.started_at.is_some() && record.state.finished_at.is_none()
    };
    let missing = kept.iter().filter(started).filter(|record| !files.contains(&record.id));
    missing.map(|record| (record.id.clone(), record.state.started_at)).collect()
}

/// What a list tells of a kept container, and of it running if it does.
pub(super) fn of_record(record: ContainerRecord, running: Option<Running>) -> ContainerSummary {
    let spec = KeptSpec::of(&record);
    let state = &record.state;
    let ended = state.finished_at.is_some();
    let status = match (running, state.started_at) {
        (Some(Running { activity: Activity::Restarts, .. }), _) => {
            ContainerStatus::Restarting(state.exit_code.unwrap_or(KILLED), state.finished_at)
        }
        (Some(Running { pid: Some(_), started, activity, .. }), _) => up(started, activity),
        // Its monitor has noted the start, and is about to name the process.
        (Some(_), Some(started)) if !ended => ContainerStatus::Running(started),
        (_, None) => ContainerStatus::Created,
        (_, Some(_)) => {
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
        health: None,
    }
}

/// One that has a process.
fn up(started: i64, activity: Activity) -> ContainerStatus {
    let since = Timestamp::from_seconds(started);
    match activity {
        Activity::Paused => ContainerStatus::Paused(since),
        Activity::Runs | Activity::Restarts => ContainerStatus::Running(since),
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
        status: up(running.started, running.activity),
        labels: running.labels,
        auto_remove: true,
        health: None,
    }
}
