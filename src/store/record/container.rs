//! `containers/<ID>/config.json`: all that the database has of a container,
//! with the layers on which it stands: its image may have been removed by force,
//! and then nothing else tells what they are.

use std::ffi::OsStr;

use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};

use crate::digest::{ChainId, DiffId, ImageId};
use crate::error::{Error, Kind, Result};
use crate::fs::{Dir, Timestamp};
use crate::id::{ContainerId, ContainerName};
use crate::oci::to_canonical_json;

use super::super::database::{Failure, parsed, parsed_optional, size};
use super::super::layer::Hex;
use super::super::volume_use::{self, VolumeUse};
use super::super::{ContainerRecord, ContainerState, SpecText, container, layout};
use super::{LIMIT, is_plausible, newest_event, read_file};

/// The file, in the container's directory.
pub(in crate::store) const FILE: &str = "config.json";

/// The file's content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::store) struct ContainerCopy {
    pub(in crate::store) id: ContainerId,
    pub(in crate::store) name: ContainerName,
    pub(in crate::store) image: ImageId,
    pub(in crate::store) chain: Option<ChainId>,
    pub(in crate::store) created: (i64, u32),
    pub(in crate::store) spec: SpecText,
    /// None in what an envbox wrote that kept no more than all before it.
    #[serde(default)]
    pub(in crate::store) state: Option<ContainerState>,
    /// Where it has which volumes.
    #[serde(default)]
    pub(in crate::store) volumes: Vec<VolumeUse>,
    /// On which it stands, the lowest first.
    #[serde(default)]
    pub(in crate::store) layers: Vec<LayerCopy>,
    /// The number of the newest event when this was written.
    #[serde(default)]
    pub(in crate::store) newest_event: i64,
}

/// What its chain ID does not tell of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::store) struct LayerCopy {
    pub(in crate::store) diff_id: DiffId,
    pub(in crate::store) tar_size: u64,
    pub(in crate::store) content_size: u64,
}

impl ContainerCopy {
    /// What the database has of the container `id`; `None` if it has none.
    pub(in crate::store) fn of(
        connection: &Connection,
        id: &ContainerId,
    ) -> Result<Option<Self>, Failure> {
        let found = container::select(connection, "WHERE id = ?1", &[id.as_str()])?.pop();
        found.map(|record| Self::of_record(connection, &record)).transpose()
    }

    /// The same of one whose record is `record`, in the database or on its way.
    pub(in crate::store) fn of_record(
        connection: &Connection,
        record: &ContainerRecord,
    ) -> Result<Self, Failure> {
        Ok(Self {
            volumes: volume_use::uses_of(connection, &record.id)?,
            layers: stack(connection, record.chain)?,
            newest_event: newest_event(connection)?,
            ..Self::without_layers(record)
        })
    }

    /// What `record` alone tells.
    pub(in crate::store) fn without_layers(record: &ContainerRecord) -> Self {
        Self {
            id: record.id.clone(),
            name: record.name.clone(),
            image: record.image,
            chain: record.chain,
            created: (record.created_at.seconds, record.created_at.nanoseconds),
            spec: record.spec.clone(),
            state: Some(record.state.clone()),
            volumes: Vec::new(),
            layers: Vec::new(),
            newest_event: 0,
        }
    }

    /// The container's record. Its state is lost in a copy of an older envbox's.
    pub(in crate::store) fn record(&self) -> ContainerRecord {
        let (seconds, nanoseconds) = self.created;
        ContainerRecord {
            id: self.id.clone(),
            name: self.name.clone(),
            image: self.image,
            chain: self.chain,
            created_at: Timestamp { seconds, nanoseconds },
            spec: self.spec.clone(),
            state: self.state.clone().unwrap_or_default(),
        }
    }

    /// True if the two tell other things, whenever they were written.
    pub(in crate::store) fn is_not(&self, other: &Self) -> bool {
        Self { newest_event: other.newest_event, ..self.clone() } != *other
    }

    /// The file's bytes.
    ///
    /// # Errors
    /// `Internal`.
    pub(in crate::store) fn to_json(&self) -> Result<Vec<u8>> {
        to_canonical_json(self)
    }

    fn has_plausible_times(&self) -> bool {
        let ContainerRecord { created_at, state, .. } = self.record();
        let times = [Some(created_at), state.started_at, state.finished_at];
        times.into_iter().flatten().all(is_plausible)
    }

    fn parse(bytes: &[u8]) -> Result<Self> {
        // Who was killed while writing in place may have left the end of a
        // longer one.
        let mut values = serde_json::Deserializer::from_slice(bytes).into_iter();
        match values.next() {
            Some(Ok(copy)) if Self::has_plausible_times(&copy) => Ok(copy),
            Some(Ok(_)) => Err(Error::invalid("its config.json has times that cannot be")),
            Some(Err(error)) => Err(Error::invalid("its config.json is malformed").because(error)),
            None => Err(Error::invalid("its config.json is empty")),
        }
    }
}

/// The path of the copy in the store.
pub(super) fn path(id: &ContainerId) -> String {
    format!("{}/{id}/{FILE}", layout::CONTAINERS)
}

/// The copy of the container `id` in the store `root`.
///
/// # Errors
/// `NotFound` if there is none; `Invalid`, without the path, if it is another's
/// or none.
pub(in crate::store) fn read(root: &Dir, id: &ContainerId) -> Result<ContainerCopy> {
    let copy = ContainerCopy::parse(&read_file(root, OsStr::new(&path(id)), LIMIT)?)?;
    if copy.id != *id {
        return Err(Error::invalid("its config.json is another container's"));
    }
    Ok(copy)
}

/// Whether the copy of the container `id` is not what the database says.
pub(super) fn differs(
    connection: &Connection,
    root: &Dir,
    id: &ContainerId,
) -> Result<bool, Failure> {
    let found = match read(root, id) {
        // Told by its directory.
        Err(error) if error.kind() == Kind::NotFound => return Ok(false),
        Err(_) => return Ok(true),
        Ok(found) => found,
    };
    if found.state.is_none() {
        return Ok(false);
    }
    let wanted = ContainerCopy::of(connection, id)?;
    Ok(wanted.is_some_and(|wanted| found.is_not(&wanted)))
}

/// What the database has of the stack `top`, the lowest first; as far as it has.
fn stack(connection: &Connection, top: Option<ChainId>) -> Result<Vec<LayerCopy>, Failure> {
    let query = "SELECT diff, tar_size, content_size, parent FROM layers WHERE chain = ?1";
    let mut statement = connection.prepare_cached(query)?;
    let (mut layers, mut next) = (Vec::new(), top);
    while let Some(chain) = next {
        let found = statement.query_one([chain.0.encoded()], |row| {
            let diff_id = DiffId(parsed::<Hex>(row, 0)?.0);
            let layer = LayerCopy { diff_id, tar_size: size(row, 1)?, content_size: size(row, 2)? };
            Ok((layer, parsed_optional::<Hex>(row, 3)?))
        });
        let Some((layer, parent)) = found.optional()? else { break };
        // A chain ID is a hash over that of its parent: rows that go round are
        // damaged.
        let parent = parent.map(|hex| ChainId(hex.0));
        if ChainId::extend(parent, layer.diff_id) != chain {
            break;
        }
        layers.push(layer);
        next = parent;
    }
    layers.reverse();
    Ok(layers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    fn copy() -> ContainerCopy {
        ContainerCopy {
            id: ContainerId::from_random([1; 32]),
            name: "one".parse().unwrap(),
            image: ImageId(Digest::of(b"image")),
            chain: None,
            created: (1, 2),
            spec: SpecText::of(&serde_json::json!({"image": "a"})).unwrap(),
            state: Some(ContainerState { exit_code: Some(3), ..ContainerState::default() }),
            volumes: Vec::new(),
            layers: Vec::new(),
            newest_event: 9,
        }
    }

    #[test]
    fn gives_back_what_was_put_in() {
        let bytes = copy().to_json().unwrap();
        assert_eq!(ContainerCopy::parse(&bytes).unwrap(), copy());
        let longer = [&bytes, &b"]}"[..]].concat();
        assert_eq!(ContainerCopy::parse(&longer).unwrap(), copy());
        let strange = ContainerCopy { created: (i64::MAX, 0), ..copy() }.to_json().unwrap();
        for bad in [&b""[..], b"{}", b"[", &bytes[..9], &strange] {
            assert_eq!(ContainerCopy::parse(bad).unwrap_err().kind(), Kind::Invalid);
        }
    }

    #[test]
    fn an_older_one_has_no_state() {
        let ContainerCopy { id, image, .. } = copy();
        let text = format!(
            r#"{{"id":"{id}","name":"one","image":"{image}","chain":null,"created":[1,2],"spec":{{}}}}"#
        );
        let read = ContainerCopy::parse(text.as_bytes()).unwrap();
        assert_eq!(read.state, None);
        assert_eq!(read.record().state, ContainerState::default());
    }
}
