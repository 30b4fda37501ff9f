//! `envbox inspect`, `envbox image inspect`: objects as docker's JSON.

mod container;
mod image;

use serde::Serialize;

use crate::cli::args::image::{ImageInspect, Inspect, InspectFormatFlag, InspectKind};
use crate::cli::exit;
use crate::cli::output::rfc3339;
use crate::engine::{Engine, Inspected, ObjectKind, Sizes};
use crate::error::Result;
use crate::fs::Timestamp;

pub(super) use container::network_mode;

use container::Container;
use image::Image;

/// Go's time that is none.
const ZERO_TIME: &str = "0001-01-01T00:00:00Z";

/// An object in docker's shape.
#[derive(Serialize)]
#[serde(untagged)]
enum Object {
    Image(Box<Image>),
    Container(Box<Container>),
}

/// Prints what was found, then tells what was not.
pub(in crate::cli) fn run(engine: &Engine, inspect: &Inspect) -> Result<i32> {
    let kind = inspect.kind.map(|kind| match kind {
        InspectKind::Image => ObjectKind::Image,
        InspectKind::Container => ObjectKind::Container,
    });
    let sizes = if inspect.size { Sizes::Counted } else { Sizes::Unknown };
    print((&inspect.names, &inspect.format), |name| engine.inspect(name, kind, sizes))
}

/// As [`run`] for images, of each perhaps that for a platform.
pub(in crate::cli) fn images(engine: &Engine, inspect: &ImageInspect) -> Result<i32> {
    let platform = inspect.platform.as_ref();
    print((&inspect.images, &inspect.format), |name| engine.inspect_image(name, platform))
}

fn print(
    (names, flag): (&[String], &InspectFormatFlag),
    find: impl Fn(&str) -> Result<Inspected>,
) -> Result<i32> {
    let mut objects = Vec::new();
    let mut errors = Vec::new();
    for name in names {
        match find(name).and_then(object) {
            Ok(object) => objects.push(object),
            Err(error) => errors.push(error),
        }
    }
    let status = exit::data(&flag.format.render(&objects)?);
    for error in &errors {
        exit::failure(error);
    }
    Ok(if errors.is_empty() { status } else { 1 })
}

fn object(found: Inspected) -> Result<Object> {
    Ok(match found {
        Inspected::Image(details) => Object::Image(Box::new(Image::new(&details)?)),
        Inspected::Container(details) => Object::Container(Box::new(Container::new(&details))),
    })
}

fn time(time: Option<Timestamp>) -> String {
    let text = time.and_then(|time| rfc3339(time.seconds, time.nanoseconds).ok());
    text.unwrap_or_else(|| ZERO_TIME.to_owned())
}
