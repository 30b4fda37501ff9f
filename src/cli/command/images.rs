//! `envbox images`.

use crate::cli::args::image::Images;
use crate::cli::exit;
use crate::cli::output::{Table, ago, human_size, short_id};
use crate::engine::Engine;
use crate::error::Result;
use crate::fs::Timestamp;

/// Lists the images in docker's columns, the newest first.
pub(in crate::cli) fn run(engine: &Engine, images: &Images) -> Result<i32> {
    let mut table = Table::new(["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"]);
    let mut ids = String::new();
    let now = Timestamp::now().seconds;
    for image in engine.images()? {
        let id = image.id.to_string();
        let id = if images.no_trunc { id.as_str() } else { short_id(&id) };
        ids.push_str(&format!("{id}\n"));
        let created = image.created.map_or_else(String::new, |time| ago(time.seconds, now));
        let none = || "<none>".to_owned();
        let row = |repository: String, tag: String| {
            [repository, tag, id.to_owned(), created.clone(), human_size(image.size)]
        };
        for name in &image.names {
            let tag = name.tag().map_or_else(none, str::to_owned);
            table.row(row(name.familiar_repository(), tag));
        }
        if image.names.is_empty() {
            table.row(row(none(), none()));
        }
    }
    Ok(exit::data(&if images.quiet { ids } else { table.render() }))
}
