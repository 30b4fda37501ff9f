//! `envbox volume`: what can be asked of the store's volumes. What containers
//! see of them is in `attach`, how an image's content gets in in `copy`, what
//! a volume's options mean in `local`.

mod attach;
mod copy;
mod inherit;
mod local;
mod point;
mod transfer;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::error::{Error, Kind, Result};
use crate::fs::{self, Timestamp};
use crate::id::VolumeName;
use crate::store::{Store, VolumeRecord, VolumeUser};

use super::Engine;

pub use inherit::VolumesFrom;
pub use point::{MountOrigin, MountPoint};

pub(super) use attach::{AttachedVolumes, with_image_volumes};
pub(super) use inherit::InheritedMounts;
use local::LocalVolume;

/// A volume that is to be made.
#[derive(Clone, Debug, Default)]
pub struct VolumeRequest {
    /// Its name; 64 random hex digits without one.
    pub name: Option<VolumeName>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Options of the driver `local`: `type`, `device`, `o`.
    pub options: BTreeMap<String, String>,
}

/// What is known of a volume.
#[derive(Clone, Debug)]
pub struct VolumeDetails {
    /// What the store keeps of it.
    pub record: VolumeRecord,
    /// Where its files lie on the host.
    pub mountpoint: PathBuf,
}

/// What a volume in a list must be like. Of several `Name`s and of several
/// `Driver`s one must hold, of the others all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VolumeFilter {
    /// Whether no container has it.
    Dangling(bool),
    /// This is part of its name.
    Name(String),
    /// It has this label, with this value if one is given.
    Label(String, Option<String>),
    /// It has not.
    NotLabel(String, Option<String>),
    /// Its driver.
    Driver(String),
}

/// Which of the unused volumes [`Engine::prune_volumes`] removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PruneScope {
    /// Those that were made for one container.
    Anonymous,
    /// All.
    All,
}

/// What becomes of a container's anonymous volumes when it is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnVolumes {
    /// They stay, for `volume prune`.
    Kept,
    /// They go, but for those that others use: `rm -v`.
    Removed,
}

/// What [`Engine::prune_volumes`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrunedVolumes {
    /// What was removed.
    pub names: Vec<VolumeName>,
    /// What their files held, in bytes.
    pub reclaimed: u64,
}

impl Engine {
    /// Makes a volume. One that is there by the same options and labels, or
    /// asked for without any, is success, as in docker.
    ///
    /// # Errors
    /// `AlreadyExists` if it is there with others; `Invalid` and `Unsupported`
    /// for options that make no sense.
    pub fn create_volume(&self, request: &VolumeRequest) -> Result<VolumeName> {
        LocalVolume::parse(&request.options)?;
        let record = VolumeRecord {
            name: match &request.name {
                Some(name) => name.clone(),
                None => attach::random_name()?,
            },
            labels: request.labels.clone(),
            options: request.options.clone(),
            created_at: Timestamp::now(),
            anonymous: request.name.is_none(),
        };
        let found = self.store()?.ensure_volume(&record)?;
        let differs = |asked: &BTreeMap<_, _>, has| !asked.is_empty() && asked != has;
        if differs(&record.options, &found.options) || differs(&record.labels, &found.labels) {
            return Err(Error::new(
                Kind::AlreadyExists,
                format!("volume {} exists with other options or labels", found.name),
            )
            .hint(format!(
                "look at it with `envbox volume inspect {0}`, or remove it first: \
                 envbox volume rm {0}",
                found.name
            )));
        }
        Ok(found.name)
    }

    /// The volumes for which `filters` hold, by name.
    ///
    /// # Errors
    /// Those of the store.
    pub fn volumes(&self, filters: &[VolumeFilter]) -> Result<Vec<VolumeDetails>> {
        let Some(store) = self.existing_store()? else { return Ok(Vec::new()) };
        let looks_at_use = filters.iter().any(|filter| matches!(filter, VolumeFilter::Dangling(_)));
        let users = if looks_at_use { store.volume_users()? } else { Vec::new() };
        let mut volumes = store.volumes()?;
        volumes.retain(|volume| matches(filters, volume, &users));
        Ok(volumes.into_iter().map(|record| details(store, record)).collect())
    }

    /// The volume `name`.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn volume(&self, name: &str) -> Result<VolumeDetails> {
        let store = self.existing_store()?.ok_or_else(|| no_such_volume(name))?;
        // What is no name of a volume is the name of none.
        let parsed = name.parse().map_err(|_| no_such_volume(name))?;
        Ok(details(store, store.volume(&parsed)?))
    }

    /// Removes the volume `name`.
    ///
    /// # Errors
    /// `NotFound`; `InUse`, with the containers' names.
    pub fn remove_volume(&self, name: &str) -> Result<()> {
        let parsed = name.parse().map_err(|_| no_such_volume(name))?;
        self.store()?.remove_volume(&parsed)
    }

    /// Removes volumes that no container has, and for which `filters` hold.
    ///
    /// # Errors
    /// Those of the store. What a container took meanwhile stays.
    pub fn prune_volumes(
        &self,
        scope: PruneScope,
        filters: &[VolumeFilter],
    ) -> Result<PrunedVolumes> {
        let store = self.store()?;
        let users = store.volume_users()?;
        let mut pruned = PrunedVolumes::default();
        for volume in store.volumes()? {
            let in_scope = scope == PruneScope::All || volume.anonymous;
            let used = users.iter().any(|user| user.used.volume == volume.name);
            if !in_scope || used || !matches(filters, &volume, &users) {
                continue;
            }
            let size = fs::tree_size(&store.volume_data(&volume.name))?;
            match store.remove_volume(&volume.name) {
                Ok(()) => {
                    pruned.reclaimed += size;
                    pruned.names.push(volume.name);
                }
                Err(error) if matches!(error.kind(), Kind::InUse | Kind::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        self.note_prune("volume", pruned.reclaimed);
        Ok(pruned)
    }
}

fn details(store: &Store, record: VolumeRecord) -> VolumeDetails {
    VolumeDetails { mountpoint: store.volume_data(&record.name), record }
}

fn no_such_volume(name: &str) -> Error {
    Error::not_found(format!("no such volume: {name}")).hint("list them with `envbox volume ls`")
}

fn matches(filters: &[VolumeFilter], volume: &VolumeRecord, users: &[VolumeUser]) -> bool {
    let any = |mut hits: Vec<bool>| hits.is_empty() || hits.drain(..).any(|hit| hit);
    let has = |key: &String, value: &Option<String>| {
        let found = volume.labels.get(key);
        found.is_some_and(|found| value.as_ref().is_none_or(|value| value == found))
    };
    let (mut names, mut drivers) = (Vec::new(), Vec::new());
    let all = filters.iter().all(|filter| match filter {
        VolumeFilter::Dangling(dangling) => {
            let used = users.iter().any(|user| user.used.volume == volume.name);
            used != *dangling
        }
        VolumeFilter::Name(part) => {
            names.push(volume.name.as_str().contains(part));
            true
        }
        VolumeFilter::Driver(driver) => {
            drivers.push(driver == "local");
            true
        }
        VolumeFilter::Label(key, value) => has(key, value),
        VolumeFilter::NotLabel(key, value) => !has(key, value),
    });
    all && any(names) && any(drivers)
}
