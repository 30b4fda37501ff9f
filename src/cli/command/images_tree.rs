//! `envbox images --tree`: names, and below each the platforms that it has
//! images for.

use serde_json::{Value, json};

use crate::cli::exit;
use crate::cli::output::{human_size, short_id};
use crate::cli::template::{Columns, Format};
use crate::engine::{Engine, ImageFilter, NamedImages};
use crate::error::Result;

use super::images::NONE;

const FIELDS: [&str; 3] = ["Image", "ID", "Size"];
const HEADERS: [(&str, &str); 3] = [("Image", "IMAGE"), ("ID", "ID"), ("Size", "SIZE")];

/// Lists what the filters leave.
pub(super) fn run(engine: &Engine, filters: &[ImageFilter], whole_ids: bool) -> Result<i32> {
    let id = |id: String| if whole_ids { id } else { short_id(&id).to_owned() };
    let row = |image: String, of: String, size| json!({ "Image": image, "ID": id(of), "Size": human_size(size) });
    let mut rows: Vec<Value> = Vec::new();
    for NamedImages { name, id: of, images } in engine.images_by_name(filters)? {
        let name = name.map_or_else(|| NONE.to_owned(), |name| name.to_string());
        let size = images.iter().map(|image| image.record.size).sum();
        rows.push(row(name, of.to_string(), size));
        if images.len() < 2 {
            continue;
        }
        for (at, image) in images.iter().enumerate() {
            let branch =
                if at + 1 < images.len() { "\u{251c}\u{2500}" } else { "\u{2514}\u{2500}" };
            let platform = format!("{branch} {}", image.platform);
            rows.push(row(platform, image.record.id.to_string(), image.record.size));
        }
    }
    let columns = Columns { fields: &FIELDS, headers: &HEADERS };
    Ok(exit::data(&Format::DefaultTable.render(&rows, columns)?))
}
