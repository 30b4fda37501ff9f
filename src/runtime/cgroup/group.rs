//! The group of one container: its directories, from making to removing.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::unistd::Pid;
use rustix::fs::{Mode, OFlags};

use crate::error::{Error, Kind, Result};
use crate::fs;
use crate::id::ContainerId;

use super::controller::{self, Controller, Files};
use super::hierarchy::{Base, Hierarchy, Version};
use super::kill;
use super::statistics::{self, Statistics};

/// The cgroup of a container: one directory on v2, one in each tree on v1.
#[derive(Clone, Debug)]
pub struct Cgroup {
    pub(super) version: Version,
    pub(super) places: Vec<Place>,
}

/// One directory of a group.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub directory: PathBuf,
    /// Those that work in it.
    pub controllers: Vec<Controller>,
    pub base: Base,
}

/// The doors of a group, opened, for a process that has yet to go through.
#[derive(Debug)]
pub struct Entrance(Vec<OwnedFd>);

impl Entrance {
    /// Moves the calling process into the group. Allocates nothing: it may be
    /// called between fork(2) and execve(2). On v1 it moves the calling thread
    /// alone, so the process must have but one. A cgroup namespace that is to
    /// have the group as its root is made after this, by unshare(2)
    /// (cgroup_namespaces(7)).
    ///
    /// # Errors
    /// Those of write(2).
    pub fn enter(&self) -> io::Result<()> {
        for door in &self.0 {
            rustix::io::retry_on_intr(|| rustix::io::write(door, b"0"))?;
        }
        Ok(())
    }
}

impl Cgroup {
    /// Makes the empty group of container `id`. One that is left of an earlier
    /// run is removed first.
    ///
    /// # Errors
    /// `InUse` if processes live in the earlier one; those of mkdir(2) and of
    /// writing cgroup files. Nothing is left behind.
    pub fn create(hierarchy: &Hierarchy, id: &ContainerId) -> Result<Self> {
        let version = hierarchy.version();
        let mut group = Self { version, places: Vec::new() };
        for base in hierarchy.bases() {
            let directory = base.directory.join(&hierarchy.folder).join(hierarchy.name(id));
            let place =
                Place { directory, controllers: base.controllers.clone(), base: base.clone() };
            match place.make(version) {
                Ok(place) => group.places.push(place),
                Err(error) => {
                    // The reason is worth more than what else fails.
                    let _ = group.remove();
                    return Err(error.context(format!("cannot make the cgroup of container {id}")));
                }
            }
        }
        Ok(group)
    }

    /// The group of container `id`, which another process has made; `None` if
    /// there is none.
    ///
    /// # Errors
    /// Those of looking.
    pub fn open(hierarchy: &Hierarchy, id: &ContainerId) -> Result<Option<Self>> {
        let version = hierarchy.version();
        let mut places = Vec::new();
        for base in hierarchy.bases() {
            let directory = base.directory.join(&hierarchy.folder).join(hierarchy.name(id));
            if fs::metadata(&directory)?.is_some() {
                let base = base.clone();
                let controllers = working(version, &directory, &base)?;
                places.push(Place { directory, controllers, base });
            }
        }
        Ok((!places.is_empty()).then_some(Self { version, places }))
    }

    /// One of its directories, always the same.
    pub fn path(&self) -> Option<&Path> {
        self.places.first().map(|place| place.directory.as_path())
    }

    /// The controllers that work in it.
    pub fn controllers(&self) -> impl Iterator<Item = Controller> {
        self.places.iter().flat_map(|place| place.controllers.iter().copied())
    }

    /// The files of the directory in which `controller` works.
    pub(super) fn files(&self, controller: Controller) -> Option<Files<'_>> {
        let works = |place: &&Place| place.controllers.contains(&controller);
        self.places.iter().find(works).map(|place| place.files(self.version))
    }

    /// The v2 directory, for clone3(2) with `CLONE_INTO_CGROUP`; `None` on v1.
    /// With `CLONE_NEWCGROUP` in the same call it is the root of the new
    /// namespace (`cgroup_post_fork`, kernel/cgroup/cgroup.c).
    ///
    /// # Errors
    /// Those of open(2).
    pub fn directory(&self) -> Result<Option<OwnedFd>> {
        let (Version::V2, [place]) = (self.version, self.places.as_slice()) else {
            return Ok(None);
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(&place.directory, flags, Mode::empty())
            .map(Some)
            .map_err(|error| Error::io("open the cgroup", &place.directory, error))
    }

    /// Opens the group for a process that will move itself: the cheap way on
    /// v1, and for `exec` on v2 where clone3(2) is not at hand.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn entrance(&self) -> Result<Entrance> {
        let door = match self.version {
            // One thread that moves itself needs no global lock.
            Version::V1 => "tasks",
            Version::V2 => "cgroup.procs",
        };
        let open = |place: &Place| fs::open_for_writing(&place.directory.join(door));
        let doors: Result<Vec<OwnedFd>> =
            self.places.iter().map(|place| open(place).map(OwnedFd::from)).collect();
        doors.map(Entrance)
    }

    /// Moves another process into the group.
    ///
    /// # Errors
    /// Those of writing `cgroup.procs`.
    pub fn attach(&self, pid: Pid) -> Result<()> {
        let attach = |place: &Place| {
            place.files(self.version).write("cgroup.procs", &pid.as_raw().to_string())
        };
        self.places.iter().try_for_each(attach)
    }

    /// What the group has used and may use.
    ///
    /// # Errors
    /// Those of reading cgroup files; of a group that is gone all is `None`.
    pub fn statistics(&self) -> Result<Statistics> {
        let mut statistics = statistics::of_host()?;
        for place in &self.places {
            for &controller in &place.controllers {
                controller::measure(controller, &place.files(self.version), &mut statistics)?;
            }
        }
        Ok(statistics)
    }

    /// How many of its processes the kernel has killed for want of memory; 0
    /// where nobody counts. To be asked before [`Cgroup::remove`].
    ///
    /// # Errors
    /// Those of reading it.
    pub fn oom_kills(&self) -> Result<u64> {
        self.files(Controller::Memory).map_or(Ok(0), |files| controller::oom_kills(&files))
    }
}

impl Place {
    pub fn files(&self, version: Version) -> Files<'_> {
        Files { version, directory: &self.directory }
    }

    /// The directory of all of our groups.
    fn parent(&self) -> &Path {
        self.directory.parent().unwrap_or(&self.base.directory)
    }

    /// Makes the directory, and finds out what works in it.
    fn make(mut self, version: Version) -> Result<Self> {
        match fs::create_dir(&self.directory, 0o755) {
            Err(error) if error.kind() == Kind::NotFound => {
                self.make_parent(version)?;
                fs::create_dir(&self.directory, 0o755)?;
            }
            Err(error) if error.kind() == Kind::AlreadyExists => {
                kill::remove_earlier(&self.directory)?;
                fs::create_dir(&self.directory, 0o755)?;
            }
            other => other?,
        }
        let ready = self.prepare(version);
        if ready.is_err() {
            // It is empty and new.
            let _ = fs::remove_dir(&self.directory);
        }
        ready.map(|()| self)
    }

    fn prepare(&mut self, version: Version) -> Result<()> {
        if version == Version::V1 {
            return self.inherit(self.parent(), &self.directory);
        }
        self.controllers = working(version, &self.directory, &self.base)?;
        if self.controllers.len() < self.base.controllers.len() {
            pass_on(&self.base.directory, &self.base.controllers);
            pass_on(self.parent(), &self.base.controllers);
            self.controllers = working(version, &self.directory, &self.base)?;
        }
        Ok(())
    }

    fn make_parent(&self, version: Version) -> Result<()> {
        fs::ensure_dir(self.parent(), 0o755)?;
        match version {
            Version::V1 => self.inherit(&self.base.directory, self.parent()),
            Version::V2 => Ok(()),
        }
    }

    fn inherit(&self, parent: &Path, child: &Path) -> Result<()> {
        if !self.controllers.contains(&Controller::Cpuset) {
            return Ok(());
        }
        let files = |directory| Files { version: Version::V1, directory };
        controller::inherit(&files(parent), &files(child))
    }
}

/// Which of the base's controllers work in `directory` below it.
fn working(version: Version, directory: &Path, base: &Base) -> Result<Vec<Controller>> {
    match version {
        Version::V1 => Ok(base.controllers.clone()),
        Version::V2 => {
            let names = Files { version, directory }.text("cgroup.controllers")?;
            Ok(Controller::of_unified(&names.unwrap_or_default()))
        }
    }
}

/// Lets the children of the v2 cgroup `directory` have `controllers`. What the
/// kernel refuses (a cgroup with processes of its own passes nothing on) is
/// seen in what the children then have.
fn pass_on(directory: &Path, controllers: &[Controller]) {
    let files = Files { version: Version::V2, directory };
    for name in controllers.iter().filter_map(|controller| controller.unified_name()) {
        let _ = files.write("cgroup.subtree_control", &format!("+{name}"));
    }
}
