//! `envbox kill`.

use crate::cli::args::lifecycle::Kill;
use crate::engine::Engine;
use crate::error::Result;

use super::each::each;

/// Sends the signal to one container after the other.
pub(in crate::cli) fn run(engine: &Engine, kill: &Kill) -> Result<i32> {
    Ok(each(&kill.containers, |name| engine.kill(name, kill.signal)))
}
