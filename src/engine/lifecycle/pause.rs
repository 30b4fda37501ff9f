//! `pause` and `unpause`: the monitor does it, so that nothing else happens to
//! the container meanwhile, its end and the checks of its health included.

use crate::error::Result;

use super::super::Engine;
use super::super::running::{self, Activity, Running};

impl Engine {
    /// Lets all processes of the container `name` stand still, or go on.
    ///
    /// # Errors
    /// `NotFound`; `InUse` if it does not run, or does so already;
    /// `Unsupported` where it has no cgroup.
    pub fn set_paused(&self, name: &str, paused: bool) -> Result<()> {
        let found = self.find_container(name)?;
        let activity = found.running.as_ref().map(|running: &Running| running.activity);
        if activity == Some(Activity::Restarts) {
            return Err(super::restarting(name));
        }
        let control = match activity {
            Some(_) => running::connect(&self.settings.store.run, &found.id)?,
            None => None,
        };
        let Some(control) = control else {
            return Err(self.not_running(&found, name));
        };
        if let Some(store) = self.existing_store()? {
            store.close_database();
        }
        control.pause(paused)
    }
}
