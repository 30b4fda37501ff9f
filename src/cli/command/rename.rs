//! `envbox rename`.

use crate::cli::args::lifecycle::Rename;
use crate::engine::Engine;
use crate::error::Result;

/// Renames the container.
pub(in crate::cli) fn run(engine: &Engine, rename: &Rename) -> Result<i32> {
    engine.rename_container(&rename.container, &rename.name)?;
    Ok(0)
}
