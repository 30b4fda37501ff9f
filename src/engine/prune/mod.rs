//! `envbox image prune` and `envbox system prune`: what nobody uses goes. How
//! containers and volumes are pruned is told where they live; this knows the
//! order, and the filters that all of them understand.

mod images;

use std::collections::BTreeMap;

use crate::error::{Error, Kind, Result};
use crate::fs::Timestamp;
use crate::store::{Collected, Event};

use super::{ContainerFilter, Engine, PruneScope, PrunedContainers, PrunedVolumes, VolumeFilter};

pub use images::{ImageScope, PrunedImages};

/// What must be true of what is pruned; all must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PruneFilter {
    /// It was made before this time.
    Until(Timestamp),
    /// It has this label, with this value if there is one.
    Label(String, Option<String>),
    /// It has not this label, or not with this value.
    NotLabel(String, Option<String>),
}

impl From<&PruneFilter> for ContainerFilter {
    fn from(filter: &PruneFilter) -> Self {
        match filter.clone() {
            PruneFilter::Until(time) => Self::Until(time),
            PruneFilter::Label(key, value) => Self::Label(key, value),
            PruneFilter::NotLabel(key, value) => Self::NoLabel(key, value),
        }
    }
}

impl TryFrom<&PruneFilter> for VolumeFilter {
    type Error = Error;

    /// docker: nobody asks a volume for its age.
    fn try_from(filter: &PruneFilter) -> Result<Self> {
        match filter.clone() {
            PruneFilter::Until(_) => {
                Err(Error::invalid("the \"until\" filter is not supported with \"--volumes\"")
                    .hint("leave one of the two out"))
            }
            PruneFilter::Label(key, value) => Ok(Self::Label(key, value)),
            PruneFilter::NotLabel(key, value) => Ok(Self::NotLabel(key, value)),
        }
    }
}

/// What [`Engine::prune_system`] is to remove beside stopped containers.
#[derive(Clone, Debug)]
pub struct SystemPrune {
    /// Which images.
    pub images: ImageScope,
    /// Also the anonymous volumes that no container uses.
    pub volumes: bool,
    /// What must be true of each of them.
    pub filters: Vec<PruneFilter>,
}

/// One of the steps of [`Engine::prune_system`], when it is done.
#[derive(Clone, Debug)]
pub enum Pruned {
    /// Containers that did not run.
    Containers(PrunedContainers),
    /// Volumes.
    Volumes(PrunedVolumes),
    /// Images with their layers.
    Images(PrunedImages),
    /// What no name led to any more.
    Leftovers(Collected),
}

impl Pruned {
    /// What this step freed, in bytes.
    pub fn reclaimed(&self) -> u64 {
        match self {
            Self::Containers(pruned) => pruned.reclaimed,
            Self::Volumes(pruned) => pruned.reclaimed,
            Self::Images(pruned) => pruned.reclaimed,
            Self::Leftovers(collected) => collected.reclaimed,
        }
    }
}

impl SystemPrune {
    /// Whether it makes sense, before anybody is asked for it.
    ///
    /// # Errors
    /// `Invalid` for a filter that volumes do not have, if those are to go, too.
    pub fn check(&self) -> Result<()> {
        self.volume_filters().map(drop)
    }

    /// The conditions on volumes, if those are to go, too.
    fn volume_filters(&self) -> Result<Option<Vec<VolumeFilter>>> {
        if !self.volumes {
            return Ok(None);
        }
        self.filters.iter().map(VolumeFilter::try_from).collect::<Result<_>>().map(Some)
    }
}

impl Engine {
    /// Removes, in docker's order, the containers that do not run, volumes and
    /// images; then what no name leads to: layers on which nothing stands,
    /// blobs and directories without a record, what dead processes left.
    /// `report` is told of each step when it is done.
    ///
    /// Where others are changing the store, that last step is left out, and a
    /// notice says so.
    ///
    /// # Errors
    /// `Invalid` for a filter that volumes do not have; those of the steps.
    pub fn prune_system(
        &self,
        request: &SystemPrune,
        report: &mut dyn FnMut(Pruned),
    ) -> Result<()> {
        let volume_filters = request.volume_filters()?;
        // All that a prune finds may belong to others in the user namespace.
        self.host()?;
        let Some(store) = self.existing_store()? else { return Ok(()) };
        let filters: Vec<ContainerFilter> =
            request.filters.iter().map(ContainerFilter::from).collect();
        report(Pruned::Containers(self.prune_containers(&filters)?));
        if let Some(filters) = volume_filters {
            report(Pruned::Volumes(self.prune_volumes(PruneScope::Anonymous, &filters)?));
        }
        report(Pruned::Images(self.prune_images(request.images, &request.filters)?));
        match store.collect() {
            Ok(collected) => report(Pruned::Leftovers(collected)),
            Err(error) if error.kind() == Kind::Unavailable => {
                self.notify(error.to_string(), error.hint_text());
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Writes down, as docker does, that objects of a kind were pruned.
    pub(super) fn note_prune(&self, kind: &str, reclaimed: u64) {
        let Ok(Some(store)) = self.existing_store() else { return };
        // What has gone has gone: a full disk must not make a failure of it.
        let _ = store.record_event(&Event {
            time: Timestamp::now(),
            kind: kind.into(),
            action: "prune".into(),
            id: String::new(),
            attributes: BTreeMap::from([("reclaimed".to_owned(), reclaimed.to_string())]),
        });
    }
}
