//! `envbox rm`.

use crate::cli::args::container::Rm;
use crate::cli::exit;
use crate::engine::{Engine, OwnVolumes};
use crate::error::Result;

/// Removes every container it can, and prints what was removed.
pub(in crate::cli) fn run(engine: &Engine, rm: &Rm) -> Result<i32> {
    let (mut removed, mut status) = (String::new(), 0);
    let volumes = if rm.volumes { OwnVolumes::Removed } else { OwnVolumes::Kept };
    for name in &rm.containers {
        match engine.remove_container(name, volumes) {
            Ok(()) => removed.push_str(&format!("{name}\n")),
            Err(error) => {
                exit::failure(&error);
                status = 1;
            }
        }
    }
    Ok(exit::data(&removed).max(status))
}
