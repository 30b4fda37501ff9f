//! `envbox system check`: whether database and disk agree, and what can be done
//! where they do not.

use crate::error::Result;
use crate::id::ContainerId;
use crate::image::{self, LayerTarget};
use crate::store::{self, Fault, LayerLocation, RepairRequest, Repaired};

use super::{Engine, running};

impl Engine {
    /// What does not fit in the store; nothing if there is none.
    ///
    /// # Errors
    /// Those of [`Store::check`](crate::store::Store::check).
    pub fn check(&self) -> Result<Vec<Fault>> {
        self.host()?;
        let Some(store) = self.existing_store()? else { return Ok(Vec::new()) };
        let faults = store.check();
        store.close_database();
        faults
    }

    /// What [`Engine::repair`] would have to do with, a line each: also why the
    /// database cannot be read, where that is so.
    ///
    /// # Errors
    /// Those of the store as such, which no repair mends.
    pub fn damage(&self) -> Result<Vec<String>> {
        match self.check() {
            Ok(faults) => Ok(faults.iter().map(ToString::to_string).collect()),
            Err(error) if store::is_damage(&error) => Ok(vec![error.chain()]),
            Err(error) => Err(error),
        }
    }

    /// Makes database and disk agree, and rebuilds a database that is lost.
    ///
    /// # Errors
    /// Those of [`Store::repair`](crate::store::Store::repair).
    pub fn repair(&self) -> Result<Repaired> {
        self.host()?;
        let Some(store) = self.existing_store()? else { return Ok(Repaired::default()) };
        let claimed = running::list_claimed(&self.settings.store.run)?;
        let running: Vec<ContainerId> = claimed.into_iter().map(|running| running.id).collect();
        let measure = |layer: &LayerLocation| {
            let layer = LayerTarget::within(&layer.folder, layer.form);
            Ok(image::measure_layer(&layer)?.content_size)
        };
        store.repair(&RepairRequest {
            running: &running,
            measure: &measure,
            waiting: &|others| {
                self.notify(format!("waiting for up to ten seconds: {others}"), None);
            },
        })
    }
}
