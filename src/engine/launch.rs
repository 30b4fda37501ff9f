//! From a container that exists to one that runs: rootfs, spec, plan, monitor,
//! in this order. What fails before the monitor is forked is
//! an error with words; afterwards the monitor tells.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags};

use crate::error::{Error, Result};
use crate::fs::{self, Dir};
use crate::monitor::{
    self, Attachment, Attended, Client, ClientInput, ClientOptions, Container as _, FailedStage,
    Failure, Input, Orders, Parting,
};
use crate::oci::ImageConfig;
use crate::platform::Platform;
use crate::runtime::plan;
use crate::runtime::plan::{Environment, Plan};
use crate::runtime::spec::PidNamespace;
use crate::store::{ImageRecord, Resolved, VolumeHolder};

use super::Engine;
use super::bundle::{self, Surroundings};
use super::cdi;
use super::lifecycle::{Attach, Keeping, Life, LifecycleOptions, Place};
use super::request::ContainerRequest;
use super::running::{Running, RunningFile};
use super::volumes::AttachedVolumes;

/// How a container ended.
#[derive(Debug)]
pub enum Ended {
    /// The program's exit status, or 128 plus the signal that ended it.
    Exited(i32),
    /// It did not start, and how far it came.
    NotStarted(FailedStage, Error),
}

/// A container that exists, claimed by this process.
pub(super) struct Prepared {
    /// Where its files lie.
    pub place: Place,
    /// Its file in the run directory.
    pub claim: RunningFile,
    /// What that file says.
    pub running: Running,
    /// Its image's platform.
    pub platform: Option<Platform>,
}

impl Engine {
    /// An image by any of its names, with its config.
    pub(super) fn image(&self, name: &str) -> Result<(ImageRecord, ImageConfig)> {
        let (found, config) = self.image_for(name, None)?;
        Ok((found.image, config))
    }

    /// As [`Engine::image`]; of several platforms' the one for `wanted`, if there
    /// is one.
    pub(super) fn image_for(
        &self,
        name: &str,
        wanted: Option<&Platform>,
    ) -> Result<(Resolved, ImageConfig)> {
        let store = self.store_with("image", name)?;
        let found = store.resolve_for(name, wanted)?;
        let bytes = store.image_config(&found.image)?;
        let config = serde_json::from_slice(&bytes).map_err(|error| {
            Error::invalid(format!("the config of image {name} is not an image config"))
                .because(error)
        })?;
        Ok((found, config))
    }

    /// Runs `request` to its end with this process as its client.
    ///
    /// # Errors
    /// What kept it from being started at all.
    pub(super) fn launch(&self, request: &ContainerRequest) -> Result<Ended> {
        let prepared = self.prepare(request, &LifecycleOptions::default())?;
        let begun = self.begin(prepared, request, &Attach::Direct)?;
        self.wait_for(begun, None)
    }

    /// As [`Engine::launch`], with what only `run` can be told. Others can
    /// attach to a container that is kept.
    pub(super) fn launch_with(
        &self,
        request: &ContainerRequest,
        options: &LifecycleOptions,
    ) -> Result<Ended> {
        let attach =
            if request.keep { Attach::Full(options.client.clone()) } else { Attach::Direct };
        if attach == Attach::Direct && options.client != ClientOptions::default() {
            return Err(Error::unsupported("a container with --rm goes with its client")
                .hint("leave --rm out, or --sig-proxy and --detach-keys"));
        }
        let prepared = self.prepare(request, options)?;
        let running = prepared.running.clone();
        let begun = self.begin(prepared, request, &attach)?;
        self.wait_for(begun, Some(&running))
    }

    /// Starts a container that is prepared.
    ///
    /// # Errors
    /// What kept the monitor from being forked; what came after is in the
    /// answer.
    pub(super) fn begin(
        &self,
        prepared: Prepared,
        request: &ContainerRequest,
        attach: &Attach,
    ) -> Result<Result<Client, Failure>> {
        let store = self.store()?;
        let Prepared { place, claim, running, platform } = prepared;
        let mut keeping = Keeping {
            engine: self,
            store,
            place,
            claim,
            running,
            group: None,
            plan: None,
            check: None,
            is_attached: *attach != Attach::Detached,
            life: Life::default(),
        };
        let ready = self.plan(&mut keeping, request, platform.as_ref()).and_then(|plan| {
            keeping.plan = Some(plan);
            Ok((keeping.claim.listen()?, attachment(request, attach, &keeping.place)?))
        });
        let (listener, attachment) = match ready {
            Ok(ready) => ready,
            Err(error) => {
                keeping.note_failure(&Failure::new(FailedStage::Setup, &error));
                keeping.finish(None);
                return Err(error);
            }
        };
        store.close_database();
        // What the monitor keeps is its own from then on: this process lets go of
        // the claim, so that a monitor that dies is seen to.
        Ok(monitor::launch(Orders { container: keeping, attachment, listener }))
    }

    /// Stays with a container that was begun until it ends, or this process
    /// leaves it.
    ///
    /// # Errors
    /// Those of its monitor.
    pub(super) fn wait_for(
        &self,
        begun: Result<Client, Failure>,
        container: Option<&Running>,
    ) -> Result<Ended> {
        let client = match begun {
            Ok(client) => client,
            Err(failure) => {
                return Ok(Ended::NotStarted(failure.stage, failure.into_error()));
            }
        };
        let exit = match (client.wait()?, container) {
            (Parting::Ended(exit), _) => exit,
            (Parting::Left(status), _) => return Ok(Ended::Exited(status)),
            (Parting::Detached, container) => {
                if let Some(container) = container {
                    self.tell(container, "detach");
                }
                return Ok(Ended::Exited(0));
            }
        };
        if exit.oom_killed {
            self.notify(
                "the container ran out of memory: the kernel killed processes of it".into(),
                Some("give it more, see --memory, or let it do less at once, as in make -j2"),
            );
        }
        Ok(Ended::Exited(exit.status))
    }

    /// Mounts the root, and looks up in it what only it can tell.
    pub(super) fn plan(
        &self,
        keeping: &mut Keeping<'_>,
        request: &ContainerRequest,
        platform: Option<&Platform>,
    ) -> Result<Plan> {
        let host = *self.host()?;
        keeping.group = self.make_group(&keeping.running.id, &request.resources)?;
        let is_32bit = check_platform(platform)?;
        let root = self.mount_root(keeping.place.mount())?;
        let rootfs = fs::Rootfs::new(open_root(&root)?);
        let doors = self.open_neighbors(&request.isolation)?;
        let Keeping { store, place, running, .. } = &*keeping;
        let holder =
            VolumeHolder { id: &running.id, name: &running.name, snapshot: place.snapshot() };
        let volumes = AttachedVolumes::attach(store, &request.mounts, (holder, &rootfs))?;
        let around = Surroundings {
            volumes: &volumes,
            settings: &self.settings,
            host,
            id: &running.id,
            scratch: place.path(),
            doors: &doors,
            is_32bit,
        };
        let spec = bundle::spec(request, &rootfs, &around)?;
        drop(rootfs);
        let anchor = cdi::anchor(&spec).unwrap_or_else(|| self.settings.store.root.clone());
        let environment = Environment {
            user_namespace: host.user_namespace,
            id_map: host.id_map,
            anchor: &anchor,
            group: keeping.group.as_ref(),
            doors: &doors,
        };
        let plan = plan::plan(&spec, root, &environment)?;
        self.tell_unmapped(&plan.unmapped);
        if spec.pid != PidNamespace::Private && keeping.group.is_none() {
            self.tell_unbounded();
        }
        keeping.check.clone_from(&request.health);
        keeping.running.is_checked = request.health.is_some();
        keeping.running.command = spec.process.args.clone();
        keeping.running.process = Some(spec.process);
        Ok(plan)
    }

    /// Says that nothing ends the processes of a container along with its first.
    fn tell_unbounded(&self) {
        self.notify(
            "what the container's program starts may go on when that ends: \
             it has no cgroup, and no PID namespace of its own"
                .into(),
            Some(
                "cgroup v1 is root's alone; on v2 log in to a session that is delegated, \
                 as by `systemd-run --user --scope`",
            ),
        );
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
    pub(super) fn tell_single_id(&self, single: bool) -> Result<()> {
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
}

/// Refuses what the host cannot run; true if it is a 32-bit system on a
/// 64-bit host.
pub(super) fn check_platform(platform: Option<&Platform>) -> Result<bool> {
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

/// Who has the input and output, and what this process has to do for it.
fn attachment(request: &ContainerRequest, attach: &Attach, place: &Place) -> Result<Attachment> {
    let terminal = request.terminal.is_new();
    let types = attach.types() && request.terminal.has_input();
    if *attach != Attach::Detached && !types {
        let null = rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .and_then(|null| rustix::stdio::dup2_stdin(&null));
        null.map_err(|error| Error::io_named("cannot open /dev/null", error))?;
    }
    let (Place::Kept { path, log, .. }, false) = (place, *attach == Attach::Direct) else {
        return Ok(Attachment::Direct { terminal });
    };
    // `start -a` alone reads nothing.
    let reads = request.terminal.has_input() && !matches!(attach, Attach::Output(_));
    let input = match (reads, request.input_stays_open) {
        (false, _) => Input::None,
        (true, false) => Input::UntilFirstEnd,
        (true, true) => Input::Endless,
    };
    let log = log.writer().map(|options| (path.join("log"), options));
    let caller = attach.client().map(|options| ClientOptions {
        input: if types { ClientInput::Typed } else { ClientInput::None },
        ..options.clone()
    });
    Ok(Attachment::Attended(Attended { log, terminal, input, caller }))
}
