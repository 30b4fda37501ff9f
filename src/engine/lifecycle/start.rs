//! `start`: a container that exists runs again, as it was asked to be when it
//! was made.

use crate::error::{Error, Kind, Result};
use crate::id::ContainerId;
use crate::store::ContainerRecord;

use super::super::launch::{self, Prepared};
use super::super::request::{ContainerRequest, Terminal};
use super::super::running::Running;
use super::super::{Ended, Engine};
use super::keep::Place;
use super::kept::KeptSpec;

/// Who has a container's input and output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attach {
    /// Nobody.
    Detached,
    /// This process has the output.
    Output,
    /// This process has both.
    Full,
}

/// What became of a start.
#[derive(Debug)]
pub enum StartedContainer {
    /// It runs; it may have before.
    Running(ContainerId),
    /// This process was attached until it ended, or it did not start.
    Ended(Ended),
}

impl Engine {
    /// Starts the container `name`. One that runs is success, where nobody
    /// wants to be attached.
    ///
    /// # Errors
    /// `NotFound`; `InUse` if somebody removes it; `Unsupported` for one that
    /// an older envbox made; what kept it from being started at all.
    pub fn start(&self, name: &str, attach: Attach) -> Result<StartedContainer> {
        self.host()?;
        let found = self.find_container(name)?;
        if found.running.is_some() {
            return already_running(found.id, name, attach);
        }
        let record = found.record.ok_or_else(|| super::no_such_container(name))?;
        let (prepared, mut request) = match self.prepare_again(&record) {
            Ok(prepared) => prepared,
            // Somebody else was quicker.
            Err(error) if error.kind() == Kind::InUse && self.runs(&record.id)? => {
                return already_running(record.id, name, attach);
            }
            Err(error) => return Err(error),
        };
        if attach == Attach::Output {
            request.terminal = without_input(request.terminal);
        }
        let begun = self.begin(prepared, &request, attach)?;
        match begun {
            Ok(client) if attach == Attach::Detached => {
                client.leave();
                Ok(StartedContainer::Running(record.id))
            }
            begun => launch::wait(begun).map(StartedContainer::Ended),
        }
    }

    /// Whether the container `name` was made with a terminal, and reads input.
    ///
    /// # Errors
    /// As [`Engine::start`].
    pub fn wants_terminal_input(&self, name: &str) -> Result<bool> {
        let Some(record) = self.find_container(name)?.record else { return Ok(false) };
        Ok(KeptSpec::of(&record).request(name)?.terminal == Terminal::New)
    }

    pub(super) fn runs(&self, id: &ContainerId) -> Result<bool> {
        let running = super::running::list(&self.settings.store.run)?;
        Ok(running.iter().any(|running| running.id == *id))
    }

    fn prepare_again(&self, record: &ContainerRecord) -> Result<(Prepared, ContainerRequest)> {
        let request = KeptSpec::of(record).request(record.name.as_str())?;
        let (claim, record) = self.claim(record)?;
        let spec = KeptSpec::of(&record);
        let store = self.store()?;
        let mount = match store.container_mount(&record.id) {
            Ok(mount) => mount,
            Err(error) => {
                claim.remove()?;
                return Err(error);
            }
        };
        let place = Place::Kept {
            mount,
            path: store.container_path(&record.id),
            auto_remove: spec.auto_remove,
        };
        let running = Running {
            id: record.id,
            name: record.name,
            image: Some(record.image),
            image_name: spec.image,
            command: spec.command,
            started: 0,
            pid: None,
            pid_start: None,
            process: None,
            labels: spec.labels,
        };
        Ok((Prepared { place, claim, running, platform: spec.platform }, request))
    }
}

fn already_running(id: ContainerId, name: &str, attach: Attach) -> Result<StartedContainer> {
    match attach {
        Attach::Detached => Ok(StartedContainer::Running(id)),
        Attach::Output | Attach::Full => {
            Err(Error::unsupported(format!("container {name} is running: nobody can attach to it"))
                .hint(format!("read what it prints: envbox logs -f {name}")))
        }
    }
}

fn without_input(terminal: Terminal) -> Terminal {
    match terminal {
        Terminal::Inherit | Terminal::NoInput => Terminal::NoInput,
        Terminal::New | Terminal::NewNoInput => Terminal::NewNoInput,
    }
}
