//! Collection: removes whatever the database does not name, and the layers on
//! which nothing stands. It waits for everybody who is changing something.

use std::str::FromStr;

use crate::error::Result;
use crate::fs::{self, LockMode};

use super::workspace::Item;
use super::{Store, layout};

/// What [`Store::collect`] removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Layers on which nothing stood.
    pub layers: usize,
    /// Containers without a record.
    pub containers: usize,
    /// Blobs that no image names.
    pub blobs: usize,
}

impl Store {
    /// Removes layers on which no image, container or living snapshot stands,
    /// blobs and container directories without a record, and what dead
    /// processes left in `tmp/`. Exclusive: it waits for imports to end.
    ///
    /// # Errors
    /// Of what could not be removed, the first.
    pub fn collect(&mut self) -> Result<Collected> {
        self.close_database();
        *self.lock.borrow_mut() = Some(layout::lock(&self.paths.root, LockMode::Exclusive)?);
        let collected = self.collect_all();
        // The exclusive lock must not last longer.
        self.close_database();
        collected
    }

    fn collect_all(&self) -> Result<Collected> {
        let swept = self.sweep();
        let workspace = self.workspace(&[])?;
        let items = self.present()?;
        workspace.intend(&items)?;
        self.forget_unused_layers()?;
        let mut collected = Collected::default();
        for item in self.discard_unrecorded(&items, &workspace)? {
            match item {
                Item::Layer(_) => collected.layers += 1,
                Item::Container(_) => collected.containers += 1,
                Item::Blob(_) => collected.blobs += 1,
                // None is looked for: what was put in a volume is nobody's to
                // take, whatever became of its row.
                Item::Volume(_) => {}
            }
        }
        workspace.remove()?;
        swept.map(|_| collected)
    }

    /// All that lies in the store's directories.
    fn present(&self) -> Result<Vec<Item>> {
        let mut items = Vec::new();
        for folder in [layout::LAYERS, layout::CONTAINERS, layout::BLOBS] {
            for name in fs::list(&self.paths.root.join(folder))? {
                // What has no name of ours was put there by somebody else.
                let item = name.to_str().map(|name| Item::from_str(&format!("{folder}/{name}")));
                items.extend(item.and_then(Result::ok));
            }
        }
        Ok(items)
    }

    fn forget_unused_layers(&self) -> Result<()> {
        self.write("collect the layers of", |transaction| {
            let mut statement = transaction.prepare(
                "DELETE FROM layers WHERE chain IN (SELECT chain FROM layers AS lower
                 WHERE NOT EXISTS (SELECT 1 FROM image_layers WHERE chain = lower.chain)
                 AND NOT EXISTS (SELECT 1 FROM containers WHERE chain = lower.chain)
                 AND NOT EXISTS (SELECT 1 FROM layers AS upper WHERE upper.parent = lower.chain))",
            )?;
            // From the top down, one level a round.
            while statement.execute([])? > 0 {}
            Ok(())
        })
    }
}
