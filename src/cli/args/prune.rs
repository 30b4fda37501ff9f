//! What can be typed after the verbs that remove what nobody uses; those of
//! volumes have a file of their own.

use clap::Args;
use jiff::tz::TimeZone;

use crate::engine::PruneFilter;
use crate::error::{Error, Result};
use crate::fs::Timestamp;

use super::{filter, until};

/// Remove all containers that do not run
#[derive(Args, Debug)]
pub(in crate::cli) struct ContainerPrune {
    /// Do not ask
    #[arg(short, long)]
    pub force: bool,
    /// Only containers of which this is true: until=TIME, label=NAME[=VALUE],
    /// label!=NAME[=VALUE]
    #[arg(long, value_name = "FILTER", value_parser = parse_filter)]
    pub filter: Vec<PruneFilter>,
}

/// Remove images that no container uses
///
/// Removes the images without a tag that no container uses, whether it runs or
/// not, and the layers that no other image has.
#[derive(Args, Debug)]
pub(in crate::cli) struct ImagePrune {
    /// Those with tags as well
    #[arg(short, long)]
    pub all: bool,
    /// Do not ask
    #[arg(short, long)]
    pub force: bool,
    /// Only images of which this is true: until=TIME, by the time that images
    /// shows as CREATED, label=NAME[=VALUE], label!=NAME[=VALUE]
    #[arg(long, value_name = "FILTER", value_parser = parse_filter)]
    pub filter: Vec<PruneFilter>,
}

/// Remove all that is not used
///
/// Removes the containers that do not run and the images without a tag that no
/// container uses; then what nothing leads to any more: layers on which nothing
/// stands, and what commands that were killed left behind.
#[derive(Args, Debug)]
pub(in crate::cli) struct SystemPrune {
    /// Remove all images that no container uses, those with tags as well
    #[arg(short, long)]
    pub all: bool,
    /// Remove the volumes without a name that no container uses, too
    #[arg(long)]
    pub volumes: bool,
    /// Do not ask
    #[arg(short, long)]
    pub force: bool,
    /// Only what this is true of: until=TIME, label=NAME[=VALUE],
    /// label!=NAME[=VALUE]
    #[arg(long, value_name = "FILTER", value_parser = parse_filter)]
    pub filter: Vec<PruneFilter>,
}

/// Parses one filter; a time span counts back from now.
///
/// # Errors
/// `Invalid`, with the keys that there are.
fn parse_filter(text: &str) -> Result<PruneFilter> {
    parse(text, Timestamp::now(), &TimeZone::system())
}

fn parse(text: &str, now: Timestamp, zone: &TimeZone) -> Result<PruneFilter> {
    let (key, value) = filter::split(text, "until=24h")?;
    let value = value.trim();
    match key.trim().to_ascii_lowercase().as_str() {
        "until" => until::parse(value, now, zone).map(PruneFilter::Until),
        "label" => {
            let (key, value) = filter::label(value);
            Ok(PruneFilter::Label(key, value))
        }
        "label!" => {
            let (key, value) = filter::label(value);
            Ok(PruneFilter::NotLabel(key, value))
        }
        _ => Err(Error::invalid(format!("there is no filter {key:?}, but until, label, label!"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_docker_s() {
        let now = Timestamp::from_seconds(10_000);
        for (text, filter) in [
            ("until=1h", PruneFilter::Until(Timestamp::from_seconds(6_400))),
            ("until=1970-01-02", PruneFilter::Until(Timestamp::from_seconds(86_400))),
            ("label=a", PruneFilter::Label("a".into(), None)),
            ("label=a=b=c", PruneFilter::Label("a".into(), Some("b=c".into()))),
            ("label!=a", PruneFilter::NotLabel("a".into(), None)),
            ("label!=a=b", PruneFilter::NotLabel("a".into(), Some("b".into()))),
        ] {
            assert_eq!(parse(text, now, &TimeZone::UTC).unwrap(), filter, "{text}");
        }
        for text in ["", "until", "until=x", "status=exited", "dangling=true"] {
            assert!(parse(text, now, &TimeZone::UTC).is_err(), "{text}");
        }
    }
}
