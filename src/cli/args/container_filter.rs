//! The `--filter` of `ps` and `container prune`: `KEY=VALUE`, by docker's keys.

use jiff::tz::TimeZone;

use crate::engine::{ContainerFilter, StatusFilter};
use crate::error::{Error, Result};
use crate::fs::Timestamp;

use super::until;

/// Parses one filter of `ps`.
///
/// # Errors
/// `Invalid`, with the keys that there are.
pub(super) fn parse_ps_filter(text: &str) -> Result<ContainerFilter> {
    let (key, value) = split(text)?;
    match key.as_str() {
        "id" => Ok(ContainerFilter::Id(value.to_owned())),
        "name" => Ok(ContainerFilter::Name(value.to_owned())),
        "label" => Ok(label(value, ContainerFilter::Label)),
        "status" => status(value).map(ContainerFilter::Status),
        "exited" => value
            .parse()
            .map(ContainerFilter::Exited)
            .map_err(|_| Error::invalid(format!("exited is an exit status, not {value:?}"))),
        "ancestor" => Ok(ContainerFilter::Ancestor(value.to_owned())),
        "before" => Ok(ContainerFilter::Before(value.to_owned())),
        "since" => Ok(ContainerFilter::Since(value.to_owned())),
        _ => Err(Error::invalid(format!(
            "there is no filter {key:?}, but id, name, label, status, exited, ancestor, before, \
             since"
        ))),
    }
}

/// Parses one filter of `container prune`; a time span counts back from now.
///
/// # Errors
/// `Invalid`, with the keys that there are.
pub(super) fn parse_prune_filter(text: &str) -> Result<ContainerFilter> {
    let (key, value) = split(text)?;
    match key.as_str() {
        "until" => {
            until::parse(value, Timestamp::now(), &TimeZone::system()).map(ContainerFilter::Until)
        }
        "label" => Ok(label(value, ContainerFilter::Label)),
        "label!" => Ok(label(value, ContainerFilter::NoLabel)),
        _ => Err(Error::invalid(format!("there is no filter {key:?}, but until, label, label!"))),
    }
}

fn split(text: &str) -> Result<(String, &str)> {
    let (key, value) = text
        .split_once('=')
        .ok_or_else(|| Error::invalid("a filter is KEY=VALUE, as in status=exited"))?;
    Ok((key.trim().to_ascii_lowercase(), value.trim()))
}

fn label(
    value: &str,
    filter: impl FnOnce(String, Option<String>) -> ContainerFilter,
) -> ContainerFilter {
    match value.split_once('=') {
        Some((key, value)) => filter(key.to_owned(), Some(value.to_owned())),
        None => filter(value.to_owned(), None),
    }
}

fn status(value: &str) -> Result<StatusFilter> {
    match value {
        "created" => Ok(StatusFilter::Created),
        "running" => Ok(StatusFilter::Running),
        "exited" => Ok(StatusFilter::Exited),
        "paused" | "restarting" | "removing" | "dead" => Ok(StatusFilter::Never),
        _ => Err(Error::invalid(format!(
            "there is no status {value:?}, but created, running, paused, restarting, removing, \
             exited, dead"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_docker_s() {
        let label = |value: Option<&str>| ContainerFilter::Label("a".into(), value.map(Into::into));
        for (text, filter) in [
            ("id=ab", ContainerFilter::Id("ab".into())),
            ("name=web", ContainerFilter::Name("web".into())),
            ("label=a", label(None)),
            ("label=a=b=c", label(Some("b=c"))),
            ("status=running", ContainerFilter::Status(StatusFilter::Running)),
            ("status=dead", ContainerFilter::Status(StatusFilter::Never)),
            ("exited=137", ContainerFilter::Exited(137)),
            ("ancestor=x:1", ContainerFilter::Ancestor("x:1".into())),
            ("before=x", ContainerFilter::Before("x".into())),
        ] {
            assert_eq!(parse_ps_filter(text).unwrap(), filter, "{text}");
        }
        for text in ["", "id", "status=asleep", "exited=x", "until=1h", "colour=red"] {
            assert!(parse_ps_filter(text).is_err(), "{text}");
        }
        let none = ContainerFilter::NoLabel("a".into(), None);
        assert_eq!(parse_prune_filter("label!=a").unwrap(), none);
        assert!(parse_prune_filter("until=1h").is_ok());
        assert!(parse_prune_filter("status=exited").is_err());
    }
}
