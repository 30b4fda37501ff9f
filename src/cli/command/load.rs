//! `envbox load`, `envbox image load`.

use std::collections::BTreeSet;

use crate::cli::args::load::Load;
use crate::cli::exit;
use crate::cli::progress::{self, Progress};
use crate::engine::{Engine, ImportStart, LoadRequest, LoadedImage};
use crate::error::Result;
use crate::image::LayerLimits;
use crate::platform::Platform;

/// Loads, and says in docker's words what.
pub(in crate::cli) fn run(engine: &Engine, load: Load) -> Result<i32> {
    let is_shown = !load.quiet && progress::is_seen();
    let request = LoadRequest {
        input: load.input,
        platform: load.platform,
        layer_limits: LayerLimits { bytes: load.max_layer_size, entries: load.max_entries },
    };
    let mut line = None;
    let loaded = engine.load(&request, |ImportStart { counters, total }| {
        line = is_shown.then(|| Progress::start(counters, total));
    });
    // What follows is printed where the line was.
    drop(line);
    let loaded = loaded?;
    if !loaded.absent.is_empty() {
        let platforms: BTreeSet<String> = loaded.absent.iter().map(Platform::to_string).collect();
        let platforms = platforms.into_iter().collect::<Vec<_>>().join(", ");
        exit::note(&format!("left out, as not in the archive or not for Linux: {platforms}"), None);
    }
    Ok(exit::data(&loaded.images.iter().map(told).collect::<String>()))
}

fn told(image: &LoadedImage) -> String {
    let LoadedImage { id, name, previous } = image;
    let Some(name) = name else { return format!("Loaded image ID: {id}\n") };
    let moved = previous.map(|previous| {
        format!(
            "The image {name} already exists, renaming the old one with ID {previous} to empty \
             string\n"
        )
    });
    format!("{}Loaded image: {name}\n", moved.unwrap_or_default())
}
