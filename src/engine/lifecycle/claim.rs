//! Claims: who starts or removes a container holds its file in the run
//! directory, alone.

use crate::error::{Kind, Result};
use crate::store::ContainerRecord;

use super::super::Engine;
use super::super::running::{RunningFile, Turn};
use super::kept::KeptSpec;

impl Engine {
    /// Claims a kept container, when those are done who started or removed it
    /// before, and looks at its record once more: from now on nobody else
    /// changes what it is.
    ///
    /// # Errors
    /// `InUse` if it runs; `NotFound` if it has gone.
    pub(super) fn claim(&self, record: &ContainerRecord) -> Result<(RunningFile, ContainerRecord)> {
        let store = self.store()?;
        // Who waits must not hold the store.
        store.close_database();
        let turn =
            Turn::take(&store.container_path(&record.id)).map_err(|error| match error.kind() {
                Kind::NotFound => super::no_such_container(record.name.as_str()),
                _ => error,
            })?;
        let spec = KeptSpec::of(record);
        let claimed = spec.claimed((&record.id, &record.name), Some(record.image));
        let claim = RunningFile::claim(&self.settings.store.run, &claimed)?
            .holding(&store.container_path(&record.id), &record.name)?;
        match store.container(record.id.as_str()) {
            Ok(record) => Ok((claim.with_turn(turn), record)),
            Err(error) => {
                claim.remove()?;
                Err(error)
            }
        }
    }
}
