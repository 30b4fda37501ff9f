//! From what was found to the rows to write. Pure: no file, no database.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::digest::{ChainId, DiffId, Digest};
use crate::fs::Timestamp;
use crate::id::{ContainerName, VolumeName};
use crate::oci::Descriptor;
use crate::reference::ImageRef;

use super::super::image_index::IndexRow;
use super::super::record::{ContainerCopy, LayerCopy, ToldImage};
use super::super::volume_use::VolumeUse;
use super::super::{ContainerRecord, LayerRecord, tag};
use super::Known;
use super::scan::{Found, FoundImage, FoundVolume, Odd};

/// The most that a layer may hold, in bytes: as many as a config can name hold less
/// than SQLite can add up. Whoever says more is wrong.
const LARGEST: u64 = 1 << 46;

/// The rows to write, in an order in which none comes before one that it refers
/// to.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Plan {
    pub(super) layers: Vec<LayerRecord>,
    pub(super) images: Vec<PlannedImage>,
    pub(super) indexes: Vec<PlannedIndex>,
    pub(super) volumes: Vec<FoundVolume>,
    pub(super) containers: Vec<PlannedContainer>,
    /// What is not taken up.
    pub(super) left: Vec<Odd>,
    /// What is lost of what is, a sentence each.
    pub(super) lost: Vec<String>,
}

/// An image to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PlannedImage {
    pub(super) image: FoundImage,
    pub(super) imported_at: Timestamp,
    pub(super) size: u64,
    pub(super) names: Vec<ImageRef>,
    /// Which of the names led to an index.
    pub(super) indexes: Vec<(ImageRef, Digest)>,
}

impl PlannedImage {
    /// The index that `name` leads to, if it is one of `planned`.
    pub(super) fn index_of(&self, name: &ImageRef, planned: &[PlannedIndex]) -> Option<Digest> {
        let told = self.indexes.iter().find(|(known, _)| known == name).map(|(_, index)| *index);
        told.filter(|index| planned.iter().any(|one| one.digest == *index))
    }
}

/// An index to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PlannedIndex {
    pub(super) digest: Digest,
    pub(super) images: Vec<IndexRow>,
}

/// A container to write.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PlannedContainer {
    pub(super) record: ContainerRecord,
    pub(super) volumes: Vec<VolumeUse>,
}

/// The layers of images to be taken up of whose content nothing tells the size.
pub(super) fn unmeasured(found: &Found, known: &Known) -> Vec<ChainId> {
    let sources = Sources::of(found, known, &HashMap::new());
    let mut chains: Vec<ChainId> = found
        .images
        .iter()
        .flat_map(|image| ChainId::stack(&image.diff_ids))
        .filter(|chain| found.layers.contains(chain) && sources.record(*chain).is_none())
        .collect();
    chains.sort_unstable();
    chains.dedup();
    chains
}

/// The rows that make what was found known; `measured` has the sizes of the
/// content of layers.
pub(super) fn rows(found: &Found, known: &Known, measured: &HashMap<ChainId, u64>) -> Plan {
    let mut planner = Planner {
        sources: Sources::of(found, known, measured),
        found,
        known,
        planned: HashSet::new(),
        plan: Plan { left: found.odd.clone(), ..Plan::default() },
    };
    planner.images();
    planner.indexes();
    planner.plan.volumes.clone_from(&found.volumes);
    planner.containers();
    planner.tell_losses();
    planner.plan
}

/// What is known of each layer, wherever it is told.
struct Sources {
    layers: HashMap<ChainId, Layer>,
}

#[derive(Clone, Copy)]
struct Layer {
    parent: Option<ChainId>,
    diff_id: DiffId,
    tar_size: u64,
    content_size: Option<u64>,
}

impl Sources {
    fn of(found: &Found, known: &Known, measured: &HashMap<ChainId, u64>) -> Self {
        let mut sources = Self { layers: HashMap::new() };
        for copy in &found.containers {
            let diff_ids: Vec<DiffId> = copy.layers.iter().map(|layer| layer.diff_id).collect();
            let size = |layer: &LayerCopy| (layer.tar_size, Some(layer.content_size));
            sources.add(&diff_ids, copy.layers.iter().map(size));
        }
        for image in &found.images {
            let told = found.index.as_ref().and_then(|index| index.get(&image.manifest));
            let content = told.map_or(&[][..], |told| &told.content_sizes);
            let content = Some(content).filter(|sizes| sizes.len() == image.diff_ids.len());
            let chains = ChainId::stack(&image.diff_ids);
            let sizes = image.tar_sizes.iter().zip(chains).enumerate();
            let sizes = sizes.map(|(position, (&tar_size, chain))| {
                let content = content.map(|sizes| sizes[position]);
                (tar_size, content.or_else(|| measured.get(&chain).copied()))
            });
            sources.add(&image.diff_ids, sizes);
        }
        for layer in known.layers.values() {
            let LayerRecord { parent, diff_id, tar_size, content_size, .. } = *layer;
            let layer_of = Layer { parent, diff_id, tar_size, content_size: Some(content_size) };
            sources.layers.insert(layer.chain_id, layer_of);
        }
        sources
    }

    /// Takes in a stack of layers. What has a size already keeps it.
    fn add(&mut self, diff_ids: &[DiffId], sizes: impl Iterator<Item = (u64, Option<u64>)>) {
        let mut parent = None;
        for (&diff_id, (tar_size, content_size)) in diff_ids.iter().zip(sizes) {
            let chain = ChainId::extend(parent, diff_id);
            let content_size = content_size.filter(|size| *size <= LARGEST);
            let tar_size = tar_size.min(LARGEST);
            let layer = Layer { parent, diff_id, tar_size, content_size };
            let known = self.layers.entry(chain).or_insert(layer);
            known.content_size = known.content_size.or(content_size);
            parent = Some(chain);
        }
    }

    fn record(&self, chain: ChainId) -> Option<LayerRecord> {
        let layer = self.layers.get(&chain)?;
        Some(LayerRecord {
            chain_id: chain,
            diff_id: layer.diff_id,
            parent: layer.parent,
            tar_size: layer.tar_size,
            content_size: layer.content_size?,
        })
    }

    /// The stack below `top` and itself, the lowest first; or the layer of which
    /// too little is known. A chain ID is a hash over its parent's, so no stack
    /// goes round.
    fn stack(&self, top: Option<ChainId>) -> Result<Vec<LayerRecord>, ChainId> {
        let (mut stack, mut next) = (Vec::new(), top);
        while let Some(chain) = next {
            let record = self
                .record(chain)
                .filter(|record| ChainId::extend(record.parent, record.diff_id) == chain);
            let record = record.ok_or(chain)?;
            next = record.parent;
            stack.push(record);
        }
        stack.reverse();
        Ok(stack)
    }
}

struct Planner<'a> {
    sources: Sources,
    found: &'a Found,
    known: &'a Known,
    planned: HashSet<ChainId>,
    plan: Plan,
}

impl Planner<'_> {
    fn images(&mut self) {
        let told = |image: &FoundImage| {
            self.found.index.as_ref().and_then(|index| index.get(&image.manifest)).cloned()
        };
        // Of several manifests of one config that which the index knows.
        let mut images: Vec<(FoundImage, Option<ToldImage>)> =
            self.found.images.iter().map(|image| (image.clone(), told(image))).collect();
        images.sort_by_key(|(image, told)| (image.id, told.is_none(), image.manifest));
        images.dedup_by_key(|(image, _)| image.id);
        let mut names: BTreeSet<(String, String)> = self.known.names.clone();
        for (image, told) in images {
            let path = format!("blobs/sha256/{}", image.manifest.encoded());
            match self.layers(ChainId::stack(&image.diff_ids).last().copied()) {
                Ok(size) => {
                    let told = told.unwrap_or_default();
                    let is_free = |name: &ImageRef| names.insert(tag::key(name));
                    self.plan.images.push(PlannedImage {
                        imported_at: told.imported_at.unwrap_or(image.stored_at),
                        size,
                        names: told.names.into_iter().filter(is_free).collect(),
                        indexes: told.indexes,
                        image,
                    });
                }
                Err(why) => self.plan.left.push(Odd { path, why }),
            }
        }
    }

    /// An index is taken up with all of its images, or not at all.
    fn indexes(&mut self) {
        let taken: HashSet<_> = self.plan.images.iter().map(|planned| planned.image.id).collect();
        let images: HashMap<Digest, &FoundImage> = self
            .found
            .images
            .iter()
            .filter(|image| taken.contains(&image.id))
            .map(|image| (image.manifest, image))
            .collect();
        for (digest, index) in &self.found.indexes {
            let row = |member: &Descriptor| {
                let image = images.get(&member.digest)?;
                let platform = member.platform.clone().unwrap_or_else(|| image.platform.clone());
                Some(IndexRow { image: image.id, manifest: member.digest, platform })
            };
            match index.manifests.iter().map(row).collect::<Option<Vec<_>>>() {
                Some(images) if !images.is_empty() => {
                    self.plan.indexes.push(PlannedIndex { digest: *digest, images });
                }
                _ => self.plan.left.push(Odd {
                    path: format!("blobs/sha256/{}", digest.encoded()),
                    why: "an image that it has is missing or damaged".to_owned(),
                }),
            }
        }
    }

    /// Plans the layers of the stack `top`; returns what their files hold, in
    /// bytes, or why they cannot be.
    fn layers(&mut self, top: Option<ChainId>) -> Result<u64, String> {
        let stack = self
            .sources
            .stack(top)
            .map_err(|chain| format!("its layer {chain} is missing or damaged"))?;
        let is_new = |layer: &&LayerRecord| !self.known.layers.contains_key(&layer.chain_id);
        let new: Vec<LayerRecord> = stack.iter().filter(is_new).copied().collect();
        // Beside a database that works, what is not whole was on its way out.
        if let Some(gone) = new
            .iter()
            .find(|layer| !self.known.is_nothing && !self.found.layers.contains(&layer.chain_id))
        {
            return Err(format!("its layer {} is missing", gone.chain_id));
        }
        for layer in new {
            if self.planned.insert(layer.chain_id) {
                self.plan.layers.push(layer);
            }
        }
        Ok(stack.iter().fold(0u64, |sum, layer| sum.saturating_add(layer.content_size)))
    }

    fn containers(&mut self) {
        let mut copies: Vec<&ContainerCopy> = self.found.containers.iter().collect();
        copies.sort_by_key(|copy| (copy.record().created_at, copy.id.clone()));
        let mut names: BTreeSet<ContainerName> = self.known.container_names.clone();
        let volumes: BTreeSet<&VolumeName> = self
            .known
            .volumes
            .iter()
            .chain(self.found.volumes.iter().map(|volume| &volume.record.name))
            .collect();
        for copy in copies {
            if let Err(why) = self.layers(copy.chain) {
                let path = format!("containers/{}", copy.id);
                self.plan.left.push(Odd { path, why });
                continue;
            }
            let mut record = copy.record();
            if !names.insert(record.name.clone()) {
                // An older envbox did not copy new names.
                let Ok(other) = copy.id.short().parse::<ContainerName>() else { continue };
                let (id, name) = (&copy.id, &record.name);
                let told = format!("container {id} is called {other}: {name} is another one");
                self.plan.lost.push(told);
                names.insert(other.clone());
                record.name = other;
            }
            if copy.state.is_none() {
                let told = format!("what became of container {} until now is lost", record.name);
                self.plan.lost.push(told);
            }
            let (there, gone): (Vec<_>, Vec<_>) =
                copy.volumes.iter().cloned().partition(|used| volumes.contains(&used.volume));
            self.plan.lost.extend(gone.into_iter().map(|used| {
                let VolumeUse { volume, target, .. } = used;
                format!("the volume {volume} of container {} at {target} is gone", record.name)
            }));
            self.plan.containers.push(PlannedContainer { record, volumes: there });
        }
    }

    fn tell_losses(&mut self) {
        let untold = self.found.volumes.iter().filter(|volume| !volume.is_told);
        self.plan.lost.extend(
            untold.map(|volume| {
                format!("labels and options of volume {} are lost", volume.record.name)
            }),
        );
        if !self.known.is_nothing {
            return;
        }
        let Some(index) = &self.found.index else {
            if !self.plan.images.is_empty() {
                let told = "the names of images are lost, since there is no index.json that can \
                            be read: give them again with envbox tag";
                self.plan.lost.push(told.to_owned());
            }
            return;
        };
        let taken: BTreeMap<Digest, &PlannedImage> =
            self.plan.images.iter().map(|image| (image.image.manifest, image)).collect();
        let gone = index.iter().filter(|(manifest, _)| !taken.contains_key(manifest));
        let lost = gone
            .flat_map(|(_, image)| &image.names)
            .map(|name| format!("the image {} is lost", tag::full_name(name)));
        self.plan.lost.extend(lost.collect::<Vec<_>>());
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
