//! `envbox attach`: this process becomes a client of a container that runs.

use crate::error::{Error, Kind, Result};
use crate::monitor::{Client, ClientOptions};

use super::running::{self, Activity, Running};
use super::{Ended, Engine};

impl Engine {
    /// Attaches to the container `name` (a name, an ID or the beginning of
    /// one), from now on, until it ends or this process leaves it.
    ///
    /// # Errors
    /// `NotFound`; `InUse` for one that does not run; `Invalid` for a
    /// terminal's input that comes from none; `Unsupported` for one that has
    /// its caller's descriptors; `Unavailable` if its monitor dies.
    pub fn attach(&self, name: &str, options: ClientOptions) -> Result<Ended> {
        let found = self.find_container(name)?;
        match &found.running {
            None => Err(stopped(name)),
            Some(running) if running.activity == Activity::Paused => Err(Error::new(
                Kind::InUse,
                "you cannot attach to a paused container, unpause it first",
            )
            .hint(format!("envbox unpause {name}"))),
            Some(running) => self.attach_to(running, name, options),
        }
    }

    pub(super) fn attach_to(
        &self,
        running: &Running,
        name: &str,
        options: ClientOptions,
    ) -> Result<Ended> {
        let control = running::connect(&self.settings.store.run, &running.id)?;
        let control = control.ok_or_else(|| stopped(name))?;
        if let Some(store) = self.existing_store()? {
            store.close_database();
        }
        let client = Client::attach(control, options).map_err(|failure| failure.into_error())?;
        self.tell(running, "attach");
        self.wait_for(Ok(client), Some(running))
    }
}

/// docker's words.
fn stopped(name: &str) -> Error {
    Error::new(Kind::InUse, "you cannot attach to a stopped container, start it first")
        .hint(format!("envbox start -a {name}"))
}
