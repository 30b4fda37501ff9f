//! What containers use, as their cgroups count it.

use crate::error::Result;
use crate::id::{ContainerId, ContainerName};
use crate::runtime::cgroup::Statistics;

use super::running;
use super::{ContainerSummary, Engine};

/// Whose use is measured.
#[derive(Clone, Copy, Debug)]
pub enum Measured<'a> {
    /// Every container that runs.
    Running,
    /// Every container.
    All,
    /// These, by name, ID or the beginning of one.
    Named(&'a [String]),
}

/// What one container has used so far.
#[derive(Clone, Debug)]
pub struct ContainerUse {
    /// Its ID.
    pub id: ContainerId,
    /// Its name.
    pub name: ContainerName,
    /// None if it does not run, or has no cgroup.
    pub statistics: Option<Statistics>,
}

impl Engine {
    /// What the containers have used until now, the newest first, or in the
    /// order of the names.
    ///
    /// # Errors
    /// `NotFound` for a name; those of the lists and of cgroup files.
    pub fn measure(&self, which: Measured<'_>) -> Result<Vec<ContainerUse>> {
        let mut found: Vec<(ContainerId, ContainerName)> = Vec::new();
        match which {
            Measured::Named(names) => {
                for name in names {
                    let container = self.find_container(name)?;
                    found.push((container.id, container.name));
                }
            }
            Measured::Running | Measured::All => {
                let wanted =
                    |one: &ContainerSummary| matches!(which, Measured::All) || one.status.is_up();
                let all = self.containers()?.into_iter();
                found.extend(all.filter(wanted).map(|one| (one.id, one.name)));
            }
        }
        if let Some(store) = self.existing_store()? {
            // Whoever looks for long must not hold the store.
            store.close_database();
        }
        found.into_iter().map(|(id, name)| self.measure_one(id, name)).collect()
    }

    fn measure_one(&self, id: ContainerId, name: ContainerName) -> Result<ContainerUse> {
        let statistics = match self.open_group(&id)? {
            Some(group) => Some(group.statistics()?),
            None => None,
        };
        Ok(ContainerUse { id, name, statistics })
    }

    /// Says why nothing is measured of containers that run, if that is so.
    ///
    /// # Errors
    /// Those of the run directory.
    pub fn tell_unmeasured(&self, found: &[ContainerUse]) -> Result<()> {
        let running = running::list(&self.settings.store.run)?;
        let blind = |one: &&ContainerUse| {
            one.statistics.is_none() && running.iter().any(|running| running.id == one.id)
        };
        if let Some(first) = found.iter().find(blind) {
            self.notify(
                format!("container {} has no cgroup: what it uses is not counted", first.name),
                Some(
                    "cgroup v1 is root's alone; on v2 log in to a session that is delegated, \
                     as by `systemd-run --user --scope`",
                ),
            );
        }
        Ok(())
    }
}
