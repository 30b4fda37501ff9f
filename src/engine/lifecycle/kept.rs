//! What a kept container remembers: the `spec` of its record. It holds the
//! whole request, so that the container can be started again, and what has to
//! be known of it without that: names, labels, how it is stopped.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use crate::digest::ImageId;
use crate::error::{Error, Result};
use crate::fs::Timestamp;
use crate::id::{ContainerId, ContainerName};
use crate::platform::Platform;
use crate::store::{ContainerRecord, SpecText};

use super::super::Settings;
use super::super::options::log::LogSpec;
use super::super::options::restart::RestartPolicy;
use super::super::options::security::SeccompOption;
use super::super::options::signal::Signal;
use super::super::request::ContainerRequest;
use super::super::running::{Activity, Running};
use super::text;

/// The `spec` of a container's record. What is missing, or not understood, in
/// one that an older envbox wrote, has its default.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::engine) struct KeptSpec {
    /// The image as it was asked for.
    pub image: String,
    /// The command with its arguments.
    pub command: Vec<String>,
    /// Those of the image, and `--label`'s over them.
    pub labels: BTreeMap<String, String>,
    /// What `stop` sends, if not SIGTERM.
    #[serde(with = "text::optional")]
    pub stop_signal: Option<Signal>,
    /// Seconds that `stop` waits; negative for ever.
    pub stop_timeout: Option<i64>,
    /// `--rm`: it goes when it ends.
    pub auto_remove: bool,
    /// `--restart`: whether it is started again when it ended.
    pub restart: RestartPolicy,
    /// Its log.
    pub log: LogSpec,
    /// The platform of the image, which may have gone by the next start.
    pub platform: Option<Platform>,
    /// A [`ContainerRequest`], which few ask for; none before containers could
    /// be started again.
    pub(super) request: Option<Box<RawValue>>,
}

/// What is understood of a spec that a newer envbox wrote.
#[derive(Default, Deserialize)]
#[serde(default)]
struct PlainSpec {
    image: String,
}

impl KeptSpec {
    /// What `record` remembers.
    pub(in crate::engine) fn of(record: &ContainerRecord) -> Self {
        record.spec.read().unwrap_or_else(|| {
            let PlainSpec { image } = record.spec.read().unwrap_or_default();
            Self { image, ..Self::default() }
        })
    }

    /// What the file of a container tells that is not kept.
    pub(in crate::engine) fn of_running(running: &Running) -> Self {
        running.spec.as_ref().and_then(SpecText::read).unwrap_or_default()
    }

    /// Puts `request` into it, with every path as the caller means it now.
    ///
    /// # Errors
    /// `Invalid` for what JSON cannot hold: a path that is not UTF-8.
    pub(in crate::engine) fn with_request(
        mut self,
        request: &ContainerRequest,
        settings: &Settings,
    ) -> Result<Self> {
        let mut request = request.clone();
        for mount in &mut request.mounts {
            mount.option = mount.option.clone().absolute(&settings.working_directory);
        }
        if let SeccompOption::File(path) = &mut request.security.seccomp {
            *path = settings.absolute(path);
        }
        self.request = Some(to_raw_value(&request).map_err(|error| {
            Error::invalid("a container with these options cannot be kept").because(error)
        })?);
        Ok(self)
    }

    /// The request of the container `name`.
    ///
    /// # Errors
    /// `Unsupported` if there is none, or none that this envbox understands.
    pub(in crate::engine) fn request(&self, name: &str) -> Result<ContainerRequest> {
        let message = format!("container {name} cannot be started again");
        let hint = "make a new one of its image: envbox run, or envbox create";
        let Some(request) = &self.request else {
            return Err(Error::unsupported(format!(
                "{message}: an older envbox made it, which kept no options"
            ))
            .hint(hint));
        };
        serde_json::from_str(request.get())
            .map_err(|error| Error::unsupported(message).because(error).hint(hint))
    }

    /// What the run directory tells of a container of this spec before it runs.
    pub(in crate::engine) fn claimed(
        &self,
        (id, name): (&ContainerId, &ContainerName),
        image: Option<ImageId>,
    ) -> Running {
        Running {
            id: id.clone(),
            name: name.clone(),
            image,
            image_name: self.image.clone(),
            command: self.command.clone(),
            started: Timestamp::now().seconds,
            pid: None,
            activity: Activity::Runs,
            is_checked: false,
            pid_start: None,
            process: None,
            labels: self.labels.clone(),
            stop_signal: self.stop_signal.map(Signal::number),
            stop_timeout: self.stop_timeout,
            spec: None,
        }
    }

    /// The record's form.
    ///
    /// # Errors
    /// `Internal`, never for a spec that [`KeptSpec::with_request`] made.
    pub(in crate::engine) fn to_json(&self) -> Result<SpecText> {
        SpecText::of(self)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(spec: &serde_json::Value) -> ContainerRecord {
        ContainerRecord {
            id: ContainerId::from_random([1; 32]),
            name: "one".parse().unwrap(),
            image: ImageId(crate::digest::Digest::of(b"image")),
            chain: None,
            created_at: Timestamp::from_seconds(1),
            spec: SpecText::of(spec).unwrap(),
            state: Default::default(),
        }
    }

    #[test]
    fn a_request_comes_back_as_it_was_written() {
        let spec = KeptSpec::of(&record(&json!({"image": "a", "request": {"keep": 1}})));
        assert_eq!(spec.image, "a");
        assert_eq!(spec.to_json().unwrap().read::<KeptSpec>().unwrap().image, "a");
        assert_eq!(spec.request.unwrap().get(), "{\"keep\":1}");
    }

    #[test]
    fn an_older_spec_has_no_request_and_a_newer_one_its_image() {
        for spec in [json!({"image": "a"}), json!({"image": "a", "request": null})] {
            let error = KeptSpec::of(&record(&spec)).request("one").unwrap_err();
            assert!(error.to_string().contains("an older envbox made it"), "{error}");
        }
        assert_eq!(KeptSpec::of(&record(&json!({"image": "a", "labels": [1]}))).image, "a");
    }
}
