//! From a request to a container that has ended: snapshot, rootfs, spec,
//! plan, monitor, in this order. What fails before the monitor is forked is
//! an error with words; afterwards the monitor tells.

use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags};

use crate::error::{Error, Kind, Result};
use crate::fs::{self, Dir, Timestamp};
use crate::id::{ContainerId, ContainerName};
use crate::monitor::{self, FailedStage, Failure, Orders};
use crate::mount::Mount;
use crate::oci::ImageConfig;
use crate::platform::Platform;
use crate::runtime::plan::{Environment, Plan};
use crate::runtime::start::StartError;
use crate::runtime::{plan, source, start};
use crate::store::{
    ContainerRecord, ContainerState, EphemeralSnapshot, ImageRecord, Store, StorePaths, random_name,
};

use super::bundle::{self, Surroundings};
use super::request::{ContainerRequest, Rootfs, Terminal};
use super::running::{self, Running, RunningFile};
use super::{Engine, tree};

/// How a container ended.
#[derive(Debug)]
pub enum Ended {
    /// The program's exit status, or 128 plus the signal that ended it.
    Exited(i32),
    /// It did not start, and how far it came.
    NotStarted(FailedStage, Error),
}

/// Where a container's files lie.
enum Place {
    /// Gone when it ends.
    Ephemeral(EphemeralSnapshot),
    /// Kept, in the store.
    Kept { mount: Mount, path: PathBuf },
}

impl Place {
    fn mount(&self) -> &Mount {
        match self {
            Self::Ephemeral(snapshot) => snapshot.mount(),
            Self::Kept { mount, .. } => mount,
        }
    }

    fn path(&self) -> &std::path::Path {
        match self {
            Self::Ephemeral(snapshot) => snapshot.path(),
            Self::Kept { path, .. } => path,
        }
    }
}

/// What is left to do when a container has ended; done by its monitor.
struct Aftermath {
    place: Place,
    running: RunningFile,
    store: StorePaths,
    id: ContainerId,
    started: Timestamp,
}

impl Engine {
    /// An image by any of its names, with its config.
    pub(super) fn image(&self, name: &str) -> Result<(ImageRecord, ImageConfig)> {
        let store = self.store_with("image", name)?;
        let record = store.resolve(name)?;
        let bytes = store.image_config(&record)?;
        let config = serde_json::from_slice(&bytes).map_err(|error| {
            Error::invalid(format!("the config of image {name} is not an image config"))
                .because(error)
        })?;
        Ok((record, config))
    }

    /// Runs `request` to its end with this process as its client.
    ///
    /// # Errors
    /// What kept it from being started at all.
    pub(super) fn launch(&self, request: &ContainerRequest) -> Result<Ended> {
        let host = *self.host()?;
        let store = self.store()?;
        let name = self.name(request)?;
        self.tell_single_id(host.has_single_id())?;
        let image = match &request.rootfs {
            Rootfs::Image(name) => Some(self.image(name)?.0),
            Rootfs::Directory(_) => None,
        };
        let platform = match (&image, &request.rootfs) {
            (Some(image), _) => Some(image.platform.clone()),
            (None, Rootfs::Directory(path)) => tree::platform(&Dir::open(path)?)?,
            (None, Rootfs::Image(_)) => None,
        };
        let is_32bit = check_platform(platform.as_ref())?;
        let id = new_id()?;
        let place = place(store, request, (&id, &name), image.as_ref())?;
        let root = source::rootfs(place.mount(), host.user_namespace)?;
        let rootfs = fs::Rootfs::new(open_root(&root)?);
        let around = Surroundings {
            settings: &self.settings,
            host,
            id: &id,
            scratch: place.path(),
            is_32bit,
        };
        let spec = bundle::spec(request, &rootfs, &around)?;
        drop(rootfs);
        let environment = Environment {
            user_namespace: host.user_namespace,
            id_map: host.id_map,
            anchor: &self.settings.store.root,
        };
        let plan = plan::plan(&spec, root, &environment)?;
        self.tell_unmapped(&plan.unmapped);
        let running = RunningFile::create(
            &self.settings.store.run,
            &Running {
                id: id.clone(),
                name: name.clone(),
                image: image.as_ref().map(|image| image.id),
                image_name: image_name(request),
                command: spec.process.args.clone(),
                started: Timestamp::now().seconds,
                pid: None,
                pid_start: None,
                process: Some(spec.process.clone()),
            },
        )?;
        store.close_database();
        let aftermath = Aftermath {
            place,
            running,
            store: self.settings.store.clone(),
            id,
            started: Timestamp::now(),
        };
        run(plan, aftermath, request.terminal)
    }

    /// Says where the map of owners, which is asked for under sudo, does not
    /// hold.
    fn tell_unmapped(&self, paths: &[PathBuf]) {
        for path in paths {
            self.notify(
                format!(
                    "what is written in {} will belong to root: \
                     its file system has no ID-mapped mounts",
                    path.display()
                ),
                Some("give it back afterwards: sudo chown -R, or run envbox without sudo"),
            );
        }
    }

    /// Says once what a single ID means: a file in the store remembers it.
    fn tell_single_id(&self, single: bool) -> Result<()> {
        let marker = self.settings.store.root.join("told-single-id");
        if !single || fs::metadata(&marker)?.is_some() {
            return Ok(());
        }
        self.notify(
            "this user has no sub-IDs: every file in the container belongs to root, \
             and chown changes nothing"
                .into(),
            Some(
                "for more than one user: apt-get install uidmap, and add a range to \
                 /etc/subuid and /etc/subgid",
            ),
        );
        fs::write_plain(&marker, b"")
    }

    /// The name asked for, or a random one. A name is one container's at a
    /// time, kept or not.
    fn name(&self, request: &ContainerRequest) -> Result<ContainerName> {
        let Some(name) = &request.name else {
            return if request.keep {
                self.store()?.unused_container_name()
            } else {
                random_name()
            };
        };
        if !request.keep
            && let Some(kept) = kept(self.store()?, name)?
        {
            return Err(taken(name, &kept));
        }
        for running in running::list(&self.settings.store.run)? {
            if running.name == *name {
                return Err(taken(name, &running.id)
                    .hint("choose another name, or wait until that container has ended"));
            }
        }
        Ok(name.clone())
    }
}

fn taken(name: &ContainerName, holder: &ContainerId) -> Error {
    Error::new(
        Kind::AlreadyExists,
        format!("the container name \"{name}\" is already in use by container \"{holder}\""),
    )
    .hint(format!("choose another name, or remove that container: envbox rm {name}"))
}

/// The kept container of this very name.
fn kept(store: &Store, name: &ContainerName) -> Result<Option<ContainerId>> {
    let all = store.containers()?;
    Ok(all.into_iter().find(|record| record.name == *name).map(|record| record.id))
}

fn image_name(request: &ContainerRequest) -> String {
    match &request.rootfs {
        Rootfs::Image(name) => name.clone(),
        Rootfs::Directory(path) => path.display().to_string(),
    }
}

fn new_id() -> Result<ContainerId> {
    let mut bytes = [0; 32];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| Error::io_named("cannot draw a random container ID", error))?;
    Ok(ContainerId::from_random(bytes))
}

/// Refuses what the host cannot run; true if it is a 32-bit system on a
/// 64-bit host.
fn check_platform(platform: Option<&Platform>) -> Result<bool> {
    let host = Platform::host();
    let Some(platform) = platform else { return Ok(false) };
    if platform.is_native_on(&host) {
        return Ok(platform.architecture != host.architecture);
    }
    // A handler that was registered with the F flag works in every root.
    let handler = match platform.architecture.as_str() {
        "arm64" => "qemu-aarch64",
        "amd64" => "qemu-x86_64",
        "386" => "qemu-i386",
        other => return handler_present(&format!("qemu-{other}"), platform),
    };
    handler_present(handler, platform)
}

fn handler_present(handler: &str, platform: &Platform) -> Result<bool> {
    let path = PathBuf::from("/proc/sys/fs/binfmt_misc").join(handler);
    if fs::metadata(&path).ok().flatten().is_some() {
        return Ok(false);
    }
    Err(Error::unsupported(format!(
        "the image is for {platform}, this host is {}",
        Platform::host()
    ))
    .hint("install an emulator that the kernel calls: apt-get install qemu-user-static"))
}

/// The root directory of a detached mount.
pub(super) fn open_root(mount: &OwnedFd) -> Result<Dir> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(mount.as_fd(), ".", flags, Mode::empty())
        .map_err(|error| Error::io_named("cannot open the root filesystem", error))?;
    Ok(Dir::from((fd, PathBuf::from("/"))))
}

/// Makes the snapshot, and the record of a container that is kept.
fn place(
    store: &Store,
    request: &ContainerRequest,
    (id, name): (&ContainerId, &ContainerName),
    image: Option<&ImageRecord>,
) -> Result<Place> {
    match (&request.rootfs, image) {
        (Rootfs::Image(_), Some(image)) if request.keep => {
            store.put_container(&ContainerRecord {
                id: id.clone(),
                name: name.clone(),
                image: image.id,
                chain: image.chain(),
                created_at: Timestamp::now(),
                spec: serde_json::json!({
                    "image": image_name(request),
                    "command": request.commands.first(),
                }),
                state: ContainerState {
                    started_at: Some(Timestamp::now()),
                    ..ContainerState::default()
                },
            })?;
            Ok(Place::Kept { mount: store.container_mount(id)?, path: store.container_path(id) })
        }
        (Rootfs::Image(_), image) => {
            store.prepare(image.and_then(ImageRecord::chain)).map(Place::Ephemeral)
        }
        (Rootfs::Directory(path), _) if request.keep => {
            Err(Error::invalid(format!("cannot keep a container of {}", path.display()))
                .hint("import the directory first: envbox import DIRECTORY NAME"))
        }
        (Rootfs::Directory(path), _) => store.prepare_over(path).map(Place::Ephemeral),
    }
}

fn run(plan: Plan, aftermath: Aftermath, terminal: Terminal) -> Result<Ended> {
    if !terminal.has_input() {
        let null = rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .and_then(|null| rustix::stdio::dup2_stdin(&null));
        null.map_err(|error| Error::io_named("cannot open /dev/null", error))?;
    }
    let note = aftermath.running.note()?;
    // The monitor owns what is left to do; this process only must not do it.
    let aftermath = ManuallyDrop::new(aftermath);
    let orders = Orders {
        start: move || {
            let running = to_monitor(start::start(plan))?;
            // Without it the container lacks `exec` and `top`, and runs.
            let _ = note.write(running.pid.as_raw().unsigned_abs());
            Ok(running)
        },
        finish: move |status| finish(ManuallyDrop::into_inner(aftermath), status),
        terminal: terminal.is_new(),
    };
    match monitor::launch(orders) {
        Ok(client) => client.wait().map(Ended::Exited),
        Err(failure) => Ok(Ended::NotStarted(failure.stage, failure.into_error())),
    }
}

/// What was started, as the monitor takes it over.
pub(super) fn to_monitor(
    started: Result<start::Started, StartError>,
) -> Result<monitor::Running, Failure> {
    let failure = |stage, error: &Error| Failure::new(stage, error);
    match started {
        Ok(started) => Ok(monitor::Running {
            pid: started.pid,
            pidfd: started.pidfd,
            terminal: started.terminal,
        }),
        Err(StartError::Setup(error)) => Err(failure(FailedStage::Setup, &error)),
        Err(StartError::NotFound(error)) => Err(failure(FailedStage::NotFound, &error)),
        Err(StartError::NotExecutable(error)) => Err(failure(FailedStage::NotExecutable, &error)),
    }
}

/// Teardown goes on: what fails here is swept by the next command that opens
/// the store.
fn finish(aftermath: Aftermath, status: Option<i32>) {
    if let Place::Ephemeral(snapshot) = aftermath.place {
        let _ = snapshot.remove();
    } else if let Ok(store) = Store::open(&aftermath.store) {
        let state = ContainerState {
            started_at: Some(aftermath.started),
            finished_at: Some(Timestamp::now()),
            exit_code: Some(status.unwrap_or(127)),
        };
        let _ = store.update_container_state(&aftermath.id, &state);
    }
    let _ = aftermath.running.remove();
}
