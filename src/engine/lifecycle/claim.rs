//! Claims: who starts or removes a container holds its file in the run
//! directory, alone.

use crate::error::Result;
use crate::fs::Timestamp;
use crate::store::ContainerRecord;

use super::super::Engine;
use super::super::running::{Running, RunningFile};
use super::kept::KeptSpec;

impl Engine {
    /// Claims a kept container, and looks at its record once more: from now on
    /// nobody else changes what it is.
    ///
    /// # Errors
    /// `InUse` if it runs or somebody else has it; `NotFound` if it has gone.
    pub(super) fn claim(&self, record: &ContainerRecord) -> Result<(RunningFile, ContainerRecord)> {
        let spec = KeptSpec::of(record);
        let claimed = Running {
            id: record.id.clone(),
            name: record.name.clone(),
            image: Some(record.image),
            image_name: spec.image,
            command: spec.command,
            started: Timestamp::now().seconds,
            pid: None,
            pid_start: None,
            process: None,
            labels: spec.labels,
        };
        let claim = RunningFile::claim(&self.settings.store.run, &claimed)?;
        match self.store().and_then(|store| store.container(record.id.as_str())) {
            Ok(record) => Ok((claim, record)),
            Err(error) => {
                claim.remove()?;
                Err(error)
            }
        }
    }
}
