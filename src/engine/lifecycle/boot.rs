//! `system boot` and `system shutdown`: containers go down with the host and
//! come back with it, as far as their restart policies say so. docker's daemon
//! does the same when it ends and starts.

use crate::error::Result;
use crate::id::ContainerName;
use crate::monitor::Stop;

use super::super::containers::KILLED;
use super::super::running;
use super::super::{Ended, Engine};
use super::kept::KeptSpec;
use super::start::Attach;
use super::stop::Stopped;
use super::{StartedContainer, StopOptions};

impl Engine {
    /// Starts every container that ran before and that its policy brings back,
    /// the oldest first, and tells `report` of each how that went; one that
    /// does not start keeps no other from it.
    ///
    /// # Errors
    /// Those of the store and of the run directory.
    pub fn boot(&self, report: &mut dyn FnMut(&ContainerName, Result<()>)) -> Result<()> {
        let Some(store) = self.existing_store()? else { return Ok(()) };
        let (running, mut records) = self.look(|| store.containers())?;
        records.retain(|record| {
            let state = &record.state;
            let status = state.exit_code.unwrap_or(KILLED);
            state.started_at.is_some()
                && KeptSpec::of(record).restart.starts_at_boot(
                    status,
                    state.restarts,
                    state.stopped,
                )
                && !running.iter().any(|running| running.id == record.id)
        });
        for record in records.iter().rev() {
            let started = self.start(record.id.as_str(), &Attach::Detached);
            report(
                &record.name,
                started.and_then(|started| match started {
                    StartedContainer::Ended(Ended::NotStarted(_, error)) => Err(error),
                    StartedContainer::Ended(Ended::Exited(_)) | StartedContainer::Running(_) => {
                        Ok(())
                    }
                }),
            );
        }
        Ok(())
    }

    /// Stops every container that runs, each with its own signal and time, all
    /// at once, and tells `report` of each how that went. To their policies
    /// nobody has stopped them.
    ///
    /// # Errors
    /// Those of the run directory.
    pub fn shut_down(&self, report: &mut dyn FnMut(&ContainerName, Result<()>)) -> Result<()> {
        let all = running::list(&self.settings.store.run)?;
        let options = StopOptions::default();
        // All of them first, so that their times run together.
        let ask = |running| self.request_stop(running, &options, Stop::Shutdown);
        let requests: Vec<_> = all.iter().map(ask).collect();
        for (running, request) in all.iter().zip(requests) {
            let seen = request.and_then(|request| self.see_stop(running, request));
            let stopped = match seen {
                Ok(Stopped::Restarts) => {
                    self.stop_for(running.id.as_str(), &options, Stop::Shutdown)
                }
                other => other.map(drop),
            };
            report(&running.name, stopped);
        }
        Ok(())
    }
}
