//! `envbox ps`.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::cli::args::container::Ps;
use crate::cli::exit;
use crate::cli::output::{ago, created_at, ellipsis, human_duration, human_size, short_id};
use crate::cli::template::{Columns, Format};
use crate::engine::{
    ContainerFilter, ContainerResources, ContainerSize, ContainerStatus, ContainerSummary, Engine,
    MountPoint,
};
use crate::error::Result;
use crate::fs::Timestamp;
use crate::id::ContainerId;
use crate::monitor::HealthStatus;

use super::inspect::network_mode as mode;

/// docker's columns.
const FIELDS: &[&str] = &["ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names"];

/// The same with `--size`.
const FIELDS_AND_SIZE: &[&str] =
    &["ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names", "Size"];

/// docker's headers.
pub(super) const HEADERS: &[(&str, &str)] = &[
    ("ID", "CONTAINER ID"),
    ("Command", "COMMAND"),
    ("CreatedAt", "CREATED AT"),
    ("RunningFor", "CREATED"),
    ("LocalVolumes", "LOCAL VOLUMES"),
];

/// docker cuts a command here.
const COMMAND_WIDTH: usize = 20;

/// And the name of what is mounted here.
const MOUNT_WIDTH: usize = 15;

/// What time it is, and where.
pub(super) struct Clock {
    /// Seconds since 1970.
    pub now: i64,
    /// None where no format can ask for the time of day: what zones there are
    /// takes time to find out.
    pub zone: Option<TimeZone>,
}

/// What a row tells beside the container itself.
#[derive(Default)]
pub(super) struct Details {
    /// What it has beside its files.
    pub resources: ContainerResources,
    /// Of its files.
    pub size: Option<ContainerSize>,
}

/// Lists containers, the newest first.
pub(in crate::cli) fn run(engine: &Engine, ps: &Ps) -> Result<i32> {
    let format = Format::parse(ps.format.as_deref().unwrap_or_default())?;
    let last = if ps.latest { Some(1) } else { ps.last };
    let mut containers = engine.containers()?;
    engine.filter_containers(&mut containers, &ps.filter)?;
    match last {
        Some(count) => containers.truncate(count),
        None if ps.all || ps.filter.iter().any(names_a_state) => {}
        None => containers.retain(|found| found.status.is_up()),
    }
    if ps.quiet && ps.format.is_none() {
        let id = |found: &ContainerSummary| format!("{}\n", shown_id(found, ps.no_trunc));
        return Ok(exit::data(&containers.iter().map(id).collect::<String>()));
    }
    let zone = ps.format.is_some().then(TimeZone::system);
    let clock = Clock { now: Timestamp::now().seconds, zone };
    let mut details = details(engine, ps, &containers)?;
    let rows: Result<Vec<Value>> = containers
        .iter()
        .map(|found| {
            let details = details.remove(&found.id).unwrap_or_default();
            row(found, &clock, (&details, ps.no_trunc))
        })
        .collect();
    let fields = if ps.size { FIELDS_AND_SIZE } else { FIELDS };
    Ok(exit::data(&format.render(&rows?, Columns { fields, headers: HEADERS })?))
}

/// What the format may ask for beyond a list, which is not to be looked up in
/// vain: docker's own columns need none of it.
fn details(
    engine: &Engine,
    ps: &Ps,
    containers: &[ContainerSummary],
) -> Result<BTreeMap<ContainerId, Details>> {
    let mut all: BTreeMap<ContainerId, Details> = BTreeMap::new();
    if ps.format.is_some() {
        for (id, resources) in engine.container_resources()? {
            all.entry(id).or_default().resources = resources;
        }
    }
    if ps.size || ps.format.as_deref().is_some_and(|format| format.contains(".Size")) {
        for found in containers {
            let size = engine.size_of_container(&found.id)?;
            all.entry(found.id.clone()).or_default().size = size;
        }
    }
    Ok(all)
}

/// docker: who asks for a state means those that do not run, too.
fn names_a_state(filter: &ContainerFilter) -> bool {
    matches!(filter, ContainerFilter::Status(_) | ContainerFilter::Exited(_))
}

fn shown_id(container: &ContainerSummary, whole: bool) -> &str {
    if whole { container.id.as_str() } else { short_id(container.id.as_str()) }
}

/// By docker's names of fields.
pub(super) fn row(
    container: &ContainerSummary,
    clock: &Clock,
    (details, whole): (&Details, bool),
) -> Result<Value> {
    let cut = |text: String, width| if whole { text } else { ellipsis(&text, width) };
    let command = cut(container.command.join(" "), COMMAND_WIDTH);
    let (state, status) = status(container, clock.now);
    let created = container.created;
    let at = clock.zone.as_ref().map(|zone| created_at(created.seconds, zone)).transpose()?;
    let label = |(key, value): (&String, &String)| format!("{key}={value}");
    let labels: Vec<String> = container.labels.iter().map(label).collect();
    let resources = &details.resources;
    let mounted = |point: &MountPoint| match &point.volume {
        Some(name) => cut(name.to_string(), MOUNT_WIDTH),
        None => cut(point.source.display().to_string(), MOUNT_WIDTH),
    };
    let mounts: Vec<String> = resources.mounts.iter().map(mounted).collect();
    let volumes = resources.mounts.iter().filter(|point| point.volume.is_some()).count();
    let size = details.size.map(|size| {
        let whole = human_size(size.written + size.image);
        format!("{} (virtual {whole})", human_size(size.written))
    });
    Ok(json!({
        "ID": shown_id(container, whole),
        "Image": container.image,
        "Command": format!("\"{command}\""),
        "CreatedAt": at.unwrap_or_default(),
        "RunningFor": ago(created.seconds, clock.now),
        "Status": status,
        "State": state,
        "Ports": "",
        "Names": container.name,
        "Labels": labels.join(","),
        "LocalVolumes": volumes.to_string(),
        "Mounts": mounts.join(","),
        "Networks": resources.network.map(mode).unwrap_or_default(),
        "Size": size.unwrap_or_default(),
    }))
}

/// docker's word for the state, and its sentence.
fn status(container: &ContainerSummary, now: i64) -> (&'static str, String) {
    let since = |then: Timestamp| human_duration(now.saturating_sub(then.seconds).max(0) as u64);
    let health = match container.health {
        Some(HealthStatus::Starting) => " (health: starting)",
        Some(HealthStatus::Healthy) => " (healthy)",
        Some(HealthStatus::Unhealthy) => " (unhealthy)",
        None => "",
    };
    match container.status {
        ContainerStatus::Created => ("created", "Created".to_owned()),
        ContainerStatus::Running(start) => ("running", format!("Up {}{health}", since(start))),
        ContainerStatus::Paused(start) => ("paused", format!("Up {} (Paused)", since(start))),
        ContainerStatus::Restarting(code, end) => {
            let end = end.map(|end| format!(" {}", ago(end.seconds, now))).unwrap_or_default();
            ("restarting", format!("Restarting ({code}){end}"))
        }
        ContainerStatus::Exited(code, end) => {
            let end = end.map(|end| format!(" {}", ago(end.seconds, now))).unwrap_or_default();
            ("exited", format!("Exited ({code}){end}"))
        }
    }
}
