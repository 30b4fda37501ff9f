//! Kept containers: their records and directories. Whether one runs is the
//! run directory's matter, not the store's.

use std::collections::BTreeMap;

use rusqlite::{Connection, Row, params};
use serde::{Deserialize, Serialize};

use crate::digest::{ChainId, ImageId};
use crate::error::{Error, Kind, Result};
use crate::fs::{self, Timestamp};
use crate::id::{ContainerId, ContainerName};

use super::database::{Failure, parsed, parsed_optional, time};
use super::event::{self, Event};
use super::layer::{self, Hex};
use super::record::ContainerCopy;
use super::spec::SpecText;
use super::workspace::Item;
use super::{Store, name, take_away};

/// How many containers an error names.
const SHOWN: usize = 5;

/// How often a random name is drawn before a longer one is taken.
const DRAWS: usize = 8;

/// A kept container.
#[derive(Clone, Debug, PartialEq)]
pub struct ContainerRecord {
    /// Its ID.
    pub id: ContainerId,
    /// Its name, which no other kept container has.
    pub name: ContainerName,
    /// The image that it was made from; it may have been removed by force.
    pub image: ImageId,
    /// The layers below it, which stay as long as it does.
    pub chain: Option<ChainId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// What the engine needs to start it again.
    pub spec: SpecText,
    /// What became of it so far.
    pub state: ContainerState,
}

/// What became of a container, as far as it must survive a reboot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerState {
    /// When it was last started.
    pub started_at: Option<Timestamp>,
    /// When it last ended.
    pub finished_at: Option<Timestamp>,
    /// How it last ended: the exit status, 128 and the signal's number for a
    /// signal.
    pub exit_code: Option<i32>,
    /// The kernel killed processes of it for want of memory.
    pub oom_killed: bool,
    /// How often it was started again since somebody started it.
    pub restarts: u32,
    /// Somebody stopped it: its restart policy may leave it so.
    pub stopped: bool,
    /// Why it did not come up, if it did not.
    pub error: Option<String>,
    /// What became of its health, as JSON.
    pub health: Option<String>,
}

impl Event {
    /// Something that happens to the container `id` now. Its attributes are
    /// docker's: `image`, `name`, every label, and what the action brings.
    pub fn container(
        action: &str,
        id: &ContainerId,
        attributes: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        Self {
            time: Timestamp::now(),
            kind: "container".into(),
            action: action.into(),
            id: id.to_string(),
            attributes: attributes.into_iter().collect(),
        }
    }
}

/// What events tell of a spec.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Told {
    image: Option<String>,
    labels: BTreeMap<String, String>,
}

/// The attributes that every event of `record` has: image, name and labels, as
/// far as its spec tells.
fn attributes(record: &ContainerRecord) -> Vec<(String, String)> {
    let Told { image, labels } = record.spec.read().unwrap_or_default();
    let mut all: Vec<(String, String)> = labels.into_iter().collect();
    all.push(("image".into(), image.unwrap_or_else(|| record.image.to_string())));
    all.push(("name".into(), record.name.to_string()));
    all
}

/// An event of `record`, with `more` beside its own attributes.
fn event_of(record: &ContainerRecord, action: &str, more: Option<(&str, &str)>) -> Event {
    let more = more.map(|(key, value)| (key.to_owned(), value.to_owned()));
    Event::container(action, &record.id, attributes(record).into_iter().chain(more))
}

const QUERY: &str = "SELECT id, name, image, chain, created_s, created_ns, spec,
    started_s, started_ns, finished_s, finished_ns, exit_code, oom_killed, restarts, stopped,
    error, health FROM containers";

impl Store {
    /// Puts a container into the store: its record, its directory with
    /// `config.json`. [`Store::container_mount`] is its filesystem.
    ///
    /// # Errors
    /// `AlreadyExists` if the name is taken; `NotFound` if its layers are not,
    /// or no longer, in the store.
    pub fn put_container(&self, record: &ContainerRecord) -> Result<()> {
        let item = Item::Container(record.id.clone());
        let workspace = self.begin(std::slice::from_ref(&item))?;
        let directory = workspace.path().join("container");
        fs::create_dir(&directory, 0o700)?;
        let copy = self.read("look for layers in", |connection| {
            ContainerCopy::of_record(connection, record)
        })?;
        fs::write_atomic(&directory.join("config.json"), &copy.to_json()?)?;
        self.decide_mount(record.chain, &directory)?;
        let result = self.write("write a container to", |transaction| {
            if let Some(holder) = holder(transaction, &record.name)? {
                return Err(name_taken(&record.name, &holder).into());
            }
            if let Some(chain) = record.chain {
                layer::require(transaction, chain)?;
            }
            let target = self.path_of(&item);
            if !super::is_recorded(transaction, &item)? {
                take_away(&workspace, &target)?;
            }
            insert(transaction, record)?;
            event::record(transaction, &event_of(record, "create", None))?;
            Ok(fs::rename(&directory, &target)?)
        });
        match result {
            Ok(()) => workspace.remove(),
            Err(error) => self.settle(workspace).and(Err(error)),
        }
    }

    /// All kept containers, the newest first.
    ///
    /// # Errors
    /// Those of the database.
    pub fn containers(&self) -> Result<Vec<ContainerRecord>> {
        self.read("list the containers in", |connection| {
            select(connection, "ORDER BY created_s DESC, created_ns DESC, id", &[])
        })
    }

    /// The kept container that `text` means: an ID, a name, or the beginning
    /// of an ID, in this order.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` if it is the beginning of several IDs.
    pub fn container(&self, text: &str) -> Result<ContainerRecord> {
        self.read("look for a container in", |connection| resolve(connection, text))
    }

    /// Replaces the state of the container `id`, and writes down the events that
    /// changed it.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn update_container_state(
        &self,
        id: &ContainerId,
        state: &ContainerState,
        events: &[Event],
    ) -> Result<()> {
        let changed = self.write("write a container's state to", |transaction| {
            let changed = transaction.execute(
                "UPDATE containers SET started_s = ?2, started_ns = ?3, finished_s = ?4,
                 finished_ns = ?5, exit_code = ?6, oom_killed = ?7, restarts = ?8,
                 stopped = ?9, error = ?10, health = ?11 WHERE id = ?1",
                params![
                    id.as_str(),
                    state.started_at.map(|time| time.seconds),
                    state.started_at.map(|time| time.nanoseconds),
                    state.finished_at.map(|time| time.seconds),
                    state.finished_at.map(|time| time.nanoseconds),
                    state.exit_code,
                    state.oom_killed,
                    state.restarts,
                    state.stopped,
                    state.error,
                    state.health,
                ],
            )?;
            if changed > 0 {
                events.iter().try_for_each(|event| event::record(transaction, event))?;
            }
            Ok(changed)
        })?;
        if changed == 0 {
            return Err(no_such_container(id.as_str()));
        }
        self.record_container(id);
        Ok(())
    }

    /// Replaces the spec of the container `id`, and writes down the event that
    /// changed it.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn update_container_spec(
        &self,
        id: &ContainerId,
        spec: &SpecText,
        event: &Event,
    ) -> Result<()> {
        self.write("write a container's spec to", |transaction| {
            let changed = transaction.execute(
                "UPDATE containers SET spec = ?2 WHERE id = ?1",
                [id.as_str(), spec.as_str()],
            )?;
            if changed == 0 {
                return Err(no_such_container(id.as_str()).into());
            }
            event::record(transaction, event)
        })?;
        self.record_container(id);
        Ok(())
    }

    /// Writes `events` down, in one transaction.
    ///
    /// # Errors
    /// Those of the database.
    pub fn record_events(&self, events: &[Event]) -> Result<()> {
        self.write("write events to", |transaction| {
            events.iter().try_for_each(|event| event::record(transaction, event))
        })
    }

    /// Gives the container `id` another name.
    ///
    /// # Errors
    /// `NotFound`; `AlreadyExists` if another one has the name.
    pub fn rename_container(&self, id: &ContainerId, name: &ContainerName) -> Result<()> {
        self.write("rename a container in", |transaction| {
            match holder(transaction, name)? {
                Some(holder) if holder != *id => return Err(name_taken(name, &holder).into()),
                _ => {}
            }
            let mut found = select(transaction, "WHERE id = ?1", &[id.as_str()])?;
            let Some(mut record) = found.pop() else {
                return Err(no_such_container(id.as_str()).into());
            };
            transaction.execute(
                "UPDATE containers SET name = ?2 WHERE id = ?1",
                [id.as_str(), name.as_str()],
            )?;
            let old = std::mem::replace(&mut record.name, name.clone());
            let event = event_of(&record, "rename", Some(("oldName", old.as_str())));
            event::record(transaction, &event)
        })?;
        self.record_container(id);
        Ok(())
    }

    /// Removes the container `id`, which must not run, with all that it wrote,
    /// and the layers on which nothing else stands.
    ///
    /// # Errors
    /// `NotFound`; else of what could not be removed: the record is gone then.
    pub fn remove_container(&self, id: &ContainerId) -> Result<()> {
        let record = self.container(id.as_str())?;
        let stack = self.stack(record.chain)?;
        let workspace = self.begin_removal()?;
        self.write("remove a container from", |transaction| {
            let removed =
                transaction.execute("DELETE FROM containers WHERE id = ?1", [id.as_str()])?;
            if removed > 0 {
                event::record(transaction, &event_of(&record, "destroy", None))?;
            }
            let released = layer::release(transaction, stack)?;
            let items: Vec<Item> = std::iter::once(Item::Container(id.clone()))
                .chain(released.into_iter().map(Item::Layer))
                .collect();
            Ok(workspace.intend(&items)?)
        })?;
        self.end_removal(workspace)
    }

    /// A random name that no kept container has now.
    ///
    /// # Errors
    /// Those of the database and of getrandom(2).
    pub fn unused_container_name(&self) -> Result<ContainerName> {
        let mut drawn = name::random_name()?;
        for _ in 0..DRAWS {
            let taken = self.read("look for a name in", |connection| holder(connection, &drawn))?;
            if taken.is_none() {
                return Ok(drawn);
            }
            drawn = name::random_name()?;
        }
        name::numbered(&drawn)
    }
}

/// Writes the row of a container that has none.
pub(super) fn insert(connection: &Connection, record: &ContainerRecord) -> Result<(), Failure> {
    connection.execute(
        "INSERT INTO containers VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13,
         ?14, ?15, ?16, ?17)",
        params![
            record.id.as_str(),
            record.name.as_str(),
            record.image.0.encoded(),
            record.chain.map(|chain| chain.0.encoded()),
            record.created_at.seconds,
            record.created_at.nanoseconds,
            record.spec.as_str(),
            record.state.started_at.map(|time| time.seconds),
            record.state.started_at.map(|time| time.nanoseconds),
            record.state.finished_at.map(|time| time.seconds),
            record.state.finished_at.map(|time| time.nanoseconds),
            record.state.exit_code,
            record.state.oom_killed,
            record.state.restarts,
            record.state.stopped,
            record.state.error,
            record.state.health,
        ],
    )?;
    Ok(())
}

fn holder(connection: &Connection, name: &ContainerName) -> Result<Option<ContainerId>, Failure> {
    Ok(select(connection, "WHERE name = ?1", &[name.as_str()])?.pop().map(|record| record.id))
}

fn name_taken(name: &ContainerName, holder: &ContainerId) -> Error {
    Error::new(
        Kind::AlreadyExists,
        format!(
            "the container name {:?} is already in use by container {holder:?}",
            name.as_str(),
            holder = holder.as_str()
        ),
    )
    .hint(format!("choose another name, or remove that container: envbox rm {name}"))
}

fn no_such_container(text: &str) -> Error {
    Error::not_found(format!("no such container: {text}")).hint("list them with `envbox ps -a`")
}

fn resolve(connection: &Connection, text: &str) -> Result<ContainerRecord, Failure> {
    let name = text.strip_prefix('/').unwrap_or(text);
    let exact =
        select(connection, "WHERE id = ?1 OR name = ?2 ORDER BY id = ?1 DESC", &[text, name])?;
    if let Some(found) = exact.into_iter().next() {
        return Ok(found);
    }
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.is_empty() || !text.bytes().all(hex) {
        return Err(no_such_container(text).into());
    }
    // 'g' follows the last hex digit.
    let end = format!("{text}g");
    let mut found = select(connection, "WHERE id >= ?1 AND id < ?2 ORDER BY id", &[text, &end])?;
    if found.len() > 1 {
        let shown: Vec<String> = found
            .iter()
            .take(SHOWN)
            .map(|record| format!("{} ({})", record.id.short(), record.name))
            .collect();
        let more = if found.len() > SHOWN { ", ..." } else { "" };
        return Err(Error::invalid(format!(
            "container ID {text:?} is ambiguous: {}{more}",
            shown.join(", ")
        ))
        .hint("give more digits, or the name")
        .into());
    }
    found.pop().ok_or_else(|| no_such_container(text).into())
}

/// The containers for which `condition` holds.
pub(super) fn select(
    connection: &Connection,
    condition: &str,
    parameters: &[&str],
) -> Result<Vec<ContainerRecord>, Failure> {
    let mut statement = connection.prepare_cached(&format!("{QUERY} {condition}"))?;
    let rows = statement.query_map(rusqlite::params_from_iter(parameters), from_row)?;
    Ok(rows.collect::<rusqlite::Result<Vec<ContainerRecord>>>()?)
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<ContainerRecord> {
    Ok(ContainerRecord {
        id: parsed(row, 0)?,
        name: parsed(row, 1)?,
        image: ImageId(parsed::<Hex>(row, 2)?.0),
        chain: parsed_optional::<Hex>(row, 3)?.map(|hex| ChainId(hex.0)),
        created_at: time(row, 4)?.unwrap_or_default(),
        spec: SpecText::stored(row.get_ref(6)?.as_str()?),
        state: ContainerState {
            started_at: time(row, 7)?,
            finished_at: time(row, 9)?,
            exit_code: row.get(11)?,
            oom_killed: row.get(12)?,
            restarts: row.get(13)?,
            stopped: row.get(14)?,
            error: row.get(15)?,
            health: row.get(16)?,
        },
    })
}
