//! `envbox create`.

use crate::cli::args::container::Create;
use crate::cli::exit;
use crate::engine::Engine;
use crate::error::Result;

use super::run::request;

/// Makes the container, and prints its ID.
pub(in crate::cli) fn run(engine: &Engine, create: Create) -> Result<i32> {
    let id = engine.create(&request(create.new)?)?;
    Ok(exit::data(&format!("{id}\n")))
}
