//! Devices by CDI (Container Device Interface, cdi.spec 0.3.0 to 1.0.0): the
//! host's files say what a device's name stands for, and a container that asks
//! for it gets that, anew at each start. The files are root's, so what they say
//! is done; the places that they name in the container are found inside its
//! root, as all places are.
//!
//! [`search`] finds the devices, [`file`] reads one file, [`edits`] puts what it
//! says into a container's spec. There is no cache, no watch and no dynamic file
//! here, and what envbox does not do (intelRdt, netDevices, hooks other than
//! createContainer) is refused by its name, for the devices that ask for it.

mod edits;
mod file;
mod search;

use std::path::PathBuf;

use serde_json::json;

use crate::error::{Error, Result};
use crate::fs;
use crate::runtime::spec::RuntimeSpec;

use super::bundle::Surroundings;
use super::options::cdi::CdiName;
use super::options::device::DeviceOption;
use super::options::isolation::IsolationOptions;

/// Puts the CDI devices that `options` ask for into `spec`.
///
/// # Errors
/// `NotFound` for devices that no file has; `Invalid` and `Unsupported` for what
/// a file asks for and cannot be given.
pub(super) fn apply(
    options: &IsolationOptions,
    around: &Surroundings<'_>,
    spec: &mut RuntimeSpec,
) -> Result<()> {
    let names = names(options)?;
    if names.is_empty() {
        return Ok(());
    }
    let failed = |error: Error| error.context("CDI device injection failed");
    let found = search::find(&names, &around.settings.cdi_folders()).map_err(failed)?;
    let mut mounts = std::mem::take(&mut spec.mounts);
    for (name, edits) in &found {
        edits::apply(edits, around.host, spec)
            .map_err(|error| failed(error.context(format!("device {name}"))))?;
    }
    edits::order(&mut spec.mounts);
    mounts.retain(|mount| spec.mounts.iter().all(|other| other.target != mount.target));
    mounts.append(&mut spec.mounts);
    spec.mounts = mounts;
    if spec.hooks.create_container.is_empty() {
        return Ok(());
    }
    make_bundle(around, spec)
}

/// Where the root is hung while hooks run; none without hooks.
pub(super) fn anchor(spec: &RuntimeSpec) -> Option<PathBuf> {
    (!spec.hooks.create_container.is_empty()).then(|| spec.hooks.bundle.join("rootfs"))
}

/// GPUs come first, as in docker.
fn names(options: &IsolationOptions) -> Result<Vec<CdiName>> {
    let mut names = Vec::new();
    for gpus in &options.gpus {
        names.extend(gpus.devices()?);
    }
    names.extend(options.devices.iter().filter_map(|device| match device {
        DeviceOption::Cdi(name) => Some(name.clone()),
        DeviceOption::Node(_) => None,
    }));
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    Ok(names)
}

/// What hooks look for: a bundle (runtime spec, bundle.md) whose config names
/// the root, and the state that says where it is (runtime.md, "State"). The
/// process ID is that of the container's own namespace, as runc has it here.
fn make_bundle(around: &Surroundings<'_>, spec: &mut RuntimeSpec) -> Result<()> {
    const VERSION: &str = "1.0.2";
    let bundle = around.scratch.join("bundle");
    let rootfs = bundle.join("rootfs");
    fs::ensure_dir(&rootfs, 0o755)?;
    let config = json!({ "ociVersion": VERSION, "root": { "path": rootfs } });
    fs::write_plain(&bundle.join("config.json"), config.to_string().as_bytes())?;
    let state = json!({
        "ociVersion": VERSION,
        "id": around.id.to_string(),
        "status": "creating",
        "pid": 1,
        "bundle": bundle,
    });
    spec.hooks.state = state.to_string();
    spec.hooks.bundle = bundle;
    Ok(())
}
