//! Whether database and disk agree: what a backup that is older than its
//! database, a host that lost its power or a hand in the store leaves behind.
//! Nothing is changed. What is in files is not read: see
//! [`image::verify_layer`](crate::image::verify_layer).

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::path::Path;

use rusqlite::{Connection, Row};

use crate::digest::{ChainId, ImageId};
use crate::error::{Error, Kind, Result};
use crate::fs;
use crate::id::ContainerId;

use super::database::{Failure, parsed, size};
use super::driver;
use super::gc::PATIENCE;
use super::layer::Hex;
use super::workspace::{self, Item};
use super::{Driver, Store, is_recorded, layout, record};

/// One thing in which database and disk differ, or the database with itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// SQLite's word on its file.
    Database(String),
    /// Rows of the first table refer to ones of the second that are not there.
    Reference(String, String),
    /// What lies beside the database tells of events that it never had.
    Older,
    /// What the database has, by its path in the store, is not on the disk.
    Gone(String),
    /// What is on the disk, by its path in the store, is not in the database.
    Unrecorded(String),
    /// The same, and why it cannot be.
    Unreadable(String, String),
    /// It has no name that anything in the store has.
    Foreign(String),
    /// A copy of what the database has, by its path, says something else.
    Copy(String),
    /// A layer's row has this driver, which is not the one that keeps it.
    Driver(ChainId, String),
    /// An image's size in bytes is not the sum of its layers'.
    Size(ImageId, u64, u64),
    /// The layers of an image do not lie one upon the other.
    Stack(ImageId),
}

impl Fault {
    /// What is wrong.
    pub(super) fn what(&self) -> String {
        match self {
            Self::Database(word) => format!("envbox.db: {word}"),
            Self::Reference(from, to) => {
                format!("envbox.db: {from} refer to {to} that are not there")
            }
            Self::Older => "envbox.db is older than what lies beside it".to_owned(),
            Self::Gone(path) => format!("{path} is missing"),
            Self::Unrecorded(path) if path.starts_with("volumes/") => {
                format!("{path} is not in the database")
            }
            Self::Unrecorded(path) => format!("{path} belongs to nothing"),
            Self::Unreadable(path, why) => format!("{path} cannot be taken up: {why}"),
            Self::Foreign(path) => format!("{path} is nothing of envbox's"),
            Self::Copy(path) => format!("{path} does not say what the database does"),
            Self::Driver(chain, driver) => {
                format!("layer {chain} is not kept by {driver} as the database says")
            }
            Self::Size(image, found, wanted) => {
                format!("image {image} has a size of {found} bytes, and layers of {wanted}")
            }
            Self::Stack(image) => {
                format!("image {image} has layers that do not lie upon one another")
            }
        }
    }

    /// What to do about it.
    fn remedy(&self) -> String {
        let fixed = match self {
            Self::Database(_) | Self::Reference(..) | Self::Older | Self::Stack(_) => {
                "envbox system check --repair rebuilds it"
            }
            Self::Gone(path) => match path.strip_suffix("/data").unwrap_or(path).parse() {
                Ok(Item::Container(id)) => return format!("remove the container: envbox rm {id}"),
                Ok(Item::Volume(name)) => {
                    return format!("remove the volume: envbox volume rm {name}");
                }
                _ => {
                    "remove the images that have it and their containers, and import or load them \
                     again"
                }
            },
            Self::Unrecorded(path) if path.starts_with("volumes/") => {
                "envbox system check --repair takes it up"
            }
            Self::Unreadable(path, _)
                if path.starts_with("volumes/") || path.starts_with("containers/") =>
            {
                "mend it, or move it away"
            }
            Self::Unrecorded(_) | Self::Unreadable(..) => "envbox system prune removes it",
            Self::Foreign(_) => "move it away",
            Self::Copy(_) | Self::Size(..) => "envbox system check --repair mends it",
            Self::Driver(..) => "it is read all the same",
        };
        fixed.to_owned()
    }

    /// True if the database has lost what only a new one can have.
    pub(super) fn is_damage(&self) -> bool {
        matches!(self, Self::Database(_) | Self::Reference(..) | Self::Older | Self::Stack(_))
    }
}

impl fmt::Display for Fault {
    /// A line that says what to do.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.what(), self.remedy())
    }
}

impl Store {
    /// Compares the database with itself and with the disk. Others who change
    /// something wait meanwhile.
    ///
    /// # Errors
    /// Those of a database that cannot be read at all, and of the disk.
    pub fn check(&self) -> Result<Vec<Fault>> {
        let mut faults = self.faults()?;
        if faults.iter().any(|fault| matches!(fault, Fault::Copy(_))) {
            // Somebody may be between his transaction and its copy.
            self.close_database();
            faults.retain(|fault| !matches!(fault, Fault::Copy(_)));
            let Some(lock) = self.exclusive(PATIENCE)? else {
                let told = "others are changing the store, so that the copies of its records \
                            could not be compared";
                return Err(Error::new(Kind::Unavailable, told)
                    .hint("run `envbox system check` again when they are done"));
            };
            *self.lock.borrow_mut() = Some(lock);
            faults.extend(self.differing()?);
            self.close_database();
        }
        Ok(faults)
    }

    /// As [`Store::check`]; copies that are being written may be told.
    pub(super) fn faults(&self) -> Result<Vec<Fault>> {
        let mut faults = self.write("check", |transaction| {
            let mut faults = integrity(transaction)?;
            faults.extend(references(transaction)?);
            let known = collect(transaction, "SELECT id FROM containers", |row| parsed(row, 0))?;
            let known: BTreeSet<ContainerId> = known.into_iter().collect();
            if record::newest_event(transaction)?
                < self.newest_copied_event(|id| known.contains(id))?
            {
                faults.push(Fault::Older);
            }
            faults.extend(images(transaction)?);
            faults.extend(self.layer_rows(transaction)?);
            let queries = [
                "SELECT 'blobs/sha256/' || id FROM images UNION
                 SELECT 'blobs/sha256/' || manifest FROM images UNION
                 SELECT 'blobs/sha256/' || image_index FROM index_images UNION
                 SELECT 'blobs/sha256/' || manifest FROM index_images",
                "SELECT 'containers/' || id FROM containers",
                "SELECT 'volumes/' || name || '/data' FROM volumes",
            ];
            for query in queries {
                faults.extend(self.gone(transaction, query)?);
            }
            faults.extend(self.unrecorded(transaction)?);
            Ok(faults)
        })?;
        faults.extend(self.differing()?);
        Ok(faults)
    }

    fn differing(&self) -> Result<Vec<Fault>> {
        let differing = self.write("check", |transaction| self.differing_copies(transaction))?;
        Ok(differing.into_iter().map(Fault::Copy).collect())
    }

    /// The layers that are not there, and those that are there otherwise.
    fn layer_rows(&self, connection: &Connection) -> Result<Vec<Fault>, Failure> {
        let rows = collect(connection, "SELECT chain, driver FROM layers", |row| {
            Ok((ChainId(parsed::<Hex>(row, 0)?.0), row.get::<_, String>(1)?))
        })?;
        let mut faults = Vec::new();
        for (chain, named) in rows {
            let item = Item::Layer(chain);
            let folder = self.path_of(&item);
            let kept = driver::of(&folder).map_err(unreachable)?;
            let content = driver::lower(&folder, kept.form());
            if !is_there(content.path())? {
                faults.push(Fault::Gone(item.to_string()));
            } else if named.parse::<Driver>().ok() != Some(kept) {
                faults.push(Fault::Driver(chain, named));
            }
        }
        Ok(faults)
    }

    /// The paths that `query` gives where nothing is.
    fn gone(&self, connection: &Connection, query: &str) -> Result<Vec<Fault>, Failure> {
        let mut faults = Vec::new();
        for path in collect(connection, query, |row| row.get::<_, String>(0))? {
            if !is_there(&self.paths.root.join(&path))? {
                faults.push(Fault::Gone(path));
            }
        }
        Ok(faults)
    }

    /// What lies in the store's folders and has no row.
    fn unrecorded(&self, connection: &Connection) -> Result<Vec<Fault>, Failure> {
        // A layer may go on without a row for as long as somebody runs on it.
        let used = workspace::layers_in_use(&self.tmp())?;
        let mut faults = Vec::new();
        for folder in [layout::LAYERS, layout::BLOBS, layout::CONTAINERS, layout::VOLUMES] {
            let mut names = fs::list(&self.paths.root.join(folder))?;
            names.sort();
            for name in names {
                let path = format!("{folder}/{}", name.to_string_lossy().escape_default());
                match path.parse::<Item>() {
                    Err(_) => faults.push(Fault::Foreign(path)),
                    Ok(Item::Layer(chain)) if used.contains(&chain) => {}
                    Ok(item) if is_recorded(connection, &item)? => {}
                    Ok(_) => faults.push(Fault::Unrecorded(path)),
                }
            }
        }
        Ok(faults)
    }
}

/// Whether something is at `path`; not, where what should be a directory is none.
fn is_there(path: &Path) -> Result<bool> {
    match fs::metadata(path) {
        Ok(found) => Ok(found.is_some()),
        Err(error) if error.kind() == Kind::Invalid => Ok(false),
        Err(error) => Err(unreachable(error)),
    }
}

/// An error of the disk, which says nothing of the database.
fn unreachable(error: Error) -> Error {
    Error::new(Kind::Unavailable, "the store cannot be read").because(error)
}

/// What SQLite finds in its own structures (sqlite.org/pragma.html).
fn integrity(connection: &Connection) -> Result<Vec<Fault>, Failure> {
    let words = collect(connection, "PRAGMA integrity_check(10)", |row| row.get::<_, String>(0))?;
    Ok(words.into_iter().filter(|word| word != "ok").map(Fault::Database).collect())
}

/// Rows that refer to others that are not there, each pair of tables once.
fn references(connection: &Connection) -> Result<Vec<Fault>, Failure> {
    let pairs = collect(connection, "PRAGMA foreign_key_check", |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(2)?))
    })?;
    let mut seen = HashSet::new();
    let new = pairs.into_iter().filter(|pair| seen.insert(pair.clone()));
    Ok(new.map(|(from, to)| Fault::Reference(from, to)).collect())
}

/// Images whose sizes or layers are not those of their layers.
fn images(connection: &Connection) -> Result<Vec<Fault>, Failure> {
    let image = |row: &Row<'_>| parsed::<Hex>(row, 0).map(|hex| ImageId(hex.0));
    let sizes = "SELECT id, size, (SELECT coalesce(sum(layers.content_size), 0)
        FROM image_layers JOIN layers USING (chain) WHERE image = id) AS wanted
        FROM images WHERE size != wanted";
    let mut faults = collect(connection, sizes, |row| {
        Ok(Fault::Size(image(row)?, size(row, 1)?, size(row, 2)?))
    })?;
    let stacks = "SELECT DISTINCT upper.image FROM image_layers AS upper
        JOIN layers ON layers.chain = upper.chain
        LEFT JOIN image_layers AS lower
        ON lower.image = upper.image AND lower.position = upper.position - 1
        WHERE lower.chain IS NOT layers.parent";
    faults.extend(collect(connection, stacks, |row| Ok(Fault::Stack(image(row)?)))?);
    Ok(faults)
}

/// The rows of `query`, as `read` reads them.
pub(super) fn collect<T>(
    connection: &Connection,
    query: &str,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, Failure> {
    let mut statement = connection.prepare(query)?;
    let rows = statement.query_map([], read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
