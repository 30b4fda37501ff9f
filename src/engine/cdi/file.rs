//! One CDI file (cdi.spec, "CDI JSON Specification"), in YAML or JSON, as it
//! stands: names are parsed, and what they ask for is not looked at.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::engine::options::cdi::{CdiKind, CdiName};
use crate::error::{Error, Result};

/// Versions of the specification, and one that differs from 1.0.0 by
/// netDevices, which are refused where they occur.
const VERSIONS: [&str; 8] =
    ["0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "0.8.0", "1.0.0", "1.1.0"];

/// A file.
#[derive(Clone, Debug)]
pub(super) struct CdiFile {
    /// Its devices, each with its edits.
    pub devices: Vec<(CdiName, ContainerEdits)>,
    /// What each of them brings as well, once.
    pub shared: ContainerEdits,
}

/// What a device changes of a container.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub(super) struct ContainerEdits {
    /// `NAME=value`.
    pub env: Vec<String>,
    /// Device nodes.
    pub device_nodes: Vec<DeviceNode>,
    /// Programs that are run.
    pub hooks: Vec<Hook>,
    /// Mounts.
    pub mounts: Vec<Mount>,
    /// A class of cache and memory bandwidth.
    pub intel_rdt: Option<IgnoredAny>,
    /// Supplementary groups.
    #[serde(alias = "additionalGIDs")]
    pub additional_gids: Vec<u32>,
    /// Network interfaces.
    pub net_devices: Vec<IgnoredAny>,
}

/// A device node.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct DeviceNode {
    /// In the container.
    pub path: PathBuf,
    /// On the host, if it is another.
    pub host_path: Option<PathBuf>,
    /// `b`, `c`, `u` or `p`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Its numbers; it is the host's own that counts.
    pub major: Option<i64>,
    /// As `major`.
    pub minor: Option<i64>,
    /// Permission bits.
    pub file_mode: Option<u32>,
    /// Letters of `rwm`.
    pub permissions: Option<String>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
}

/// A mount.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Mount {
    /// On the host.
    pub host_path: PathBuf,
    /// In the container.
    pub container_path: PathBuf,
    /// As mount(8) names them.
    #[serde(default)]
    pub options: Vec<String>,
    /// A file system's, or `bind`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
}

/// A hook.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Hook {
    /// When it runs.
    pub hook_name: String,
    /// The program.
    pub path: PathBuf,
    /// Its arguments, beginning with its name.
    #[serde(default)]
    pub args: Vec<String>,
    /// `NAME=value`.
    #[serde(default)]
    pub env: Vec<String>,
    /// Seconds.
    pub timeout: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RawFile {
    cdi_version: String,
    kind: String,
    #[serde(default, rename = "annotations")]
    _annotations: Option<BTreeMap<String, IgnoredAny>>,
    devices: Vec<RawDevice>,
    #[serde(default)]
    container_edits: ContainerEdits,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RawDevice {
    name: String,
    #[serde(default, rename = "annotations")]
    _annotations: Option<BTreeMap<String, IgnoredAny>>,
    #[serde(default)]
    container_edits: ContainerEdits,
}

/// Reads the text of a file. JSON is YAML, and docker reads both as YAML.
///
/// # Errors
/// `Invalid`, with what is wrong.
pub(super) fn parse(text: &[u8]) -> Result<CdiFile> {
    let text = std::str::from_utf8(text)
        .map_err(|error| Error::invalid("it is not UTF-8").because(error))?;
    let raw: RawFile = serde_saphyr::from_str(text).map_err(|error| {
        // The parser's words go on for lines, with an excerpt of the file.
        let words = error.to_string();
        Error::invalid(words.lines().next().unwrap_or("it is not YAML").to_owned())
    })?;
    let RawFile { cdi_version, kind, devices, container_edits, .. } = raw;
    let version = cdi_version.strip_prefix('v').unwrap_or(&cdi_version);
    if !VERSIONS.contains(&version) {
        return Err(Error::unsupported(format!("cdiVersion {version:?} is not known")));
    }
    let kind: CdiKind = kind.parse()?;
    let named = |device: RawDevice| {
        let RawDevice { name, container_edits, .. } = device;
        Ok((CdiName::new(kind.clone(), &name)?, container_edits))
    };
    let devices = devices.into_iter().map(named).collect::<Result<Vec<_>>>()?;
    if devices.is_empty() {
        return Err(Error::invalid("it has no device"));
    }
    let mut names: Vec<&CdiName> = devices.iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(Error::invalid(format!("device {} is in it twice", twice[0])));
    }
    Ok(CdiFile { devices, shared: container_edits })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The form in which nvidia-ctk writes.
    const NVIDIA: &str = "---
cdiVersion: 0.5.0
containerEdits:
  deviceNodes:
  - path: /dev/nvidiactl
    major: 195
    minor: 255
    fileMode: 438
    permissions: rwm
    uid: 0
  env:
  - NVIDIA_VISIBLE_DEVICES=void
  hooks:
  - args:
    - nvidia-cdi-hook
    - create-symlinks
    - --link
    - libcuda.so.1::/usr/lib/x86_64-linux-gnu/libcuda.so
    env:
    - NVIDIA_CTK_DEBUG=false
    hookName: createContainer
    path: /usr/bin/nvidia-cdi-hook
  mounts:
  - containerPath: /run/nvidia-persistenced/socket
    hostPath: /run/nvidia-persistenced/socket
    options:
    - ro
    - noexec
devices:
- containerEdits:
    deviceNodes:
    - path: /dev/nvidia0
  name: \"0\"
- containerEdits: {}
  name: all
kind: nvidia.com/gpu
";

    #[test]
    fn reads_what_nvidia_writes() {
        let file = parse(NVIDIA.as_bytes()).unwrap();
        let names: Vec<String> = file.devices.iter().map(|(name, _)| name.to_string()).collect();
        assert_eq!(names, ["nvidia.com/gpu=0", "nvidia.com/gpu=all"]);
        let node = &file.shared.device_nodes[0];
        assert_eq!((node.file_mode, node.uid, node.gid), (Some(0o666), Some(0), None));
        assert_eq!(file.shared.hooks[0].args[2], "--link");
        assert_eq!(file.shared.mounts[0].options, ["ro", "noexec"]);
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        let minimal = "{cdiVersion: 1.0.0, kind: a/b, devices: [{name: x}]}";
        assert!(parse(minimal.as_bytes()).is_ok());
        for (old, new) in [
            ("1.0.0", "2.0.0"),
            ("a/b", "a"),
            ("x}", "-}"),
            ("{name: x}", ""),
            ("{name: x}", "{name: x}, {name: x}"),
            ("{name: x}", "{name: x, colour: red}"),
            ("{name: x}", "{name: x, containerEdits: {devices: []}}"),
            ("kind: a/b", "kind: a/b, kind: a/c"),
            ("{cdi", "{: cdi"),
        ] {
            let text = minimal.replacen(old, new, 1);
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(parse(b"\xff").is_err());
        assert!(parse(b"").is_err());
    }
}
