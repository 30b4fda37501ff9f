//! `envbox update`.

use crate::cli::args::update::Update;
use crate::engine::{ContainerUpdate, Engine};
use crate::error::{Error, Result};

use super::each::each;

/// Changes one container after the other.
pub(in crate::cli) fn run(engine: &Engine, update: Update) -> Result<i32> {
    if update.resources.is_empty() && update.restart.is_none() {
        return Err(Error::invalid("you must provide one or more flags when using this command")
            .hint("see them with `envbox update --help`"));
    }
    let change =
        ContainerUpdate { resources: update.resources.into_resources(), restart: update.restart };
    Ok(each(&update.containers, |name| engine.update(name, &change)))
}
