//! A container comes into being: an ID, a name, and a record if it is kept.

use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Result};
use crate::fs::{self, Dir, Timestamp};
use crate::id::{ContainerId, ContainerName};
use crate::monitor::{ClientOptions, FailedStage};
use crate::mount::Mount;
use crate::oci::ExecParameters;
use crate::platform::Platform;
use crate::store::{
    ContainerRecord, ContainerState, ImageRecord, Store, VolumeHolder, random_name,
};

use super::super::launch::{Prepared, check_platform};
use super::super::options::health::HealthOptions;
use super::super::options::log::LogSpec;
use super::super::options::mount::MountKind;
use super::super::options::restart::RestartPolicy;
use super::super::options::signal::Signal;
use super::super::request::{ContainerRequest, MountRequest, Rootfs};
use super::super::running::{self, RunningFile};
use super::super::volumes::{AttachedVolumes, VolumesFrom};
use super::super::{Engine, RunRequest, tree};
use super::keep::Place;
use super::kept::KeptSpec;
use super::label::{self, Label};
use super::start::Attach;

/// How many names are drawn at most.
const DRAWS: u32 = 16;

/// What a container is told beside what is run in it.
#[derive(Clone, Debug, Default)]
pub struct LifecycleOptions {
    /// `--label-file`.
    pub label_files: Vec<PathBuf>,
    /// `--label`, over the files.
    pub labels: Vec<Label>,
    /// `--stop-signal`.
    pub stop_signal: Option<Signal>,
    /// `--stop-timeout`, in seconds; negative for ever.
    pub stop_timeout: Option<i64>,
    /// `--cidfile`: gets the ID; must not exist.
    pub cid_file: Option<PathBuf>,
    /// `--volumes-from`.
    pub volumes_from: Vec<VolumesFrom>,
    /// A container that is kept is removed when it ends.
    pub auto_remove: bool,
    /// `--restart`. What is not kept is never started again.
    pub restart: RestartPolicy,
    /// What the `--health-*` flags say.
    pub health: HealthOptions,
    /// `--log-driver` and `--log-opt`. What is not kept has no log, whatever
    /// it may be.
    pub log: LogSpec,
    /// How this process behaves while it is attached.
    pub client: ClientOptions,
}

/// What became of a container that was started in the background.
#[derive(Debug)]
pub enum Launched {
    /// It runs.
    Running(ContainerId),
    /// It does not.
    NotStarted(FailedStage, Error),
}

/// What is known of a new container.
struct New {
    id: ContainerId,
    name: ContainerName,
    image: Option<ImageRecord>,
    platform: Option<Platform>,
    spec: KeptSpec,
}

impl Engine {
    /// Makes a container that is not started.
    ///
    /// # Errors
    /// What is wrong with the request; `AlreadyExists` if the name or the
    /// `--cidfile` is taken.
    pub fn create(&self, request: &RunRequest) -> Result<ContainerId> {
        let (container, options) = self.kept_container(request)?;
        self.check_cid(&options)?;
        let (new, place) = drawn_anew(&container, || {
            let new = self.new_container(&container, &options)?;
            let place = self.place(&new, &container)?;
            Ok((new, place))
        })?;
        self.attach_volumes(&new, &place, &container)?;
        self.write_cid(&options, &new.id)?;
        Ok(new.id)
    }

    /// Makes a container and starts it in the background.
    ///
    /// # Errors
    /// As [`Engine::create`], and what kept it from being started at all.
    pub fn run_detached(&self, request: &RunRequest) -> Result<Launched> {
        self.enter_beside(&request.options.isolation)?;
        let (mut container, options) = self.kept_container(request)?;
        container.input_stays_open = true;
        let prepared = self.prepare(&container, &options)?;
        let id = prepared.running.id.clone();
        Ok(match self.begin(prepared, &container, &Attach::Detached)? {
            Ok(client) => {
                client.leave();
                Launched::Running(id)
            }
            Err(failure) => Launched::NotStarted(failure.stage, failure.into_error()),
        })
    }

    /// docker: a container that is made has its volumes, and they are filled, if
    /// it is never started.
    fn attach_volumes(&self, new: &New, place: &Place, request: &ContainerRequest) -> Result<()> {
        let is_volume = |mount: &MountRequest| matches!(mount.option.kind, MountKind::Volume(_));
        if !request.mounts.iter().any(is_volume) {
            return Ok(());
        }
        let rootfs = fs::Rootfs::new(self.open_root(place.mount())?);
        let holder = VolumeHolder { id: &new.id, name: &new.name, snapshot: None };
        AttachedVolumes::attach(self.store()?, &request.mounts, (holder, &rootfs)).map(drop)
    }

    /// The request for a container with a record: others have to find one that
    /// is in the background, or not started yet.
    fn kept_container(&self, request: &RunRequest) -> Result<(ContainerRequest, LifecycleOptions)> {
        let mut container = self.container_of(request)?;
        let auto_remove = !std::mem::replace(&mut container.keep, true);
        let options = LifecycleOptions { auto_remove, ..request.lifecycle.clone() };
        Ok((container, options))
    }

    /// Makes a container, claimed for its first start.
    ///
    /// # Errors
    /// As [`Engine::create`].
    pub(in crate::engine) fn prepare(
        &self,
        request: &ContainerRequest,
        options: &LifecycleOptions,
    ) -> Result<Prepared> {
        self.check_cid(options)?;
        let prepared = drawn_anew(request, || self.prepare_new(request, options))?;
        match self.write_cid(options, &prepared.running.id) {
            Ok(()) => Ok(prepared),
            Err(error) => {
                prepared.claim.remove()?;
                Err(error)
            }
        }
    }

    fn prepare_new(
        &self,
        request: &ContainerRequest,
        options: &LifecycleOptions,
    ) -> Result<Prepared> {
        let new = self.new_container(request, options)?;
        let image = new.image.as_ref().map(|image| image.id);
        let mut running = new.spec.claimed((&new.id, &new.name), image);
        if !request.keep {
            // A path that JSON cannot hold is no reason not to run.
            let spec = new.spec.clone().with_request(request, &self.settings);
            running.spec = spec.and_then(|spec| spec.to_json()).ok();
        }
        let claim = RunningFile::claim(&self.settings.store.run, &running)?;
        match self.place(&new, request) {
            Ok(place) => {
                let claim = match &place {
                    Place::Kept { path, .. } => claim.holding(path, &new.name)?,
                    Place::Ephemeral(_) => claim,
                };
                Ok(Prepared { place, claim, running, platform: new.platform })
            }
            Err(error) => {
                claim.remove()?;
                Err(error)
            }
        }
    }

    fn new_container(&self, request: &ContainerRequest, options: &LifecycleOptions) -> Result<New> {
        let host = *self.host()?;
        let name = self.name(request)?;
        self.tell_single_id(host.has_single_id())?;
        let image = match &request.rootfs {
            Rootfs::Image(name) => {
                let (found, config) = self.image_for(name, request.platform.as_ref())?;
                Some((found.image, config))
            }
            Rootfs::Directory(_) => None,
        };
        let platform = match (&image, &request.rootfs) {
            (Some((image, _)), _) => Some(image.platform.clone()),
            (None, Rootfs::Directory(path)) => tree::platform(&Dir::open(path)?)?,
            (None, Rootfs::Image(_)) => None,
        };
        check_platform(platform.as_ref())?;
        let none = ExecParameters::default();
        let config = image.as_ref().map_or(&none, |(_, config)| &config.config);
        let given = (options.label_files.as_slice(), options.labels.as_slice());
        let spec = KeptSpec {
            image: image_name(request),
            command: request.commands.first().cloned().unwrap_or_default(),
            labels: label::collect(&config.labels, given, &self.settings)?,
            // One of the image's that is no signal is as good as none.
            stop_signal: options.stop_signal.or_else(|| config.stop_signal.parse().ok()),
            stop_timeout: options.stop_timeout,
            auto_remove: options.auto_remove,
            restart: options.restart,
            log: options.log,
            platform: platform.clone(),
            ..KeptSpec::default()
        };
        let image = image.map(|(image, _)| image);
        Ok(New { id: new_id()?, name, image, platform, spec })
    }

    /// The name asked for, or a random one. A name is one container's at a
    /// time, kept or not.
    fn name(&self, request: &ContainerRequest) -> Result<ContainerName> {
        let store = self.store()?;
        let Some(name) = &request.name else {
            return if request.keep { store.unused_container_name() } else { random_name() };
        };
        if !request.keep
            && let Some(kept) = store.containers()?.iter().find(|kept| kept.name == *name)
        {
            return Err(taken(name, &kept.id));
        }
        let running = running::list_claimed(&self.settings.store.run)?;
        match running.iter().find(|running| running.name == *name) {
            Some(holder) => Err(running::name_taken(holder)),
            None => Ok(name.clone()),
        }
    }

    /// Makes the snapshot, and the record of a container that is kept.
    fn place(&self, new: &New, request: &ContainerRequest) -> Result<Place> {
        let store = self.store()?;
        self.choose_driver(store)?;
        if request.keep {
            self.put(new, request)?;
            return Ok(Place::Kept {
                mount: self.first_mount(store, &new.id)?,
                path: store.container_path(&new.id),
                auto_remove: new.spec.auto_remove,
                log: new.spec.log,
            });
        }
        let snapshot = match &request.rootfs {
            Rootfs::Image(_) => store.prepare(new.image.as_ref().and_then(ImageRecord::chain))?,
            Rootfs::Directory(path) => store.prepare_over(path)?,
        };
        Ok(Place::Ephemeral(ManuallyDrop::new(snapshot)))
    }

    /// The root of the new container `id`, which is there from now on; else the
    /// container is not.
    fn first_mount(&self, store: &Store, id: &ContainerId) -> Result<Mount> {
        let mount = store.container_mount(id)?;
        if !matches!(mount, Mount::Copy(_)) {
            return Ok(mount);
        }
        match self.mount_root(&mount) {
            Ok(_) => Ok(mount),
            Err(error) => store.remove_container(id).and(Err(error)),
        }
    }

    /// Puts the record into the store.
    fn put(&self, new: &New, request: &ContainerRequest) -> Result<()> {
        let Some(image) = &new.image else {
            return Err(Error::invalid(format!("cannot keep a container of {}", new.spec.image))
                .hint("import the directory first: envbox import DIRECTORY NAME"));
        };
        let spec = new.spec.clone().with_request(request, &self.settings)?;
        self.store()?.put_container(&ContainerRecord {
            id: new.id.clone(),
            name: new.name.clone(),
            image: image.id,
            chain: image.chain(),
            created_at: Timestamp::now(),
            spec: spec.to_json()?,
            state: ContainerState::default(),
        })
    }

    fn check_cid(&self, options: &LifecycleOptions) -> Result<()> {
        let Some(file) = &options.cid_file else { return Ok(()) };
        let file = self.settings.absolute(file);
        match fs::link_metadata(&file)? {
            None => Ok(()),
            Some(_) => Err(cid_taken(&file)),
        }
    }

    fn write_cid(&self, options: &LifecycleOptions, id: &ContainerId) -> Result<()> {
        let Some(file) = &options.cid_file else { return Ok(()) };
        let path = self.settings.absolute(file);
        let mut file = fs::create_public(&path)?;
        std::io::Write::write_all(&mut file, id.as_str().as_bytes())
            .map_err(|error| Error::io("write", &path, error))
    }
}

/// What `make` makes; again, where somebody else took the name that was drawn
/// before it was used.
fn drawn_anew<T>(request: &ContainerRequest, make: impl Fn() -> Result<T>) -> Result<T> {
    for _ in 1..DRAWS {
        match make() {
            Err(error) if request.name.is_none() && error.kind() == Kind::AlreadyExists => {}
            other => return other,
        }
    }
    make()
}

fn cid_taken(file: &Path) -> Error {
    Error::new(Kind::AlreadyExists, format!("container ID file {} exists", file.display()))
        .hint("make sure that the other container is gone, and remove the file")
}

fn taken(name: &ContainerName, holder: &ContainerId) -> Error {
    Error::new(
        Kind::AlreadyExists,
        format!("the container name \"{name}\" is already in use by container \"{holder}\""),
    )
    .hint(format!("choose another name, or remove that container: envbox rm {name}"))
}

fn image_name(request: &ContainerRequest) -> String {
    match &request.rootfs {
        Rootfs::Image(name) => name.clone(),
        Rootfs::Directory(path) => path.display().to_string(),
    }
}

/// A new ID, for a container or for what is run beside it.
///
/// # Errors
/// Those of getrandom(2).
pub(in crate::engine) fn new_id() -> Result<ContainerId> {
    let mut bytes = [0; 32];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| Error::io_named("cannot draw a random ID", error))?;
    Ok(ContainerId::from_random(bytes))
}
