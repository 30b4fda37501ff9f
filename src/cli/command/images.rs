//! `envbox images`, `envbox image ls`.

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::cli::args::image::Images;
use crate::cli::exit;
use crate::cli::output::{ago, created_at, human_size, short_id};
use crate::cli::template::{Columns, Format};
use crate::engine::{Engine, ImageFilter};
use crate::error::Result;
use crate::fs::Timestamp;
use crate::reference::ImageRef;
use crate::store::ImageRecord;

use super::images_tree;

pub(super) const NONE: &str = "<none>";
/// What docker says where it has not counted.
const NOT_AVAILABLE: &str = "N/A";

const FIELDS: [&str; 5] = ["Repository", "Tag", "ID", "CreatedSince", "Size"];
const FIELDS_WITH_DIGESTS: [&str; 6] =
    ["Repository", "Tag", "Digest", "ID", "CreatedSince", "Size"];
/// docker's headers.
pub(super) const HEADERS: [(&str, &str); 11] = [
    ("ID", "IMAGE ID"),
    ("Repository", "REPOSITORY"),
    ("Tag", "TAG"),
    ("Digest", "DIGEST"),
    ("CreatedSince", "CREATED"),
    ("CreatedAt", "CREATED AT"),
    ("Size", "SIZE"),
    ("Containers", "CONTAINERS"),
    ("SharedSize", "SHARED SIZE"),
    ("UniqueSize", "UNIQUE SIZE"),
    ("VirtualSize", "SIZE"),
];

/// Lists the images, a row for each name.
pub(in crate::cli) fn run(engine: &Engine, images: Images) -> Result<i32> {
    let mut filters = images.filter;
    filters.extend(images.reference.map(ImageFilter::Reference));
    if images.tree {
        return images_tree::run(engine, &filters, images.no_trunc);
    }
    let found = engine.images(&filters)?;
    let clock = Clock { now: Timestamp::now().seconds, zone: TimeZone::system() };
    let mut rows = Vec::new();
    for image in found.iter().filter(|image| images.all || !image.is_by_platform()) {
        let shared = shared_fields(image, images.no_trunc, &clock);
        for (repository, tag) in names(image) {
            let mut row = shared.clone();
            row["Repository"] = Value::from(repository);
            row["Tag"] = Value::from(tag);
            rows.push(row);
        }
    }
    // As in docker a template wins over the IDs.
    if images.quiet && matches!(images.format, Format::DefaultTable) {
        let ids = rows.iter().filter_map(|row| row["ID"].as_str());
        return Ok(exit::data(&ids.map(|id| format!("{id}\n")).collect::<String>()));
    }
    let fields: &[&str] = if images.digests { &FIELDS_WITH_DIGESTS } else { &FIELDS };
    let columns = Columns { fields, headers: &HEADERS };
    Ok(exit::data(&images.format.render(&rows, columns)?))
}

/// What time it is, and where.
pub(super) struct Clock {
    /// Seconds since 1970.
    pub now: i64,
    /// The caller's.
    pub zone: TimeZone,
}

/// What the rows of an image have in common, by docker's names of fields.
pub(super) fn shared_fields(image: &ImageRecord, whole_ids: bool, clock: &Clock) -> Value {
    let id = image.id.to_string();
    let not_available = || NOT_AVAILABLE.to_owned();
    let since = image.created.map_or_else(not_available, |time| ago(time.seconds, clock.now));
    let at = image.created.and_then(|time| created_at(time.seconds, &clock.zone).ok());
    let size = human_size(image.size);
    json!({
        "ID": if whole_ids { id.as_str() } else { short_id(&id) },
        "Digest": image.manifest.to_string(),
        "CreatedSince": since,
        "CreatedAt": at.unwrap_or_else(not_available),
        "Size": size,
        "VirtualSize": size,
        "Containers": NOT_AVAILABLE,
        "SharedSize": NOT_AVAILABLE,
        "UniqueSize": NOT_AVAILABLE,
    })
}

/// Repository and tag of each row.
pub(super) fn names(image: &ImageRecord) -> Vec<(String, String)> {
    let known = if image.is_by_platform() { &image.index_names } else { &image.names };
    // The digest of a name is shown only where its repository has no tag.
    let has_tag = |repository: &str| {
        let mut names = known.iter();
        names.any(|name| name.tag().is_some() && name.full_repository() == repository)
    };
    let row = |name: &ImageRef| match name.tag() {
        Some(tag) => Some((name.familiar_repository(), tag.to_owned())),
        None if has_tag(&name.full_repository()) => None,
        None => Some((name.familiar_repository(), NONE.to_owned())),
    };
    let rows: Vec<_> = known.iter().filter_map(row).collect();
    if rows.is_empty() { vec![(NONE.to_owned(), NONE.to_owned())] } else { rows }
}
