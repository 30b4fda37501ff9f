//! A kept container as docker's JSON (Engine API, `ContainerInspect`), as far
//! as its record tells.

use serde::Serialize;
use serde_json::Value;

use crate::engine::ContainerDetails;

use super::time;

/// The fields in docker's order.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Container {
    id: String,
    created: String,
    path: String,
    args: Vec<String>,
    state: State,
    image: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_rw: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_root_fs: Option<u64>,
    config: Parameters,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    status: &'static str,
    running: bool,
    exit_code: i32,
    started_at: String,
    finished_at: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Parameters {
    image: String,
    cmd: Vec<String>,
}

impl Container {
    pub(super) fn new(container: &ContainerDetails) -> Self {
        let record = &container.record;
        let command: Vec<String> = record.spec["command"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect();
        let state = &record.state;
        let status = match (container.is_running, state.finished_at) {
            (true, _) => "running",
            (false, Some(_)) => "exited",
            (false, None) => "created",
        };
        Self {
            id: record.id.to_string(),
            created: time(Some(record.created_at)),
            path: command.first().cloned().unwrap_or_default(),
            args: command.iter().skip(1).cloned().collect(),
            state: State {
                status,
                running: container.is_running,
                exit_code: state.exit_code.unwrap_or(0),
                started_at: time(state.started_at),
                finished_at: time(state.finished_at),
            },
            image: record.image.to_string(),
            // docker's names of containers are paths of one part.
            name: format!("/{}", record.name),
            size_rw: container.size.map(|size| size.written),
            size_root_fs: container.size.map(|size| size.written + size.image),
            config: Parameters {
                image: record.spec["image"].as_str().unwrap_or_default().to_owned(),
                cmd: command,
            },
        }
    }
}
