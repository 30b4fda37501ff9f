//! A container as docker's JSON (Engine API, `ContainerInspect`): what it was
//! asked to be, what it does, and what it has. A field whose value nobody knows
//! is left out.

mod given;
mod host;
mod network;
mod parameters;

use std::path::Path;

use serde::Serialize;

use crate::engine::{ContainerDetails, ContainerStatus, MountPoint};
use crate::monitor::{CheckResult, Health};
use crate::mount::{Mount, TreeCopy};
use crate::store::Driver;

pub(in crate::cli) use network::mode as network_mode;

use super::time;
use host::Host;
use network::Network;
use parameters::Parameters;

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
    restart_count: u32,
    driver: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host_config: Option<Host>,
    #[serde(skip_serializing_if = "Option::is_none")]
    graph_driver: Option<GraphDriver>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_rw: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_root_fs: Option<u64>,
    mounts: Vec<Point>,
    config: Parameters,
    #[serde(skip_serializing_if = "Option::is_none")]
    network_settings: Option<Network>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    status: &'static str,
    running: bool,
    paused: bool,
    restarting: bool,
    #[serde(rename = "OOMKilled")]
    oom_killed: bool,
    dead: bool,
    pid: u32,
    exit_code: i32,
    error: String,
    started_at: String,
    finished_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<HealthState>,
}

/// docker's `Health`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct HealthState {
    status: &'static str,
    failing_streak: u32,
    log: Vec<Check>,
}

/// docker's `HealthcheckResult`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Check {
    start: String,
    end: String,
    exit_code: i32,
    output: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GraphDriver {
    data: Directories,
    name: &'static str,
}

/// docker's names of the overlay's directories, each where there is one.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Directories {
    #[serde(skip_serializing_if = "Option::is_none")]
    lower_dir: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upper_dir: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    work_dir: Option<String>,
}

/// docker's `MountPoint`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Point {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    source: String,
    destination: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    driver: Option<&'static str>,
    mode: String,
    #[serde(rename = "RW")]
    rw: bool,
    propagation: &'static str,
}

impl Container {
    pub(super) fn new(container: &ContainerDetails) -> Self {
        let summary = &container.summary;
        let request = container.request.as_ref();
        Self {
            id: summary.id.to_string(),
            created: time(Some(summary.created)),
            path: summary.command.first().cloned().unwrap_or_default(),
            args: summary.command.iter().skip(1).cloned().collect(),
            state: State::new(container),
            image: container.image.map_or_else(String::new, |image| image.to_string()),
            // docker's names of containers are paths of one part.
            name: format!("/{}", summary.name),
            restart_count: container.state.restarts,
            driver: container.root.as_ref().map_or(Driver::Overlay, Driver::of_mount).name(),
            platform: container.platform.as_ref().map(|platform| platform.os.clone()),
            host_config: request.map(|request| Host::new(container, request)),
            graph_driver: container.root.as_ref().map(GraphDriver::new),
            size_rw: container.size.map(|size| size.written),
            size_root_fs: container.size.map(|size| size.written + size.image),
            mounts: container.mounts.iter().map(Point::new).collect(),
            config: Parameters::new(container),
            network_settings: request.map(|request| Network::new(request.network)),
        }
    }
}

impl State {
    fn new(container: &ContainerDetails) -> Self {
        let state = &container.state;
        let (status, exit_code, finished_at) = match container.summary.status {
            ContainerStatus::Created => ("created", state.exit_code.unwrap_or(0), None),
            ContainerStatus::Running(_) => ("running", 0, None),
            ContainerStatus::Paused(_) => ("paused", 0, None),
            ContainerStatus::Restarting(code, time) => ("restarting", code, time),
            ContainerStatus::Exited(code, time) => ("exited", code, time),
        };
        Self {
            status,
            running: container.summary.status.is_up(),
            paused: status == "paused",
            restarting: status == "restarting",
            oom_killed: state.oom_killed,
            dead: false,
            pid: container.pid.unwrap_or(0),
            exit_code,
            error: state.error.clone().unwrap_or_default(),
            started_at: time(state.started_at),
            finished_at: time(finished_at),
            health: container.health.as_ref().map(HealthState::new),
        }
    }
}

impl HealthState {
    fn new(health: &Health) -> Self {
        let check = |result: &CheckResult| Check {
            start: time(Some(result.start)),
            end: time(Some(result.end)),
            exit_code: result.exit_code,
            output: result.output.clone(),
        };
        Self {
            status: health.status.as_str(),
            failing_streak: health.failing_streak,
            log: health.log.iter().map(check).collect(),
        }
    }
}

impl GraphDriver {
    fn new(root: &Mount) -> Self {
        let text = |path: &Path| path.display().to_string();
        let data = match root {
            Mount::Bind { source, .. } => {
                Directories { lower_dir: None, upper_dir: Some(text(source)), work_dir: None }
            }
            Mount::Archive(archive) => Directories {
                lower_dir: Some(text(&archive.data)),
                upper_dir: None,
                work_dir: None,
            },
            Mount::Copy(copy) => {
                let lower: Vec<String> =
                    copy.lower.iter().map(|layer| text(layer.path())).collect();
                let root = copy.folder.as_deref().map(TreeCopy::root);
                Directories {
                    lower_dir: Some(lower.join(":")),
                    upper_dir: root.map(|root| text(&root)),
                    work_dir: None,
                }
            }
            Mount::Overlay(overlay) => {
                let lower: Vec<String> =
                    overlay.lower.iter().map(|layer| text(layer.path())).collect();
                let upper = overlay.upper.as_ref();
                Directories {
                    lower_dir: Some(lower.join(":")),
                    upper_dir: upper.map(|upper| text(&upper.upper)),
                    work_dir: upper.map(|upper| text(&upper.work)),
                }
            }
        };
        Self { data, name: Driver::of_mount(root).name() }
    }
}

impl Point {
    fn new(point: &MountPoint) -> Self {
        Self {
            r#type: if point.volume.is_some() { "volume" } else { "bind" },
            name: point.volume.as_ref().map(ToString::to_string),
            source: point.source.display().to_string(),
            destination: point.destination.clone(),
            driver: point.volume.is_some().then_some("local"),
            mode: point.mode.clone(),
            rw: !point.read_only,
            propagation: point.propagation.map_or("", |propagation| propagation.as_str()),
        }
    }
}
