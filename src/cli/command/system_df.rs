//! `envbox system df`.

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::cli::args::disk_usage::DiskUsage as Arguments;
use crate::cli::exit;
use crate::cli::output::{human_size, human_sum};
use crate::cli::template::{Columns, Format};
use crate::engine::{ContainerDisk, DiskUsage, Engine, ImageDisk, VolumeDisk};
use crate::error::{Error, Result};
use crate::fs::Timestamp;

use super::{images, ps, volume};

const NONE: &str = "<none>";

const COLUMNS: Columns<'_> = Columns {
    fields: &["Type", "TotalCount", "Active", "Size", "Reclaimable"],
    headers: &[("TotalCount", "TOTAL")],
};

/// A part of what `-v` shows, by docker's columns.
const IMAGES: &[&str] =
    &["Repository", "Tag", "ID", "CreatedSince", "Size", "SharedSize", "UniqueSize", "Containers"];
const CONTAINERS: &[&str] =
    &["ID", "Image", "Command", "LocalVolumes", "Size", "RunningFor", "Status", "Names"];
const VOLUMES: &[&str] = &["Name", "Links", "Size"];
const BUILD_CACHE: Columns<'_> = Columns {
    fields: &["ID", "CacheType", "Size", "CreatedSince", "LastUsedSince", "UsageCount", "Shared"],
    headers: &[
        ("ID", "CACHE ID"),
        ("CacheType", "CACHE TYPE"),
        ("CreatedSince", "CREATED"),
        ("LastUsedSince", "LAST USED"),
        ("UsageCount", "USAGE"),
    ],
};

/// Counts, and shows sums or all.
pub(in crate::cli) fn run(engine: &Engine, arguments: &Arguments) -> Result<i32> {
    if arguments.verbose && matches!(arguments.format, Format::Table(_)) {
        return Err(Error::invalid(
            "with --verbose there are several tables, each of its own columns",
        )
        .hint(
            "leave --verbose out, or give a template that ranges over .Images, .Containers and \
                   .Volumes",
        ));
    }
    let usage = engine.disk_usage()?;
    let text = match arguments.verbose {
        false => arguments.format.render(&sums(&usage), COLUMNS)?,
        true => Details::of(engine, &usage, &arguments.format)?.render(&arguments.format)?,
    };
    Ok(exit::data(&text))
}

/// A row for each kind.
fn sums(usage: &DiskUsage) -> [Value; 4] {
    let used = usage.images.iter().filter(|image| image.containers > 0).count();
    let up = usage.containers.iter().filter(|found| found.container.status.is_up()).count();
    let linked = usage.volumes.iter().filter(|volume| volume.links > 0).count();
    let (written, ended) = (usage.written(), usage.reclaimable_written());
    let (stored, unused) = (usage.stored(), usage.reclaimable_stored());
    let row = |kind: &str, total: usize, active: usize, size: u64, reclaimable: String| {
        json!({
            "Type": kind,
            "TotalCount": total.to_string(),
            "Active": active.to_string(),
            "Size": human_sum(size),
            "Reclaimable": reclaimable,
        })
    };
    [
        row(
            "Images",
            usage.images.len(),
            used,
            usage.layers,
            share(usage.reclaimable_layers, usage.layers),
        ),
        row("Containers", usage.containers.len(), up, written, share(ended, written)),
        row("Local Volumes", usage.volumes.len(), linked, stored, share(unused, stored)),
        // There is none; docker's row says so.
        row("Build Cache", 0, 0, 0, human_sum(0)),
    ]
}

/// A size, and how much of `total` it is, if that is something.
fn share(size: u64, total: u64) -> String {
    match (u128::from(size) * 100).checked_div(u128::from(total)) {
        Some(percent) => format!("{} ({percent}%)", human_sum(size)),
        None => human_sum(size),
    }
}

/// The rows of each part, by docker's names of fields.
struct Details {
    images: Vec<Value>,
    containers: Vec<Value>,
    volumes: Vec<Value>,
}

impl Details {
    fn of(engine: &Engine, usage: &DiskUsage, format: &Format) -> Result<Self> {
        let now = Timestamp::now().seconds;
        // As in docker only tables are cut.
        let whole = !matches!(format, Format::DefaultTable);
        let clock = images::Clock { now, zone: TimeZone::system() };
        let images = usage.images.iter().map(|image| image_row(image, whole, &clock)).collect();
        let clock = ps::Clock { now, zone: Some(clock.zone) };
        // No table tells of them.
        let mut resources = if whole { engine.container_resources()? } else { Default::default() };
        let mut container_row = |disk: &ContainerDisk| {
            let resources = resources.remove(&disk.container.id).unwrap_or_default();
            let details = ps::Details { resources, size: None };
            let mut row = ps::row(&disk.container, &clock, (&details, whole))?;
            row["LocalVolumes"] = Value::from(disk.volumes.to_string());
            row["Size"] = Value::from(human_size(disk.written));
            Ok(row)
        };
        let containers: Result<_> = usage.containers.iter().map(&mut container_row).collect();
        let volumes = usage.volumes.iter().map(volume_row).collect();
        Ok(Self { images, containers: containers?, volumes })
    }

    fn render(self, format: &Format) -> Result<String> {
        if !matches!(format, Format::DefaultTable) {
            let all = json!({
                "Images": self.images,
                "Containers": self.containers,
                "Volumes": self.volumes,
                "BuildCache": [],
            });
            return format.render(&[all], Columns { fields: &[], headers: &[] });
        }
        let table = |rows: &[Value], columns| Format::DefaultTable.render(rows, columns);
        let images = Columns { fields: IMAGES, headers: &images::HEADERS };
        let containers = Columns { fields: CONTAINERS, headers: ps::HEADERS };
        let volumes = Columns { fields: VOLUMES, headers: volume::HEADERS };
        Ok(format!(
            "Images space usage:\n\n{}\nContainers space usage:\n\n{}\n\
             Local Volumes space usage:\n\n{}\nBuild cache usage: {}\n\n{}",
            table(&self.images, images)?,
            table(&self.containers, containers)?,
            table(&self.volumes, volumes)?,
            human_sum(0),
            table(&[], BUILD_CACHE)?,
        ))
    }
}

/// docker: an image is one row, by its first tag.
fn image_row(disk: &ImageDisk, whole: bool, clock: &images::Clock) -> Value {
    let mut row = images::shared_fields(&disk.image, whole, clock);
    let mut names = images::names(&disk.image).into_iter().filter(|(_, tag)| tag != NONE);
    let (repository, tag) = names.next().unwrap_or_else(|| (NONE.to_owned(), NONE.to_owned()));
    row["Repository"] = Value::from(repository);
    row["Tag"] = Value::from(tag);
    row["SharedSize"] = Value::from(human_sum(disk.shared));
    row["UniqueSize"] = Value::from(human_sum(disk.unique));
    row["Containers"] = Value::from(disk.containers.to_string());
    row
}

fn volume_row(disk: &VolumeDisk) -> Value {
    let mut row = volume::row(&disk.volume);
    row["Links"] = Value::from(disk.links.to_string());
    row["Size"] = Value::from(human_sum(disk.size));
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_docker_s() {
        for (size, total, text) in [
            (0, 0, "0B"),
            (0, 36, "0B (0%)"),
            (212, 212, "212B (100%)"),
            (11_630_000, 16_430_000, "11.63MB (70%)"),
            (u64::MAX, u64::MAX, "18.45EB (100%)"),
        ] {
            assert_eq!(share(size, total), text);
        }
    }
}
