//! `envbox system check`: whether database and disk agree.

use crate::error::Result;
use crate::store::Fault;

use super::Engine;

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
}
