//! Who uses which volume, and where.
//!
//! A kept container's volumes are rows, which go with its own. A container
//! that goes with its end writes them into its workspace, `volumes`, before it
//! looks for the volumes' rows: they are told from there while its lock is
//! held, and gone with it. The names of those volumes that are to go along
//! stand in `transient` beside it; whoever settles the workspace, be it after
//! `kill -9`, removes these first.
//!
//! Looking and removing are transactions: a remover either sees the user, or
//! has gone before the user makes the volume anew.

use std::path::Path;

use rusqlite::{Connection, Row, params};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::fs;
use crate::id::{ContainerId, ContainerName, VolumeName};

use super::database::{Failure, parsed};
use super::volume::VolumeRecord;
use super::workspace::{self, TRANSIENT, Workspace};
use super::{EphemeralSnapshot, Store, StorePaths};

/// The file of a workspace that names its container and that one's volumes.
const USES: &str = "volumes";

/// A volume at a path of a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeUse {
    /// The volume.
    pub volume: VolumeName,
    /// Where, inside the container.
    pub target: String,
    /// Whether it cannot be written through.
    pub read_only: bool,
}

/// A container that has a volume: one that is kept, or one that lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeUser {
    /// Its ID.
    pub container: ContainerId,
    /// Its name.
    pub name: ContainerName,
    /// What it has, and where.
    pub used: VolumeUse,
}

/// The container for which volumes are made.
#[derive(Clone, Copy, Debug)]
pub struct VolumeHolder<'a> {
    /// Its ID.
    pub id: &'a ContainerId,
    /// Its name.
    pub name: &'a ContainerName,
    /// Where it lies if it goes with its end; none if it is kept, in the store.
    pub snapshot: Option<&'a EphemeralSnapshot>,
}

/// The content of [`USES`].
#[derive(Serialize, Deserialize)]
struct Claim {
    container: ContainerId,
    name: ContainerName,
    uses: Vec<VolumeUse>,
}

impl Store {
    /// Makes the volumes that `holder` is to have, where they are missing, and
    /// notes that it has them, at `wanted`'s places. Anonymous ones go with a
    /// holder that is not kept.
    ///
    /// # Errors
    /// Those of the database and of the disk.
    pub fn hold_volumes(
        &self,
        holder: VolumeHolder<'_>,
        wanted: &[(VolumeRecord, VolumeUse)],
    ) -> Result<Vec<VolumeRecord>> {
        if let Some(snapshot) = holder.snapshot {
            snapshot.claim(holder, wanted)?;
        }
        let link = |used| holder.snapshot.is_none().then_some((holder.id, used));
        wanted.iter().map(|(record, used)| self.ensure_linked(record, link(used))).collect()
    }

    /// The containers that have volumes, kept or living.
    ///
    /// # Errors
    /// Those of the database and of the disk.
    pub fn volume_users(&self) -> Result<Vec<VolumeUser>> {
        self.read("look for the users of volumes in", |connection| users(connection, &self.tmp()))
    }

    /// Lets the anonymous volumes of the kept container `id` go, but for those
    /// that others use: `rm -v`, before the container itself is removed.
    ///
    /// # Errors
    /// Those of the database; else of what could not be removed.
    pub fn release_container_volumes(&self, id: &ContainerId) -> Result<()> {
        let workspace = self.begin(&[])?;
        let released = self.write("remove the volumes of a container from", |transaction| {
            let mut statement = transaction.prepare(
                "SELECT name FROM volumes WHERE anonymous AND name IN
                 (SELECT volume FROM container_volumes WHERE container = ?1)",
            )?;
            let names = statement.query_map([id.as_str()], |row| parsed(row, 0))?;
            let names = names.collect::<rusqlite::Result<Vec<VolumeName>>>()?;
            transaction
                .execute("DELETE FROM container_volumes WHERE container = ?1", [id.as_str()])?;
            for name in names {
                if users_of(transaction, &self.tmp(), &name)?.is_empty() {
                    self.take_volume(transaction, &workspace, &name)?;
                }
            }
            Ok(())
        });
        self.record_container(id);
        self.settle(workspace).and(released)
    }

    /// Removes the volumes that go with `workspace`, but for those that others
    /// use; what holds them there is gone then.
    pub(super) fn release_transient(&self, workspace: &Workspace) -> Result<()> {
        let path = workspace.path().join(TRANSIENT);
        let Some(bytes) = fs::read_optional(&path)? else { return Ok(()) };
        let text = String::from_utf8_lossy(&bytes);
        let own = claim_in(workspace.path())?.map(|claim| claim.container);
        self.hold_lock()?;
        self.database()?.write("remove volumes from", |transaction| {
            for name in text.lines().filter_map(|line| line.parse::<VolumeName>().ok()) {
                let users = users_of(transaction, &self.tmp(), &name)?;
                let others = users.iter().any(|user| Some(&user.container) != own.as_ref());
                let item = workspace::Item::Volume(name.clone());
                if !others && super::is_recorded(transaction, &item)? {
                    self.take_volume(transaction, workspace, &name)?;
                }
            }
            Ok(())
        })?;
        fs::remove_file(&path)
    }
}

impl EphemeralSnapshot {
    fn claim(&self, holder: VolumeHolder<'_>, wanted: &[(VolumeRecord, VolumeUse)]) -> Result<()> {
        let folder = self.workspace.path();
        let anonymous = wanted.iter().filter(|(record, _)| record.anonymous);
        let names: String = anonymous.map(|(record, _)| format!("{}\n", record.name)).collect();
        if !names.is_empty() {
            fs::write_volatile(&folder.join(TRANSIENT), names.as_bytes())?;
        }
        let claim = Claim {
            container: holder.id.clone(),
            name: holder.name.clone(),
            uses: wanted.iter().map(|(_, used)| used.clone()).collect(),
        };
        fs::write_volatile(&folder.join(USES), &crate::oci::to_canonical_json(&claim)?)
    }

    /// Notes that nothing uses volumes here any more. Where volumes are still
    /// to go along, who lets them go has to know whose they were.
    pub(super) fn unclaim(&self) -> Result<()> {
        let folder = self.workspace.path();
        if fs::metadata(&folder.join(TRANSIENT))?.is_some() {
            return Ok(());
        }
        fs::remove_file(&folder.join(USES))
    }

    /// Removes the volumes that go with this snapshot, in the store at
    /// `paths`; to be called when nothing runs in it any more, before
    /// [`EphemeralSnapshot::remove`]. Without such volumes it opens nothing.
    ///
    /// # Errors
    /// Those of the store; the next opener tries again.
    pub fn release_volumes(&self, paths: &StorePaths) -> Result<()> {
        if fs::metadata(&self.workspace.path().join(TRANSIENT))?.is_none() {
            return Ok(());
        }
        let store = Store::open(paths)?;
        store.release_transient(&self.workspace)
    }
}

/// Notes that the kept container `container` has a volume at a path, where it
/// may have had another one.
pub(super) fn insert(
    connection: &Connection,
    container: &ContainerId,
    used: &VolumeUse,
) -> Result<(), Failure> {
    connection.execute(
        "INSERT OR REPLACE INTO container_volumes VALUES (?1, ?2, ?3, ?4)",
        params![container.as_str(), used.target, used.volume.as_str(), used.read_only],
    )?;
    Ok(())
}

/// The volumes of the kept container `id`, by their places.
pub(super) fn uses_of(
    connection: &Connection,
    id: &ContainerId,
) -> Result<Vec<VolumeUse>, Failure> {
    let mut statement = connection.prepare_cached(
        "SELECT volume, target, read_only FROM container_volumes WHERE container = ?1
         ORDER BY target",
    )?;
    let rows = statement.query_map([id.as_str()], |row| {
        Ok(VolumeUse { volume: parsed(row, 0)?, target: row.get(1)?, read_only: row.get(2)? })
    })?;
    Ok(rows.collect::<rusqlite::Result<Vec<VolumeUse>>>()?)
}

/// Those who use the volume `name`.
pub(super) fn users_of(
    connection: &Connection,
    tmp: &Path,
    name: &VolumeName,
) -> Result<Vec<VolumeUser>, Failure> {
    let mut users = users(connection, tmp)?;
    users.retain(|user| user.used.volume == *name);
    Ok(users)
}

fn users(connection: &Connection, tmp: &Path) -> Result<Vec<VolumeUser>, Failure> {
    let mut statement = connection.prepare_cached(
        "SELECT id, name, volume, target, read_only FROM container_volumes
         JOIN containers ON id = container ORDER BY name, target",
    )?;
    let rows = statement.query_map([], from_row)?;
    let mut users = rows.collect::<rusqlite::Result<Vec<VolumeUser>>>()?;
    for workspace in workspace::held_with(tmp, USES)? {
        let Some(claim) = claim_in(&workspace)? else { continue };
        let Claim { container, name, uses } = claim;
        let user = |used| VolumeUser { container: container.clone(), name: name.clone(), used };
        users.extend(uses.into_iter().map(user));
    }
    Ok(users)
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<VolumeUser> {
    Ok(VolumeUser {
        container: parsed(row, 0)?,
        name: parsed(row, 1)?,
        used: VolumeUse { volume: parsed(row, 2)?, target: row.get(3)?, read_only: row.get(4)? },
    })
}

fn claim_in(workspace: &Path) -> Result<Option<Claim>> {
    let path = workspace.join(USES);
    let Some(bytes) = fs::read_optional(&path)? else { return Ok(None) };
    let unreadable =
        |error| Error::invalid(format!("{} is not readable", path.display())).because(error);
    serde_json::from_slice(&bytes).map(Some).map_err(unreadable)
}
