//! `envbox stop`.

use crate::cli::args::lifecycle::{How, Stop};
use crate::engine::{Engine, StopOptions};
use crate::error::Result;

use super::each::each;

/// Stops one container after the other.
pub(in crate::cli) fn run(engine: &Engine, stop: &Stop) -> Result<i32> {
    let options = options(&stop.how);
    Ok(each(&stop.containers, |name| engine.stop(name, &options)))
}

/// The engine's form.
pub(super) fn options(how: &How) -> StopOptions {
    StopOptions { signal: how.signal, timeout: how.time }
}
