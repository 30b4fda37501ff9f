//! The `--filter` of `ps`: `KEY=VALUE`, by docker's keys.

use crate::engine::{ContainerFilter, StatusFilter};
use crate::error::{Error, Result};
use crate::monitor::HealthStatus;
use crate::runtime::spec::NetworkNamespace;

use super::filter;

/// Parses one filter of `ps`.
///
/// # Errors
/// `Invalid`, with the keys that there are.
pub(super) fn parse_ps_filter(text: &str) -> Result<ContainerFilter> {
    let (key, value) = filter::split(text, "status=exited")?;
    let value = value.trim();
    match key.trim().to_ascii_lowercase().as_str() {
        "id" => Ok(ContainerFilter::Id(value.to_owned())),
        "name" => Ok(ContainerFilter::Name(value.to_owned())),
        "label" => Ok(label(value)),
        "status" => status(value).map(ContainerFilter::Status),
        "exited" => value
            .parse()
            .map(ContainerFilter::Exited)
            .map_err(|_| Error::invalid(format!("exited is an exit status, not {value:?}"))),
        "ancestor" => Ok(ContainerFilter::Ancestor(value.to_owned())),
        "before" => Ok(ContainerFilter::Before(value.to_owned())),
        "since" => Ok(ContainerFilter::Since(value.to_owned())),
        "volume" => Ok(ContainerFilter::Volume(value.to_owned())),
        "network" => Ok(network(value)),
        "health" => health(value).map(ContainerFilter::Health),
        _ => Err(Error::invalid(format!(
            "there is no filter {key:?}, but id, name, label, status, exited, ancestor, before, \
             since, volume, network, health"
        ))),
    }
}

fn label(value: &str) -> ContainerFilter {
    let (key, value) = filter::label(value);
    ContainerFilter::Label(key, value)
}

/// Several names of networks are alternatives, so one that is none of envbox's
/// is no mistake.
fn network(value: &str) -> ContainerFilter {
    match value {
        "none" => ContainerFilter::Network(NetworkNamespace::Isolated),
        "host" => ContainerFilter::Network(NetworkNamespace::Host),
        _ => ContainerFilter::OtherNetwork,
    }
}

fn health(value: &str) -> Result<Option<HealthStatus>> {
    match value {
        "none" => Ok(None),
        "starting" => Ok(Some(HealthStatus::Starting)),
        "healthy" => Ok(Some(HealthStatus::Healthy)),
        "unhealthy" => Ok(Some(HealthStatus::Unhealthy)),
        _ => Err(Error::invalid(format!(
            "there is no health {value:?}, but none, starting, healthy, unhealthy"
        ))),
    }
}

fn status(value: &str) -> Result<StatusFilter> {
    match value {
        "created" => Ok(StatusFilter::Created),
        "running" => Ok(StatusFilter::Running),
        "exited" => Ok(StatusFilter::Exited),
        "paused" => Ok(StatusFilter::Paused),
        "restarting" => Ok(StatusFilter::Restarting),
        "removing" | "dead" => Ok(StatusFilter::Never),
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
            ("volume=/data", ContainerFilter::Volume("/data".into())),
            ("network=host", ContainerFilter::Network(NetworkNamespace::Host)),
            ("network=bridge", ContainerFilter::OtherNetwork),
            ("health=none", ContainerFilter::Health(None)),
            ("health=healthy", ContainerFilter::Health(Some(HealthStatus::Healthy))),
        ] {
            assert_eq!(parse_ps_filter(text).unwrap(), filter, "{text}");
        }
        for text in ["", "id", "status=asleep", "exited=x", "until=1h", "health=good", "colour=red"]
        {
            assert!(parse_ps_filter(text).is_err(), "{text}");
        }
    }
}
