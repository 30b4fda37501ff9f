//! Conditions on containers: docker's filters of `ps` and `container prune`.
//! Several of one key are alternatives, of different keys all must hold; every
//! label must be there.

use crate::error::Result;
use crate::fs::Timestamp;
use crate::id::ContainerId;
use crate::monitor::HealthStatus;
use crate::runtime::spec::NetworkNamespace;
use crate::store::ImageRecord;

use super::super::{ContainerStatus, ContainerSummary, Engine};
use super::resources::ContainerResources;

/// The groups of conditions on what a container has.
const VOLUME: u8 = 6;
const NETWORK: u8 = 7;

/// A condition on containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContainerFilter {
    /// The ID begins so.
    Id(String),
    /// The name contains this.
    Name(String),
    /// It has this label, with this value if there is one.
    Label(String, Option<String>),
    /// It has not this label, or not with this value.
    NoLabel(String, Option<String>),
    /// It is in this state.
    Status(StatusFilter),
    /// It has ended with this status.
    Exited(i32),
    /// It was made from this image, or from one that stands on it.
    Ancestor(String),
    /// It was made before this container.
    Before(String),
    /// It was made after this container.
    Since(String),
    /// It was made before this time.
    Until(Timestamp),
    /// It has this volume, or this path of the host's, or something mounted at
    /// this path of its own.
    Volume(String),
    /// It has this network.
    Network(NetworkNamespace),
    /// It has a network that is none of envbox's.
    OtherNetwork,
    /// Its health is this; none if that is not checked.
    Health(Option<HealthStatus>),
}

/// The states that containers can be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusFilter {
    /// Made, and never started.
    Created,
    /// It runs.
    Running,
    /// Its processes stand still.
    Paused,
    /// It has ended, and is to be started again.
    Restarting,
    /// It has ended.
    Exited,
    /// One of docker's states in which no container of envbox ever is.
    Never,
}

/// A filter whose image or container has been looked up.
enum Condition<'a> {
    Plain(&'a ContainerFilter),
    /// The image's name, and all kept containers that stand on it.
    Ancestor(String, Vec<ContainerId>),
    Before(Timestamp),
    Since(Timestamp),
    /// The containers that have what is wanted; of one group.
    Among(u8, Vec<ContainerId>),
}

impl Condition<'_> {
    /// Those of one number are alternatives.
    fn group(&self) -> u8 {
        match self {
            Self::Plain(ContainerFilter::Id(_)) => 0,
            Self::Plain(ContainerFilter::Name(_)) => 1,
            Self::Plain(ContainerFilter::Status(_)) => 2,
            Self::Plain(ContainerFilter::Exited(_)) => 3,
            Self::Ancestor(..) => 4,
            Self::Plain(ContainerFilter::Health(_)) => 5,
            Self::Among(group, _) => *group,
            Self::Plain(_) | Self::Before(_) | Self::Since(_) => u8::MAX,
        }
    }

    fn holds(&self, found: &ContainerSummary) -> bool {
        let label = |key: &str, value: &Option<String>| {
            let found = found.labels.get(key);
            found.is_some_and(|found| value.as_ref().is_none_or(|value| value == found))
        };
        match self {
            Self::Ancestor(name, ids) => found.image == *name || ids.contains(&found.id),
            Self::Before(time) => found.created < *time,
            Self::Since(time) => found.created > *time,
            Self::Among(_, ids) => ids.contains(&found.id),
            Self::Plain(filter) => match filter {
                ContainerFilter::Id(start) => found.id.as_str().starts_with(start.as_str()),
                ContainerFilter::Name(part) => {
                    found.name.as_str().contains(part.trim_start_matches('/'))
                }
                ContainerFilter::Label(key, value) => label(key, value),
                ContainerFilter::NoLabel(key, value) => !label(key, value),
                ContainerFilter::Status(wanted) => *wanted == status(found),
                ContainerFilter::Exited(wanted) => {
                    matches!(found.status, ContainerStatus::Exited(code, _) if code == *wanted)
                }
                ContainerFilter::Until(time) => found.created < *time,
                ContainerFilter::Health(wanted) => found.health == *wanted,
                // They have been looked up.
                ContainerFilter::Ancestor(_)
                | ContainerFilter::Volume(_)
                | ContainerFilter::Network(_)
                | ContainerFilter::OtherNetwork
                | ContainerFilter::Before(_)
                | ContainerFilter::Since(_) => false,
            },
        }
    }
}

fn status(found: &ContainerSummary) -> StatusFilter {
    match found.status {
        ContainerStatus::Created => StatusFilter::Created,
        ContainerStatus::Running(_) => StatusFilter::Running,
        ContainerStatus::Paused(_) => StatusFilter::Paused,
        ContainerStatus::Restarting(..) => StatusFilter::Restarting,
        ContainerStatus::Exited(..) => StatusFilter::Exited,
    }
}

impl Engine {
    /// Leaves those of `all` for which `filters` hold.
    ///
    /// # Errors
    /// `NotFound` for a container or image of a filter.
    pub fn filter_containers(
        &self,
        all: &mut Vec<ContainerSummary>,
        filters: &[ContainerFilter],
    ) -> Result<()> {
        let conditions: Vec<Condition<'_>> =
            filters.iter().map(|filter| self.condition(filter, all)).collect::<Result<_>>()?;
        all.retain(|found| {
            conditions.iter().all(|condition| {
                let group = condition.group();
                if group == u8::MAX {
                    return condition.holds(found);
                }
                let mut same = conditions.iter().filter(|other| other.group() == group);
                same.any(|other| other.holds(found))
            })
        });
        Ok(())
    }

    fn condition<'a>(
        &self,
        filter: &'a ContainerFilter,
        all: &[ContainerSummary],
    ) -> Result<Condition<'a>> {
        Ok(match filter {
            ContainerFilter::Before(name) => Condition::Before(self.time_of(name, all)?),
            ContainerFilter::Since(name) => Condition::Since(self.time_of(name, all)?),
            ContainerFilter::Ancestor(name) => self.ancestor(name)?,
            ContainerFilter::Volume(text) => {
                self.among(VOLUME, |resources| resources.has_volume(text))?
            }
            ContainerFilter::Network(wanted) => {
                self.among(NETWORK, |resources| resources.network == Some(*wanted))?
            }
            ContainerFilter::OtherNetwork => Condition::Among(NETWORK, Vec::new()),
            plain => Condition::Plain(plain),
        })
    }

    fn among(
        &self,
        group: u8,
        has: impl Fn(&ContainerResources) -> bool,
    ) -> Result<Condition<'static>> {
        let all = self.container_resources()?.into_iter();
        let ids = all.filter(|(_, resources)| has(resources)).map(|(id, _)| id);
        Ok(Condition::Among(group, ids.collect()))
    }

    fn time_of(&self, name: &str, all: &[ContainerSummary]) -> Result<Timestamp> {
        let id = self.find_container(name)?.id;
        let found = all.iter().find(|found| found.id == id);
        found.map(|found| found.created).ok_or_else(|| super::no_such_container(name))
    }

    /// docker: an image that is not there has no containers, but those that
    /// were asked for by that very name.
    fn ancestor(&self, name: &str) -> Result<Condition<'static>> {
        let mut ids = Vec::new();
        if let Some(store) = self.existing_store()?
            && let Ok(found) = store.resolve_for(name, None)
        {
            let all = found.index.into_iter().flat_map(|index| index.images);
            let images: Vec<ImageRecord> =
                [found.image].into_iter().chain(all.map(|one| one.record)).collect();
            for record in store.containers()? {
                let stands_on = |image: &ImageRecord| {
                    let own = store.image(record.image).ok().flatten();
                    let layers = own.map(|own| own.layers).unwrap_or_default();
                    image.chain().is_some_and(|top| layers.contains(&top))
                };
                if images.iter().any(|image| record.image == image.id || stands_on(image)) {
                    ids.push(record.id);
                }
            }
        }
        Ok(Condition::Ancestor(name.to_owned(), ids))
    }
}
