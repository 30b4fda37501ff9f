//! What the database alone would know, once more beside what it speaks of:
//!
//! ```text
//! index.json                   the images and their names
//! containers/<ID>/config.json  a container: all that its rows say
//! volumes/<name>/volume.json   a volume (see `volume`)
//! ```
//!
//! The database is the truth and these are copies, of which `check` tells where
//! they differ and from which `repair` makes a database that was lost. Each is
//! written after the transaction that it tells of, under the write lock: so they
//! come in the order of the transactions, and none is ever ahead of the
//! database, unless that has lost something. By the number of the newest event,
//! which each of them holds, that is known.
//!
//! They are not synced, and what cannot be written is not an error: a full disk
//! must not keep anybody from removing an image.

mod container;
mod index;

use std::ffi::OsStr;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension};

use crate::error::{Error, Result};
use crate::fs::{self, Dir, FileKind, Timestamp};
use crate::id::ContainerId;

use super::Store;
use super::database::Failure;

pub(super) use container::{ContainerCopy, LayerCopy, read as read_container};
pub(super) use index::{INDEX, NamesCopy, ToldImage, read as read_index};

/// The largest copy of a container's, config or manifest, in bytes: what
/// registries allow.
pub(super) const LIMIT: u64 = 4 << 20;

impl Store {
    /// Writes `index.json`. To be called after each transaction that changed
    /// images or their names.
    pub(super) fn record_names(&self) {
        // See above.
        let _ = self.write("copy the names in", |transaction| self.write_index(transaction));
    }

    pub(super) fn write_index(&self, connection: &Connection) -> Result<(), Failure> {
        Ok(NamesCopy::of(connection, &self.paths.root)?.write(&self.paths.root)?)
    }

    /// Writes the record of the kept container `id` into its directory. To be
    /// called after each transaction that changed it.
    pub(super) fn record_container(&self, id: &ContainerId) {
        let _ =
            self.write("copy a container's record in", |transaction| {
                match ContainerCopy::of(transaction, id)? {
                    Some(copy) => Ok(self.overwrite_container(&copy)?),
                    None => Ok(()),
                }
            });
    }

    /// In place: who keeps the container has locked this very file. What is no
    /// file is left, and told by `check`.
    fn overwrite_container(&self, copy: &ContainerCopy) -> Result<()> {
        let path = self.container_path(&copy.id).join(container::FILE);
        match fs::link_metadata(&path)? {
            Some(found) if found.kind == FileKind::Regular => {
                fs::overwrite(&path, &copy.to_json()?)
            }
            _ => Ok(()),
        }
    }

    /// Writes `copy`, whatever is in its place.
    pub(super) fn write_container_copy(&self, copy: &ContainerCopy) -> Result<()> {
        let folder = Path::new(super::layout::CONTAINERS).join(copy.id.as_str());
        // Fails if that is a symbolic link.
        Dir::open(&self.paths.root)?.open_dir(folder.as_os_str())?;
        let path = self.container_path(&copy.id).join(container::FILE);
        match fs::link_metadata(&path)? {
            Some(found) if found.kind == FileKind::Regular => self.overwrite_container(copy),
            _ => fs::write_volatile(&path, &copy.to_json()?),
        }
    }

    /// The copies, by their paths in the store, that are not what the database
    /// says. What an older envbox wrote, or did not write, is none.
    pub(super) fn differing_copies(&self, connection: &Connection) -> Result<Vec<String>, Failure> {
        let mut paths = Vec::new();
        let root = Dir::open(&self.paths.root)?;
        if index::differs(connection, &root)? {
            paths.push(INDEX.to_owned());
        }
        let ids = "SELECT id FROM containers ORDER BY id";
        for id in super::check::collect(connection, ids, |row| super::database::parsed(row, 0))? {
            if container::differs(connection, &root, &id)? {
                paths.push(container::path(&id));
            }
        }
        Ok(paths)
    }

    /// The number of the newest event of which `index.json` knows or the copy of a
    /// container that `counts`: anybody may have put another one there.
    pub(super) fn newest_copied_event(&self, counts: impl Fn(&ContainerId) -> bool) -> Result<i64> {
        let root = Dir::open(&self.paths.root)?;
        // What cannot be read knows of none.
        let index = index::read(&root).ok().flatten();
        let mut newest = index.map_or(0, |index| plausible(index.newest_event()));
        for name in fs::list(&self.paths.root.join(super::layout::CONTAINERS))? {
            let id = name.to_str().and_then(|name| name.parse().ok()).filter(&counts);
            let copy = id.and_then(|id| container::read(&root, &id).ok());
            newest = newest.max(copy.map_or(0, |copy| plausible(copy.newest_event)));
        }
        Ok(newest)
    }
}

/// The number of an event; 0 for one that no store comes to.
fn plausible(number: i64) -> i64 {
    if (0..1 << 53).contains(&number) { number } else { 0 }
}

/// True for a time that can be printed, and reckoned with.
pub(super) fn is_plausible(time: Timestamp) -> bool {
    let nanoseconds = i32::try_from(time.nanoseconds).unwrap_or(-1);
    (0..1_000_000_000).contains(&nanoseconds)
        && jiff::Timestamp::new(time.seconds, nanoseconds).is_ok()
}

/// The number of the newest event that ever was.
pub(super) fn newest_event(connection: &Connection) -> Result<i64, Failure> {
    let query = "SELECT seq FROM sqlite_sequence WHERE name = 'events'";
    Ok(connection.prepare_cached(query)?.query_one([], |row| row.get(0)).optional()?.unwrap_or(0))
}

/// The content of the regular file `path` below `dir`, of at most `limit`
/// bytes. No symbolic link is followed.
///
/// # Errors
/// `Invalid`, without the path, if it is no such file; those of the system calls.
pub(super) fn read_file(dir: &Dir, path: &OsStr, limit: u64) -> Result<Vec<u8>> {
    let found = dir.metadata(path)?;
    if found.kind != FileKind::Regular {
        return Err(Error::invalid("it is no file"));
    }
    if found.size > limit {
        return Err(Error::invalid("it is too large"));
    }
    fs::read_limited(dir.open_file(path)?, limit, "it")
}
