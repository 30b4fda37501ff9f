//! `envbox system prune`.

use crate::cli::args::prune::SystemPrune;
use crate::cli::exit;
use crate::engine::{self, Engine, ImageScope, PruneFilter, Pruned};
use crate::error::Result;
use crate::store::Collected;

use super::{image_prune, prune, volume};

/// Asks, removes, and prints what was removed, each kind as soon as it has
/// gone.
pub(in crate::cli) fn run(engine: &Engine, arguments: SystemPrune) -> Result<i32> {
    let request = engine::SystemPrune {
        images: if arguments.all { ImageScope::All } else { ImageScope::Dangling },
        volumes: arguments.volumes,
        filters: arguments.filter,
    };
    request.check()?;
    if !arguments.force {
        prune::confirm("system prune", &warning(&request))?;
    }
    let (mut reclaimed, mut status) = (0, 0);
    engine.prune_system(&request, &mut |pruned| {
        reclaimed += pruned.reclaimed();
        let text = match &pruned {
            Pruned::Containers(pruned) => prune::containers(pruned),
            Pruned::Volumes(pruned) => volume::pruned_volumes(pruned),
            Pruned::Images(pruned) => image_prune::images(pruned),
            Pruned::Leftovers(collected) => leftovers(collected),
        };
        status = status.max(exit::data(&text));
    })?;
    Ok(exit::data(&prune::total(reclaimed)).max(status))
}

/// docker's list of what goes.
fn warning(request: &engine::SystemPrune) -> String {
    let mut text = "This will remove:\n  - all stopped containers\n".to_owned();
    if request.volumes {
        text.push_str("  - all anonymous volumes not used by at least one container\n");
    }
    text.push_str(&format!("  - {}\n", image_prune::what(request.images)));
    text.push_str("  - all layers and files that belong to nothing any more\n");
    if !request.filters.is_empty() {
        text.push_str("\n  Items to be pruned will be filtered with:\n");
        text.extend(request.filters.iter().map(|filter| format!("  - {}\n", shown(filter))));
    }
    text
}

fn shown(filter: &PruneFilter) -> String {
    let label = |sign: &str, key: &str, value: &Option<String>| match value {
        Some(value) => format!("label{sign}={key}={value}"),
        None => format!("label{sign}={key}"),
    };
    match filter {
        PruneFilter::Until(time) => {
            let time = crate::cli::output::rfc3339(time.seconds, time.nanoseconds);
            format!("until={}", time.unwrap_or_default())
        }
        PruneFilter::Label(key, value) => label("", key, value),
        PruneFilter::NotLabel(key, value) => label("!", key, value),
    }
}

fn leftovers(collected: &Collected) -> String {
    let layers = collected.layers.iter().map(ToString::to_string);
    let containers = collected.containers.iter().map(ToString::to_string);
    let blobs = collected.blobs.iter().map(ToString::to_string);
    prune::section("Deleted Leftovers", layers.chain(containers).chain(blobs))
}
