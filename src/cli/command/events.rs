//! `envbox events`, `envbox system events`.

use std::io::{ErrorKind, Write};
use std::os::fd::AsFd;

use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use crate::cli::args::events::{EventFormat, Events};
use crate::cli::output::event_time;
use crate::cli::template::{Columns, Format};
use crate::engine::{Engine, EventReader, EventRequest};
use crate::error::{Error, Result};
use crate::store::Event;

/// Prints each event as it comes; a reader that goes is the end, and no error.
pub(in crate::cli) fn run(engine: &Engine, events: &Events) -> Result<i32> {
    let request =
        EventRequest { since: events.since, until: events.until, filters: events.filter.clone() };
    let zone = TimeZone::system();
    let stdout = std::io::stdout();
    let mut take = |batch: &[Event]| write(&text(batch, &events.format, &zone)?);
    engine.events(&request, EventReader { output: stdout.as_fd(), take: &mut take })?;
    Ok(0)
}

/// Writes to stdout; tells whether somebody still reads.
fn write(text: &str) -> Result<bool> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Error::io_named("cannot write to stdout", error)),
    }
}

fn text(events: &[Event], format: &EventFormat, zone: &TimeZone) -> Result<String> {
    let columns = Columns { fields: &[], headers: &[] };
    match format {
        EventFormat::Line => events.iter().map(|event| line(event, zone)).collect(),
        EventFormat::Json => {
            let rows: Vec<Value> = events.iter().map(message).collect();
            Format::Json.render(&rows, columns)
        }
        EventFormat::Template(template) => {
            let rows: Vec<Value> = events.iter().map(fields).collect();
            template.render(&rows, columns)
        }
    }
}

/// `TIME TYPE ACTION ID (KEY=VALUE, KEY=VALUE)`.
fn line(event: &Event, zone: &TimeZone) -> Result<String> {
    let time = event_time(event.time.seconds, event.time.nanoseconds, zone)?;
    let pairs = event.attributes.iter().map(|(key, value)| format!("{key}={value}"));
    let pairs = pairs.collect::<Vec<_>>().join(", ");
    let attributes = if pairs.is_empty() { pairs } else { format!(" ({pairs})") };
    Ok(format!("{time} {} {} {}{attributes}\n", event.kind, event.action, event.id))
}

/// docker's `events.Message` as JSON. `status`, `id` and `from` are from before
/// there were types: other objects do not have them.
fn message(event: &Event) -> Value {
    let mut message = Map::new();
    let [status, id, from] = old_fields(event);
    for (key, value) in [("status", status), ("id", id), ("from", from)] {
        if !value.is_empty() {
            message.insert(key.to_owned(), Value::from(value));
        }
    }
    message.insert("Type".into(), json!(event.kind));
    message.insert("Action".into(), json!(event.action));
    message.insert("Actor".into(), json!({"ID": event.id, "Attributes": event.attributes}));
    message.insert("scope".into(), json!("local"));
    message.insert("time".into(), json!(event.time.seconds));
    message.insert("timeNano".into(), json!(nanoseconds(event)));
    Value::Object(message)
}

/// The same by the names that a template has for it.
fn fields(event: &Event) -> Value {
    let [status, id, from] = old_fields(event);
    json!({
        "Status": status,
        "ID": id,
        "From": from,
        "Type": event.kind,
        "Action": event.action,
        "Actor": {"ID": event.id, "Attributes": event.attributes},
        "Scope": "local",
        "Time": event.time.seconds,
        "TimeNano": nanoseconds(event),
    })
}

fn old_fields(event: &Event) -> [&str; 3] {
    match event.kind.as_str() {
        "image" => [&event.action, &event.id, ""],
        "container" => {
            let image = event.attributes.get("image").map_or("", String::as_str);
            [&event.action, &event.id, image]
        }
        _ => [""; 3],
    }
}

fn nanoseconds(event: &Event) -> i64 {
    let whole = event.time.seconds.saturating_mul(1_000_000_000);
    whole.saturating_add(event.time.nanoseconds.into())
}
