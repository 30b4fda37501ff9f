//! What can be typed after `envbox volume`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::cli::template::Format;
use crate::engine::VolumeFilter;
use crate::error::{Error, Result};
use crate::id::VolumeName;

use super::filter;
use super::image::InspectFormatFlag;

/// The verbs on volumes.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum VolumeVerb {
    Create(VolumeCreate),
    #[command(visible_alias = "list")]
    Ls(VolumeLs),
    Inspect(VolumeInspect),
    #[command(visible_alias = "remove")]
    Rm(VolumeRm),
    Prune(VolumePrune),
    Export(VolumeExport),
    Import(VolumeImport),
}

/// Write what is in a volume as a tar
#[derive(Args, Debug)]
pub(in crate::cli) struct VolumeExport {
    /// Its name
    #[arg(value_name = "VOLUME")]
    pub volume: String,
    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Put a tar into a volume
///
/// Puts a tar (plain, gzip, bzip2, xz, zstd) into an empty volume, which is made
/// if it is missing.
#[derive(Args, Debug)]
pub(in crate::cli) struct VolumeImport {
    /// Its name
    #[arg(value_name = "VOLUME")]
    pub volume: VolumeName,
}

/// Make a volume
///
/// Makes a volume and prints its name. One that is there already is no error.
#[derive(Args, Debug)]
pub(in crate::cli) struct VolumeCreate {
    /// Its name; a random one without it
    #[arg(value_name = "NAME")]
    pub name: Option<VolumeName>,
    /// The driver: local
    #[arg(short, long, value_name = "DRIVER", default_value = "local", value_parser = driver)]
    pub driver: String,
    /// Set a label
    #[arg(long, value_name = "KEY[=VALUE]", value_parser = pair)]
    pub label: Vec<(String, String)>,
    /// Mount something else than a directory of the store: type=tmpfs,
    /// o=size=64m; type=none, o=bind, device=/DIRECTORY; or type=nfs,
    /// o=addr=SERVER,nfsvers=4, device=:/DIRECTORY
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = pair)]
    pub opt: Vec<(String, String)>,
}

/// List volumes
#[derive(Args, Debug)]
pub(in crate::cli) struct VolumeLs {
    /// Print the names alone
    #[arg(short, long)]
    pub quiet: bool,
    /// A Go template for each volume; table TEMPLATE; table; or json
    #[arg(long, value_name = "FORMAT", default_value = "", hide_default_value = true,
          value_parser = Format::parse)]
    pub format: Format,
    /// Only volumes of which this is true: dangling=BOOL, name=PART,
    /// label=KEY[=VALUE], driver=DRIVER
    #[arg(short, long, value_name = "FILTER", value_parser = list_filter)]
    pub filter: Vec<VolumeFilter>,
}

/// Show all that is known of volumes
#[derive(Args, Debug)]
pub(in crate::cli) struct VolumeInspect {
    /// Their names
    #[arg(value_name = "VOLUME", required = true)]
    pub volumes: Vec<String>,
    #[command(flatten)]
    pub format: InspectFormatFlag,
}

/// Remove volumes
///
/// Removes volumes with all that is in them. What a container uses stays.
#[derive(Args, Debug)]
pub(in crate::cli) struct VolumeRm {
    /// Their names
    #[arg(value_name = "VOLUME", required = true)]
    pub volumes: Vec<String>,
    /// What is missing is no error
    #[arg(short, long)]
    pub force: bool,
}

/// Remove volumes that no container uses
///
/// Removes the volumes that were made for one container, without a name, and
/// that no container uses any more.
#[derive(Args, Debug)]
pub(in crate::cli) struct VolumePrune {
    /// Those with a name as well
    #[arg(short, long)]
    pub all: bool,
    /// Do not ask
    #[arg(short, long)]
    pub force: bool,
    /// Only volumes of which this is true: label=KEY[=VALUE],
    /// label!=KEY[=VALUE]
    #[arg(long, value_name = "FILTER", value_parser = prune_filter)]
    pub filter: Vec<VolumeFilter>,
}

/// The last value of each key.
pub(in crate::cli) fn map(pairs: Vec<(String, String)>) -> BTreeMap<String, String> {
    pairs.into_iter().collect()
}

fn driver(text: &str) -> Result<String> {
    if text == "local" {
        return Ok(text.to_owned());
    }
    Err(Error::unsupported(format!("volume driver {text:?} is not there: the only one is `local`"))
        .hint("leave --driver out"))
}

fn pair(text: &str) -> Result<(String, String)> {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    if key.is_empty() {
        return Err(Error::invalid(format!("{text:?} has no key")).hint("write KEY=VALUE"));
    }
    Ok((key.to_owned(), value.to_owned()))
}

fn list_filter(text: &str) -> Result<VolumeFilter> {
    let (key, value) = filter::split(text, "dangling=true")?;
    match key {
        "dangling" => filter::boolean("dangling", value).map(VolumeFilter::Dangling),
        "name" => Ok(VolumeFilter::Name(value.to_owned())),
        "driver" => Ok(VolumeFilter::Driver(value.to_owned())),
        "label" => Ok(label(value, VolumeFilter::Label)),
        _ => Err(Error::invalid(format!(
            "there is no filter {key:?}, but dangling, name, label, driver"
        ))),
    }
}

fn prune_filter(text: &str) -> Result<VolumeFilter> {
    match text.split_once('=') {
        Some(("label", value)) => Ok(label(value, VolumeFilter::Label)),
        Some(("label!", value)) => Ok(label(value, VolumeFilter::NotLabel)),
        _ => Err(Error::invalid(format!("there is no filter {text:?}"))
            .hint("write label=KEY, label=KEY=VALUE or label!=KEY")),
    }
}

fn label(text: &str, made: fn(String, Option<String>) -> VolumeFilter) -> VolumeFilter {
    let (key, value) = filter::label(text);
    made(key, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_docker_s() {
        let label = |value: Option<&str>| VolumeFilter::Label("a".into(), value.map(Into::into));
        for (text, filter) in [
            ("dangling=true", VolumeFilter::Dangling(true)),
            ("dangling=0", VolumeFilter::Dangling(false)),
            ("name=x", VolumeFilter::Name("x".into())),
            ("driver=local", VolumeFilter::Driver("local".into())),
            ("label=a", label(None)),
            ("label=a=b=c", label(Some("b=c"))),
        ] {
            assert_eq!(list_filter(text).unwrap(), filter, "{text}");
        }
        for text in ["", "dangling", "dangling=maybe", "colour=red", "label!=a"] {
            assert!(list_filter(text).is_err(), "{text}");
        }
        assert_eq!(prune_filter("label=a").unwrap(), label(None));
        assert_eq!(prune_filter("label!=a").unwrap(), VolumeFilter::NotLabel("a".into(), None));
        assert!(prune_filter("dangling=true").is_err());
    }
}
