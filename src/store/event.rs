//! What happened: a bounded table of events, the newest kept.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use crate::error::Result;
use crate::fs::Timestamp;

use super::Store;
use super::database::{Failure, time, unreadable};

/// How many events are kept.
const KEPT: i64 = 4096;

/// Something that happened to an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub time: Timestamp,
    /// The sort of object: `image`, `container`, ...
    pub kind: String,
    /// What happened: docker's word, as in `import`, `tag`, `untag`, `delete`.
    pub action: String,
    /// The object's ID, or what docker shows in its place.
    pub id: String,
    /// More, as in `name`.
    pub attributes: BTreeMap<String, String>,
}

impl Event {
    /// Something that happens to an image now; `name` is the one it goes by.
    pub(super) fn image(action: &str, id: &impl ToString, name: Option<String>) -> Self {
        Self {
            time: Timestamp::now(),
            kind: "image".into(),
            action: action.into(),
            id: id.to_string(),
            attributes: name.map(|name| ("name".to_owned(), name)).into_iter().collect(),
        }
    }
}

impl Store {
    /// Writes `event` down; the oldest one beyond 4,096 goes.
    ///
    /// # Errors
    /// Those of the database.
    pub fn record_event(&self, event: &Event) -> Result<()> {
        self.write("write an event to", |transaction| record(transaction, event))
    }

    /// The events from `since` on, or all, oldest first.
    ///
    /// # Errors
    /// Those of the database.
    pub fn events(&self, since: Option<Timestamp>) -> Result<impl Iterator<Item = Event>> {
        let since = since.unwrap_or(Timestamp { seconds: i64::MIN, nanoseconds: 0 });
        let events = self.read("read the events in", |connection| {
            let mut statement = connection.prepare(
                "SELECT time_s, time_ns, kind, action, id, attributes FROM events
                 WHERE (time_s, time_ns) >= (?1, ?2) ORDER BY seq",
            )?;
            let rows = statement.query_map(params![since.seconds, since.nanoseconds], |row| {
                Ok(Event {
                    time: time(row, 0)?.unwrap_or_default(),
                    kind: row.get(2)?,
                    action: row.get(3)?,
                    id: row.get(4)?,
                    attributes: serde_json::from_str(row.get_ref(5)?.as_str()?)
                        .map_err(|error| unreadable(5, error))?,
                })
            })?;
            Ok(rows.collect::<rusqlite::Result<Vec<Event>>>()?)
        })?;
        Ok(events.into_iter())
    }
}

/// Writes `event` within a transaction of the caller's.
pub(super) fn record(connection: &Connection, event: &Event) -> Result<(), Failure> {
    let attributes = crate::oci::to_canonical_json(&event.attributes)?;
    connection
        .prepare_cached(
            "INSERT INTO events (time_s, time_ns, kind, action, id, attributes)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            event.time.seconds,
            event.time.nanoseconds,
            event.kind,
            event.action,
            event.id,
            String::from_utf8_lossy(&attributes),
        ])?;
    let oldest = connection.last_insert_rowid() - KEPT;
    connection.prepare_cached("DELETE FROM events WHERE seq <= ?1")?.execute([oldest])?;
    Ok(())
}
