//! Everything on disk: images, layers, containers and their records.
//!
//! ```text
//! ROOT/                      0700, as everything below
//!   version                  the number of this layout; written last
//!   lock                     flock: shared by who changes something,
//!                            exclusive for migration, collection and repair
//!   reserve                  room for removals where the disk is full
//!   envbox.db                SQLite: what exists, and its names
//!   index.json               a copy of the images' names (see `record`)
//!   blobs/sha256/<digest>    image configs and manifests, raw
//!   driver                   how new layers are kept
//!   layers/<chain ID>/       tree/, or tar, index and root/; and what the image
//!                            floor put beside it
//!   containers/<ID>/         a kept container: upper/ work/ config.json
//!   volumes/<name>/          data/ and volume.json, from which its row can be
//!                            made again
//!   empty/                   an empty directory, for an image without layers
//!   tmp/<random>/            whatever is unfinished or throw-away: lock,
//!                            intent, volumes, transient, loaded, layer/,
//!                            upper/, work/, trash
//! ```
//!
//! Invariants, which `kill -9` at any point leaves true:
//! - A row of the database means that what it names is whole on disk: rows
//!   are written after the rename into place and deleted before the rename
//!   away. Both renames happen under the database's write lock.
//! - What has no row is not wanted. Who is about to rename something into
//!   place, or to delete a row, first writes its name into a workspace; the
//!   next opener settles what a dead process left there.
//! - What lies in `tmp/` without a held lock is garbage. Things are deleted
//!   there, so nothing half-deleted ever looks whole.
//! - A layer goes only when no image, no container and no living snapshot
//!   stands on it. A snapshot names its layers in its lock file before it
//!   looks for their rows; a remover deletes the rows before it looks at the
//!   lock files: one of the two sees the other.
//! - A volume is renamed away in the transaction that deletes its row, so that
//!   a volume without a row is never one that somebody is removing. Who was
//!   killed before the commit has it in the trash of a workspace, from where
//!   the next opener puts it back.
//!
//! Locks, in the order in which they are taken: `lock`, a workspace's lock,
//! the database's write lock. The first is held from the first change until
//! [`Store::close_database`], so a collection never meets layers whose image
//! is still on its way.
//!
//! A host that loses power within the seconds after a commit may lose what
//! was committed: trees are not synced, as no engine of the field does.
//!
//! Absent on purpose: what an image config says (the image floor), what runs
//! (the run directory and its owner), and any mounting.

mod blob;
mod check;
mod container;
mod database;
mod driver;
mod event;
mod gc;
mod hold;
mod image;
mod image_index;
mod layer;
mod layout;
mod name;
mod overlay;
mod record;
mod remove;
mod repair;
mod resolve;
mod snapshot;
mod spec;
mod spool;
mod tag;
mod volume;
mod volume_use;
mod workspace;

#[cfg(test)]
mod tests;

use std::cell::{Ref, RefCell};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, Transaction};

use crate::digest::ChainId;
use crate::error::{Error, Result};
use crate::fs::{self, LockMode};

use database::{Database, Failure, Schema};
use workspace::{Item, Workspace};

pub use check::Fault;
pub use container::{ContainerRecord, ContainerState};
pub use driver::Driver;
pub use event::{Event, EventCursor, EventWatch, Woken};
pub use gc::Collected;
pub use hold::LayerHold;
pub use image::{ImageRecord, NewImage, PutImage, parse_time};
pub use image_index::{ImageIndex, IndexedImage, NewIndex, Resolved};
pub use layer::{LayerLocation, LayerRecord, PendingLayer};
pub use name::random_name;
pub use remove::{PruneImage, RemoveImage, Removed, RunningContainer};
pub use repair::{Mended, RepairRequest, Repaired, is_damage};
pub use snapshot::EphemeralSnapshot;
pub use spec::SpecText;
pub use spool::Spool;
pub use volume::{PendingContent, VolumeRecord};
pub use volume_use::{VolumeHolder, VolumeUse, VolumeUser};

/// Where a store lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorePaths {
    /// The directory of all that lasts.
    pub root: PathBuf,
    /// The directory of what a reboot may take: the state of running
    /// containers. The store hands it out and touches nothing in it.
    pub run: PathBuf,
}

/// An open store. One thread at a time; never to be used across a fork
/// unless [`Store::close_database`] came before.
#[derive(Debug)]
pub struct Store {
    paths: StorePaths,
    database: RefCell<Option<Database>>,
    lock: RefCell<Option<OwnedFd>>,
    /// The driver of new snapshots, if somebody says so.
    asked: Option<Driver>,
}

impl Store {
    /// Opens the store at `paths.root`, creating what is missing, and finishes
    /// what dead processes left in it. The database is opened at first use.
    ///
    /// # Errors
    /// `Unsupported` if a newer envbox made the store; `Denied` where it
    /// cannot be written.
    pub fn open(paths: &StorePaths) -> Result<Self> {
        if !layout::check_version(&paths.root)? {
            layout::create(&paths.root)?;
        }
        Ok(Self::opened(paths))
    }

    /// As [`Store::open`] for commands that only read: `None`, and nothing is
    /// created, if there is no store.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_existing(paths: &StorePaths) -> Result<Option<Self>> {
        Ok(layout::check_version(&paths.root)?.then(|| Self::opened(paths)))
    }

    fn opened(paths: &StorePaths) -> Self {
        let (database, lock) = (RefCell::default(), RefCell::default());
        let store = Self { paths: paths.clone(), database, lock, asked: None };
        // A command must not fail for what another one left: an ordinary user
        // cannot remove files of a foreign owner outside a user namespace.
        // `sweep` tells what stays.
        let _ = store.sweep();
        store.close_database();
        store
    }

    /// The same, whose new snapshots have the driver `asked`, if that is one, in
    /// place of the store's own.
    #[must_use]
    pub fn with_driver(self, asked: Option<Driver>) -> Self {
        Self { asked, ..self }
    }

    /// Where this store lies.
    pub fn paths(&self) -> &StorePaths {
        &self.paths
    }

    /// Settles and removes what dead processes left in `tmp/`; returns how
    /// many workspaces went. [`Store::open`] does it, too.
    ///
    /// # Errors
    /// The first one; the rest is swept all the same.
    pub fn sweep(&self) -> Result<usize> {
        let mut swept = 0;
        let mut first = None;
        for orphan in workspace::orphans(&self.tmp())? {
            match self.settle(orphan) {
                Ok(()) => swept += 1,
                Err(error) => {
                    first.get_or_insert(error);
                }
            }
        }
        first.map_or(Ok(swept), Err)
    }

    /// Closes the database and gives the store's lock back. To be called
    /// before every fork, and by processes that live long after each change;
    /// the next use opens it again.
    ///
    /// Layers, once committed, must be named by an image or container before:
    /// a collection may run from now on.
    pub fn close_database(&self) {
        self.database.take();
        self.lock.take();
    }

    fn tmp(&self) -> PathBuf {
        self.paths.root.join(layout::TMP)
    }

    fn path_of(&self, item: &Item) -> PathBuf {
        self.paths.root.join(item.to_string())
    }

    fn database(&self) -> Result<Ref<'_, Database>> {
        if self.database.borrow().is_none() {
            let database = self.open_database()?;
            *self.database.borrow_mut() = Some(database);
        }
        Ref::filter_map(self.database.borrow(), Option::as_ref)
            .map_err(|_| Error::internal("the database was closed while it was opened"))
    }

    fn open_database(&self) -> Result<Database> {
        let database = Database::open(&layout::database(&self.paths.root), false)?;
        match database.schema()? {
            Schema::Current => {}
            Schema::Older => self.migrate(&database)?,
            // Whoever made the store made tables.
            Schema::Nothing => {
                let path = layout::database(&self.paths.root);
                return Err(Error::invalid(format!("there is nothing in {}", path.display()))
                    .hint(database::REMEDY));
            }
            Schema::Newer(version) => return Err(layout::newer(&self.paths.root, version)),
        }
        Ok(database)
    }

    fn migrate(&self, database: &Database) -> Result<()> {
        // The exclusive lock would wait for our own shared one.
        let held = self.lock.take().is_some();
        let exclusive = layout::lock(&self.paths.root, LockMode::Exclusive)?;
        database.migrate()?;
        drop(exclusive);
        if held { self.hold_lock() } else { Ok(()) }
    }

    fn hold_lock(&self) -> Result<()> {
        if self.lock.borrow().is_none() {
            let lock = layout::lock(&self.paths.root, LockMode::Shared)?;
            *self.lock.borrow_mut() = Some(lock);
            // While this waited a repair may have put another one in its place.
            if let Ok(mut open) = self.database.try_borrow_mut() {
                *open = open.take().filter(|database| !database.is_replaced());
            }
        }
        Ok(())
    }

    fn read<T>(
        &self,
        doing: &str,
        work: impl FnOnce(&Connection) -> Result<T, Failure>,
    ) -> Result<T> {
        self.database()?.read(doing, work)
    }

    fn write<T>(
        &self,
        doing: &str,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Failure>,
    ) -> Result<T> {
        self.hold_lock()?;
        self.database()?.write(doing, work)
    }

    /// A workspace for a snapshot of `stack`.
    fn workspace(&self, stack: &[ChainId]) -> Result<Workspace> {
        Workspace::create(&self.tmp(), stack)
            .map_err(|error| layout::advise(&self.paths.root, error))
    }

    /// A workspace that says what is about to appear or to go.
    fn begin(&self, items: &[Item]) -> Result<Workspace> {
        self.hold_lock()?;
        let workspace = self.workspace(&[])?;
        if !items.is_empty() {
            workspace.intend(items)?;
            layout::ensure_reserve(&self.paths.root);
        }
        Ok(workspace)
    }

    /// A workspace for what is about to be removed, also where the disk is
    /// full.
    fn begin_removal(&self) -> Result<Workspace> {
        layout::release_reserve(&self.paths.root);
        self.begin(&[])
    }

    /// Settles `workspace` after a removal, and keeps room for the next one.
    fn end_removal(&self, workspace: Workspace) -> Result<()> {
        self.settle(workspace)?;
        layout::ensure_reserve(&self.paths.root);
        Ok(())
    }

    /// Removes `workspace`, and of what it intended whatever has no row. If
    /// that cannot be told, all stays for the next sweep.
    fn settle(&self, workspace: Workspace) -> Result<()> {
        let settle = || {
            // Else what it intends would be in use by itself.
            workspace.forget_stack()?;
            self.release_transient(&workspace)?;
            self.release_loaded(&workspace)?;
            let items = workspace.intents()?;
            if !items.is_empty() {
                self.put_back_volumes(&items, &workspace)?;
                self.discard_unrecorded(&items, &workspace)?;
            }
            Ok(())
        };
        match settle() {
            Ok(()) => workspace.remove(),
            Err(error) => {
                workspace.abandon();
                Err(error)
            }
        }
    }

    /// Moves each of `items` that has no row, and on which no living snapshot
    /// stands, into `workspace`; returns those.
    fn discard_unrecorded(&self, items: &[Item], workspace: &Workspace) -> Result<Vec<Item>> {
        self.hold_lock()?;
        self.database()?.write("look into", |transaction| {
            let used = workspace::layers_in_use(&self.tmp())?;
            let mut gone = Vec::new();
            for item in items {
                let in_use = matches!(item, Item::Layer(chain) if used.contains(chain));
                if !in_use
                    && !is_recorded(transaction, item)?
                    && take_away(workspace, &self.path_of(item))?
                {
                    gone.push(item.clone());
                }
            }
            Ok(gone)
        })
    }
}

fn is_recorded(connection: &Connection, item: &Item) -> Result<bool, Failure> {
    let (query, key) = match item {
        Item::Layer(chain) => ("SELECT 1 FROM layers WHERE chain = ?1", chain.0.encoded()),
        Item::Container(id) => ("SELECT 1 FROM containers WHERE id = ?1", id.to_string()),
        Item::Blob(digest) => {
            let query = "SELECT 1 FROM images WHERE id = ?1 OR manifest = ?1
                UNION ALL
                SELECT 1 FROM index_images WHERE image_index = ?1 OR manifest = ?1";
            (query, digest.encoded())
        }
        Item::Volume(name) => ("SELECT 1 FROM volumes WHERE name = ?1", name.to_string()),
    };
    Ok(connection.prepare_cached(query)?.exists([key])?)
}

/// Renames `item`, which lies at `path`, into the trash of `workspace`; false
/// if nothing is there.
fn take_away(workspace: &Workspace, path: &Path) -> Result<bool> {
    if fs::metadata(path)?.is_none() {
        return Ok(false);
    }
    let trash = workspace.path().join(workspace::TRASH);
    fs::ensure_dir(&trash, 0o700)?;
    let mut target = trash.join(path.file_name().unwrap_or_default());
    if fs::link_metadata(&target)?.is_some() {
        // A blob may be called like a layer, if somebody wants it so.
        target = trash.join(workspace::random_hex()?);
    }
    Ok(fs::absent_is_none(fs::rename(path, &target))?.is_some())
}
