//! `envbox rm`.

use crate::cli::args::lifecycle::Rm;
use crate::cli::exit;
use crate::engine::{Engine, RemoveRunning};
use crate::error::{Kind, Result};

/// Removes every container it can, and prints what was removed.
pub(in crate::cli) fn run(engine: &Engine, rm: &Rm) -> Result<i32> {
    let running = if rm.force { RemoveRunning::Kill } else { RemoveRunning::Refuse };
    let mut status = 0;
    for name in &rm.containers {
        match engine.remove_container(name, running) {
            Ok(()) => status = status.max(exit::data(&format!("{name}\n"))),
            Err(error) => {
                exit::failure(&error);
                // docker: what is not there is gone already.
                if !rm.force || error.kind() != Kind::NotFound {
                    status = 1;
                }
            }
        }
    }
    Ok(status)
}
