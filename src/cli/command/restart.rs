//! `envbox restart`.

use crate::cli::args::lifecycle::Restart;
use crate::engine::Engine;
use crate::error::Result;

use super::each::each;
use super::{start, stop};

/// Restarts one container after the other.
pub(in crate::cli) fn run(engine: &Engine, restart: &Restart) -> Result<i32> {
    let options = stop::options(&restart.how);
    Ok(each(&restart.containers, |name| start::running(engine.restart(name, &options)?)))
}
