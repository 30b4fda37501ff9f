//! Committed layers and those on their way. What a layer looks like inside
//! its directory is its driver's and the image floor's matter.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use crate::digest::{ChainId, DiffId, ImageId};
use crate::error::{Error, Kind, Result};
use crate::fs;
use crate::mount::LayerForm;

use super::database::{Failure, integer, parsed, parsed_optional, size};
use super::driver::{self, Driver};
use super::workspace::{self, Item, Workspace};
use super::{Store, is_recorded, take_away};

/// The layer's folder in a workspace.
const LAYER: &str = "layer";

/// What the store keeps of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerRecord {
    /// The stack of which it is the top: its name.
    pub chain_id: ChainId,
    /// The digest of its uncompressed tar.
    pub diff_id: DiffId,
    /// The stack below it.
    pub parent: Option<ChainId>,
    /// The size of its tar, in bytes.
    pub tar_size: u64,
    /// The sum of its files' sizes, in bytes.
    pub content_size: u64,
}

/// Where a layer lies. For the floor that applies and diffs layers; everybody
/// else mounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerLocation {
    /// The whole folder, with what the image floor writes in it.
    pub folder: PathBuf,
    /// What is in it.
    pub form: LayerForm,
}

/// A layer of a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stacked {
    pub(super) chain: ChainId,
    pub(super) driver: Driver,
}

/// A layer that is being filled. Dropped without a commit, it is removed.
#[derive(Debug)]
pub struct PendingLayer<'store> {
    store: &'store Store,
    workspace: Workspace,
    driver: Driver,
}

impl PendingLayer<'_> {
    /// Where to fill it: in the folder is the empty directory `tree`, of mode
    /// 0755, for a tree, and `root` for the owner and the mode of an archive's.
    pub fn location(&self) -> LayerLocation {
        LayerLocation { folder: self.directory(), form: self.driver.form() }
    }

    fn directory(&self) -> PathBuf {
        self.workspace.path().join(LAYER)
    }

    /// Makes the layer a part of the store. If it is one already, by an
    /// earlier or a simultaneous import of the same content, this one is
    /// thrown away and that is success.
    ///
    /// # Errors
    /// `NotFound` if the parent is not, or no longer, in the store;
    /// `Mismatch` if the chain ID does not follow from diff ID and parent.
    pub fn commit(self, record: LayerRecord) -> Result<()> {
        if ChainId::extend(record.parent, record.diff_id) != record.chain_id {
            return Err(Error::mismatch(format!(
                "chain {} does not follow from layer {}",
                record.chain_id, record.diff_id
            )));
        }
        let item = Item::Layer(record.chain_id);
        self.workspace.intend(std::slice::from_ref(&item))?;
        let result = self.store.write("write a layer to", |transaction| {
            if let Some(parent) = record.parent {
                require(transaction, parent)?;
            }
            self.publish(transaction, &record)
        });
        // After a failure the intent takes back what was renamed.
        result.and(self.store.settle(self.workspace))
    }

    fn publish(&self, transaction: &Transaction<'_>, record: &LayerRecord) -> Result<(), Failure> {
        let item = Item::Layer(record.chain_id);
        let target = self.store.path_of(&item);
        let recorded = is_recorded(transaction, &item)?;
        let present = fs::metadata(&target)?.is_some();
        if recorded && present && is_filled(&target)? {
            return Ok(());
        }
        // A directory without a row was whole once, but a host that lost its
        // power may have made it hollow: ours is better, unless a snapshot
        // stands on it.
        let keep =
            present && workspace::layers_in_use(&self.store.tmp())?.contains(&record.chain_id);
        if !keep {
            take_away(&self.workspace, &target)?;
            fs::rename(&self.directory(), &target)?;
        }
        let driver = driver::of(&target)?;
        if !recorded {
            insert(transaction, record, driver)?;
        } else {
            transaction.execute(
                "UPDATE layers SET driver = ?2 WHERE chain = ?1",
                params![record.chain_id.0.encoded(), driver.name()],
            )?;
        }
        Ok(())
    }
}

/// True if what the layer in `folder` is mounted of is there.
fn is_filled(folder: &Path) -> Result<bool> {
    let lower = driver::lower(folder, driver::of(folder)?.form());
    Ok(fs::metadata(lower.path())?.is_some())
}

/// Writes the row of a layer that has none.
pub(super) fn insert(
    transaction: &Transaction<'_>,
    record: &LayerRecord,
    driver: Driver,
) -> Result<(), Failure> {
    transaction.execute(
        "INSERT INTO layers (chain, diff, parent, driver, tar_size, content_size)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            record.chain_id.0.encoded(),
            record.diff_id.0.encoded(),
            record.parent.map(|parent| parent.0.encoded()),
            driver.name(),
            integer(record.tar_size),
            integer(record.content_size),
        ],
    )?;
    Ok(())
}

impl PendingLayer<'_> {
    /// Puts this, which is the layer `chain` in another form, in the place of
    /// what the store has, in one step; back again if somebody who uses it turns
    /// up: who comes later finds the new one. `refuse_running` fails if kept
    /// containers run, which do not name their layers.
    ///
    /// # Errors
    /// `InUse` if it is used; `NotFound` if it was removed; `Unsupported` where
    /// the file system cannot exchange directories.
    pub fn replace(self, chain: ChainId, refuse_running: impl Fn() -> Result<()>) -> Result<()> {
        let store = self.store;
        let target = store.path_of(&Item::Layer(chain));
        // The other one may be the last there is, and goes at once.
        fs::sync(&self.directory())?;
        let refuse_use = || {
            refuse_running()?;
            match workspace::layers_in_use(&store.tmp())?.contains(&chain) {
                false => Ok(()),
                true => Err(Error::new(Kind::InUse, "somebody reads or runs it")
                    .hint("wait until that has ended (envbox ps), and start this again")),
            }
        };
        store.hold_lock()?;
        store.read("convert a layer of", |connection| require(connection, chain))?;
        refuse_use()?;
        fs::exchange(&self.directory(), &target)?;
        if let Err(error) = refuse_use() {
            return fs::exchange(&self.directory(), &target).and(Err(error));
        }
        let driver = driver::of(&target)?;
        store.write("convert a layer of", |transaction| {
            transaction.execute(
                "UPDATE layers SET driver = ?2 WHERE chain = ?1",
                params![chain.0.encoded(), driver.name()],
            )?;
            Ok(())
        })?;
        self.workspace.remove()
    }
}

impl Store {
    /// All layers, each after the one that it lies upon.
    ///
    /// # Errors
    /// Those of the database.
    pub fn layers(&self) -> Result<Vec<ChainId>> {
        self.read("list the layers in", |connection| {
            let mut statement = connection.prepare(
                "WITH RECURSIVE tower(chain, height) AS (
                     SELECT chain, 0 FROM layers WHERE parent IS NULL
                     UNION ALL
                     SELECT layers.chain, height + 1 FROM layers JOIN tower
                     ON layers.parent = tower.chain)
                 SELECT chain FROM tower ORDER BY height, chain",
            )?;
            let rows = statement.query_map([], |row| Ok(ChainId(parsed::<Hex>(row, 0)?.0)))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Begins a layer that `driver` is to keep, in a place of its own.
    ///
    /// # Errors
    /// Those of the system calls, with the path.
    pub fn begin_layer(&self, driver: Driver) -> Result<PendingLayer<'_>> {
        let pending = PendingLayer { store: self, workspace: self.begin(&[])?, driver };
        let folder = pending.directory();
        fs::create_dir(&folder, 0o700)?;
        fs::create_dir(&driver::root(&driver::lower(&folder, driver.form())), 0o755)?;
        Ok(pending)
    }

    /// Where the content of the layer `chain` lies.
    ///
    /// # Errors
    /// `NotFound` if it is not in the store.
    pub fn layer(&self, chain: ChainId) -> Result<LayerLocation> {
        let form = self.read("read a layer in", |connection| {
            let mut statement =
                connection.prepare_cached("SELECT driver FROM layers WHERE chain = ?1")?;
            let mut rows = statement.query([chain.0.encoded()])?;
            let Some(row) = rows.next()? else { return Err(missing(chain).into()) };
            Ok(self.kept_by(chain, row.get_ref(0)?.as_str().unwrap_or_default())?.form())
        })?;
        Ok(LayerLocation { folder: self.path_of(&Item::Layer(chain)), form })
    }

    /// True if a mount would misunderstand the tree of the layer `chain`: its
    /// removals are marked in our own way, where the file system had no other.
    ///
    /// # Errors
    /// Those of stat(2).
    pub fn is_for_copies(&self, chain: ChainId) -> Result<bool> {
        Ok(driver::of(&self.path_of(&Item::Layer(chain)))? == Driver::Copy)
    }

    /// True if the layer `chain`, which is recorded, is where it should be:
    /// nobody removed it by hand.
    ///
    /// # Errors
    /// As [`Store::layer`].
    pub fn has_content(&self, chain: ChainId) -> Result<bool> {
        is_filled(&self.layer(chain)?.folder)
    }

    /// What the store keeps of the layer `chain`; `None` if it is not in it.
    ///
    /// # Errors
    /// Those of the database.
    pub fn layer_record(&self, chain: ChainId) -> Result<Option<LayerRecord>> {
        self.read("read a layer in", |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT diff, parent, tar_size, content_size FROM layers WHERE chain = ?1",
            )?;
            let record = statement.query_row([chain.0.encoded()], |row| from_row(row, chain));
            Ok(record.optional()?)
        })
    }

    /// What the store keeps of all its layers.
    ///
    /// # Errors
    /// Those of the database.
    pub fn layer_records(&self) -> Result<Vec<LayerRecord>> {
        self.read("list the layers in", records)
    }

    /// The layers of `image` by the stacks that they top, lowest first.
    ///
    /// # Errors
    /// `NotFound` if there is no such image.
    pub fn layers_of(&self, image: ImageId) -> Result<Vec<ChainId>> {
        match self.image(image)? {
            Some(record) => Ok(record.layers),
            None => Err(Error::not_found(format!("no such image: {image}"))),
        }
    }

    /// What the layer `chain` is on the disk, which alone is always true: a
    /// conversion may have been killed before it could tell the row.
    fn kept_by(&self, chain: ChainId, driver: &str) -> Result<Driver> {
        if driver.parse::<Driver>().is_err() {
            return Err(Error::unsupported(format!(
                "layer {chain} is kept by the driver {driver:?}, which this envbox does not have"
            )));
        }
        driver::of(&self.path_of(&Item::Layer(chain)))
    }

    /// The stack that `chain` names, topmost first.
    pub(super) fn stack_of(&self, chain: ChainId) -> Result<Vec<Stacked>> {
        // A row a step: a recursive query costs three temporary tables before
        // its first row, more than the few steps that there are.
        self.read("read the layers in", |connection| {
            let mut statement =
                connection.prepare_cached("SELECT driver, parent FROM layers WHERE chain = ?1")?;
            let mut stack = Vec::new();
            let mut next = Some(chain);
            while let Some(chain) = next {
                let mut rows = statement.query([chain.0.encoded()])?;
                let Some(row) = rows.next()? else { return Err(missing(chain).into()) };
                let driver = self.kept_by(chain, row.get_ref(0)?.as_str().unwrap_or_default())?;
                next = parsed_optional::<Hex>(row, 1)?.map(|hex| ChainId(hex.0));
                stack.push(Stacked { chain, driver });
            }
            Ok(stack)
        })
    }
}

/// What is recorded of all layers.
pub(super) fn records(connection: &Connection) -> Result<Vec<LayerRecord>, Failure> {
    let mut statement = connection
        .prepare_cached("SELECT diff, parent, tar_size, content_size, chain FROM layers")?;
    let rows = statement.query_map([], |row| from_row(row, ChainId(parsed::<Hex>(row, 4)?.0)))?;
    Ok(rows.collect::<rusqlite::Result<Vec<LayerRecord>>>()?)
}

/// The record of `chain` whose first columns are `diff`, `parent`, `tar_size` and
/// `content_size`.
fn from_row(row: &Row<'_>, chain: ChainId) -> rusqlite::Result<LayerRecord> {
    Ok(LayerRecord {
        chain_id: chain,
        diff_id: DiffId(parsed::<Hex>(row, 0)?.0),
        parent: parsed_optional::<Hex>(row, 1)?.map(|hex| ChainId(hex.0)),
        tar_size: size(row, 2)?,
        content_size: size(row, 3)?,
    })
}

/// A digest as the database holds it.
pub(super) struct Hex(pub(super) crate::digest::Digest);

impl std::str::FromStr for Hex {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        crate::digest::Digest::from_encoded(text).map(Self)
    }
}

/// Fails if `chain` is not recorded.
pub(super) fn require(connection: &Connection, chain: ChainId) -> Result<(), Failure> {
    if is_recorded(connection, &Item::Layer(chain))? { Ok(()) } else { Err(missing(chain).into()) }
}

fn missing(chain: ChainId) -> Error {
    Error::new(Kind::NotFound, format!("the store has no layer {chain}"))
        .hint("it may have been removed just now; run the command again")
}

/// Deletes the rows of those of `chains`, topmost first, on which no image,
/// container or other layer stands; returns them.
pub(super) fn release(
    transaction: &Transaction<'_>,
    chains: impl IntoIterator<Item = ChainId>,
) -> Result<Vec<ChainId>, Failure> {
    let mut statement = transaction.prepare_cached(
        "DELETE FROM layers WHERE chain = ?1
         AND NOT EXISTS (SELECT 1 FROM image_layers WHERE image_layers.chain = ?1)
         AND NOT EXISTS (SELECT 1 FROM containers WHERE containers.chain = ?1)
         AND NOT EXISTS (SELECT 1 FROM layers AS above WHERE above.parent = ?1)",
    )?;
    let mut released = Vec::new();
    for chain in chains {
        if statement.execute([chain.0.encoded()])? > 0 {
            released.push(chain);
        }
    }
    Ok(released)
}
