//! `envbox tag`, `envbox image tag`.

use crate::cli::args::image::Tag;
use crate::engine::Engine;
use crate::error::Result;

/// Gives the name, in silence.
pub(in crate::cli) fn run(engine: &Engine, tag: &Tag) -> Result<i32> {
    engine.tag(&tag.source, &tag.target)?;
    Ok(0)
}
