//! `envbox port`.

use crate::cli::args::container::Port;
use crate::engine::{Engine, ObjectKind, Sizes};
use crate::error::{Error, Result};

/// Lists nothing, of a container that is there.
pub(in crate::cli) fn run(engine: &Engine, port: &Port) -> Result<i32> {
    let name = &port.container;
    engine.inspect(name, Some(ObjectKind::Container), Sizes::Unknown)?;
    match &port.port {
        None => Ok(0),
        Some(port) => {
            Err(Error::not_found(format!("no public port '{port}' published for {name}"))
                .hint("with --network host the container has the ports of the host itself"))
        }
    }
}
