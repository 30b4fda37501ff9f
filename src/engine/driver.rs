//! Which driver keeps new layers, and how layers of either form are read.
//!
//! The first that is true: what `--storage-driver` says; what the store was
//! begun or migrated with; `erofs` for root on a kernel that can mount its
//! layers; `overlay` where one can be written to in the store; `copy`.

use std::ffi::OsStr;
use std::path::Path;

use crate::digest::ChainId;
use crate::error::{Error, Result};
use crate::fs::{self, Dir, FileKind};
use crate::image::{self, Below, LayerTarget, LowerLayer, MarkSpace};
use crate::mount::{ArchiveLayer, LayerForm, Lower, Mount, Overlay, Upper};
use crate::runtime::idmap::UserNamespace;
use crate::runtime::{archive, source};
use crate::store::{Driver, LayerLocation, Store};

use super::{Engine, launch, save};

impl Engine {
    /// The driver that is to keep new layers. The first time it says so to the
    /// store.
    ///
    /// # Errors
    /// `Unsupported` if the driver that was asked for cannot be had here; those
    /// of the store.
    pub(super) fn storage_driver(&self) -> Result<Driver> {
        let user_namespace = self.host()?.user_namespace;
        let store = self.store()?;
        if let Some(asked) = self.settings.storage_driver {
            self.check_driver(store, asked)?;
            if store.driver()?.is_none() {
                store.set_driver(asked)?;
            }
            return Ok(asked);
        }
        if let Some(chosen) = store.driver()? {
            return Ok(chosen);
        }
        let chosen = self.first_choice(store, user_namespace)?;
        store.set_driver(chosen)?;
        Ok(chosen)
    }

    /// Chooses the driver of a store that has none yet, for a container that is
    /// the first thing in it.
    ///
    /// # Errors
    /// As [`Engine::storage_driver`].
    pub(super) fn choose_driver(&self, store: &Store) -> Result<()> {
        match self.settings.storage_driver {
            None if store.driver()?.is_none() => self.storage_driver().map(drop),
            _ => Ok(()),
        }
    }

    fn first_choice(&self, store: &Store, user_namespace: UserNamespace) -> Result<Driver> {
        let no_overlay = obstacle(store, Driver::Overlay, user_namespace)?;
        // Containers stand on an overlay of archives as well.
        let no_erofs = match &no_overlay {
            None => obstacle(store, Driver::Erofs, user_namespace)?,
            Some(_) => None,
        };
        Ok(match (no_overlay, no_erofs) {
            (Some(why), _) => {
                self.notify(
                    format!(
                        "each container gets a copy of its image's files, for want of an overlay: \
                         {}",
                        why.chain()
                    ),
                    Some(
                        "it takes their time and room; put the store on ext4, xfs, btrfs or tmpfs with \
                         --root, if it is not",
                    ),
                );
                Driver::Copy
            }
            (None, None) => Driver::Erofs,
            (None, Some(why)) => {
                if user_namespace == UserNamespace::Inherited {
                    self.notify(
                        format!("layers are kept as directories: {}", why.chain()),
                        Some("Linux 6.15 or later, and a store on ext4, xfs or btrfs, keep them faster"),
                    );
                }
                Driver::Overlay
            }
        })
    }

    /// Fails if `driver` cannot be had here.
    ///
    /// # Errors
    /// `Unsupported`, with the kernel's word; those of the store.
    pub(super) fn check_driver(&self, store: &Store, driver: Driver) -> Result<()> {
        match obstacle(store, driver, self.host()?.user_namespace)? {
            None => Ok(()),
            Some(why) => {
                Err(Error::unsupported(format!("the storage driver {driver} cannot be used"))
                    .because(why)
                    .hint("choose another, or leave it to envbox"))
            }
        }
    }
}

/// How a layer upon `below` is to be kept where `wanted` is the driver of new ones:
/// as a directory, if something below is kept beside its layer, or marked in our
/// own way. An index is made of what is seen, and would lose that where it brings a
/// file up.
///
/// # Errors
/// Those of the store and the disk.
pub(super) fn upon(store: &Store, below: Option<ChainId>, wanted: Driver) -> Result<Driver> {
    if wanted.form() == LayerForm::Tree {
        return Ok(wanted);
    }
    for chain in store.stack(below)? {
        if store.is_for_copies(chain)? {
            return Ok(Driver::Copy);
        }
        if fs::metadata(&save::layer(store, chain)?.overrides)?.is_some() {
            return Ok(Driver::Overlay);
        }
    }
    Ok(wanted)
}

/// Why `driver` cannot be used.
fn obstacle(store: &Store, driver: Driver, user_namespace: UserNamespace) -> Result<Option<Error>> {
    match (driver, user_namespace) {
        (Driver::Copy, _) => Ok(None),
        (Driver::Overlay, _) => {
            store.spooled(|spool| overlay_obstacle(spool.path(), user_namespace))
        }
        (Driver::Erofs, UserNamespace::Entered) => {
            Ok(Some(Error::unsupported("only root may mount EROFS images")))
        }
        (Driver::Erofs, UserNamespace::Inherited) => store.spooled(|spool| {
            let target = LayerTarget::within(spool.path(), LayerForm::Archive);
            image::write_empty_archive(&target)?;
            Ok(archive::obstacle(&archive_of(&target)))
        }),
    }
}

/// Why no overlay can be written to in the empty folder `room`. The mount alone
/// does not tell: without extended attributes a directory cannot take the place of
/// one that was removed.
fn overlay_obstacle(room: &Path, user_namespace: UserNamespace) -> Result<Option<Error>> {
    let path = |name: &str| room.join(name);
    for name in ["lower", "lower/old", "upper", "work"] {
        fs::create_dir(&path(name), 0o700)?;
    }
    let upper = Upper { upper: path("upper"), work: path("work"), volatile: true };
    let lower = vec![Lower::Directory(path("lower"))];
    let overlay = Mount::Overlay(Overlay { lower, upper: Some(upper) });
    let replace = || {
        let root = launch::open_root(&source::rootfs(&overlay, user_namespace)?)?;
        let name = OsStr::new("old");
        root.remove(name, FileKind::Directory)?;
        root.create_dir(name).map(drop)
    };
    match replace() {
        // That says nothing of what the file system can do.
        Err(error) if fs::is_full(&error) => Err(error),
        replaced => Ok(replaced.err()),
    }
}

fn archive_of(target: &LayerTarget) -> ArchiveLayer {
    ArchiveLayer { index: target.index.clone(), data: target.data.clone() }
}

/// The root of a layer in overlayfs's own form, of an archive by mounting it.
///
/// # Errors
/// Those of the kernel.
pub(super) fn open_layer(location: &LayerLocation) -> Result<Dir> {
    let LayerLocation { folder, form } = location;
    open(&LayerTarget::within(folder, *form))
}

fn open(layer: &LayerTarget) -> Result<Dir> {
    if layer.form == LayerForm::Tree {
        return Dir::open(&layer.tree);
    }
    let mount = Mount::Archive(archive_of(layer));
    launch::open_root(&source::rootfs(&mount, UserNamespace::Inherited)?)
}

/// The layers of a stack, for one that is to lie upon it.
pub(super) struct Stack<'a> {
    pub(super) store: &'a Store,
    /// Its topmost layer; none of an empty stack.
    pub(super) chain: Option<ChainId>,
    pub(super) user_namespace: UserNamespace,
}

impl Below for Stack<'_> {
    fn layers(&self) -> Result<Vec<LowerLayer>> {
        let open = |chain| {
            let layer = save::layer(self.store, chain)?;
            Ok(LowerLayer { dir: open(&layer)?, overrides: layer.overrides })
        };
        self.store.stack(self.chain)?.into_iter().map(open).collect()
    }

    fn merged(&self) -> Result<Option<Dir>> {
        let Some(chain) = self.chain else { return Ok(None) };
        // Only for an index, which needs no copy: see `upon`.
        let mount = self.store.view(Some(chain))?;
        launch::open_root(&source::rootfs(&mount, self.user_namespace)?).map(Some)
    }
}

/// Where overlayfs has its marks.
pub(super) fn marks(user_namespace: UserNamespace) -> MarkSpace {
    match user_namespace {
        UserNamespace::Inherited => MarkSpace::Trusted,
        UserNamespace::Entered => MarkSpace::User,
    }
}
