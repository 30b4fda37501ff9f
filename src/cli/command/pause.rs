//! `envbox pause` and `envbox unpause`.

use crate::cli::args::lifecycle::{Pause, Unpause};
use crate::engine::Engine;
use crate::error::Result;

use super::each::each;

/// Lets one container after the other stand still.
pub(in crate::cli) fn run(engine: &Engine, pause: &Pause) -> Result<i32> {
    Ok(each(&pause.containers, |name| engine.set_paused(name, true)))
}

/// Lets one container after the other go on.
pub(in crate::cli) fn unpause(engine: &Engine, unpause: &Unpause) -> Result<i32> {
    Ok(each(&unpause.containers, |name| engine.set_paused(name, false)))
}
