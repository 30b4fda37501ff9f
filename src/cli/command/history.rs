//! `envbox history`, `envbox image history`.

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::cli::args::commit::History;
use crate::cli::exit;
use crate::cli::output::{ago, ellipsis, event_time, human_size, short_id};
use crate::cli::template::{Columns, Format};
use crate::engine::{Engine, HistoryStep};
use crate::error::Result;
use crate::fs::Timestamp;

/// docker's word for a step that is no image of this store.
const MISSING: &str = "<missing>";
/// What docker says of a time that nobody told.
const NOT_AVAILABLE: &str = "N/A";
/// How much of a command is shown, in cells.
const COMMAND_WIDTH: usize = 45;

const FIELDS: [&str; 5] = ["ID", "CreatedSince", "CreatedBy", "Size", "Comment"];
const FIELDS_IN_FULL: [&str; 5] = ["ID", "CreatedAt", "CreatedBy", "Size", "Comment"];
const HEADERS: [(&str, &str); 6] = [
    ("ID", "IMAGE"),
    ("CreatedSince", "CREATED"),
    ("CreatedAt", "CREATED AT"),
    ("CreatedBy", "CREATED BY"),
    ("Size", "SIZE"),
    ("Comment", "COMMENT"),
];

/// Lists the steps, a row each.
pub(in crate::cli) fn run(engine: &Engine, history: &History) -> Result<i32> {
    let now = Timestamp::now().seconds;
    let zone = TimeZone::system();
    let row = |step: &HistoryStep| row(step, history, (now, &zone));
    let rows: Vec<Value> =
        engine.history(&history.image, history.platform.as_ref())?.iter().map(row).collect();
    // As in docker a template wins over the IDs.
    if history.quiet && matches!(history.format, Format::DefaultTable) {
        let ids = rows.iter().filter_map(|row| row["ID"].as_str());
        return Ok(exit::data(&ids.map(|id| format!("{id}\n")).collect::<String>()));
    }
    let fields = if history.human { &FIELDS } else { &FIELDS_IN_FULL };
    let columns = Columns { fields, headers: &HEADERS };
    Ok(exit::data(&history.format.render(&rows, columns)?))
}

/// The fields of a step, by docker's names.
fn row(step: &HistoryStep, history: &History, (now, zone): (i64, &TimeZone)) -> Value {
    let id = step.id.map(|id| id.to_string());
    let id = id.as_deref().map_or(MISSING, |id| match history.no_trunc {
        true => id,
        false => short_id(id),
    });
    // A command of several lines is one cell.
    let command = step.created_by.replace('\t', " ");
    let since = step.created.map(|time| ago(time.seconds, now));
    let at = step.created.and_then(|time| event_time(time.seconds, 0, zone).ok());
    json!({
        "ID": id,
        "CreatedSince": since.unwrap_or_else(|| NOT_AVAILABLE.to_owned()),
        // Without the fraction, which is zero here.
        "CreatedAt": at.map_or_else(|| NOT_AVAILABLE.to_owned(),
            |at| at.replacen(".000000000", "", 1)),
        "CreatedBy": match history.no_trunc {
            true => command,
            false => ellipsis(&command, COMMAND_WIDTH),
        },
        "Size": match history.human {
            true => human_size(step.size),
            false => step.size.to_string(),
        },
        "Comment": step.comment,
    })
}
