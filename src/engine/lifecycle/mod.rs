//! The life of a container: made, started, stopped, removed.
//!
//! ```text
//! create: name, ID, record          -> a container that exists
//! start:  claim, rootfs, plan, fork -> its monitor, which notes start and end
//! others: the monitor's socket, or the record of one that does not run
//! ```
//!
//! A container that is not kept has no record: it is known by its file in the
//! run directory alone, and leaves nothing.
//!
//! A container that has ended and is to be started again keeps its monitor and
//! its file, which says so; `system boot` starts those that a reboot ended.
//!
//! What is true is in two places: the record says what a container is and how it
//! last ended, the file in the run directory whether it runs. The monitor writes
//! the start into the record before the file names a process, and the end before
//! it removes the file. So a record that says "started" and not "ended", without
//! such a file, is one whose monitor was killed.
//!
//! It formats nothing, and leaves the terminal to whoever calls.

mod boot;
mod bury;
mod claim;
mod create;
mod filter;
mod keep;
mod kept;
mod label;
mod pause;
mod remove;
mod resources;
mod start;
mod stop;
pub(super) mod text;
mod update;

pub(super) use create::new_id;
pub use create::{Launched, LifecycleOptions};
pub use filter::{ContainerFilter, StatusFilter};
pub use label::Label;
pub use remove::{PrunedContainers, RemoveRunning};
pub use resources::ContainerResources;
pub use start::{Attach, StartedContainer};
pub use stop::StopOptions;
pub use update::ContainerUpdate;

pub(super) use keep::{Keeping, Life, Place, event, to_monitor};
pub(super) use kept::KeptSpec;

use crate::error::{Error, Kind, Result};
use crate::id::{ContainerId, ContainerName};
use crate::store::ContainerRecord;

use super::Engine;
use super::running::{self, Running};

/// A container that a name means.
#[derive(Debug)]
pub(super) struct Found {
    /// Its record, if it is kept.
    pub record: Option<ContainerRecord>,
    /// Its file, if it runs.
    pub running: Option<Running>,
    /// Its ID.
    pub id: ContainerId,
    /// Its name.
    pub name: ContainerName,
}

impl Engine {
    /// The container that `text` means: kept or running, by its name, its ID or
    /// the beginning of one.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` if it is the beginning of several IDs.
    pub(super) fn find_container(&self, text: &str) -> Result<Found> {
        let running = self.running_or_about_to(text)?;
        self.bury()?;
        let kept = match self.existing_store()? {
            Some(store) => store.container(text),
            None => Err(no_such_container(text)),
        };
        match kept {
            Ok(record) => Ok(Found {
                running: running.into_iter().find(|running| running.id == record.id),
                id: record.id.clone(),
                name: record.name.clone(),
                record: Some(record),
            }),
            Err(error) if error.kind() == Kind::NotFound => {
                // Once more: it may have been removed between the two looks, or
                // be about to get another name.
                let running = running::list(&self.settings.store.run)?;
                let found = running::named(running, text)?.ok_or(error)?;
                let record = self.existing_store()?.map(|store| store.container(found.id.as_str()));
                Ok(Found {
                    record: record.and_then(Result::ok),
                    id: found.id.clone(),
                    name: found.name.clone(),
                    running: Some(found),
                })
            }
            Err(error) => Err(error),
        }
    }

    /// All containers that run, and the one that `text` may mean when it has come
    /// up, if it is just being started: a program can be seen to run before
    /// its file says so.
    fn running_or_about_to(&self, text: &str) -> Result<Vec<Running>> {
        let run = &self.settings.store.run;
        let claimed = running::list_claimed(run)?;
        let meant = |found: &&Running| {
            !found.is_up() && (found.name.as_str() == text || found.id.as_str().starts_with(text))
        };
        if let Some(starting) = claimed.iter().find(meant)
            // Who removes a container has it claimed as well, and listens to nobody.
            && let Some(control) = running::connect(run, &starting.id)?
        {
            control.wait_until_up();
            return running::list(run);
        }
        Ok(claimed.into_iter().filter(Running::is_up).collect())
    }
}

/// docker's words for what needs a process where there is none.
pub(super) fn not_running(name: &str) -> Error {
    Error::new(Kind::InUse, format!("container {name} is not running"))
        .hint(format!("start it: envbox start {name}"))
}

/// docker's words for what needs a process where there is none just now.
pub(super) fn restarting(name: &str) -> Error {
    Error::new(
        Kind::InUse,
        format!("container {name} is restarting, wait until the container is running"),
    )
    .hint(format!("see why it ended: envbox logs {name}"))
}

/// docker's words where nothing has this name.
pub(super) fn no_such_container(text: &str) -> Error {
    Error::not_found(format!("no such container: {text}")).hint("list them with `envbox ps -a`")
}
