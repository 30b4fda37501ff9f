//! Which cgroups the host has, and where in them the caller may make its own.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD};

use crate::digest::Digest;
use crate::error::{Error, Kind, Result};
use crate::fs;
use crate::id::ContainerId;

use super::controller::{Controller, Files};
use super::group::Cgroup;
use super::mounts::{self, CgroupMount, MountKind};

/// Which interface a cgroup directory has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// A tree for each controller.
    V1,
    /// One tree.
    V2,
}

/// How the host has mounted its cgroups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// v1 alone.
    Legacy,
    /// The controllers on v1, and a v2 tree that is left alone.
    Hybrid,
    /// v2 alone.
    Unified,
}

/// A cgroup below which `envbox` lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Base {
    pub directory: PathBuf,
    pub controllers: Vec<Controller>,
    pub rights: Rights,
}

/// How the caller came to a [`Base`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rights {
    /// The whole tree is the caller's.
    Whole,
    /// A part was given to it.
    Delegated,
}

/// The cgroups that the caller may make, for one store.
#[derive(Clone, Debug)]
pub struct Hierarchy {
    layout: Layout,
    bases: Vec<Base>,
    /// The cgroup in each base that holds all groups.
    pub(super) folder: String,
    /// Begins the names of this store's groups.
    prefix: String,
}

/// The cgroup above all of ours.
const FOLDER: &str = "envbox";
/// Digits of the store's digest in a name.
const PREFIX_DIGITS: usize = 12;

impl Hierarchy {
    /// Looks where the calling process may make cgroups for the containers whose
    /// files are in the run directory `store`, an absolute path. Changes nothing.
    ///
    /// # Errors
    /// `Unsupported` or `Denied` where it may not, with the reason and what
    /// helps; a container that asks for no limit runs all the same. Those of
    /// reading `/proc/self`.
    pub fn detect(store: &Path) -> Result<Self> {
        let mounts = fs::read_to_string(Path::new("/proc/self/mountinfo"))?;
        let own = fs::read_to_string(Path::new("/proc/self/cgroup"))?;
        Self::from_tables(&mounts, &own, store)
    }

    /// As [`Hierarchy::detect`], from the content of `/proc/self/mountinfo` and
    /// `/proc/self/cgroup`.
    ///
    /// # Errors
    /// As [`Hierarchy::detect`].
    pub fn from_tables(mountinfo: &str, cgroups: &str, store: &Path) -> Result<Self> {
        let mounts = mounts::parse(mountinfo);
        let unified = mounts.iter().find(|mount| mount.kind == MountKind::Unified);
        let legacy = legacy_bases(&mounts);
        let (layout, bases) = match (legacy.as_slice(), unified) {
            ([], None) => return Err(nothing_mounted()),
            ([], Some(mount)) => {
                let own = mounts::own_unified(cgroups);
                (Layout::Unified, vec![unified_base(mount, own, &writable)?])
            }
            (_, None) => (Layout::Legacy, legacy),
            (_, Some(_)) => (Layout::Hybrid, legacy),
        };
        let bases: Vec<Base> = bases.into_iter().filter(|base| writable(&base.directory)).collect();
        if bases.is_empty() {
            return Err(legacy_denied());
        }
        let digest = Digest::of(store.as_os_str().as_bytes()).encoded();
        let prefix = digest.chars().take(PREFIX_DIGITS).chain(['-']).collect();
        Ok(Self { layout, bases, folder: FOLDER.to_owned(), prefix })
    }

    /// How the host has mounted them.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The interface of the groups that are made.
    pub fn version(&self) -> Version {
        match self.layout {
            Layout::Unified => Version::V2,
            Layout::Legacy | Layout::Hybrid => Version::V1,
        }
    }

    /// The controllers that are there, sorted; on v2 one of them may turn out
    /// not to be passed on, which [`Cgroup::controllers`] knows.
    pub fn controllers(&self) -> Vec<Controller> {
        let all: BTreeSet<Controller> =
            self.bases.iter().flat_map(|base| base.controllers.iter().copied()).collect();
        all.into_iter().collect()
    }

    pub(super) fn bases(&self) -> &[Base] {
        &self.bases
    }

    /// The name of the group of `id`.
    pub(super) fn name(&self, id: &ContainerId) -> String {
        format!("{}{id}", self.prefix)
    }

    /// The containers of this store that have a group and are not in
    /// `recorded`, sorted: what a dead process left. A group is made after its
    /// container's record and goes before it, so none of these is in use.
    ///
    /// # Errors
    /// Those of listing directories.
    pub fn leftovers(&self, recorded: &BTreeSet<ContainerId>) -> Result<Vec<ContainerId>> {
        let mut found = BTreeSet::new();
        for base in &self.bases {
            let names = fs::list(&base.directory.join(&self.folder))?;
            let ids = names.iter().filter_map(|name| name.to_str()?.strip_prefix(&self.prefix));
            found.extend(ids.filter_map(|id| id.parse().ok()));
        }
        Ok(found.difference(recorded).cloned().collect())
    }

    /// Kills and removes the group of every container that is not in
    /// `recorded`, and returns their IDs. All are tried.
    ///
    /// # Errors
    /// The first one that could not be removed.
    pub fn sweep(&self, recorded: &BTreeSet<ContainerId>) -> Result<Vec<ContainerId>> {
        let leftovers = self.leftovers(recorded)?;
        let mut result = Ok(());
        for id in &leftovers {
            result = result.and(self.bury(id));
        }
        result.map(|()| leftovers)
    }

    fn bury(&self, id: &ContainerId) -> Result<()> {
        let Some(group) = Cgroup::open(self, id)? else { return Ok(()) };
        group.kill().and_then(|()| group.remove())
    }
}

/// One base for each v1 tree, a controller belonging to the first that has it.
fn legacy_bases(mounts: &[CgroupMount]) -> Vec<Base> {
    let mut seen = BTreeSet::new();
    let mut bases = Vec::new();
    for mount in mounts {
        let MountKind::Legacy(controllers) = &mount.kind else { continue };
        let new: Vec<Controller> =
            controllers.iter().copied().filter(|controller| seen.insert(*controller)).collect();
        if !new.is_empty() {
            let directory = mount.point.clone();
            bases.push(Base { directory, controllers: new, rights: Rights::Whole });
        }
    }
    bases
}

/// Where the caller, who lives in the v2 cgroup `own`, may make groups.
pub(super) fn unified_base(
    mount: &CgroupMount,
    own: Option<&Path>,
    writable: &dyn Fn(&Path) -> bool,
) -> Result<Base> {
    let base = |directory: &Path, rights| {
        let files = Files { version: Version::V2, directory };
        let names = files.text("cgroup.controllers")?.unwrap_or_default();
        let controllers = Controller::of_unified(&names);
        Ok(Base { directory: directory.to_owned(), controllers, rights })
    };
    // Moving a process takes the right to write `cgroup.procs` of the common
    // ancestor (cgroup-v2.rst, "Delegation Containment").
    let usable =
        |directory: &Path| writable(directory) && writable(&directory.join("cgroup.procs"));
    if usable(&mount.point) {
        return base(&mount.point, Rights::Whole);
    }
    let own = own.unwrap_or(Path::new("/"));
    let below = own.strip_prefix(&mount.root).map_err(|_| outside(own))?;
    if below.components().any(|part| part == std::path::Component::ParentDir) {
        return Err(outside(own));
    }
    let directory = mount.point.join(below);
    let delegated = directory
        .ancestors()
        .take_while(|directory| directory.starts_with(&mount.point) && usable(directory));
    match delegated.last() {
        Some(top) => base(top, Rights::Delegated),
        None => Err(not_delegated(own)),
    }
}

fn writable(path: &Path) -> bool {
    rustix::fs::accessat(CWD, path, Access::WRITE_OK, AtFlags::EACCESS).is_ok()
}

fn nothing_mounted() -> Error {
    Error::unsupported("there are no cgroups: no cgroup file system is mounted")
        .hint("mount it: mount -t cgroup2 cgroup2 /sys/fs/cgroup")
}

fn legacy_denied() -> Error {
    Error::new(Kind::Denied, "there are no cgroups for this user: cgroup v1 is root's alone").hint(
        "run envbox as root, or boot the host with cgroup v2: \
         systemd.unified_cgroup_hierarchy=1",
    )
}

fn not_delegated(own: &Path) -> Error {
    let message = format!(
        "there are no cgroups for this user: the cgroup {} is not delegated to it",
        own.display()
    );
    Error::new(Kind::Denied, message)
        .hint("start envbox in a scope of your own: systemd-run --user --scope envbox ...")
}

fn outside(own: &Path) -> Error {
    let own = own.display();
    Error::unsupported(format!("there are no cgroups: {own} is outside of what is mounted"))
        .hint("mount the cgroups of this namespace: mount -t cgroup2 cgroup2 /sys/fs/cgroup")
}
