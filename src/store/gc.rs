//! Collection: removes whatever the database does not name, and the layers on
//! which nothing stands. It waits for everybody who is changing something, but
//! not for ever: an import can take minutes.

use std::os::fd::OwnedFd;
use std::str::FromStr;
use std::time::{Duration, Instant};

use crate::digest::{ChainId, Digest};
use crate::error::{Error, Kind, Result};
use crate::fs;
use crate::id::ContainerId;

use super::database::parsed;
use super::layer::{self, Hex};
use super::workspace::{Item, TRASH, Workspace};
use super::{Store, layout};

/// How long it waits for others, and how often it looks: as long as for the
/// database.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(10);

/// What [`Store::collect`] removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Layers on which nothing stood.
    pub layers: Vec<ChainId>,
    /// Containers without a record.
    pub containers: Vec<ContainerId>,
    /// Blobs that no image names.
    pub blobs: Vec<Digest>,
    /// What their files held, in bytes.
    pub reclaimed: u64,
}

impl Collected {
    fn add(&mut self, item: Item) {
        match item {
            Item::Layer(chain) => self.layers.push(chain),
            Item::Container(id) => self.containers.push(id),
            Item::Blob(digest) => self.blobs.push(digest),
            // None is looked for: what was put in a volume is nobody's to
            // take, whatever became of its row.
            Item::Volume(_) => {}
        }
    }
}

impl Store {
    /// Removes layers on which no image, container or living snapshot stands,
    /// blobs and container directories without a record, and what dead
    /// processes left in `tmp/`. Exclusive: it waits for imports to end.
    ///
    /// # Errors
    /// `Unavailable` if others went on changing something; else of what could
    /// not be removed, the first.
    pub fn collect(&self) -> Result<Collected> {
        self.collect_within(PATIENCE)
    }

    pub(super) fn collect_within(&self, patience: Duration) -> Result<Collected> {
        // Our own shared lock would be in the way.
        self.close_database();
        let lock = self.exclusive(patience)?.ok_or_else(|| {
            let message = "another envbox is changing the store, so that what nothing stands \
                           on was not looked for";
            Error::new(Kind::Unavailable, message)
                .hint("run `envbox system prune` again when that is done")
        })?;
        *self.lock.borrow_mut() = Some(lock);
        let taken = self.present().and_then(|items| self.take_unwanted(&items));
        // Nobody waits while files are deleted.
        self.close_database();
        let (workspace, mut collected) = taken?;
        let trash = workspace.path().join(TRASH);
        if fs::metadata(&trash)?.is_some() {
            collected.reclaimed = fs::tree_size(&trash)?;
        }
        workspace.remove()?;
        layout::ensure_reserve(&self.paths.root);
        self.sweep()?;
        Ok(collected)
    }

    /// The store's lock, exclusively; `None` if others have it for longer than
    /// `patience`.
    pub(super) fn exclusive(&self, patience: Duration) -> Result<Option<OwnedFd>> {
        let start = Instant::now();
        loop {
            if let Some(lock) = layout::try_lock(&self.paths.root)? {
                return Ok(Some(lock));
            }
            if start.elapsed() >= patience {
                return Ok(None);
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Takes away, into a workspace, those of `items` that nobody wants.
    pub(super) fn take_unwanted(&self, items: &[Item]) -> Result<(Workspace, Collected)> {
        layout::release_reserve(&self.paths.root);
        // Nothing is intended: what is left by who is killed here is found again by
        // the next one, while intents of all that there is would be believed even
        // when the database has lost its rows.
        let workspace = self.workspace(&[])?;
        if items.iter().any(|item| matches!(item, Item::Layer(_))) {
            self.forget_unused_layers(&workspace)?;
        }
        let mut collected = Collected::default();
        for item in self.discard_unrecorded(items, &workspace)? {
            collected.add(item);
        }
        Ok((workspace, collected))
    }

    /// All that lies in the store's directories.
    pub(super) fn present(&self) -> Result<Vec<Item>> {
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

    /// Deletes the rows of the layers on which nothing stands, and for which no
    /// image is on its way: who makes one may have given the lock back for a
    /// while, as `commit` does while its container is being stopped.
    fn forget_unused_layers(&self, own: &Workspace) -> Result<()> {
        self.write("collect the layers of", |transaction| {
            let awaited = self.awaited_by_others(own)?;
            let mut statement = transaction.prepare(
                "SELECT chain FROM layers AS lower
                 WHERE NOT EXISTS (SELECT 1 FROM image_layers WHERE chain = lower.chain)
                 AND NOT EXISTS (SELECT 1 FROM containers WHERE chain = lower.chain)
                 AND NOT EXISTS (SELECT 1 FROM layers AS upper WHERE upper.parent = lower.chain)",
            )?;
            // From the top down, one level a round.
            loop {
                let rows = statement.query_map([], |row| parsed::<Hex>(row, 0))?;
                let mut top = Vec::new();
                for hex in rows {
                    top.push(ChainId(hex?.0));
                }
                top.retain(|chain| !awaited.contains(chain));
                if layer::release(transaction, top)?.is_empty() {
                    return Ok(());
                }
            }
        })
    }
}
