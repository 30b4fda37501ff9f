//! Layers that somebody reads. They stay, and stay as they are, for as long as
//! they are held; nobody who changes the store waits for that.

use std::path::Path;

use crate::digest::ChainId;
use crate::error::Result;

use super::workspace::{Item, Workspace};
use super::{Store, is_recorded, layer};

/// Layers that are held, and a folder for who holds them. Dropped without
/// [`Store::let_go`], what was removed meanwhile stays for a collection.
#[derive(Debug)]
pub struct LayerHold {
    workspace: Workspace,
    layers: Vec<Item>,
}

impl LayerHold {
    /// A folder that goes with it.
    pub fn path(&self) -> &Path {
        self.workspace.path()
    }

    /// As if the process had been killed.
    #[cfg(test)]
    pub(super) fn abandon(self) {
        self.workspace.abandon();
    }
}

impl Store {
    /// Holds the layers `chains`, each of which may be named several times.
    ///
    /// # Errors
    /// `NotFound` if one is not, or no longer, in the store.
    pub fn hold(&self, chains: &[ChainId]) -> Result<LayerHold> {
        let hold = self.hold_what_is_there(chains)?;
        // After the names are there, as for a snapshot.
        self.read("read the layers in", |connection| {
            chains.iter().try_for_each(|&chain| layer::require(connection, chain))
        })?;
        Ok(hold)
    }

    /// As [`Store::hold`] for who finds out what is not there.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn hold_what_is_there(&self, chains: &[ChainId]) -> Result<LayerHold> {
        let workspace = self.workspace(chains)?;
        let layers: Vec<Item> = chains.iter().copied().map(Item::Layer).collect();
        // What was removed by the end goes with it, also if this is killed.
        workspace.intend(&layers)?;
        Ok(LayerHold { workspace, layers })
    }

    /// Runs `work` while the layers `chains` are held.
    ///
    /// # Errors
    /// Those of [`Store::hold`] and of `work`; else those of [`Store::let_go`].
    pub fn while_held<T>(&self, chains: &[ChainId], work: impl FnOnce() -> Result<T>) -> Result<T> {
        let hold = self.hold(chains)?;
        let worked = work();
        let let_go = self.let_go(hold);
        // The first error is the one to tell.
        worked.and_then(|value| let_go.map(|()| value))
    }

    /// Lets go of layers, and takes away those that were removed meanwhile.
    ///
    /// # Errors
    /// Those of the database and the disk; what stays goes another time.
    pub fn let_go(&self, hold: LayerHold) -> Result<()> {
        let LayerHold { workspace, layers } = hold;
        let are_all_there = self.read("read the layers in", |connection| {
            for item in &layers {
                if !is_recorded(connection, item)? {
                    return Ok(false);
                }
            }
            Ok(true)
        })?;
        // A removal that comes just now sees that they are held.
        if are_all_there { workspace.remove() } else { self.settle(workspace) }
    }
}
