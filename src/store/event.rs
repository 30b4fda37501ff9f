//! What happened: a bounded table of events, the newest kept. Each is written
//! in the transaction of the change that it tells, so one without the other is
//! never seen.

mod watch;

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use crate::error::{Error, Kind, Result};
use crate::fs::Timestamp;

use super::Store;
use super::database::{Failure, time, unreadable};

pub use watch::{EventWatch, Woken};

/// How many events are kept.
const KEPT: i64 = 4096;

/// A place in the sequence of events: behind all that were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventCursor(i64);

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
        let all = self.read("read the events in", |connection| {
            select(connection, &mut EventCursor::default())
        })?;
        Ok(all.into_iter().filter(move |event| since.is_none_or(|since| event.time >= since)))
    }

    /// The place behind the newest event, once whoever writes now has finished.
    ///
    /// # Errors
    /// Those of the database.
    pub fn newest_event(&self) -> Result<EventCursor> {
        self.settled(|connection| {
            let newest = "SELECT coalesce(max(seq), 0) FROM events";
            Ok(EventCursor(connection.query_row(newest, [], |row| row.get(0))?))
        })
    }

    /// The events behind `cursor`, oldest first, once whoever writes now has
    /// finished; `cursor` goes behind them.
    ///
    /// # Errors
    /// Those of the database.
    pub fn events_behind(&self, cursor: &mut EventCursor) -> Result<Vec<Event>> {
        self.settled(|connection| select(connection, cursor))
    }

    /// Reads under the write lock. A change shows in the log's file before the
    /// writer puts it into the index from which others read (sqlite.org,
    /// walformat.html): who was woken by the file alone might miss it. A store
    /// that cannot be written has no writer to wait for.
    fn settled<T>(&self, work: impl FnOnce(&Connection) -> Result<T, Failure>) -> Result<T> {
        let doing = "read the events in";
        let mut work = Some(work);
        let mut once = |connection: &Connection| match work.take() {
            Some(work) => work(connection),
            None => Err(Error::internal("events are read once").into()),
        };
        let database = self.database()?;
        match database.write(doing, |transaction| once(transaction)) {
            Err(error) if error.kind() == Kind::Denied => database.read(doing, once),
            result => result,
        }
    }
}

fn select(connection: &Connection, cursor: &mut EventCursor) -> Result<Vec<Event>, Failure> {
    let mut statement = connection.prepare_cached(
        "SELECT seq, time_s, time_ns, kind, action, id, attributes FROM events
         WHERE seq > ?1 ORDER BY seq",
    )?;
    let mut last = *cursor;
    let rows = statement.query_map([cursor.0], |row| {
        last = EventCursor(row.get(0)?);
        Ok(Event {
            time: time(row, 1)?.unwrap_or_default(),
            kind: row.get(3)?,
            action: row.get(4)?,
            id: row.get(5)?,
            attributes: serde_json::from_str(row.get_ref(6)?.as_str()?)
                .map_err(|error| unreadable(6, error))?,
        })
    })?;
    let events = rows.collect::<rusqlite::Result<Vec<Event>>>()?;
    *cursor = last;
    Ok(events)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StorePaths;

    fn event(action: &str, seconds: i64) -> Event {
        Event {
            time: Timestamp::from_seconds(seconds),
            kind: "volume".into(),
            action: action.into(),
            id: "x".into(),
            attributes: BTreeMap::new(),
        }
    }

    fn store() -> (tempfile::TempDir, Store) {
        let room = tempfile::tempdir().unwrap();
        let root = room.path().join("store");
        let store = Store::open(&StorePaths { root, run: room.path().join("run") }).unwrap();
        (room, store)
    }

    #[test]
    fn a_cursor_reads_each_event_once() {
        let (_room, store) = store();
        store.record_event(&event("create", 1)).unwrap();
        let mut behind = store.newest_event().unwrap();
        let mut start = EventCursor::default();
        assert_eq!(store.events_behind(&mut start).unwrap().len(), 1);
        store.record_event(&event("destroy", 2)).unwrap();
        for cursor in [&mut start, &mut behind] {
            assert_eq!(store.events_behind(cursor).unwrap(), [event("destroy", 2)]);
            assert_eq!(store.events_behind(cursor).unwrap(), []);
        }
    }

    #[test]
    fn the_newest_4096_are_kept() {
        let (_room, store) = store();
        store
            .write("fill", |transaction| {
                (0..KEPT + 10).try_for_each(|second| record(transaction, &event("mount", second)))
            })
            .unwrap();
        let times: Vec<i64> = store.events(None).unwrap().map(|event| event.time.seconds).collect();
        assert_eq!(times, (10..KEPT + 10).collect::<Vec<_>>());
        let since = Some(Timestamp::from_seconds(KEPT));
        assert_eq!(store.events(since).unwrap().count(), 10);
    }
}
