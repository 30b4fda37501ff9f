//! The cgroup of a container: made before its first process and removed after
//! its last one, by whoever holds its file in the run directory. So a group
//! without such a file is nobody's.

use std::collections::BTreeSet;
use std::path::Path;

use crate::error::{Error, Result};
use crate::id::ContainerId;
use crate::runtime::cgroup::{
    Cgroup, Demand, Hierarchy, HostResources, Resources, Warning, without_cgroup,
};

use super::Engine;

/// `resources`, if docker and this host allow them.
///
/// # Errors
/// `Invalid`, with the flag in the message.
pub(super) fn checked(resources: &Resources) -> Result<Resources> {
    if !resources.flags().is_empty() {
        resources.check(&HostResources::read()?)?;
    }
    Ok(resources.clone())
}

/// Kills what still lives in `group`, and removes it.
///
/// # Errors
/// Those of the kernel.
pub(super) fn remove_group(group: &Cgroup) -> Result<()> {
    // The PID namespace took all along, but for one that was about to join.
    if !group.processes()?.is_empty() {
        group.kill()?;
    }
    group.remove()
}

/// Kills and removes every group of the run directory `run` but those of
/// `claimed`, whose files are there.
///
/// # Errors
/// The first that could not be removed.
pub(super) fn sweep(run: &Path, claimed: &BTreeSet<ContainerId>) -> Result<()> {
    // Whoever has no cgroups has left none.
    let Ok(hierarchy) = Hierarchy::detect(run) else { return Ok(()) };
    hierarchy.sweep(claimed).map(drop)
}

impl Engine {
    /// Makes the group of the container `id`, and puts `resources` in force;
    /// `None` where this user has no cgroups and no limit is asked for.
    ///
    /// # Errors
    /// The first limit that the host refuses, by its flag; those of making it.
    pub(super) fn make_group(
        &self,
        id: &ContainerId,
        resources: &Resources,
    ) -> Result<Option<Cgroup>> {
        let hierarchy = match Hierarchy::detect(&self.settings.store.run) {
            Ok(hierarchy) => hierarchy,
            Err(reason) => {
                self.warn(&without_cgroup(resources, Demand::Asked, reason)?);
                return Ok(None);
            }
        };
        let group = match Cgroup::create(&hierarchy, id) {
            Ok(group) => group,
            Err(reason) => {
                self.warn(&without_cgroup(resources, Demand::Asked, reason)?);
                return Ok(None);
            }
        };
        match group.apply(resources, Demand::Asked) {
            Ok(warnings) => self.warn(&warnings),
            Err(error) => {
                // The reason is worth more than what else fails.
                let _ = group.remove();
                return Err(error);
            }
        }
        Ok(Some(group))
    }

    /// The group of the container `id`, which runs; `None` if it has none.
    ///
    /// # Errors
    /// Those of looking.
    pub(super) fn open_group(&self, id: &ContainerId) -> Result<Option<Cgroup>> {
        // Whoever has no cgroups has given it none.
        let Ok(hierarchy) = Hierarchy::detect(&self.settings.store.run) else { return Ok(None) };
        Cgroup::open(&hierarchy, id)
    }

    /// The group of the container `id`, which runs, where `change` is to be put
    /// in force; `None` if it has none and `change` limits nothing.
    ///
    /// # Errors
    /// Why it has none, by the first flag of `change`.
    pub(super) fn group_to_update(
        &self,
        id: &ContainerId,
        change: &Resources,
    ) -> Result<Option<Cgroup>> {
        let found = Hierarchy::detect(&self.settings.store.run)
            .and_then(|hierarchy| Cgroup::open(&hierarchy, id));
        let reason = match found {
            Ok(Some(group)) => return Ok(Some(group)),
            Ok(None) => Error::unsupported(format!("container {id} was started without a cgroup"))
                .hint("stop it first: its next start is with the new limits"),
            Err(reason) => reason,
        };
        without_cgroup(change, Demand::Asked, reason).map(|_| None)
    }

    pub(super) fn warn(&self, warnings: &[Warning]) {
        for Warning { flag, reason } in warnings {
            self.notify(format!("{flag} is not in force: {}", reason.chain()), reason.hint_text());
        }
    }
}
