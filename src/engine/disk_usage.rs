//! `envbox system df`: how much of the disk images, containers and volumes
//! take, and how much of it nobody uses.
//!
//! What layers hold is in the database; what containers wrote and what is in
//! volumes is counted where it lies. A layer of several images counts once in
//! every sum.

use std::collections::{BTreeMap, BTreeSet};

use crate::digest::{ChainId, ImageId};
use crate::error::{Kind, Result};
use crate::fs;
use crate::id::{ContainerId, VolumeName};
use crate::store::{ContainerRecord, ImageRecord, LayerRecord, Store, VolumeUser};

use super::running::Running;
use super::{ContainerSummary, Engine, VolumeDetails};

/// How much of the disk everything takes.
#[derive(Clone, Debug, Default)]
pub struct DiskUsage {
    /// The images, the newest first.
    pub images: Vec<ImageDisk>,
    /// What all layers hold, in bytes.
    pub layers: u64,
    /// What those of them hold on which neither a container stands nor an image
    /// that has one, in bytes.
    pub reclaimable_layers: u64,
    /// The containers, the newest first.
    pub containers: Vec<ContainerDisk>,
    /// The volumes, by name.
    pub volumes: Vec<VolumeDisk>,
}

/// What an image takes.
#[derive(Clone, Debug)]
pub struct ImageDisk {
    /// The image.
    pub image: ImageRecord,
    /// Of its layers that other images have as well, in bytes.
    pub shared: u64,
    /// Of its layers that it alone has, in bytes.
    pub unique: u64,
    /// How many containers were made from it.
    pub containers: usize,
}

/// What a container takes.
#[derive(Clone, Debug)]
pub struct ContainerDisk {
    /// The container.
    pub container: ContainerSummary,
    /// How many volumes it has.
    pub volumes: usize,
    /// Of the files that it wrote, or of all if it has a copy of its image's, in
    /// bytes; none of one that goes with its end.
    pub written: u64,
}

/// What a volume takes.
#[derive(Clone, Debug)]
pub struct VolumeDisk {
    /// The volume.
    pub volume: VolumeDetails,
    /// How many containers have it.
    pub links: usize,
    /// Of its files, in bytes.
    pub size: u64,
}

impl DiskUsage {
    /// What all containers wrote, in bytes.
    pub fn written(&self) -> u64 {
        self.containers.iter().map(|found| found.written).sum()
    }

    /// What those wrote that do not run, in bytes.
    pub fn reclaimable_written(&self) -> u64 {
        let ended = self.containers.iter().filter(|found| !found.container.status.is_up());
        ended.map(|found| found.written).sum()
    }

    /// What is in all volumes, in bytes.
    pub fn stored(&self) -> u64 {
        self.volumes.iter().map(|found| found.size).sum()
    }

    /// What is in those that no container has, in bytes.
    pub fn reclaimable_stored(&self) -> u64 {
        let unused = self.volumes.iter().filter(|found| found.links == 0);
        unused.map(|found| found.size).sum()
    }
}

impl Engine {
    /// Counts how much of the disk everything takes; nothing, where there is no
    /// store.
    ///
    /// # Errors
    /// Those of the store, of the run directory, and of reading directories.
    pub fn disk_usage(&self) -> Result<DiskUsage> {
        // Files may belong to IDs that only the user namespace may read.
        self.host()?;
        let summaries = self.containers()?;
        let Some(store) = self.existing_store()? else { return Ok(DiskUsage::default()) };
        let (running, kept) = self.look(|| store.containers())?;
        let users = store.volume_users()?;
        let layers = Layers::of(&store.layer_records()?);
        let stands = Standing::of(&running, &kept);
        let images = self.images(&[])?;
        Ok(DiskUsage {
            layers: layers.total(),
            reclaimable_layers: layers.total() - layers.used(&images, &stands),
            images: layers.shares(images, &stands),
            containers: self.container_disks(store, summaries, &users)?,
            volumes: self.volume_disks(&users)?,
        })
    }

    fn container_disks(
        &self,
        store: &Store,
        summaries: Vec<ContainerSummary>,
        users: &[VolumeUser],
    ) -> Result<Vec<ContainerDisk>> {
        let mut volumes: BTreeMap<&ContainerId, BTreeSet<&VolumeName>> = BTreeMap::new();
        for user in users {
            volumes.entry(&user.container).or_default().insert(&user.used.volume);
        }
        let disk = |container: ContainerSummary| {
            let written = match store.container(container.id.as_str()) {
                Ok(record) => self.occupied(store, &record),
                Err(error) => Err(error),
            };
            let written = match written {
                // It is not kept, or has gone meanwhile.
                Err(error) if error.kind() == Kind::NotFound => 0,
                other => other?,
            };
            let volumes = volumes.get(&container.id).map_or(0, BTreeSet::len);
            Ok(ContainerDisk { container, volumes, written })
        };
        summaries.into_iter().map(disk).collect()
    }

    fn volume_disks(&self, users: &[VolumeUser]) -> Result<Vec<VolumeDisk>> {
        let mut links: BTreeMap<&VolumeName, BTreeSet<&ContainerId>> = BTreeMap::new();
        for user in users {
            links.entry(&user.used.volume).or_default().insert(&user.container);
        }
        let disk = |volume: VolumeDetails| {
            let links = links.get(&volume.record.name).map_or(0, BTreeSet::len);
            let size = match fs::tree_size(&volume.mountpoint) {
                // It has gone meanwhile.
                Err(error) if error.kind() == Kind::NotFound => 0,
                other => other?,
            };
            Ok(VolumeDisk { volume, links, size })
        };
        self.volumes(&[])?.into_iter().map(disk).collect()
    }
}

/// What stands on images and layers: each container, once.
struct Standing {
    images: BTreeMap<ImageId, usize>,
    chains: BTreeSet<ChainId>,
}

impl Standing {
    fn of(running: &[Running], kept: &[ContainerRecord]) -> Self {
        let mut on: BTreeMap<&ContainerId, ImageId> = BTreeMap::new();
        on.extend(running.iter().filter_map(|found| Some((&found.id, found.image?))));
        on.extend(kept.iter().map(|record| (&record.id, record.image)));
        let mut images = BTreeMap::new();
        for image in on.into_values() {
            *images.entry(image).or_default() += 1;
        }
        // An image that was removed by force left its layers to its containers.
        let chains = kept.iter().filter_map(|record| record.chain).collect();
        Self { images, chains }
    }

    fn on(&self, image: &ImageRecord) -> usize {
        self.images.get(&image.id).copied().unwrap_or(0)
    }
}

/// Every layer's parent and size.
struct Layers(BTreeMap<ChainId, (Option<ChainId>, u64)>);

impl Layers {
    fn of(records: &[LayerRecord]) -> Self {
        let layer = |layer: &LayerRecord| (layer.chain_id, (layer.parent, layer.content_size));
        Self(records.iter().map(layer).collect())
    }

    fn size(&self, chain: &ChainId) -> u64 {
        self.0.get(chain).map_or(0, |(_, size)| *size)
    }

    fn total(&self) -> u64 {
        self.0.values().map(|(_, size)| size).sum()
    }

    /// What the layers hold on which something stands.
    fn used(&self, images: &[ImageRecord], stands: &Standing) -> u64 {
        let mut used = BTreeSet::new();
        let of_images = images.iter().filter(|image| stands.on(image) > 0);
        let tops = of_images.filter_map(ImageRecord::chain).chain(stands.chains.iter().copied());
        for top in tops {
            let mut next = Some(top);
            // Below one that is known all are.
            while let Some(chain) = next.filter(|chain| used.insert(*chain)) {
                next = self.0.get(&chain).and_then(|(parent, _)| *parent);
            }
        }
        used.iter().map(|chain| self.size(chain)).sum()
    }

    /// How much of each image is its own.
    fn shares(&self, images: Vec<ImageRecord>, stands: &Standing) -> Vec<ImageDisk> {
        let mut owners: BTreeMap<ChainId, usize> = BTreeMap::new();
        for chain in images.iter().flat_map(|image| &image.layers) {
            *owners.entry(*chain).or_default() += 1;
        }
        let share = |image: ImageRecord| {
            let own = |chain: &&ChainId| owners.get(chain) == Some(&1);
            let unique = image.layers.iter().filter(own).map(|chain| self.size(chain)).sum();
            let whole: u64 = image.layers.iter().map(|chain| self.size(chain)).sum();
            ImageDisk { containers: stands.on(&image), shared: whole - unique, unique, image }
        };
        images.into_iter().map(share).collect()
    }
}

#[cfg(test)]
mod tests;
