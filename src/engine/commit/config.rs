//! The config of an image that a container becomes: that of its image, and
//! over it what the container was asked to be (docker's `Config` of a
//! container). What belongs to the host, and to one run, is not in it.

use std::path::Path;

use crate::engine::Engine;
use crate::engine::lifecycle::KeptSpec;
use crate::engine::request::ContainerRequest;
use crate::engine::volumes::MountOrigin;
use crate::error::Result;
use crate::oci::{Empty, ExecParameters};
use crate::store::ContainerRecord;

/// What a terminal's program is told without anybody's asking.
const TERM: &str = "TERM=xterm";

impl Engine {
    /// What `container` runs, on top of `image`.
    ///
    /// # Errors
    /// Those of its volumes.
    pub(super) fn config_of(
        &self,
        container: &ContainerRecord,
        image: ExecParameters,
    ) -> Result<ExecParameters> {
        let spec = KeptSpec::of(container);
        let mut config = ExecParameters { labels: spec.labels.clone(), ..image };
        // docker: triggers are for builds upon the image that has them.
        config.on_build.clear();
        if let Some(signal) = spec.stop_signal {
            config.stop_signal = signal.to_string();
        }
        // An older envbox kept none.
        let Ok(request) = spec.request(container.name.as_str()) else { return Ok(config) };
        asked_for(&mut config, &request);
        let uses = self.volume_uses(&container.id, &request)?;
        let anonymous = self
            .mount_points(&request, &uses)?
            .into_iter()
            .filter(|point| point.origin == MountOrigin::Anonymous);
        config.volumes.extend(anonymous.map(|point| (point.destination, Empty {})));
        Ok(config)
    }
}

fn asked_for(config: &mut ExecParameters, request: &ContainerRequest) {
    // Of several commands the rootfs decides at each start.
    if let [words] = request.commands.as_slice() {
        let (entrypoint, command) = words.split_at(request.entrypoint.min(words.len()));
        let some = |words: &[String]| (!words.is_empty()).then(|| words.to_vec());
        (config.entrypoint, config.cmd) = (some(entrypoint), some(command));
    }
    let is_of_image = config.env.iter().any(|entry| entry.starts_with("TERM="));
    config.env = request
        .environment
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .filter(|entry| is_of_image || !request.terminal.is_new() || entry != TERM)
        .collect();
    config.user = request.user.to_string();
    let is_default = config.working_dir.is_empty() && request.working_directory == Path::new("/");
    if !is_default {
        config.working_dir = request.working_directory.display().to_string();
    }
    if request.healthcheck.is_some() {
        config.healthcheck.clone_from(&request.healthcheck);
    }
}
