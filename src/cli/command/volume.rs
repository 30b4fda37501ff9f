//! `envbox volume`.

use std::io::IsTerminal;

use serde_json::{Value, json};

use crate::cli::args::volume::{VolumeCreate, VolumeLs, VolumePrune, VolumeRm, VolumeVerb, map};
use crate::cli::exit;
use crate::cli::output::rfc3339;
use crate::cli::template::{Columns, Format, InspectFormat};
use crate::engine::{Engine, PruneScope, PrunedVolumes, VolumeDetails, VolumeRequest};
use crate::error::{Error, Kind, Result};
use crate::id::VolumeName;

use super::export::{tell, write_tar};
use super::prune::{confirm, section, total};

const DRIVER: &str = "local";
const SCOPE: &str = "local";
/// What docker says where it has not counted.
const NOT_AVAILABLE: &str = "N/A";

/// docker's headers.
pub(super) const HEADERS: &[(&str, &str)] = &[("Name", "VOLUME NAME")];

const COLUMNS: Columns<'_> = Columns { fields: &["Driver", "Name"], headers: HEADERS };

/// Does what the verb says.
pub(in crate::cli) fn run(engine: &Engine, verb: VolumeVerb) -> Result<i32> {
    match verb {
        VolumeVerb::Create(arguments) => create(engine, arguments),
        VolumeVerb::Ls(arguments) => list(engine, &arguments),
        VolumeVerb::Inspect(arguments) => {
            inspect(engine, &arguments.volumes, &arguments.format.format)
        }
        VolumeVerb::Rm(arguments) => remove(engine, &arguments),
        VolumeVerb::Prune(arguments) => prune(engine, &arguments),
        VolumeVerb::Export(arguments) => write_tar(arguments.output.as_deref(), |output| {
            engine.export_volume(&arguments.volume, output)
        }),
        VolumeVerb::Import(arguments) => import(engine, &arguments.volume),
    }
}

fn import(engine: &Engine, volume: &VolumeName) -> Result<i32> {
    if std::io::stdin().is_terminal() {
        return Err(Error::invalid("stdin is a terminal, not an archive")
            .hint(format!("pipe one in: envbox volume import {volume} <FILE")));
    }
    tell(&engine.import_volume(volume, Box::new(std::io::stdin()))?);
    Ok(0)
}

fn create(engine: &Engine, create: VolumeCreate) -> Result<i32> {
    let request =
        VolumeRequest { name: create.name, labels: map(create.label), options: map(create.opt) };
    let name = engine.create_volume(&request)?;
    Ok(exit::data(&format!("{name}\n")))
}

fn list(engine: &Engine, list: &VolumeLs) -> Result<i32> {
    let volumes = engine.volumes(&list.filter)?;
    if list.quiet && matches!(list.format, Format::DefaultTable) {
        let line = |volume: &VolumeDetails| format!("{}\n", volume.record.name);
        return Ok(exit::data(&volumes.iter().map(line).collect::<String>()));
    }
    let rows: Vec<Value> = volumes.iter().map(row).collect();
    Ok(exit::data(&list.format.render(&rows, COLUMNS)?))
}

/// By docker's names of fields.
pub(super) fn row(volume: &VolumeDetails) -> Value {
    let label = |(key, value): (&String, &String)| format!("{key}={value}");
    let labels: Vec<String> = volume.record.labels.iter().map(label).collect();
    json!({
        "Name": volume.record.name,
        "Driver": DRIVER,
        "Scope": SCOPE,
        "Mountpoint": volume.mountpoint,
        "Labels": labels.join(","),
        "Availability": NOT_AVAILABLE,
        "Group": NOT_AVAILABLE,
        "Links": NOT_AVAILABLE,
        "Size": NOT_AVAILABLE,
        "Status": NOT_AVAILABLE,
    })
}

/// Prints what was found, then tells what was not.
fn inspect(engine: &Engine, names: &[String], format: &InspectFormat) -> Result<i32> {
    let mut objects = Vec::new();
    let mut errors = Vec::new();
    for name in names {
        match engine.volume(name).and_then(|volume| object(&volume)) {
            Ok(object) => objects.push(object),
            Err(error) => errors.push(error),
        }
    }
    let status = exit::data(&format.render(&objects)?);
    for error in &errors {
        exit::failure(error);
    }
    Ok(if errors.is_empty() { status } else { 1 })
}

/// In docker's shape, where no label and no option is `null`.
fn object(volume: &VolumeDetails) -> Result<Value> {
    let record = &volume.record;
    let some = |map: &std::collections::BTreeMap<String, String>| {
        if map.is_empty() { Value::Null } else { json!(map) }
    };
    Ok(json!({
        "CreatedAt": rfc3339(record.created_at.seconds, 0)?,
        "Driver": DRIVER,
        "Labels": some(&record.labels),
        "Mountpoint": volume.mountpoint,
        "Name": record.name,
        "Options": some(&record.options),
        "Scope": SCOPE,
    }))
}

/// Removes every volume it can, and prints what was removed.
fn remove(engine: &Engine, rm: &VolumeRm) -> Result<i32> {
    let (mut removed, mut status) = (String::new(), 0);
    for name in &rm.volumes {
        match engine.remove_volume(name) {
            Ok(()) => removed.push_str(&format!("{name}\n")),
            Err(error) if rm.force && error.kind() == Kind::NotFound => {
                removed.push_str(&format!("{name}\n"));
            }
            Err(error) => {
                exit::failure(&error);
                status = 1;
            }
        }
    }
    Ok(exit::data(&removed).max(status))
}

fn prune(engine: &Engine, prune: &VolumePrune) -> Result<i32> {
    if !prune.force {
        let which = if prune.all { "all local" } else { "anonymous local" };
        let warning =
            format!("This will remove {which} volumes not used by at least one container.");
        confirm("volume prune", &warning)?;
    }
    let scope = if prune.all { PruneScope::All } else { PruneScope::Anonymous };
    let pruned = engine.prune_volumes(scope, &prune.filter)?;
    Ok(exit::data(&(pruned_volumes(&pruned) + &total(pruned.reclaimed))))
}

/// The volumes that were removed.
pub(super) fn pruned_volumes(pruned: &PrunedVolumes) -> String {
    section("Deleted Volumes", pruned.names.iter().map(ToString::to_string))
}
