//! `envbox rmi`, `envbox image rm`.

use crate::cli::args::image::RemoveImages;
use crate::cli::exit;
use crate::engine::Engine;
use crate::error::{Kind, Result};
use crate::reference::{DEFAULT_TAG, ImageRef};
use crate::store::Removed;

/// Removes one image after the other; an error does not keep it from the
/// rest.
pub(in crate::cli) fn run(engine: &Engine, arguments: &RemoveImages) -> Result<i32> {
    let mut status = 0;
    for image in &arguments.images {
        match engine.remove_image(image, arguments.force) {
            Ok(removed) => {
                let lines: String = removed.iter().map(line).collect();
                status = status.max(exit::data(&lines));
            }
            Err(error) => {
                exit::failure(&error);
                // docker: what is not there is gone already.
                if !arguments.force || error.kind() != Kind::NotFound {
                    status = 1;
                }
            }
        }
    }
    Ok(status)
}

fn line(removed: &Removed) -> String {
    match removed {
        Removed::Untagged(name) => format!("Untagged: {}\n", with_tag(name)),
        Removed::Image(id) => format!("Deleted: {id}\n"),
        Removed::Layer(chain) => format!("Deleted: {chain}\n"),
    }
}

/// The name with its tag, also where that is the default.
pub(super) fn with_tag(name: &ImageRef) -> String {
    match (name.tag(), name.digest()) {
        (None, None) => format!("{name}:{DEFAULT_TAG}"),
        _ => name.to_string(),
    }
}
