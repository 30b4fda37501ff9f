//! Committed layers and those on their way. What a layer looks like inside
//! its directory is its driver's and the image floor's matter.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use crate::digest::{ChainId, DiffId, ImageId};
use crate::error::{Error, Kind, Result};
use crate::fs;

use super::database::{Failure, integer, parsed, parsed_optional, size};
use super::snapshot::{self, Driver};
use super::workspace::{self, Item, Workspace};
use super::{Store, is_recorded, take_away};

/// Below `layers/<chain ID>/`, and below `layer/` in a workspace.
pub(super) const TREE: &str = "tree";
const OVERRIDES: &str = "overrides";
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

/// Where the content of a directory layer lies. For the floor that applies
/// and diffs layers; everybody else mounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerLocation {
    /// The whole folder: `tree` and what the image floor writes beside it.
    pub folder: PathBuf,
    /// The files.
    pub tree: PathBuf,
    /// What the tree could not hold, as the image floor wrote it; may be
    /// absent.
    pub overrides: PathBuf,
}

impl LayerLocation {
    fn of(directory: &Path) -> Self {
        Self {
            folder: directory.to_owned(),
            tree: directory.join(TREE),
            overrides: directory.join(OVERRIDES),
        }
    }
}

/// A layer that is being filled. Dropped without a commit, it is removed.
#[derive(Debug)]
pub struct PendingLayer<'store> {
    store: &'store Store,
    workspace: Workspace,
}

impl PendingLayer<'_> {
    /// The directory to fill; it exists, empty, with mode 0755.
    pub fn tree(&self) -> PathBuf {
        self.location().tree
    }

    /// The file to write what the tree cannot hold to, if there is any.
    pub fn overrides(&self) -> PathBuf {
        self.location().overrides
    }

    /// The folder of the tree, which is the layer's alone; the image floor
    /// writes beside the tree what belongs to it.
    pub fn folder(&self) -> PathBuf {
        self.directory()
    }

    fn location(&self) -> LayerLocation {
        LayerLocation::of(&self.directory())
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
        if recorded && present {
            return Ok(());
        }
        // A directory without a row was whole once, but a host that lost its
        // power may have made it hollow: ours is better, unless a snapshot
        // stands on it.
        let keep =
            present && workspace::layers_in_use(&self.store.tmp())?.contains(&record.chain_id);
        if !keep {
            take_away(&self.workspace, &item, &target)?;
            snapshot::DRIVER.commit(&self.directory(), &target)?;
        }
        if !recorded {
            insert(transaction, record)?;
        }
        Ok(())
    }
}

fn insert(transaction: &Transaction<'_>, record: &LayerRecord) -> Result<(), Failure> {
    transaction.execute(
        "INSERT INTO layers (chain, diff, parent, driver, tar_size, content_size)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            record.chain_id.0.encoded(),
            record.diff_id.0.encoded(),
            record.parent.map(|parent| parent.0.encoded()),
            snapshot::DRIVER.name(),
            integer(record.tar_size),
            integer(record.content_size),
        ],
    )?;
    Ok(())
}

impl Store {
    /// Begins a layer, in a place of its own.
    ///
    /// # Errors
    /// Those of the system calls, with the path.
    pub fn begin_layer(&self) -> Result<PendingLayer<'_>> {
        let pending = PendingLayer { store: self, workspace: self.begin(&[])? };
        fs::create_dir(&pending.directory(), 0o700)?;
        fs::create_dir(&pending.tree(), 0o755)?;
        Ok(pending)
    }

    /// Where the content of the layer `chain` lies.
    ///
    /// # Errors
    /// `NotFound` if it is not in the store.
    pub fn layer(&self, chain: ChainId) -> Result<LayerLocation> {
        self.read("read a layer in", |connection| require(connection, chain))?;
        Ok(LayerLocation::of(&self.path_of(&Item::Layer(chain))))
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
        self.read("list the layers in", |connection| {
            let mut statement = connection
                .prepare_cached("SELECT diff, parent, tar_size, content_size, chain FROM layers")?;
            let rows =
                statement.query_map([], |row| from_row(row, ChainId(parsed::<Hex>(row, 4)?.0)))?;
            Ok(rows.collect::<rusqlite::Result<Vec<LayerRecord>>>()?)
        })
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

    /// The stack that `chain` names, topmost first.
    pub(super) fn stack_of(&self, chain: ChainId) -> Result<Vec<ChainId>> {
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
                require_driver(chain, row.get_ref(0)?.as_str().unwrap_or_default())?;
                next = parsed_optional::<Hex>(row, 1)?.map(|hex| ChainId(hex.0));
                stack.push(chain);
            }
            Ok(stack)
        })
    }
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

fn require_driver(chain: ChainId, driver: &str) -> Result<()> {
    if driver == snapshot::DRIVER.name() {
        return Ok(());
    }
    Err(Error::unsupported(format!(
        "layer {chain} is kept by the driver {driver:?}, which this envbox does not have"
    )))
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
