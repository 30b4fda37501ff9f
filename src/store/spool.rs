//! A folder for what is on its way into the store and has to lie somewhere
//! until it is understood, and for the names of the layers that come of it:
//! until an image stands on them they are nobody's, and go with the folder.

use std::path::Path;

use crate::digest::{ChainId, Digest};
use crate::error::Result;
use crate::fs;

use super::workspace::{Item, Workspace};
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

    /// Says that the layer `chain` is about to be committed for an image that
    /// is not there yet.
    ///
    /// # Errors
    /// Those of writing.
    pub fn expect(&mut self, chain: ChainId) -> Result<()> {
        self.loaded.push_str(&chain.0.encoded());
        self.loaded.push('\n');
        fs::write_volatile(&self.path().join(LOADED), self.loaded.as_bytes())
    }
}

impl Store {
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
    /// on them, and intends to take away their folders.
    pub(super) fn release_loaded(&self, workspace: &Workspace) -> Result<()> {
        let Some(text) = fs::read_optional(&workspace.path().join(LOADED))? else {
            return Ok(());
        };
        let text = String::from_utf8_lossy(&text);
        let chains = text.lines().rev().filter_map(|line| Digest::from_encoded(line).ok());
        layout::release_reserve(&self.paths.root);
        self.write("remove layers from", |transaction| {
            let released = layer::release(transaction, chains.map(ChainId))?;
            let items: Vec<Item> = released.into_iter().map(Item::Layer).collect();
            Ok(workspace.intend(&items)?)
        })?;
        layout::ensure_reserve(&self.paths.root);
        Ok(())
    }
}
