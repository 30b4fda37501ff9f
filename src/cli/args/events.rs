//! What can be typed after `events`.

use clap::Args;
use jiff::tz::TimeZone;

use crate::cli::template::{Format, Missing, Template};
use crate::engine::EventFilter;
use crate::error::{Error, Result};
use crate::fs::Timestamp;

use super::{filter, until};

const KEYS: &str = "container, event, image, label, type, volume";

/// Show what happens
///
/// Shows what happens to images, containers and volumes, as it happens, until
/// it is interrupted; with --since or --until also what has happened, as far as
/// the store remembers.
#[derive(Args, Debug)]
pub(in crate::cli) struct Events {
    /// From this time on: a span as in 10m, a date, or seconds since 1970
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub since: Option<Timestamp>,
    /// Up to this time, then end
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub until: Option<Timestamp>,
    /// Only those of which this is true: type=TYPE, event=ACTION,
    /// container=CONTAINER, image=IMAGE, volume=VOLUME, label=KEY[=VALUE]
    #[arg(short, long, value_name = "FILTER", value_parser = parse_filter)]
    pub filter: Vec<EventFilter>,
    /// json, or a Go template for each event
    #[arg(long, value_name = "FORMAT", default_value = "", hide_default_value = true,
          value_parser = parse_format)]
    pub format: EventFormat,
}

/// How an event is shown.
#[derive(Clone, Debug)]
pub(in crate::cli) enum EventFormat {
    /// docker's line: time, type, action, ID, attributes.
    Line,
    /// docker's JSON, which is also what `{{json .}}` means.
    Json,
    /// A template over the names of docker's fields.
    Template(Format),
}

fn parse_time(text: &str) -> Result<Timestamp> {
    until::parse(text, Timestamp::now(), &TimeZone::system())
}

fn parse_format(text: &str) -> Result<EventFormat> {
    let bare: String = text.split_whitespace().collect();
    Ok(match bare.as_str() {
        "" => EventFormat::Line,
        "json" | "{{json.}}" => EventFormat::Json,
        // An attribute that an event lacks must not end the stream.
        _ => EventFormat::Template(Format::Template(
            Template::parse(text)?.missing(Missing::NoValue),
        )),
    })
}

fn parse_filter(text: &str) -> Result<EventFilter> {
    let (key, value) = filter::split(text, "type=image")?;
    let owned = || value.to_owned();
    Ok(match key.trim().to_ascii_lowercase().as_str() {
        "type" => EventFilter::Type(owned()),
        "event" => EventFilter::Action(owned()),
        "container" => EventFilter::Container(owned()),
        "image" => EventFilter::Image(owned()),
        "volume" => EventFilter::Volume(owned()),
        "label" => {
            let (key, value) = filter::label(value);
            EventFilter::Label(key, value)
        }
        _ => return Err(Error::invalid(format!("there is no filter {key:?}, but {KEYS}"))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_docker_s() {
        for (text, filter) in [
            ("type=image", EventFilter::Type("image".into())),
            ("EVENT=health_status: healthy", EventFilter::Action("health_status: healthy".into())),
            ("image=a:b", EventFilter::Image("a:b".into())),
            ("label=a=b=c", EventFilter::Label("a".into(), Some("b=c".into()))),
            ("label=a", EventFilter::Label("a".into(), None)),
        ] {
            assert_eq!(parse_filter(text).unwrap(), filter, "{text}");
        }
        assert!(parse_filter("type").is_err() && parse_filter("colour=red").is_err());
    }

    #[test]
    fn what_is_no_template_is_refused() {
        assert!(matches!(parse_format("").unwrap(), EventFormat::Line));
        assert!(matches!(parse_format("{{ json . }}").unwrap(), EventFormat::Json));
        assert!(matches!(parse_format("table {{.ID}}").unwrap(), EventFormat::Template(_)));
        assert!(parse_format("{{.ID").is_err());
    }
}
