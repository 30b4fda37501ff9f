//! `envbox ps`.

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::cli::args::container::Ps;
use crate::cli::exit;
use crate::cli::output::{ago, created_at, ellipsis, human_duration, short_id};
use crate::cli::template::{Columns, Format};
use crate::engine::{ContainerFilter, ContainerStatus, ContainerSummary, Engine};
use crate::error::Result;
use crate::fs::Timestamp;

/// docker's columns.
const COLUMNS: Columns<'_> = Columns {
    fields: &["ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names"],
    headers: &[
        ("ID", "CONTAINER ID"),
        ("Command", "COMMAND"),
        ("CreatedAt", "CREATED AT"),
        ("RunningFor", "CREATED"),
    ],
};

/// docker cuts a command here.
const COMMAND_WIDTH: usize = 20;

/// Lists containers, the newest first.
pub(in crate::cli) fn run(engine: &Engine, ps: &Ps) -> Result<i32> {
    let format = Format::parse(ps.format.as_deref().unwrap_or_default())?;
    let last = if ps.latest { Some(1) } else { ps.last };
    let mut containers = engine.containers()?;
    engine.filter_containers(&mut containers, &ps.filter)?;
    match last {
        Some(count) => containers.truncate(count),
        None if ps.all || ps.filter.iter().any(names_a_state) => {}
        None => containers.retain(|found| matches!(found.status, ContainerStatus::Running(_))),
    }
    if ps.quiet && ps.format.is_none() {
        let id = |found: &ContainerSummary| format!("{}\n", shown_id(found, ps.no_trunc));
        return Ok(exit::data(&containers.iter().map(id).collect::<String>()));
    }
    let now = Timestamp::now().seconds;
    let rows: Result<Vec<Value>> =
        containers.iter().map(|found| row(found, now, ps.no_trunc)).collect();
    Ok(exit::data(&format.render(&rows?, COLUMNS)?))
}

/// docker: who asks for a state means those that do not run, too.
fn names_a_state(filter: &ContainerFilter) -> bool {
    matches!(filter, ContainerFilter::Status(_) | ContainerFilter::Exited(_))
}

fn shown_id(container: &ContainerSummary, whole: bool) -> &str {
    if whole { container.id.as_str() } else { short_id(container.id.as_str()) }
}

fn row(container: &ContainerSummary, now: i64, whole: bool) -> Result<Value> {
    let command = container.command.join(" ");
    let command = if whole { command } else { ellipsis(&command, COMMAND_WIDTH) };
    let since = |then: Timestamp| human_duration(now.saturating_sub(then.seconds).max(0) as u64);
    let (state, status) = match container.status {
        ContainerStatus::Created => ("created", "Created".to_owned()),
        ContainerStatus::Running(start) => ("running", format!("Up {}", since(start))),
        ContainerStatus::Exited(code, end) => {
            let end = end.map(|end| format!(" {}", ago(end.seconds, now))).unwrap_or_default();
            ("exited", format!("Exited ({code}){end}"))
        }
    };
    let created = container.created;
    let label = |(key, value): (&String, &String)| format!("{key}={value}");
    let labels: Vec<String> = container.labels.iter().map(label).collect();
    Ok(json!({
        "ID": shown_id(container, whole),
        "Image": container.image,
        "Command": format!("\"{command}\""),
        "CreatedAt": created_at(created.seconds, &TimeZone::system())?,
        "RunningFor": ago(created.seconds, now),
        "Status": status,
        "State": state,
        "Ports": "",
        "Names": container.name,
        "Labels": labels.join(","),
    }))
}
