//! What a container printed: finds its log and tells whether more can come.

use std::os::fd::BorrowedFd;

use crate::error::{Error, Kind, Result};
use crate::id::ContainerId;
use crate::monitor::log::{LogEntry, LogQuery, LogReader};

use super::containers::ContainerStatus;
use super::inspect::{Inspected, ObjectKind, Sizes};
use super::lifecycle::KeptSpec;
use super::options::log::LogDriver;
use super::{Engine, running};

/// The log of a kept container, in its directory.
const FOLDER: &str = "log";

/// What a container printed: [`ContainerLogs::next_entry`] until there is
/// nothing, then [`ContainerLogs::wait`] for more.
pub struct ContainerLogs<'a> {
    engine: &'a Engine,
    id: ContainerId,
    /// `None` if the container was never started.
    reader: Option<LogReader>,
}

impl Engine {
    /// What the container `name` (a name, an ID or the beginning of one) has
    /// printed, as far as `query` asks for it.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` if it is the beginning of several IDs;
    /// `Unsupported` if the container keeps no log.
    pub fn logs(&self, name: &str, query: LogQuery) -> Result<ContainerLogs<'_>> {
        let container = match self.inspect(name, Some(ObjectKind::Container), Sizes::Unknown)? {
            Inspected::Container(details) => details.summary,
            Inspected::Image(_) => {
                return Err(Error::internal(format!("{name:?} was found as an image")));
            }
        };
        let store = self.store_with("container", name)?;
        let record = store.container(container.id.as_str()).ok();
        if record.is_some_and(|record| KeptSpec::of(&record).log.driver == LogDriver::None) {
            // docker's words.
            let message = "configured logging driver does not support reading";
            return Err(Error::new(Kind::Unsupported, message)
                .hint("make a container without --log-driver none"));
        }
        let reader = LogReader::open(&store.container_path(&container.id).join(FOLDER), query)?;
        if reader.is_none() && container.status != ContainerStatus::Created {
            let message = format!("container {name:?} keeps no log");
            return Err(Error::new(Kind::Unsupported, message)
                .hint("run it without --rm: a kept container has one"));
        }
        Ok(ContainerLogs { engine: self, id: container.id, reader })
    }
}

impl ContainerLogs<'_> {
    /// The next entry; `None` if there is none now.
    ///
    /// # Errors
    /// As [`LogReader::next_entry`].
    pub fn next_entry(&mut self) -> Result<Option<LogEntry>> {
        self.reader.as_mut().map_or(Ok(None), LogReader::next_entry)
    }

    /// Waits until there may be more; false if nothing will come, or if nobody
    /// reads `output` any more.
    ///
    /// # Errors
    /// Those of [`LogReader::wait`] and of the run directory.
    pub fn wait(&mut self, output: BorrowedFd<'_>) -> Result<bool> {
        let Some(reader) = &mut self.reader else { return Ok(false) };
        let (run, id) = (&self.engine.settings.store.run, &self.id);
        reader.wait(output, || {
            Ok(running::list_claimed(run)?.iter().any(|running| running.id == *id))
        })
    }
}
