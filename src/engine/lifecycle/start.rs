//! `start`: a container that exists runs again, as it was asked to be when it
//! was made.

use crate::error::{Error, Kind, Result};
use crate::id::ContainerId;
use crate::monitor::{ClientInput, ClientOptions};
use crate::store::ContainerRecord;

use super::super::launch::Prepared;
use super::super::request::{ContainerRequest, Terminal};
use super::super::running::{Activity, Running};
use super::super::{Ended, Engine};
use super::keep::Place;
use super::kept::KeptSpec;

/// Who has a container's input and output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attach {
    /// Nobody.
    Detached,
    /// This process, like others, is shown the output.
    Output(ClientOptions),
    /// This process, like others, has both.
    Full(ClientOptions),
    /// This process alone has both, and takes the container along.
    Direct,
}

impl Attach {
    /// Whether this process's input reaches the container.
    pub(in crate::engine) fn types(&self) -> bool {
        matches!(self, Self::Full(_) | Self::Direct)
    }

    /// How this process is one client of several, if it is.
    pub(in crate::engine) fn client(&self) -> Option<&ClientOptions> {
        match self {
            Self::Output(options) | Self::Full(options) => Some(options),
            Self::Detached | Self::Direct => None,
        }
    }
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
    /// Starts the container `name`. To one that runs this process attaches, if
    /// it is to be attached at all.
    ///
    /// # Errors
    /// `NotFound`; `InUse` if somebody removes it; `Unsupported` for one that
    /// an older envbox made; what kept it from being started at all.
    pub fn start(&self, name: &str, attach: &Attach) -> Result<StartedContainer> {
        let found = self.find_container(name)?;
        if let (None, Some(record)) = (&found.running, &found.record) {
            self.enter_as(record)?;
        }
        self.host()?;
        if let Some(running) = &found.running {
            if running.activity == Activity::Paused {
                return Err(Error::new(
                    Kind::InUse,
                    "cannot start a paused container, try unpause instead",
                )
                .hint(format!("envbox unpause {name}")));
            }
            return self.already_running(running, name, attach);
        }
        let record = found.record.ok_or_else(|| super::no_such_container(name))?;
        let (prepared, request) = match self.prepare_again(&record) {
            Ok(prepared) => prepared,
            // Somebody else was quicker.
            Err(error) => {
                let found = self.find_container(record.id.as_str()).ok();
                return match found.and_then(|found| found.running) {
                    Some(running) if error.kind() == Kind::InUse => {
                        self.already_running(&running, name, attach)
                    }
                    _ => Err(error),
                };
            }
        };
        let running = prepared.running.clone();
        let begun = self.begin(prepared, &request, attach)?;
        match begun {
            Ok(client) if *attach == Attach::Detached => {
                client.leave();
                Ok(StartedContainer::Running(record.id))
            }
            begun => self.wait_for(begun, Some(&running)).map(StartedContainer::Ended),
        }
    }

    /// Enters the user namespace in which the container of `record` has to be
    /// started.
    pub(super) fn enter_as(&self, record: &ContainerRecord) -> Result<()> {
        match KeptSpec::of(record).request(record.name.as_str()) {
            Ok(request) => self.enter_beside(&request.isolation),
            // The start says so.
            Err(_) => Ok(()),
        }
    }

    fn already_running(
        &self,
        running: &Running,
        name: &str,
        attach: &Attach,
    ) -> Result<StartedContainer> {
        let Some(options) = attach.client() else {
            return Ok(StartedContainer::Running(running.id.clone()));
        };
        let input = if attach.types() { ClientInput::Typed } else { ClientInput::None };
        let options = ClientOptions { input, ..options.clone() };
        self.attach_to(running, name, options).map(StartedContainer::Ended)
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
            log: spec.log,
        };
        let running = spec.claimed((&record.id, &record.name), Some(record.image));
        Ok((Prepared { place, claim, running, platform: spec.platform }, request))
    }
}
