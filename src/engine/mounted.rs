//! Roots that storage describes, mounted for whoever reads or runs in them. What
//! is a copy is made here, before its first use: in a room of its own, and put in
//! its place in one step, so that it is there whole or not at all.
//!
//! Two processes may make the same one: the second finds the first one's.

use std::cell::Cell;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::digest::ChainId;
use crate::error::{Error, Kind, Result};
use crate::fs::{self, Dir};
use crate::image::{self, Report};
use crate::mount::{Lower, Mount, TreeCopy};
use crate::runtime::idmap::UserNamespace;
use crate::runtime::source;
use crate::store::{EphemeralSnapshot, Store};

use super::{Engine, launch};

/// How long a copy takes before the user is told what is going on.
const PATIENCE: Duration = Duration::from_secs(2);

/// What layers show together, for as long as this is there.
pub(super) struct View {
    root: Dir,
    /// Where it lies, if it is a copy.
    _copy: Option<EphemeralSnapshot>,
}

impl View {
    /// Its root.
    pub(super) fn root(&self) -> &Dir {
        &self.root
    }
}

impl Engine {
    /// Mounts the root `mount`, detached; a copy that is not there yet is made
    /// first.
    ///
    /// # Errors
    /// Those of [`source::rootfs`] and of copying.
    pub(super) fn mount_root(&self, mount: &Mount) -> Result<OwnedFd> {
        let user_namespace = self.host()?.user_namespace;
        if let Mount::Copy(copy) = mount {
            let (begun, is_told) = (Instant::now(), Cell::new(false));
            let made = ensure(self.store()?, (copy, user_namespace), &mut |_| {
                if begun.elapsed() > PATIENCE && !is_told.replace(true) {
                    let message = "copying the root filesystem for the container: the storage \
                                   driver is copy";
                    self.notify(message.into(), None);
                }
            })?;
            for line in made.lines() {
                self.notify(line, None);
            }
        }
        source::rootfs(mount, user_namespace)
    }

    /// The root of `mount`, open.
    ///
    /// # Errors
    /// As [`Engine::mount_root`].
    pub(super) fn open_root(&self, mount: &Mount) -> Result<Dir> {
        launch::open_root(&self.mount_root(mount)?)
    }

    /// What the layers of `chain` show.
    ///
    /// # Errors
    /// Those of [`view`].
    pub(super) fn view(&self, chain: Option<ChainId>) -> Result<View> {
        view((self.store()?, self.host()?.user_namespace), chain)
    }
}

/// What the layers of `chain` show, by an overlay, or by a copy where none can
/// show it.
///
/// # Errors
/// Those of mounting one layer, and of copying.
pub(super) fn view(
    (store, user_namespace): (&Store, UserNamespace),
    chain: Option<ChainId>,
) -> Result<View> {
    let mount = store.view(chain)?;
    let is_single = matches!(mount, Mount::Bind { .. } | Mount::Archive(_));
    if !matches!(mount, Mount::Copy(_)) {
        match source::rootfs(&mount, user_namespace) {
            // Not where something else is amiss, which a copy would not mend.
            Err(error)
                if !is_single
                    && matches!(error.kind(), Kind::Invalid | Kind::Unsupported | Kind::Denied) => {
            }
            mounted => return Ok(View { root: launch::open_root(&mounted?)?, _copy: None }),
        }
    }
    let snapshot = store.prepare_copy(chain)?;
    if let Mount::Copy(copy) = snapshot.mount() {
        ensure(store, (copy, user_namespace), &mut |_| {})?;
    }
    let root = launch::open_root(&source::rootfs(snapshot.mount(), user_namespace)?)?;
    Ok(View { root, _copy: Some(snapshot) })
}

/// Makes `copy`, if it is not there.
fn ensure(
    store: &Store,
    (copy, user_namespace): (&TreeCopy, UserNamespace),
    progress: &mut dyn FnMut(u64),
) -> Result<Report> {
    let Some(folder) = &copy.folder else {
        return Err(Error::internal("a view has no copy of its own"));
    };
    if fs::metadata(folder)?.is_some() {
        return Ok(Report::default());
    }
    // Nobody converts the layers while they are read.
    let room = store.room(&copy.stack)?;
    let here = room.path().join("copy");
    let made = fill(&copy.lower, &here, user_namespace, progress).and_then(|report| {
        if store.is_kept(folder) {
            // Half a copy would be taken for a whole one after a power cut.
            fs::sync(&here)?;
        }
        put(&here, folder).map(|()| report)
    });
    let made = made.map_err(|error| {
        let is_full = fs::is_full(&error);
        let error = error.context("cannot copy the root filesystem for the container");
        match is_full {
            true => error.hint(
                "with the storage driver copy each container takes as much room as its image: \
                 free space, or put the store elsewhere with --root",
            ),
            false => error,
        }
    });
    drop(room);
    made
}

fn fill(
    lower: &[Lower],
    here: &Path,
    user_namespace: UserNamespace,
    progress: &mut dyn FnMut(u64),
) -> Result<Report> {
    let layers = lower.iter().map(|lower| open(lower, user_namespace));
    let layers = layers.collect::<Result<Vec<_>>>()?;
    let root = TreeCopy::root(here);
    fs::ensure_dir(&root, 0o700)?;
    let copied = image::copy_merged(&layers, &Dir::open(&root)?, progress)?;
    fs::write_plain(&TreeCopy::stamp(here), b"")?;
    Ok(copied.report)
}

fn put(here: &Path, folder: &Path) -> Result<()> {
    match fs::rename(here, folder) {
        // Somebody was faster.
        Err(_) if fs::metadata(folder)?.is_some() => Ok(()),
        renamed => renamed,
    }
}

/// A layer's root, or that of a directory of the host's, without what is mounted
/// below it: an overlay would not show that, either.
fn open(lower: &Lower, user_namespace: UserNamespace) -> Result<Dir> {
    match lower {
        Lower::Directory(path) => launch::open_root(&source::clone_tree(path, false)?),
        Lower::Archive(archive) => {
            let mount = Mount::Archive(archive.clone());
            launch::open_root(&source::rootfs(&mount, user_namespace)?)
        }
    }
}

/// How much the container of `copy` wrote, in bytes: the files that changed since
/// it was copied.
///
/// # Errors
/// Those of reading directories.
pub(super) fn written(copy: &TreeCopy) -> Result<u64> {
    let Some(folder) = &copy.folder else { return Ok(0) };
    let root = TreeCopy::root(folder);
    absent_is_empty(match fs::metadata(&TreeCopy::stamp(folder))? {
        Some(stamp) => fs::tree_size_since(&root, stamp.mtime),
        None => fs::tree_size(&root),
    })
}

/// How much all of `copy` holds, in bytes.
///
/// # Errors
/// Those of reading directories.
pub(super) fn size(copy: &TreeCopy) -> Result<u64> {
    let root = copy.folder.as_deref().map(TreeCopy::root);
    root.map_or(Ok(0), |root| absent_is_empty(fs::tree_size(&root)))
}

/// It was never used.
fn absent_is_empty(size: Result<u64>) -> Result<u64> {
    match size {
        Err(error) if error.kind() == Kind::NotFound => Ok(0),
        size => size,
    }
}
