//! An image as docker's JSON (Engine API, `ImageInspect`).

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::digest::DiffId;
use crate::engine::ImageDetails;
use crate::error::{Error, Result};
use crate::mount::{Mount, Overlay, TreeCopy};
use crate::oci::Healthcheck;
use crate::reference::ImageRef;

use super::time;

/// The fields in docker's order.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Image {
    id: String,
    repo_tags: Vec<String>,
    repo_digests: Vec<String>,
    parent: &'static str,
    comment: String,
    created: String,
    docker_version: String,
    author: String,
    config: ConfigFields,
    architecture: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    variant: String,
    os: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    os_version: String,
    size: u64,
    graph_driver: GraphDriver,
    #[serde(rename = "RootFS")]
    root_fs: RootFs,
    metadata: Metadata,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GraphDriver {
    data: BTreeMap<&'static str, String>,
    name: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RootFs {
    r#type: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    layers: Vec<DiffId>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    last_tag_time: String,
}

/// What an image config may hold, with docker's extensions.
#[derive(Deserialize)]
struct ConfigFile {
    #[serde(default)]
    comment: String,
    #[serde(default)]
    author: String,
    #[serde(default)]
    docker_version: String,
    #[serde(default, rename = "os.version")]
    os_version: String,
    #[serde(default)]
    config: Option<ConfigFields>,
    rootfs: crate::oci::RootfsDiffs,
    #[serde(default)]
    history: Option<Vec<crate::oci::History>>,
}

/// Docker's `container.Config`: always all keys, but for those that it leaves
/// out itself when they are empty.
#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ConfigFields {
    hostname: String,
    domainname: String,
    user: String,
    attach_stdin: bool,
    attach_stdout: bool,
    attach_stderr: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    exposed_ports: Option<BTreeMap<String, Value>>,
    tty: bool,
    open_stdin: bool,
    stdin_once: bool,
    env: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    healthcheck: Option<Healthcheck>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    args_escaped: bool,
    image: String,
    volumes: Option<BTreeMap<String, Value>>,
    working_dir: String,
    entrypoint: Option<Vec<String>>,
    on_build: Option<Vec<String>>,
    labels: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "String::is_empty")]
    stop_signal: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_timeout: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shell: Option<Vec<String>>,
}

impl Image {
    /// # Errors
    /// `Invalid` if the config is malformed.
    pub(super) fn new(image: &ImageDetails) -> Result<Self> {
        let record = &image.record;
        let file: ConfigFile = serde_json::from_slice(&image.config).map_err(|error| {
            Error::invalid(format!("the config of image {} is malformed", record.id)).because(error)
        })?;
        let platform = record.platform.clone();
        let names: Vec<ImageRef> =
            record.names.iter().chain(&record.index_names).cloned().collect();
        Ok(Self {
            id: record.id.to_string(),
            repo_tags: names
                .iter()
                .filter(|name| name.tag().is_some())
                .map(ToString::to_string)
                .collect(),
            repo_digests: repo_digests(&names, &record.manifest.to_string()),
            // Only docker's classic builder keeps parents.
            parent: "",
            comment: comment(&file),
            created: time(record.created),
            docker_version: file.docker_version,
            author: file.author,
            config: file.config.unwrap_or_default(),
            architecture: platform.architecture,
            variant: platform.variant.unwrap_or_default(),
            os: platform.os,
            os_version: file.os_version,
            size: record.size,
            graph_driver: GraphDriver {
                data: directories(&image.mount),
                name: image.driver.name(),
            },
            root_fs: RootFs { r#type: file.rootfs.kind, layers: file.rootfs.diff_ids },
            metadata: Metadata { last_tag_time: time(image.last_tagged) },
        })
    }
}

/// Each repository with the digest that leads to the image in it.
fn repo_digests(names: &[ImageRef], manifest: &str) -> Vec<String> {
    let mut digests: Vec<String> =
        names.iter().map(|name| format!("{}@{manifest}", name.familiar_repository())).collect();
    digests.dedup();
    digests
}

/// docker shows the message of the last change where the image has none.
fn comment(file: &ConfigFile) -> String {
    if !file.comment.is_empty() {
        return file.comment.clone();
    }
    let last = file.history.as_ref().and_then(|history| history.last());
    last.and_then(|change| change.comment.clone()).unwrap_or_default()
}

/// The layers by docker's names: the topmost is the upper one.
fn directories(mount: &Mount) -> BTreeMap<&'static str, String> {
    let text = |path: &Path| path.display().to_string();
    match mount {
        Mount::Bind { source, .. } => BTreeMap::from([("UpperDir", text(source))]),
        Mount::Archive(archive) => BTreeMap::from([("UpperDir", text(&archive.data))]),
        Mount::Overlay(Overlay { lower, .. }) | Mount::Copy(TreeCopy { lower, .. }) => {
            let mut layers = lower.iter().map(|layer| text(layer.path()));
            let upper = layers.next().unwrap_or_default();
            let lower: Vec<String> = layers.collect();
            BTreeMap::from([("LowerDir", lower.join(":")), ("UpperDir", upper)])
        }
    }
}
