//! The part of docker's `HostConfig` that is a value of a flag each: limits,
//! names, settings, namespaces, devices. What was not given is docker's zero.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::engine::ContainerRequest;
use crate::engine::options::device::{DeviceOption, NodeOption};
use crate::engine::options::extra_host::ExtraHost;
use crate::engine::options::gpus::{GpuOption, GpuSelection};
use crate::engine::options::isolation::IsolationOptions;
use crate::engine::options::namespace::{PidMode, UtsMode};
use crate::runtime::cgroup::{Limit, NumberList, Resources};

/// The fields in docker's order.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Given {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
    dns: Vec<String>,
    dns_options: Vec<String>,
    dns_search: Vec<String>,
    extra_hosts: Option<Vec<String>>,
    group_add: Option<Vec<String>>,
    ipc_mode: String,
    oom_score_adj: i16,
    pid_mode: String,
    privileged: bool,
    #[serde(rename = "UTSMode")]
    uts_mode: String,
    shm_size: u64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    sysctls: BTreeMap<String, String>,
    cpu_shares: u64,
    memory: u64,
    nano_cpus: u64,
    blkio_weight: u16,
    cpuset_cpus: String,
    cpuset_mems: String,
    devices: Vec<Device>,
    device_requests: Option<Vec<DeviceRequest>>,
    memory_reservation: u64,
    memory_swap: i64,
    pids_limit: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Device {
    path_on_host: String,
    path_in_container: String,
    cgroup_permissions: &'static str,
}

/// docker's form of devices that somebody else knows: GPUs, and CDI names.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DeviceRequest {
    driver: String,
    count: i64,
    #[serde(rename = "DeviceIDs")]
    device_ids: Option<Vec<String>>,
    capabilities: Option<Vec<Vec<String>>>,
    options: Option<BTreeMap<String, String>>,
}

impl Given {
    pub(super) fn new(request: &ContainerRequest) -> Self {
        let (own, limits) = (&request.isolation, &request.resources);
        let annotations = own.annotations.iter();
        let sysctls = own.sysctls.iter();
        let numbers = |list: &Option<NumberList>| list.as_ref().map_or(String::new(), text);
        Self {
            annotations: annotations.map(|one| (one.key.clone(), one.value.clone())).collect(),
            dns: texts(&own.name_servers),
            dns_options: texts(&own.resolver_options),
            dns_search: texts(&own.search_domains),
            extra_hosts: Some(own.extra_hosts.iter().map(extra_host).collect())
                .filter(|all: &Vec<String>| !all.is_empty()),
            group_add: Some(texts(&own.groups)).filter(|all| !all.is_empty()),
            ipc_mode: text(&own.ipc),
            oom_score_adj: limits.oom_score_adj.unwrap_or(0),
            pid_mode: if own.pid == PidMode::Private { String::new() } else { text(&own.pid) },
            privileged: own.privileged,
            uts_mode: if own.uts == UtsMode::Host { text(&own.uts) } else { String::new() },
            shm_size: request.shm_size,
            sysctls: sysctls.map(|one| (one.name().into(), one.value().into())).collect(),
            cpu_shares: limits.cpu_shares.unwrap_or(0),
            memory: limits.memory.unwrap_or(0),
            nano_cpus: limits.cpus.map_or(0, |cpus| cpus.0),
            blkio_weight: limits.blkio_weight.unwrap_or(0),
            cpuset_cpus: numbers(&limits.cpuset_cpus),
            cpuset_mems: numbers(&limits.cpuset_mems),
            devices: own.devices.iter().filter_map(device).collect(),
            device_requests: Some(device_requests(own)).filter(|all| !all.is_empty()),
            memory_reservation: limits.memory_reservation.unwrap_or(0),
            memory_swap: memory_swap(limits),
            pids_limit: limits.pids_limit.as_ref().map(number),
        }
    }
}

fn text(value: &impl ToString) -> String {
    value.to_string()
}

fn texts(values: &[impl ToString]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

/// docker's form has a colon.
fn extra_host(host: &ExtraHost) -> String {
    host.to_string().replacen('=', ":", 1)
}

fn device(option: &DeviceOption) -> Option<Device> {
    let DeviceOption::Node(NodeOption { source, target }) = option else { return None };
    Some(Device {
        path_on_host: source.display().to_string(),
        path_in_container: target.display().to_string(),
        cgroup_permissions: "rwm",
    })
}

/// docker's order: GPUs, then all CDI names as one.
fn device_requests(own: &IsolationOptions) -> Vec<DeviceRequest> {
    let name = |option: &DeviceOption| match option {
        DeviceOption::Cdi(name) => Some(name.to_string()),
        DeviceOption::Node(_) => None,
    };
    let names: Vec<String> = own.devices.iter().filter_map(name).collect();
    let named = (!names.is_empty()).then_some(DeviceRequest {
        driver: "cdi".to_owned(),
        count: 0,
        device_ids: Some(names),
        capabilities: None,
        options: None,
    });
    own.gpus.iter().map(gpus).chain(named).collect()
}

fn gpus(option: &GpuOption) -> DeviceRequest {
    let (count, device_ids) = match &option.selection {
        GpuSelection::All => (-1, None),
        GpuSelection::Count(count) => (i64::from(*count), None),
        GpuSelection::Devices(devices) => (0, Some(devices.clone())),
    };
    DeviceRequest {
        driver: option.driver.clone().unwrap_or_default(),
        count,
        device_ids,
        capabilities: Some(vec![option.capabilities.clone()]),
        options: Some(BTreeMap::new()),
    }
}

/// docker: memory and swap together, twice the memory where nobody said.
fn memory_swap(limits: &Resources) -> i64 {
    match (&limits.memory_swap, limits.memory) {
        (Some(limit), _) => number(limit),
        (None, Some(memory)) => number(&Limit::At(memory.saturating_mul(2))),
        (None, None) => 0,
    }
}

/// docker's number of a limit: -1 for none.
fn number(limit: &Limit) -> i64 {
    match limit {
        Limit::At(most) => i64::try_from(*most).unwrap_or(-1),
        Limit::Unlimited => -1,
    }
}
