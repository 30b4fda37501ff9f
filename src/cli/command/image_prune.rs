//! `envbox image prune`.

use crate::cli::args::prune::ImagePrune;
use crate::cli::exit;
use crate::engine::{Engine, ImageScope, PrunedImages};
use crate::error::Result;
use crate::store::Removed;

use super::prune;
use super::rmi::with_tag;

/// Asks, removes, and prints what was removed.
pub(in crate::cli) fn run(engine: &Engine, arguments: &ImagePrune) -> Result<i32> {
    let scope = if arguments.all { ImageScope::All } else { ImageScope::Dangling };
    if !arguments.force {
        prune::confirm("image prune", &format!("This will remove {}.", what(scope)))?;
    }
    let pruned = engine.prune_images(scope, &arguments.filter)?;
    Ok(exit::data(&(images(&pruned) + &prune::total(pruned.reclaimed))))
}

/// What goes, in docker's words.
pub(super) fn what(scope: ImageScope) -> &'static str {
    match scope {
        ImageScope::Dangling => "all dangling images",
        ImageScope::All => "all images without at least one container associated to them",
    }
}

/// The names, images and layers that were removed.
pub(super) fn images(pruned: &PrunedImages) -> String {
    let line = |removed: &Removed| match removed {
        Removed::Untagged(name) => format!("untagged: {}", with_tag(name)),
        Removed::Image(id) => format!("deleted: {id}"),
        Removed::Layer(chain) => format!("deleted: {chain}"),
    };
    prune::section("Deleted Images", pruned.removed.iter().map(line))
}
