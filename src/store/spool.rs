//! A folder for what is on its way into the store and has to lie somewhere
//! until it is understood, and for the names of the layers that come of it:
//! until an image stands on them they are nobody's, and go with the folder.

use std::collections::HashSet;
use std::path::Path;

use crate::digest::{ChainId, Digest};
use crate::error::Result;
use crate::fs;

use super::layer::{LayerRecord, PendingLayer};
use super::workspace::{self, Item, Workspace};
use super::{Store, layer, layout};

/// The file that names the layers, one a line.
const LOADED: &str = "loaded";

/// A folder of the store's, on the file system of its layers. After a kill the
/// next opener removes it.
#[derive(Debug)]
pub struct Spool {
    workspace: Workspace,
    loaded: String,
}

impl Spool {
    /// The folder; files in it may have numbers for names.
    pub fn path(&self) -> &Path {
        self.workspace.path()
    }

    /// Makes `pending` a part of the store, for an image that is not there yet:
    /// where that does not come, it goes with the spool.
    ///
    /// # Errors
    /// Those of [`PendingLayer::commit`], and of writing.
    pub fn commit(&mut self, pending: PendingLayer<'_>, record: LayerRecord) -> Result<()> {
        self.expect(record.chain_id)?;
        pending.commit(record)
    }

    fn expect(&mut self, chain: ChainId) -> Result<()> {
        self.loaded.push_str(&chain.0.encoded());
        self.loaded.push('\n');
        fs::write_volatile(&self.path().join(LOADED), self.loaded.as_bytes())
    }
}

impl Store {
    /// Does `work`, which makes layers and the image that stands on them, with a
    /// spool that ends with it.
    ///
    /// # Errors
    /// The first: that of `work`, or of [`Store::end_spool`].
    pub fn spooled<T>(&self, work: impl FnOnce(&mut Spool) -> Result<T>) -> Result<T> {
        let mut spool = self.begin_spool()?;
        let done = work(&mut spool);
        let ended = self.end_spool(spool);
        done.and_then(|done| ended.map(|()| done))
    }

    /// A new empty folder.
    ///
    /// # Errors
    /// Those of the system calls, with the path.
    pub fn begin_spool(&self) -> Result<Spool> {
        Ok(Spool { workspace: self.begin(&[])?, loaded: String::new() })
    }

    /// Removes `spool`, and of the layers that it names those on which nothing
    /// stands.
    ///
    /// # Errors
    /// Those of the database and the disk; what stays goes another time.
    pub fn end_spool(&self, spool: Spool) -> Result<()> {
        self.settle(spool.workspace)
    }

    /// Deletes the rows of the layers that `workspace` names, if nothing stands
    /// on them, or is about to, and intends to take away their folders.
    pub(super) fn release_loaded(&self, workspace: &Workspace) -> Result<()> {
        let Some(text) = fs::read_optional(&workspace.path().join(LOADED))? else {
            return Ok(());
        };
        layout::release_reserve(&self.paths.root);
        self.write("remove layers from", |transaction| {
            // Within the transaction: who names one later commits it later, too.
            let awaited = self.awaited_by_others(workspace)?;
            let mut chains = chains(&text);
            chains.retain(|chain| !awaited.contains(chain));
            let released = layer::release(transaction, chains.into_iter().rev())?;
            let items: Vec<Item> = released.into_iter().map(Item::Layer).collect();
            Ok(workspace.intend(&items)?)
        })?;
        layout::ensure_reserve(&self.paths.root);
        Ok(())
    }

    /// The layers that the spools of other living processes name.
    pub(super) fn awaited_by_others(&self, own: &Workspace) -> Result<HashSet<ChainId>> {
        let mut awaited = HashSet::new();
        for folder in workspace::held_with(&self.tmp(), LOADED)? {
            if folder != own.path() {
                let text = fs::read_optional(&folder.join(LOADED))?.unwrap_or_default();
                awaited.extend(chains(&text));
            }
        }
        Ok(awaited)
    }
}

/// What the file says, the lowest layer first.
fn chains(text: &[u8]) -> Vec<ChainId> {
    let text = String::from_utf8_lossy(text);
    text.lines().filter_map(|line| Digest::from_encoded(line).ok()).map(ChainId).collect()
}
