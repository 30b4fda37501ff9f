//! Volumes: directories that outlive containers.
//!
//! ```text
//! volumes/<name>/
//!   data/         what containers see
//!   volume.json   the row, for a database that was lost
//! ```
//!
//! A container can write in `data/` alone: neither that name nor the record
//! beside it can be replaced from inside. Content goes in whole or not at all:
//! it is made ready in a workspace and renamed over the empty `data/`, which
//! rename(2) refuses if it is not empty any more. Where a volume is used by
//! others at that moment, and so may be mounted, its entries move one by one.
//!
//! What the options of a volume mean, and any mounting, is the engine's
//! matter; who uses a volume is told in `volume_use`.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use serde_json::{Value, json};

use crate::error::{Error, Kind, Result};
use crate::fs::{self, Dir, Owner, Timestamp};
use crate::id::{ContainerId, VolumeName};

use super::database::{Failure, parsed, time, unreadable};
use super::event::{self, Event};
use super::volume_use::{self, VolumeUse};
use super::workspace::{self, Item, Workspace};
use super::{Store, layout};

pub(super) const DATA: &str = "data";
pub(super) const RECORD: &str = "volume.json";
/// The only driver.
const DRIVER: &str = "local";

/// Below a workspace: a volume, or content for one, that is not there yet.
const PENDING: &str = "volume";

/// A volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeRecord {
    /// Its name, which no other volume has.
    pub name: VolumeName,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Options of the driver `local`, as they were given.
    pub options: BTreeMap<String, String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Whether it was made for one container, without a name of its own.
    pub anonymous: bool,
}

impl Store {
    /// The volume `record.name`, made by `record` if there is none.
    ///
    /// # Errors
    /// Those of the database and of the disk.
    pub fn ensure_volume(&self, record: &VolumeRecord) -> Result<VolumeRecord> {
        self.ensure_linked(record, None)
    }

    /// All volumes, by name.
    ///
    /// # Errors
    /// Those of the database.
    pub fn volumes(&self) -> Result<Vec<VolumeRecord>> {
        self.read("list the volumes in", |connection| {
            let mut statement = connection.prepare_cached(&format!("{QUERY} ORDER BY name"))?;
            let rows = statement.query_map([], from_row)?;
            Ok(rows.collect::<rusqlite::Result<Vec<VolumeRecord>>>()?)
        })
    }

    /// The volume `name`.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn volume(&self, name: &VolumeName) -> Result<VolumeRecord> {
        let found = self.read("look for a volume in", |connection| find(connection, name))?;
        found.ok_or_else(|| no_such_volume(name))
    }

    /// Where the files of the volume `name` lie: docker's mountpoint.
    pub fn volume_data(&self, name: &VolumeName) -> PathBuf {
        self.path_of(&Item::Volume(name.clone())).join(DATA)
    }

    /// Removes the volume `name` with all that is in it.
    ///
    /// # Errors
    /// `NotFound`; `InUse`, with the names of the containers, while kept or
    /// living containers use it; else of what could not be removed: the volume
    /// is gone then.
    pub fn remove_volume(&self, name: &VolumeName) -> Result<()> {
        let workspace = self.begin_removal()?;
        let removed = self.write("remove a volume from", |transaction| {
            find(transaction, name)?.ok_or_else(|| no_such_volume(name))?;
            let users = volume_use::users_of(transaction, &self.tmp(), name)?;
            if !users.is_empty() {
                return Err(in_use(name, &users).into());
            }
            self.take_volume(transaction, &workspace, name)
        });
        self.end_removal(workspace).and(removed)
    }

    /// Deletes the row of the volume `name` and takes its directory away into
    /// `workspace`, which puts it back if the transaction does not commit.
    pub(super) fn take_volume(
        &self,
        transaction: &Transaction<'_>,
        workspace: &Workspace,
        name: &VolumeName,
    ) -> Result<(), Failure> {
        let item = Item::Volume(name.clone());
        let mut items = workspace.intents()?;
        items.push(item.clone());
        workspace.intend(&items)?;
        transaction.execute("DELETE FROM volumes WHERE name = ?1", [name.as_str()])?;
        event::record(transaction, &happened("destroy", name))?;
        super::take_away(workspace, &self.path_of(&item))?;
        Ok(())
    }

    /// Puts back what `workspace` took away of volumes whose rows are still
    /// there.
    pub(super) fn put_back_volumes(&self, items: &[Item], workspace: &Workspace) -> Result<()> {
        for item in items {
            let Item::Volume(name) = item else { continue };
            let trash = workspace.path().join(workspace::TRASH).join(name.as_str());
            if fs::metadata(&trash)?.is_none() {
                continue;
            }
            self.hold_lock()?;
            self.database()?.write("look into", |transaction| {
                let place = self.path_of(item);
                if super::is_recorded(transaction, item)? && fs::metadata(&place)?.is_none() {
                    fs::rename(&trash, &place)?;
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// As [`Store::ensure_volume`], and the kept container of `link` has it
    /// from now on.
    pub(super) fn ensure_linked(
        &self,
        record: &VolumeRecord,
        link: Option<(&ContainerId, &VolumeUse)>,
    ) -> Result<VolumeRecord> {
        let item = Item::Volume(record.name.clone());
        let workspace = self.begin(std::slice::from_ref(&item))?;
        let pending = workspace.path().join(PENDING);
        fs::create_dir(&pending, 0o700)?;
        fs::create_dir(&pending.join(DATA), 0o755)?;
        let json = crate::oci::to_canonical_json(&to_json(record))?;
        fs::write_volatile(&pending.join(RECORD), &json)?;
        let ensured = self.write("write a volume to", |transaction| {
            let ensured = match find(transaction, &record.name)? {
                Some(found) => found,
                None => {
                    let made = self.place(&pending, record)?;
                    insert(transaction, &made)?;
                    event::record(transaction, &happened("create", &made.name))?;
                    made
                }
            };
            if let Some((container, used)) = link {
                volume_use::insert(transaction, container, used)?;
            }
            Ok(ensured)
        });
        if let Some((container, _)) = link {
            self.record_container(container);
        }
        self.settle(workspace).and(ensured)
    }

    /// Renames the volume `pending` into place. What lies there already is a
    /// volume whose row was lost with a database: it stays, by its own record.
    fn place(&self, pending: &Path, record: &VolumeRecord) -> Result<VolumeRecord> {
        let place = self.path_of(&Item::Volume(record.name.clone()));
        if fs::metadata(&place.join(DATA))?.is_some() {
            let bytes = fs::read_optional(&place.join(RECORD))?.unwrap_or_default();
            let found = serde_json::from_slice(&bytes).ok().and_then(|json| from_json(&json));
            return Ok(found.filter(|found| found.name == record.name).unwrap_or(record.clone()));
        }
        // A store of the format before has no such folder.
        fs::ensure_dir(&self.paths.root.join(layout::VOLUMES), 0o700)?;
        fs::rename(pending, &place)?;
        Ok(record.clone())
    }

    /// A directory to be filled with the first content of the volume `name`.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn begin_volume_content(&self, name: &VolumeName) -> Result<PendingContent<'_>> {
        let workspace = self.begin(&[])?;
        fs::create_dir(&workspace.path().join(PENDING), 0o755)?;
        Ok(PendingContent { store: self, workspace, name: name.clone() })
    }

    /// True if nothing is in the volume `name`.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn is_volume_empty(&self, name: &VolumeName) -> Result<bool> {
        Ok(fs::list(&self.volume_data(name))?.is_empty())
    }
}

/// Content on its way into an empty volume. Dropped without a commit, it is
/// removed.
#[derive(Debug)]
pub struct PendingContent<'store> {
    store: &'store Store,
    workspace: Workspace,
    name: VolumeName,
}

impl PendingContent<'_> {
    /// The directory that becomes the volume's, with its owner and mode.
    pub fn directory(&self) -> PathBuf {
        self.workspace.path().join(PENDING)
    }

    /// Puts the content into the volume, for its user `container` if it is for
    /// one. False if something is in it: that stays, and this goes.
    ///
    /// # Errors
    /// `NotFound` if there is no such volume; those of the disk.
    pub fn commit(self, container: Option<&ContainerId>) -> Result<bool> {
        let Self { store, workspace, name } = self;
        let pending = workspace.path().join(PENDING);
        let data = store.volume_data(&name);
        let filled = store.write("fill a volume of", |transaction| {
            find(transaction, &name)?.ok_or_else(|| no_such_volume(&name))?;
            if !store.is_volume_empty(&name)? {
                return Ok(false);
            }
            let users = volume_use::users_of(transaction, &store.tmp(), &name)?;
            if users.iter().all(|user| Some(&user.container) == container) {
                fs::rename(&pending, &data)?;
            } else {
                move_in(&pending, &data)?;
            }
            Ok(true)
        })?;
        store.settle(workspace).map(|()| filled)
    }
}

/// Moves what is in `from` to `to`, where a container may write meanwhile: its
/// files stay. Then `to` gets the owner, mode and time of `from`.
fn move_in(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::list(from)? {
        let (old, new) = (from.join(&entry), to.join(&entry));
        match renameat_with(CWD, &old, CWD, &new, RenameFlags::NOREPLACE) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(Error::io("fill", &new, error)),
        }
    }
    let wanted = Dir::open(from)?.own_metadata()?;
    let Some(parent) = to.parent() else { return Ok(()) };
    let (parent, name) = (Dir::open(parent)?, OsStr::new(DATA));
    parent.set_owner(name, Owner { uid: wanted.uid, gid: wanted.gid })?;
    // After the owner: chown(2) clears the set-ID bits.
    parent.set_mode(name, wanted.mode)?;
    parent.set_mtime(name, wanted.mtime)
}

const QUERY: &str = "SELECT name, labels, options, created_s, created_ns, anonymous FROM volumes";

fn find(connection: &Connection, name: &VolumeName) -> Result<Option<VolumeRecord>, Failure> {
    let mut statement = connection.prepare_cached(&format!("{QUERY} WHERE name = ?1"))?;
    Ok(statement.query_row([name.as_str()], from_row).optional()?)
}

/// Writes the row of a volume that has none.
pub(super) fn insert(connection: &Connection, record: &VolumeRecord) -> Result<(), Failure> {
    connection.execute(
        "INSERT INTO volumes VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            record.name.as_str(),
            DRIVER,
            json!(record.labels).to_string(),
            json!(record.options).to_string(),
            record.created_at.seconds,
            record.created_at.nanoseconds,
            record.anonymous,
        ],
    )?;
    Ok(())
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<VolumeRecord> {
    let map = |index: usize| {
        serde_json::from_str(row.get_ref(index)?.as_str()?)
            .map_err(|error| unreadable(index, error))
    };
    Ok(VolumeRecord {
        name: parsed(row, 0)?,
        labels: map(1)?,
        options: map(2)?,
        created_at: time(row, 3)?.unwrap_or_default(),
        anonymous: row.get(5)?,
    })
}

fn to_json(record: &VolumeRecord) -> Value {
    json!({
        "name": record.name,
        "driver": DRIVER,
        "labels": record.labels,
        "options": record.options,
        "created": [record.created_at.seconds, i64::from(record.created_at.nanoseconds)],
        "anonymous": record.anonymous,
    })
}

/// `None` for what [`to_json`] did not write.
pub(super) fn from_json(json: &Value) -> Option<VolumeRecord> {
    let map = |key: &str| serde_json::from_value(json.get(key)?.clone()).ok();
    let (seconds, nanoseconds) = serde_json::from_value(json.get("created")?.clone()).ok()?;
    Some(VolumeRecord {
        name: json.get("name")?.as_str()?.parse().ok()?,
        labels: map("labels")?,
        options: map("options")?,
        created_at: Timestamp { seconds, nanoseconds },
        anonymous: json.get("anonymous")?.as_bool()?,
    })
}

fn happened(action: &str, name: &VolumeName) -> Event {
    Event {
        time: Timestamp::now(),
        kind: "volume".into(),
        action: action.into(),
        id: name.to_string(),
        attributes: BTreeMap::from([("driver".to_owned(), DRIVER.to_owned())]),
    }
}

fn no_such_volume(name: &VolumeName) -> Error {
    Error::not_found(format!("no such volume: {name}")).hint("list them with `envbox volume ls`")
}

fn in_use(name: &VolumeName, users: &[volume_use::VolumeUser]) -> Error {
    let mut names: Vec<&str> = users.iter().map(|user| user.name.as_str()).collect();
    names.dedup();
    let noun = if names.len() == 1 { "container" } else { "containers" };
    Error::new(
        Kind::InUse,
        format!("cannot remove volume {name}: it is in use by {noun} {}", names.join(", ")),
    )
    .hint(format!("remove what uses it first: envbox rm {}", names.join(" ")))
}
