//! `envbox attach`.

use crate::cli::args::attach::Attach;
use crate::cli::exit;
use crate::engine::{Ended, Engine};
use crate::error::Result;

/// Stays with the container; the status is its own.
pub(in crate::cli) fn run(engine: &Engine, attach: &Attach) -> Result<i32> {
    Ok(match engine.attach(&attach.container, attach.options())? {
        Ended::Exited(status) => status,
        Ended::NotStarted(stage, error) => exit::not_started(stage, &error),
    })
}
