//! `envbox events`: what happened to images, containers and volumes, and what
//! happens from now on. How an event is shown is the cli's matter.

use std::os::fd::BorrowedFd;

use crate::error::Result;
use crate::fs::Timestamp;
use crate::store::{Event, EventCursor, Store, Woken};

use super::{Engine, running};

/// Which events are wanted.
#[derive(Clone, Debug, Default)]
pub struct EventRequest {
    /// From this time on; without it, and without `until`, only what happens
    /// from now on.
    pub since: Option<Timestamp>,
    /// Up to this time, which may lie ahead; without it, for ever.
    pub until: Option<Timestamp>,
    /// Those that pass: one filter of each sort is enough, but all labels.
    pub filters: Vec<EventFilter>,
}

/// What a wanted event has, by docker's keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventFilter {
    /// It happened to such an object: `image`, `container`, `volume`.
    Type(String),
    /// It is this, as in `tag`; `exec_create` is any `exec_create: COMMAND`.
    Action(String),
    /// It happened to the container of this ID or name, or its beginning.
    Container(String),
    /// It happened to this image or to a container of it, whatever the tag.
    Image(String),
    /// It happened to the volume of this name, or its beginning.
    Volume(String),
    /// Its object has a label, with this value if one is given.
    Label(String, Option<String>),
}

/// Who takes the events, in batches as they come, and whether that goes on.
pub struct EventReader<'a> {
    /// Where they are written to: when nobody reads that any more, it ends.
    pub output: BorrowedFd<'a>,
    /// Takes them; false to end.
    pub take: &'a mut dyn FnMut(&[Event]) -> Result<bool>,
}

impl Engine {
    /// Gives the events that `request` wants to `reader`: those that the store
    /// still has, then new ones as they come.
    ///
    /// # Errors
    /// Those of the store and of the reader.
    pub fn events(&self, request: &EventRequest, reader: EventReader<'_>) -> Result<()> {
        // What ended unseen is seen by who looks.
        running::list(&self.settings.store.run)?;
        self.bury()?;
        let follows = request.until.is_none_or(|until| until > Timestamp::now());
        let store = match self.existing_store()? {
            Some(store) => store,
            // What will happen in a store that is not there yet is wanted.
            None if follows => self.store()?,
            None => return Ok(()),
        };
        if !follows {
            let past = store.events(request.since)?;
            return (reader.take)(&wanted(past, request)).map(drop);
        }
        follow(store, request, reader)
    }
}

fn follow(store: &Store, request: &EventRequest, reader: EventReader<'_>) -> Result<()> {
    // Watched before it is read: nothing can come between.
    let watch = store.watch_events()?;
    let wants_past = request.since.is_some() || request.until.is_some();
    let mut cursor = if wants_past { EventCursor::default() } else { store.newest_event()? };
    let mut is_late = false;
    loop {
        let new = store.events_behind(&mut cursor)?;
        // A connection that stays open would hold up a migration.
        store.close_database();
        let new = wanted(new, request);
        let goes_on = new.is_empty() || (reader.take)(&new)?;
        if is_late || !goes_on {
            return Ok(());
        }
        match watch.wait(reader.output, request.until)? {
            Woken::Changed => {}
            Woken::Late => is_late = true,
            Woken::ReaderGone => return Ok(()),
        }
    }
}

fn wanted(events: impl IntoIterator<Item = Event>, request: &EventRequest) -> Vec<Event> {
    let mut events: Vec<Event> = events.into_iter().collect();
    events.retain(|event| {
        request.since.is_none_or(|since| event.time >= since)
            && request.until.is_none_or(|until| event.time <= until)
            && passes(event, &request.filters)
    });
    events
}

/// docker's rule: filters of different sorts must all let it pass, of those of
/// one sort one is enough, except that all labels must be there.
fn passes(event: &Event, filters: &[EventFilter]) -> bool {
    filters.iter().all(|filter| {
        filter.lets(event)
            || (!matches!(filter, EventFilter::Label(..))
                && filters.iter().any(|other| {
                    std::mem::discriminant(filter) == std::mem::discriminant(other)
                        && other.lets(event)
                }))
    })
}

impl EventFilter {
    fn lets(&self, event: &Event) -> bool {
        let attribute = |key: &str| event.attributes.get(key).map_or("", String::as_str);
        let begins = |kind: &str, text: &str| {
            event.kind == kind
                && (event.id.starts_with(text) || attribute("name").starts_with(text))
        };
        match self {
            Self::Type(kind) => event.kind == *kind,
            Self::Action(action) => {
                event.action == *action
                    || event.action.split_once(": ").is_some_and(|(verb, _)| verb == action)
            }
            Self::Container(text) => begins("container", text),
            Self::Volume(text) => begins("volume", text),
            Self::Image(text) => match event.kind.as_str() {
                "image" => is_image(&event.id, text) || is_image(attribute("name"), text),
                "container" => is_image(attribute("image"), text),
                _ => false,
            },
            Self::Label(key, value) => match (event.attributes.get(key), value) {
                (Some(found), Some(value)) => found == value,
                (found, None) => found.is_some(),
                (None, Some(_)) => false,
            },
        }
    }
}

/// Whether `found` is the image `text`, or one of its tags.
fn is_image(found: &str, text: &str) -> bool {
    let untagged = match found.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => found,
    };
    found == text || untagged == text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str, action: &str, id: &str, attributes: &[(&str, &str)]) -> Event {
        let pairs = attributes.iter().map(|(key, value)| ((*key).into(), (*value).into()));
        Event {
            time: Timestamp::from_seconds(1),
            kind: kind.into(),
            action: action.into(),
            id: id.into(),
            attributes: pairs.collect(),
        }
    }

    #[test]
    fn filters_of_a_sort_are_alternatives_but_for_labels() {
        use EventFilter::{Action, Label, Type};
        let start = event("container", "start", "a", &[("x", "1"), ("y", "2")]);
        let label = |key: &str, value: Option<&str>| Label(key.into(), value.map(Into::into));
        for (filters, expected) in [
            (vec![], true),
            (vec![Type("image".into()), Type("container".into())], true),
            (vec![Type("container".into()), Action("die".into())], false),
            (vec![label("x", None), label("y", Some("2"))], true),
            (vec![label("x", None), label("y", Some("3"))], false),
            (vec![label("z", None)], false),
        ] {
            assert_eq!(passes(&start, &filters), expected, "{filters:?}");
        }
        let exec = event("container", "exec_create: sh -c x", "a", &[]);
        assert!(passes(&exec, &[Action("exec_create".into())]));
        assert!(!passes(&exec, &[Action("exec".into())]));
    }

    #[test]
    fn objects_are_told_by_their_names() {
        use EventFilter::{Container, Image, Volume};
        let tag = event("image", "tag", "sha256:aa", &[("name", "localhost:5000/base:1")]);
        let run = event("container", "start", "c0ffee", &[("name", "web"), ("image", "base:1")]);
        let disk = event("volume", "create", "data", &[]);
        for (filter, hits) in [
            (Image("localhost:5000/base".into()), [true, false, false]),
            (Image("localhost:5000/base:1".into()), [true, false, false]),
            (Image("sha256:aa".into()), [true, false, false]),
            (Image("base".into()), [false, true, false]),
            (Image("localhost".into()), [false, false, false]),
            (Container("c0f".into()), [false, true, false]),
            (Container("web".into()), [false, true, false]),
            (Volume("da".into()), [false, false, true]),
        ] {
            let found = [&tag, &run, &disk].map(|event| filter.lets(event));
            assert_eq!(found, hits, "{filter:?}");
        }
    }
}
