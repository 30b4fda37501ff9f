//! `envbox inspect`: all that is known of one object. How it is shown is the
//! cli's matter.

use crate::digest::ImageId;
use crate::error::{Error, Kind, Result};
use crate::fs::{self, Timestamp};
use crate::id::ContainerId;
use crate::monitor::Health;
use crate::mount::Mount;
use crate::platform::Platform;
use crate::store::{ContainerRecord, ContainerState, Driver, ImageRecord, Store};

use super::lifecycle::{KeptSpec, no_such_container};
use super::options::restart::RestartPolicy;
use super::options::signal::Signal;
use super::running::{self, Running};
use super::{
    ContainerRequest, ContainerSummary, Engine, MountPoint, containers, mounted, platforms,
};

/// What sort of object a name means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectKind {
    /// An image.
    Image,
    /// A container that is kept or runs.
    Container,
}

/// An object.
#[derive(Clone, Debug)]
pub enum Inspected {
    /// An image.
    Image(Box<ImageDetails>),
    /// A container that is kept or runs.
    Container(Box<ContainerDetails>),
}

/// What is known of an image.
#[derive(Clone, Debug)]
pub struct ImageDetails {
    /// What the store keeps of it.
    pub record: ImageRecord,
    /// The config, raw.
    pub config: Vec<u8>,
    /// What a container of it stands on.
    pub mount: Mount,
    /// How its topmost layer is kept.
    pub driver: Driver,
    /// When it last got a name, as far as the events go back.
    pub last_tagged: Option<Timestamp>,
}

/// What is known of a container.
#[derive(Clone, Debug)]
pub struct ContainerDetails {
    /// What lists tell of it.
    pub summary: ContainerSummary,
    /// The image that it was made from; none if it stands on a directory.
    pub image: Option<ImageId>,
    /// What became of it so far.
    pub state: ContainerState,
    /// Its health, if that is checked, or was in its last run.
    pub health: Option<Health>,
    /// The size of its files, if it was asked for and the container is kept.
    pub size: Option<ContainerSize>,
    /// Its first process, if it runs.
    pub pid: Option<u32>,
    /// The platform of its image.
    pub platform: Option<Platform>,
    /// What stops it, if not SIGTERM.
    pub stop_signal: Option<Signal>,
    /// How long it is given then, in seconds; negative for ever.
    pub stop_timeout: Option<i64>,
    /// When it is started again.
    pub restart: RestartPolicy,
    /// What was asked for; none of a container that an older envbox made.
    pub request: Option<ContainerRequest>,
    /// What it has mounted beside its root, but for what is in memory.
    pub mounts: Vec<MountPoint>,
    /// What it stands on, if it is kept.
    pub root: Option<Mount>,
}

/// The size of a container's files, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContainerSize {
    /// Of the files that it wrote.
    pub written: u64,
    /// Of the files of its image, while that is there.
    pub image: u64,
}

/// Whether [`Engine::inspect`] adds up a container's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sizes {
    /// It walks through all that the container wrote.
    Counted,
    /// It does not look.
    Unknown,
}

impl Engine {
    /// The object that `name` means: of this kind, or else a container before
    /// an image, as in docker.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` if it is the beginning of several IDs.
    pub fn inspect(&self, name: &str, kind: Option<ObjectKind>, sizes: Sizes) -> Result<Inspected> {
        match kind {
            Some(ObjectKind::Image) => self.inspect_image(name, None),
            Some(ObjectKind::Container) => self.inspect_container(name, sizes),
            None => match self.inspect_container(name, sizes) {
                Err(error) if error.kind() == Kind::NotFound => {
                    self.inspect_image(name, None).map_err(|error| match error.kind() {
                        Kind::NotFound => no_such_object(name, &error),
                        _ => error,
                    })
                }
                found => found,
            },
        }
    }

    /// The image that `name` means; of those for several platforms that for
    /// `wanted`.
    ///
    /// # Errors
    /// As [`Engine::inspect`]; `Mismatch` if there is none for the platform.
    pub fn inspect_image(&self, name: &str, wanted: Option<&Platform>) -> Result<Inspected> {
        let store = self.store_with("image", name)?;
        let record = platforms::resolve(store, name, wanted)?.image;
        let mount = store.view(record.chain())?;
        let driver = match Driver::of_mount(&mount) {
            // Trees are kept by both.
            Driver::Overlay if store.driver()? == Some(Driver::Copy) => Driver::Copy,
            driver => driver,
        };
        Ok(Inspected::Image(Box::new(ImageDetails {
            config: store.image_config(&record)?,
            mount,
            driver,
            last_tagged: last_tagged(store, &record)?,
            record,
        })))
    }

    fn inspect_container(&self, name: &str, sizes: Sizes) -> Result<Inspected> {
        let store = self.store_with("container", name)?;
        let read = || match store.container(name) {
            Err(error) if error.kind() == Kind::NotFound => Ok(Vec::new()),
            found => found.map(|record| vec![record]),
        };
        let (mut running, mut kept) = self.look(read)?;
        let details = match kept.pop() {
            Some(record) => {
                let alive = running.into_iter().find(|running| running.id == record.id);
                let size = match sizes {
                    Sizes::Unknown => None,
                    Sizes::Counted => Some(self.container_size(store, &record)?),
                };
                let root = store.container_mount(&record.id).ok();
                ContainerDetails { size, root, ..self.details_of_kept(record, alive)? }
            }
            None => {
                running.retain(|running| running.pid.is_some());
                let alive =
                    running::named(running, name)?.ok_or_else(|| no_such_container(name))?;
                self.details_of_running(alive)?
            }
        };
        Ok(Inspected::Container(Box::new(details)))
    }

    fn details_of_kept(
        &self,
        record: ContainerRecord,
        alive: Option<Running>,
    ) -> Result<ContainerDetails> {
        let spec = KeptSpec::of(&record);
        let image = record.image;
        let state = record.state.clone();
        let pid = alive.as_ref().and_then(|alive| alive.pid);
        let health = match &alive {
            Some(alive) => running::health(&self.settings.store.run, &alive.id)?,
            None => state.health.as_deref().and_then(|json| serde_json::from_str(json).ok()),
        };
        let summary = containers::of_record(record, alive);
        Ok(ContainerDetails {
            image: Some(image),
            state,
            health,
            pid,
            ..self.details(summary, spec)?
        })
    }

    fn details_of_running(&self, alive: Running) -> Result<ContainerDetails> {
        let spec = KeptSpec::of_running(&alive);
        Ok(ContainerDetails {
            image: alive.image,
            state: ContainerState {
                started_at: Some(Timestamp::from_seconds(alive.started)),
                ..ContainerState::default()
            },
            health: running::health(&self.settings.store.run, &alive.id)?,
            pid: alive.pid,
            ..self.details(containers::of_running(alive), spec)?
        })
    }

    /// What `spec` tells.
    fn details(&self, summary: ContainerSummary, spec: KeptSpec) -> Result<ContainerDetails> {
        let request = spec.request(summary.name.as_str()).ok();
        let mounts = match &request {
            Some(request) => {
                self.mount_points(request, &self.volume_uses(&summary.id, request)?)?
            }
            None => Vec::new(),
        };
        Ok(ContainerDetails {
            summary,
            image: None,
            state: ContainerState::default(),
            health: None,
            size: None,
            pid: None,
            platform: spec.platform,
            stop_signal: spec.stop_signal,
            stop_timeout: spec.stop_timeout,
            restart: spec.restart,
            request,
            mounts,
            root: None,
        })
    }

    /// The size of the files of the container `id`; `None` of one that is not
    /// kept.
    ///
    /// # Errors
    /// Those of the store and of its files.
    pub fn size_of_container(&self, id: &ContainerId) -> Result<Option<ContainerSize>> {
        let Some(store) = self.existing_store()? else { return Ok(None) };
        match store.container(id.as_str()) {
            Ok(record) => self.container_size(store, &record).map(Some),
            Err(error) if error.kind() == Kind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn container_size(&self, store: &Store, record: &ContainerRecord) -> Result<ContainerSize> {
        Ok(ContainerSize {
            written: self.written(store, record)?,
            image: store.image(record.image)?.map_or(0, |image| image.size),
        })
    }

    /// Of the files that a container wrote, in bytes.
    pub(super) fn written(&self, store: &Store, container: &ContainerRecord) -> Result<u64> {
        // They may belong to IDs that only the user namespace may read.
        self.host()?;
        match store.container_mount(&container.id)? {
            Mount::Bind { source, .. } => fs::tree_size(&source),
            Mount::Archive(_) => Ok(0),
            Mount::Copy(copy) => mounted::written(&copy),
            Mount::Overlay(overlay) => {
                overlay.upper.map_or(Ok(0), |written| fs::tree_size(&written.upper))
            }
        }
    }
}

impl Engine {
    /// Of the files that go with a container, in bytes: all of its copy, if it has
    /// one.
    pub(super) fn occupied(&self, store: &Store, container: &ContainerRecord) -> Result<u64> {
        match store.container_mount(&container.id)? {
            Mount::Copy(copy) => {
                self.host()?;
                mounted::size(&copy)
            }
            _ => self.written(store, container),
        }
    }
}

/// The events are the only ones who remember when a name was given.
fn last_tagged(store: &Store, image: &ImageRecord) -> Result<Option<Timestamp>> {
    let id = image.id.to_string();
    let gives_a_name = |action: &str, named: bool| action == "tag" || (named && action != "untag");
    let times = store.events(None)?.filter(|event| {
        event.id == id && gives_a_name(&event.action, event.attributes.contains_key("name"))
    });
    Ok(times.map(|event| event.time).max())
}

/// Keeps the hint at similar names.
fn no_such_object(name: &str, cause: &Error) -> Error {
    let similar = cause.hint_text().filter(|hint| hint.starts_with("did you mean"));
    let hint = similar.unwrap_or("list what there is with `envbox ps -a` and `envbox images`");
    Error::not_found(format!("no such object: {name}")).hint(hint.to_owned())
}
