//! `envbox wait`.

use crate::cli::args::lifecycle::Wait;
use crate::cli::exit;
use crate::engine::Engine;
use crate::error::Result;

/// Prints the exit status of each container when it has ended.
pub(in crate::cli) fn run(engine: &Engine, wait: &Wait) -> Result<i32> {
    let mut status = 0;
    for name in &wait.containers {
        match engine.wait(name) {
            Ok(ended) => status = status.max(exit::data(&format!("{ended}\n"))),
            Err(error) => {
                exit::failure(&error);
                status = 1;
            }
        }
    }
    Ok(status)
}
