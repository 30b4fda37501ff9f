//! A container as docker's JSON (Engine API, `ContainerInspect`), as far as
//! its record tells.

use serde::Serialize;

use crate::engine::{ContainerDetails, ContainerStatus};

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
        let summary = &container.summary;
        let (status, exit_code, finished_at) = match summary.status {
            ContainerStatus::Created => ("created", 0, None),
            ContainerStatus::Running(_) => ("running", 0, None),
            ContainerStatus::Exited(code, time) => ("exited", code, time),
        };
        let command = &summary.command;
        Self {
            id: summary.id.to_string(),
            created: time(Some(summary.created)),
            path: command.first().cloned().unwrap_or_default(),
            args: command.iter().skip(1).cloned().collect(),
            state: State {
                status,
                running: status == "running",
                exit_code,
                started_at: time(container.started_at),
                finished_at: time(finished_at),
            },
            image: container.image.map_or_else(String::new, |image| image.to_string()),
            // docker's names of containers are paths of one part.
            name: format!("/{}", summary.name),
            size_rw: container.size.map(|size| size.written),
            size_root_fs: container.size.map(|size| size.written + size.image),
            config: Parameters { image: summary.image.clone(), cmd: command.clone() },
        }
    }
}
