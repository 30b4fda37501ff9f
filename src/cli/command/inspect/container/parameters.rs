//! docker's `Config` of a container: what does not depend on the host.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use crate::engine::{ContainerDetails, ContainerRequest, MountOrigin, Terminal};
use crate::oci::Healthcheck;

/// The fields in docker's order; what only the request tells is left out
/// without one.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Parameters {
    #[serde(flatten)]
    process: Option<Process>,
    cmd: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    healthcheck: Option<Healthcheck>,
    image: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    entrypoint: Option<Value>,
    labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_signal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_timeout: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Process {
    hostname: String,
    domainname: String,
    user: String,
    tty: bool,
    open_stdin: bool,
    env: Vec<String>,
    volumes: Option<BTreeMap<String, Value>>,
    working_dir: String,
}

impl Parameters {
    pub(super) fn new(container: &ContainerDetails) -> Self {
        let summary = &container.summary;
        let request = container.request.as_ref();
        // Without the request nobody knows where one ends and the other begins.
        let (entrypoint, cmd) = match request {
            None => (None, Some(summary.command.clone())),
            Some(request) => {
                let words = request.commands.first().map(Vec::as_slice).unwrap_or_default();
                let (entrypoint, cmd) = words.split_at(request.entrypoint.min(words.len()));
                let some = |words: &[String]| (!words.is_empty()).then(|| words.to_vec());
                (Some(json!(some(entrypoint))), some(cmd))
            }
        };
        Self {
            process: request.map(|request| Process::new(container, request)),
            cmd,
            healthcheck: request.and_then(|request| request.healthcheck.clone()),
            image: summary.image.clone(),
            entrypoint,
            labels: summary.labels.clone(),
            stop_signal: container.stop_signal.map(|signal| signal.to_string()),
            stop_timeout: container.stop_timeout,
        }
    }
}

impl Process {
    fn new(container: &ContainerDetails, request: &ContainerRequest) -> Self {
        let anonymous =
            container.mounts.iter().filter(|point| point.origin == MountOrigin::Anonymous);
        let volumes: BTreeMap<String, Value> =
            anonymous.map(|point| (point.destination.clone(), json!({}))).collect();
        Self {
            hostname: match &request.hostname {
                Some(name) => name.as_str().to_owned(),
                None => container.summary.id.short().to_owned(),
            },
            domainname: request
                .isolation
                .domain
                .as_ref()
                .map_or_else(String::new, |name| name.to_string()),
            user: request.user.to_string(),
            tty: request.terminal.is_new(),
            open_stdin: matches!(request.terminal, Terminal::Inherit | Terminal::New),
            env: request.environment.iter().map(|(key, value)| format!("{key}={value}")).collect(),
            volumes: (!volumes.is_empty()).then_some(volumes),
            working_dir: request.working_directory.display().to_string(),
        }
    }
}
