//! `rm`, `container prune` and `rename`.

use crate::error::{Error, Kind, Result};
use crate::id::{ContainerId, ContainerName};
use crate::store::ContainerRecord;

use super::super::options::signal::Signal;
use super::super::running::{self, Activity};
use super::super::{ContainerStatus, ContainerSummary, Engine, OwnVolumes};
use super::filter::ContainerFilter;
use super::kept::KeptSpec;

/// Whether a container that runs is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoveRunning {
    /// It is refused.
    Refuse,
    /// It is killed first.
    Kill,
}

/// What [`Engine::prune_containers`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrunedContainers {
    /// What was removed.
    pub ids: Vec<ContainerId>,
    /// What they had written, or what their copies held, in bytes.
    pub reclaimed: u64,
}

impl Engine {
    /// Removes the container `name` (a name, an ID or the beginning of one).
    ///
    /// # Errors
    /// `NotFound`; `InUse` while it runs and is not to be killed, or while
    /// somebody starts it.
    pub fn remove_container(
        &self,
        name: &str,
        running: RemoveRunning,
        volumes: OwnVolumes,
    ) -> Result<()> {
        self.host()?;
        let found = self.find_container(name)?;
        if let Some(alive) = &found.running {
            if running == RemoveRunning::Refuse {
                let what = match alive.activity {
                    Activity::Runs => "running",
                    Activity::Paused => "paused",
                    Activity::Restarts => "restarting",
                };
                return Err(Error::new(
                    Kind::InUse,
                    format!("cannot remove container {name:?}: it is {what}"),
                )
                .hint(format!("stop it first, or remove it by force: envbox rm -f {name}")));
            }
            match self.kill(found.id.as_str(), Signal::KILL) {
                Ok(()) => {}
                // It was quicker.
                Err(error) if matches!(error.kind(), Kind::InUse | Kind::NotFound) => {
                    running::wait_until_gone(&self.settings.store.run, &found.id)?;
                }
                Err(error) => return Err(error),
            }
        }
        let Some(record) = found.record else { return Ok(()) };
        let gone = match self.remove_record(&record, volumes) {
            // One that goes when it ends has gone with the kill.
            Err(error) if error.kind() == Kind::NotFound && found.running.is_some() => Ok(()),
            other => other,
        };
        gone.map_err(|error| match error.kind() {
            Kind::InUse => error.context(format!("cannot remove container {name:?}")),
            _ => error,
        })
    }

    fn remove_record(&self, record: &ContainerRecord, volumes: OwnVolumes) -> Result<()> {
        let claimed = match self.claim(record) {
            Err(error) if error.kind() == Kind::NotFound => {
                // Its folder was removed by hand: nobody can start it any more.
                let store = self.store()?;
                return match store.container(record.id.as_str()) {
                    Ok(record) => store.remove_container(&record.id),
                    Err(_) => Err(error),
                };
            }
            claimed => claimed,
        };
        let (claim, record) = claimed?;
        let removed = self.store().and_then(|store| {
            if volumes == OwnVolumes::Removed {
                store.release_container_volumes(&record.id)?;
            }
            store.remove_container(&record.id)
        });
        claim.remove().and(removed)
    }

    /// Removes every container that does not run and for which `filters` hold.
    /// One that somebody starts meanwhile is left.
    ///
    /// # Errors
    /// Those of the lists and of the store.
    pub fn prune_containers(&self, filters: &[ContainerFilter]) -> Result<PrunedContainers> {
        self.host()?;
        let mut all = self.containers()?;
        self.filter_containers(&mut all, filters)?;
        let mut pruned = PrunedContainers::default();
        let ended = |found: &&ContainerSummary| !found.status.is_up();
        for found in all.iter().filter(ended) {
            let store = self.store()?;
            let Ok(record) = store.container(found.id.as_str()) else { continue };
            let size = self.occupied(store, &record).unwrap_or(0);
            match self.remove_record(&record, OwnVolumes::Kept) {
                Ok(()) => {
                    pruned.ids.push(record.id);
                    pruned.reclaimed += size;
                }
                Err(error) if matches!(error.kind(), Kind::InUse | Kind::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        self.note_prune("container", pruned.reclaimed);
        Ok(pruned)
    }

    /// Gives the container `name` another name.
    ///
    /// # Errors
    /// `NotFound`; `AlreadyExists` if another one has it.
    pub fn rename_container(&self, name: &str, new: &ContainerName) -> Result<()> {
        let found = self.find_container(name)?;
        if found.name == *new {
            return Err(Error::invalid(
                "renaming a container with the same name as its current name",
            )
            .hint("give another name"));
        }
        let store = self.store()?;
        match (&found.record, store.containers()?.iter().find(|other| other.name == *new)) {
            (Some(record), _) => store.rename_container(&record.id, new)?,
            (None, Some(holder)) => {
                return Err(Error::new(
                    Kind::AlreadyExists,
                    format!(
                        "the container name \"{new}\" is already in use by container \"{}\"",
                        holder.id
                    ),
                )
                .hint("choose another name"));
            }
            (None, None) => {}
        }
        if found.running.is_none() {
            return Ok(());
        }
        match running::rename(&self.settings.store.run, &found.id, new) {
            // It has just ended.
            Err(error) if error.kind() == Kind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Removes containers that were to go when they ended, and whose monitors
    /// were killed before they could.
    pub(in crate::engine) fn remove_orphans(&self, all: &mut Vec<ContainerSummary>) {
        all.retain(|found| {
            let orphan = found.auto_remove && matches!(found.status, ContainerStatus::Exited(..));
            !orphan || self.remove_orphan(&found.id).is_err()
        });
    }

    fn remove_orphan(&self, id: &ContainerId) -> Result<()> {
        let record = self.store()?.container(id.as_str())?;
        if !KeptSpec::of(&record).auto_remove {
            return Err(Error::internal("it is kept"));
        }
        self.remove_record(&record, OwnVolumes::Removed)
    }
}
