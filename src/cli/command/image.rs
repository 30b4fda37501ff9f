//! `envbox image`: each of its verbs is one that has another name, too.

use crate::cli::args::image::ImageVerb;
use crate::engine::Engine;
use crate::error::Result;

use super::{
    history, image_diff, image_prune, images, import, inspect, load, rmi, save, tag, verify,
};

/// Does what the verb says.
pub(in crate::cli) fn run(engine: &Engine, verb: ImageVerb) -> Result<i32> {
    match verb {
        ImageVerb::Ls(arguments) => images::run(engine, arguments),
        ImageVerb::Inspect(arguments) => inspect::images(engine, &arguments),
        ImageVerb::Tag(arguments) => tag::run(engine, &arguments),
        ImageVerb::Rm(arguments) => rmi::run(engine, &arguments),
        ImageVerb::Prune(arguments) => image_prune::run(engine, &arguments),
        ImageVerb::History(arguments) => history::run(engine, &arguments),
        ImageVerb::Diff(arguments) => image_diff::run(engine, &arguments),
        ImageVerb::Save(arguments) => save::run(engine, &arguments),
        ImageVerb::Load(arguments) => load::run(engine, arguments),
        ImageVerb::Import(arguments) => import::run(engine, *arguments),
        ImageVerb::Verify(arguments) => verify::run(engine, &arguments),
    }
}
