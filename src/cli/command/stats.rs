//! `envbox stats`.

use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::args::stats::Stats;
use crate::cli::exit;
use crate::cli::output::{binary_size, human_size, short_id};
use crate::cli::template::{Columns, Format};
use crate::engine::{ContainerUse, Engine, Measured};
use crate::error::Result;
use crate::id::ContainerId;
use crate::runtime::cgroup::Statistics;

/// docker's columns.
const FIELDS: &[&str] =
    &["ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs"];

const HEADERS: &[(&str, &str)] = &[
    ("ID", "CONTAINER ID"),
    ("CPUPerc", "CPU %"),
    ("MemUsage", "MEM USAGE / LIMIT"),
    ("MemPerc", "MEM %"),
    ("NetIO", "NET I/O"),
    ("BlockIO", "BLOCK I/O"),
];

/// Between two looks: the use of processors is that of this time.
const INTERVAL: Duration = Duration::from_secs(1);

/// Home, and clear what is below (console_codes(4)).
const CLEAR: &str = "\x1b[H\x1b[J";

/// docker's word for what is not known.
const UNKNOWN: &str = "--";

/// Measures until nobody reads any more, or once.
pub(in crate::cli) fn run(engine: &Engine, stats: &Stats) -> Result<i32> {
    let format = Format::parse(stats.format.as_deref().unwrap_or_default())?;
    let which = match (stats.containers.as_slice(), stats.all) {
        ([], false) => Measured::Running,
        ([], true) => Measured::All,
        (names, _) => Measured::Named(names),
    };
    let screen = !stats.no_stream && rustix::termios::isatty(rustix::stdio::stdout());
    let mut before = engine.measure(which)?;
    engine.tell_unmeasured(&before)?;
    loop {
        std::thread::sleep(INTERVAL);
        let now = engine.measure(which)?;
        let rows: Vec<Value> =
            now.iter().map(|one| row(one, statistics(&before, &one.id), stats.no_trunc)).collect();
        let table = format.render(&rows, Columns { fields: FIELDS, headers: HEADERS })?;
        let status = exit::data(&format!("{}{table}", if screen { CLEAR } else { "" }));
        if stats.no_stream || status != 0 {
            return Ok(status);
        }
        before = now;
    }
}

fn statistics<'a>(all: &'a [ContainerUse], id: &ContainerId) -> Option<&'a Statistics> {
    all.iter().find(|one| one.id == *id)?.statistics.as_ref()
}

fn row(container: &ContainerUse, before: Option<&Statistics>, whole: bool) -> Value {
    let now = container.statistics.as_ref();
    let id = container.id.as_str();
    let percent = |value: Option<f64>| value.map(|value| format!("{value:.2}%"));
    let known = |text: Option<String>| text.unwrap_or_else(|| UNKNOWN.into());
    let pair = |text: Option<String>| text.unwrap_or_else(|| format!("{UNKNOWN} / {UNKNOWN}"));
    let memory = now.and_then(|now| {
        let usage = binary_size(now.memory?.usage);
        Some(format!("{usage} / {}", binary_size(now.memory_limit())))
    });
    let block = now.and_then(|now| now.block);
    let block = block.map(|io| format!("{} / {}", human_size(io.read), human_size(io.written)));
    json!({
        "Container": id,
        "ID": if whole { id } else { short_id(id) },
        "Name": container.name,
        "CPUPerc": known(percent(now.zip(before).and_then(|(now, old)| now.cpu_percent(old)))),
        "MemUsage": pair(memory),
        "MemPerc": known(percent(now.and_then(Statistics::memory_percent))),
        // docker's for the host's network and for none.
        "NetIO": pair(now.map(|_| "0B / 0B".into())),
        "BlockIO": pair(block),
        "PIDs": known(now.and_then(|now| now.pids).map(|pids| pids.current.to_string())),
    })
}
