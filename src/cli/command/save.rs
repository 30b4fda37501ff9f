//! `envbox save`, `envbox image save`.

use crate::cli::args::image::{Save, SaveFormat};
use crate::engine::{Engine, SaveRequest};
use crate::error::Result;

/// Saves, in silence.
pub(in crate::cli) fn run(engine: &Engine, save: Save) -> Result<i32> {
    match save.format {
        SaveFormat::OciDir => {
            engine.save(&SaveRequest { images: save.images, folder: save.output })?;
        }
    }
    Ok(0)
}
