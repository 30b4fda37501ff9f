//! The files of a container, opened for a copy.
//!
//! - Of one that runs they are its first process's root, with all that is
//!   mounted there. An ordinary user enters its user namespace for that; its
//!   mount namespace is entered by nobody, but held, so that nothing is unmounted
//!   before the copy is done.
//! - Of one that does not run they are its root alone, mounted nowhere; its
//!   volumes are not in it.
//!
//! A kept container's turn is held in both cases: it may end while it is
//! copied, but is neither started nor removed, so that its root is never
//! mounted twice (overlayfs, "Sharing and copying layers"). One that goes with
//! its end takes its files along: then the copy has failed.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Error, Kind, Result};
use crate::fs::{self, File, Rootfs};
use crate::runtime::join::Target;
use crate::store::Event;
use crate::store::LayerHold;

use super::super::lifecycle::{Found, KeptSpec};
use super::super::running::{self, Running, Turn};
use super::super::{Engine, export, launch};

/// What is done to a container's files.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// The files of a container, for as long as it lives.
pub(super) struct Tree {
    /// Its root.
    pub(super) rootfs: Rootfs,
    found: Found,
    /// The image by the name that the user gave it.
    image: String,
    /// The first process of one that goes with its end.
    fleeting: Option<Target>,
    _held: Held,
}

/// What keeps the files there.
struct Held {
    _turn: Option<Turn>,
    _mounts: Option<File>,
    _layers: Option<LayerHold>,
    _root: Option<OwnedFd>,
}

impl Engine {
    /// The files of the container `name`.
    ///
    /// # Errors
    /// `NotFound`; those of mount(2), setns(2) and the locks.
    pub(super) fn container_tree(&self, name: &str, access: Access) -> Result<Tree> {
        let first = self.find_container(name)?;
        let turn = self.turn_of(&first)?;
        // Whoever started it meanwhile has done so.
        let found = self.find_container(first.id.as_str())?;
        let target = match found.running.as_ref().map(Running::first_process) {
            Some(Some(process)) => Target::open(process)?,
            Some(None) => return Err(of_an_older_envbox(&found)),
            None => None,
        };
        match target {
            Some(target) => live(found, target, turn),
            None => {
                // Its monitor may have its end still to note.
                running::wait_until_gone(&self.settings.store.run, &first.id)?;
                self.resting(first.id.as_str(), turn, access)
            }
        }
    }

    /// Waits for whoever starts or removes a kept container.
    fn turn_of(&self, found: &Found) -> Result<Option<Turn>> {
        if found.record.is_none() {
            return Ok(None);
        }
        let store = self.store_with("container", found.name.as_str())?;
        // Who waits must not hold the store.
        store.close_database();
        let turn = Turn::take(&store.container_path(&found.id));
        turn.map(Some).map_err(|error| match error.kind() {
            Kind::NotFound => Error::not_found(format!("no such container: {}", found.name)),
            _ => error,
        })
    }

    /// One that does not run.
    fn resting(&self, id: &str, turn: Option<Turn>, access: Access) -> Result<Tree> {
        // Files may belong to IDs that only the user namespace may read.
        self.host()?;
        let store = self.store_with("container", id)?;
        let record = store.container(id)?;
        let layers = store.hold(&store.stack(record.chain)?)?;
        let mount = store.container_mount(&record.id)?;
        let mount = if access == Access::Read { export::read_only(mount) } else { mount };
        let root = self.mount_root(&mount)?;
        Ok(Tree {
            rootfs: Rootfs::new(launch::open_root(&root)?),
            image: KeptSpec::of(&record).image,
            found: Found {
                id: record.id.clone(),
                name: record.name.clone(),
                record: Some(record),
                running: None,
            },
            fleeting: None,
            _held: Held { _turn: turn, _mounts: None, _root: Some(root), _layers: Some(layers) },
        })
    }
}

/// One that runs, with `target` as its first process.
fn live(found: Found, target: Target, turn: Option<Turn>) -> Result<Tree> {
    let ended = || ended(found.name.as_str());
    target.enter_user_namespace()?;
    let opened = found.running.as_ref().and_then(|running| running.pid).ok_or_else(ended).and_then(
        |process| {
            let mounts = PathBuf::from(format!("/proc/{process}/ns/mnt"));
            Ok((fs::open(&mounts)?, target.rootfs()?))
        },
    );
    // Only now is it certain that both are this process's.
    if target.has_ended(Duration::ZERO)? {
        return Err(ended());
    }
    let (mounts, rootfs) = opened?;
    let spec = found.record.as_ref().map(KeptSpec::of);
    let goes = spec.as_ref().is_none_or(|spec| spec.auto_remove);
    let image = match (spec, &found.running) {
        (Some(spec), _) => spec.image,
        (None, running) => running.as_ref().map(|r| r.image_name.clone()).unwrap_or_default(),
    };
    Ok(Tree {
        rootfs,
        found,
        image,
        fleeting: goes.then_some(target),
        _held: Held { _turn: turn, _mounts: Some(mounts), _root: None, _layers: None },
    })
}

fn of_an_older_envbox(found: &Found) -> Error {
    Error::unsupported(format!("an older envbox started container {}", found.name))
        .hint("copy when it has ended, or start it again")
}

fn ended(name: &str) -> Error {
    Error::new(Kind::Unavailable, format!("container {name} has ended while it was copied"))
}

impl Tree {
    /// What became of a copy.
    ///
    /// # Errors
    /// Its own; `Unavailable` if the files were on their way out meanwhile.
    pub(super) fn finish<T>(self, copied: Result<T>) -> Result<T> {
        match &self.fleeting {
            Some(target) if target.has_ended(Duration::ZERO)? => {
                Err(ended(self.found.name.as_str()))
            }
            _ => copied,
        }
    }

    /// docker's event of a copy to `path`.
    pub(super) fn extracted(&self, path: &Path) -> Event {
        let pairs = [
            ("name", self.found.name.to_string()),
            ("image", self.image.clone()),
            ("path", path.display().to_string()),
        ];
        let pairs = pairs.into_iter().map(|(key, value)| (key.to_owned(), value));
        Event::container("extract-to-dir", &self.found.id, pairs)
    }
}
