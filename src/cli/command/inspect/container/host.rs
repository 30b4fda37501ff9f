//! docker's `HostConfig` of a container: what it may do to the host, and has of
//! it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::engine::options::mount::MountKind;
use crate::engine::options::security::{SeccompOption, SecurityOption, SecurityOptions};
use crate::engine::options::ulimit::Bound;
use crate::engine::{ContainerDetails, ContainerRequest, MountOrigin, MountPoint};
use crate::runtime::capability::CapabilitySet;

use super::given::Given;
use super::network;

/// The fields in docker's order.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Host {
    binds: Option<Vec<String>>,
    network_mode: String,
    restart_policy: Restart,
    auto_remove: bool,
    volumes_from: Option<Vec<String>>,
    cap_add: Option<Vec<&'static str>>,
    cap_drop: Option<Vec<&'static str>>,
    readonly_rootfs: bool,
    security_opt: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tmpfs: Option<BTreeMap<String, String>>,
    ulimits: Option<Vec<Limit>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mounts: Option<Vec<Asked>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    init: bool,
    #[serde(flatten)]
    given: Given,
}

/// docker's `RestartPolicy`; 0 is no limit.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Restart {
    name: &'static str,
    maximum_retry_count: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Limit {
    name: &'static str,
    hard: i64,
    soft: i64,
}

/// What only `--mount` can say.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Asked {
    r#type: &'static str,
    source: String,
    target: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    read_only: bool,
}

impl Host {
    pub(super) fn new(container: &ContainerDetails, request: &ContainerRequest) -> Self {
        let of = |origin| container.mounts.iter().filter(move |point| point.origin == origin);
        let limits = request.limits.iter().filter(|limit| limit.explicit);
        let own = request.capabilities;
        Self {
            binds: some(of(MountOrigin::Volume).map(bind).collect()),
            network_mode: match &request.isolation.network_of {
                Some(neighbor) => neighbor.to_string(),
                None => network::mode(request.network).to_owned(),
            },
            restart_policy: Restart {
                name: container.restart.name(),
                maximum_retry_count: container.restart.maximum_retries(),
            },
            auto_remove: container.summary.auto_remove,
            volumes_from: some(request.inherited.from.clone()),
            cap_add: some(names(own.difference(CapabilitySet::DEFAULT))),
            cap_drop: some(names(CapabilitySet::DEFAULT.difference(own))),
            readonly_rootfs: request.read_only,
            security_opt: some(security(&request.security)),
            tmpfs: Some(tmpfs(request)).filter(|all| !all.is_empty()),
            ulimits: some(
                limits
                    .map(|limit| Limit {
                        name: limit.ulimit.resource.name(),
                        hard: bound(limit.ulimit.hard),
                        soft: bound(limit.ulimit.soft),
                    })
                    .collect(),
            ),
            mounts: some(of(MountOrigin::Mount).map(Asked::new).collect()),
            init: request.init,
            given: Given::new(request),
        }
    }
}

impl Asked {
    fn new(point: &MountPoint) -> Self {
        Self {
            r#type: if point.volume.is_some() { "volume" } else { "bind" },
            source: place(point),
            target: point.destination.clone(),
            read_only: point.read_only,
        }
    }
}

/// docker's null for nothing.
fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

fn place(point: &MountPoint) -> String {
    match &point.volume {
        Some(name) => name.to_string(),
        None => point.source.display().to_string(),
    }
}

/// The value of `--volume`.
fn bind(point: &MountPoint) -> String {
    let mode = if point.mode.is_empty() { String::new() } else { format!(":{}", point.mode) };
    format!("{}:{}{mode}", place(point), point.destination)
}

fn names(capabilities: CapabilitySet) -> Vec<&'static str> {
    capabilities.iter().map(|capability| capability.name()).collect()
}

/// The options that are not the default.
fn security(options: &SecurityOptions) -> Vec<String> {
    let mut all = Vec::new();
    if options.no_new_privileges {
        all.push("no-new-privileges".to_owned());
    }
    if options.seccomp != SeccompOption::Default {
        all.push(SecurityOption::Seccomp(options.seccomp.clone()).to_string());
    }
    if options.unmasked_paths {
        all.push(SecurityOption::SystemPathsUnconfined.to_string());
    }
    all
}

/// The options of each file system in memory, by its place.
fn tmpfs(request: &ContainerRequest) -> BTreeMap<String, String> {
    let all = request.mounts.iter().filter_map(|mount| {
        let MountKind::Tmpfs(tmpfs) = &mount.option.kind else { return None };
        let read_only = mount.option.read_only.then(|| "ro".to_owned());
        let options: Vec<String> = read_only.into_iter().chain(tmpfs.options.clone()).collect();
        Some((mount.option.target.clone(), options.join(",")))
    });
    all.collect()
}

/// docker's number of a limit: -1 for none.
fn bound(bound: Bound) -> i64 {
    i64::try_from(bound.raw()).unwrap_or(-1)
}
