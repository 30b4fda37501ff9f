//! `update`: other limits for a container that exists. They are in force before
//! they are written down, so that no record tells of one that is not.

use std::path::PathBuf;

use serde_json::Value;

use crate::error::{Context, Error, Kind, Result};
use crate::runtime::cgroup::{Cgroup, Resources, Updated};
use crate::store::{ContainerRecord, SpecText};

use super::super::options::restart::RestartPolicy;
use super::super::running::{self, Activity, Running, Turn};
use super::super::{Engine, limits};
use super::Found;
use super::keep;
use super::kept::KeptSpec;

/// What is changed of a container.
#[derive(Clone, Debug, Default)]
pub struct ContainerUpdate {
    /// Its limits; `None` is what stays as it is.
    pub resources: Resources,
    /// When it is started again; `None` for as before.
    pub restart: Option<RestartPolicy>,
}

/// What a container remembers, before and after.
struct Merged<'a> {
    spec: &'a SpecText,
    old: Resources,
    new: Resources,
    restart: Option<RestartPolicy>,
}

impl<'a> Merged<'a> {
    /// `update` over what `spec` says of the container `name`.
    fn new(
        (name, spec): (&str, &'a SpecText),
        kept: &KeptSpec,
        update: &ContainerUpdate,
    ) -> Result<Self> {
        let cannot = || format!("cannot update container {name}");
        if update.restart.is_some_and(|policy| policy != RestartPolicy::No) && kept.auto_remove {
            return Err(Error::invalid(format!(
                "the restart policy of container {name} cannot be changed: it goes when it ends"
            ))
            .hint("make one that stays: run it without --rm"));
        }
        let old = kept.request(name).context(cannot)?.resources;
        let new = old.updated_by(&update.resources)?;
        Ok(Self { spec, new: limits::checked(&new)?, old, restart: update.restart })
    }

    /// Leaves out what followed from another limit and is not in force.
    fn settle(&mut self, updated: &Updated<'_>) {
        if updated.warnings.iter().any(|warning| warning.flag == "--memory-swap") {
            self.new.memory_swap = self.old.memory_swap;
        }
    }

    /// The spec with the new limits, and all else as it was.
    fn to_spec(&self) -> Result<SpecText> {
        let broken = || Error::internal("a container's spec holds no request");
        let resources = serde_json::to_value(&self.new).map_err(|error| broken().because(error))?;
        let mut spec: Value = self.spec.read().ok_or_else(broken)?;
        if let (Some(policy), Some(spec)) = (self.restart, spec.as_object_mut()) {
            spec.insert("restart".into(), policy.to_string().into());
        }
        let request = spec.get_mut("request").and_then(Value::as_object_mut);
        request.ok_or_else(broken)?.insert("resources".into(), resources);
        SpecText::of(&spec)
    }
}

impl Engine {
    /// Changes the limits of the container `name`: of one that runs at once,
    /// of another from its next start. Its restart policy counts from its next
    /// end on.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` for limits that make no sense with those that it
    /// has; the first that the host refuses. Nothing is changed then.
    pub fn update(&self, name: &str, update: &ContainerUpdate) -> Result<()> {
        self.host()?;
        let found = self.find_container(name)?;
        match self.update_found(&found, update) {
            // It was started, or has ended, meanwhile.
            Err(_) if found.running.is_some() != self.runs(&found.id)? => {
                self.update_found(&self.find_container(found.id.as_str())?, update)
            }
            result => result,
        }
    }

    fn update_found(&self, found: &Found, update: &ContainerUpdate) -> Result<()> {
        match (&found.running, &found.record) {
            (Some(_), _) => self.update_running(found, update),
            (None, Some(record)) => self.update_stopped(record, update),
            (None, None) => Err(super::no_such_container(found.name.as_str())),
        }
    }

    /// Nobody starts it as long as it is claimed.
    fn update_stopped(&self, record: &ContainerRecord, update: &ContainerUpdate) -> Result<()> {
        let (claim, record) = self.claim(record)?;
        let kept = KeptSpec::of(&record);
        let running = kept.claimed((&record.id, &record.name), Some(record.image));
        let result = Merged::new((record.name.as_str(), &record.spec), &kept, update)
            .and_then(|merged| self.remember(&running, Some(&record), &merged.to_spec()?));
        result.and(claim.remove())
    }

    fn update_running(&self, found: &Found, update: &ContainerUpdate) -> Result<()> {
        let restarts =
            found.running.as_ref().is_some_and(|alive| alive.activity == Activity::Restarts);
        let group = match restarts {
            // Its next run gets one, of what the record says then.
            true => None,
            false => self.group_to_update(&found.id, &update.resources)?,
        };
        let directory = self.lockable(found, group.as_ref())?;
        let _turn = directory.as_deref().map(Turn::take).transpose()?;
        // Another update may have come first.
        let record = match &found.record {
            Some(record) => Some(self.store()?.container(record.id.as_str())?),
            None => None,
        };
        let running = running::list(&self.settings.store.run)?
            .into_iter()
            .find(|running| running.id == found.id)
            .ok_or_else(|| has_ended(found))?;
        let (kept, spec) = match &record {
            Some(record) => (KeptSpec::of(record), &record.spec),
            None => match &running.spec {
                Some(spec) => (KeptSpec::of_running(&running), spec),
                None => return Err(has_ended(found)),
            },
        };
        let mut merged = Merged::new((found.name.as_str(), spec), &kept, update)?;
        let Some(group) = group else {
            return self.remember(&running, record.as_ref(), &merged.to_spec()?);
        };
        let updated = group.update(&update.resources, &merged.new)?;
        merged.settle(&updated);
        self.warn(&updated.warnings);
        let remembered =
            merged.to_spec().and_then(|spec| self.remember(&running, record.as_ref(), &spec));
        if remembered.is_err() {
            // The reason is worth more than what else fails.
            let _ = updated.revert();
        }
        remembered
    }

    /// A directory of the container's own, whose lock keeps two updates apart.
    fn lockable(&self, found: &Found, group: Option<&Cgroup>) -> Result<Option<PathBuf>> {
        match &found.record {
            Some(record) => Ok(Some(self.store()?.container_path(&record.id))),
            None => Ok(group.and_then(Cgroup::path).map(PathBuf::from)),
        }
    }

    /// Writes `spec` where a container of this sort has it, and the event.
    fn remember(
        &self,
        running: &Running,
        record: Option<&ContainerRecord>,
        spec: &SpecText,
    ) -> Result<()> {
        if record.is_some() {
            let event = keep::event(running, "update", &[]);
            return self.store()?.update_container_spec(&running.id, spec, &event);
        }
        let folder = self.settings.store.run.join(running::FOLDER);
        running::amend(&folder, &running.id, |running| running.spec = Some(spec.clone()))?;
        self.tell(running, "update");
        Ok(())
    }
}

fn has_ended(found: &Found) -> Error {
    Error::new(Kind::NotFound, format!("container {} has ended", found.name))
}
