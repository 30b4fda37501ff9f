//! `envbox top`.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::cli::args::exec::Top;
use crate::cli::exit;
use crate::cli::output::Table;
use crate::engine::{Engine, ProcessSummary};
use crate::error::{Error, Result};

/// The columns of `ps -f`, which are docker's.
const COLUMNS: [&str; 8] = ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"];

/// Lists the processes of a container.
pub(in crate::cli) fn run(engine: &Engine, top: &Top) -> Result<i32> {
    if !top.options.is_empty() {
        let printed = engine.printed_processes(&top.container, &top.options)?;
        let mut table = Table::new(&printed.titles);
        printed.rows.iter().for_each(|row| table.row(row));
        return Ok(exit::data(&table.render()));
    }
    let mut table = Table::new(COLUMNS);
    let (now, zone) = (Timestamp::now(), TimeZone::system());
    for process in engine.processes(&top.container)? {
        table.row(row(&process, now, &zone)?);
    }
    Ok(exit::data(&table.render()))
}

fn row(process: &ProcessSummary, now: Timestamp, zone: &TimeZone) -> Result<[String; 8]> {
    let start = Timestamp::from_second(process.started.seconds)
        .map_err(|error| Error::internal("the time of a process is no time").because(error))?;
    Ok([
        process.user.clone(),
        process.pid.to_string(),
        process.parent.to_string(),
        process.percent.to_string(),
        start_time(start, now, zone),
        process.terminal.clone().unwrap_or_else(|| "?".into()),
        processor_time(process.seconds),
        process.command.clone(),
    ])
}

/// As ps(1) shows it: the time of today, the day of this year, or the year.
fn start_time(start: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
    let (start, now) = (start.to_zoned_datetime(zone.clone()), now.to_zoned_datetime(zone.clone()));
    let format = match (start.date() == now.date(), start.year() == now.year()) {
        (true, _) => "%H:%M",
        (_, true) => "%b%d",
        _ => "%Y",
    };
    start.strftime(format).to_string()
}

/// `[DD-]HH:MM:SS`.
fn processor_time(seconds: u64) -> String {
    let (days, hours) = (seconds / 86_400, seconds / 3600 % 24);
    let days = if days > 0 { format!("{days:02}-") } else { String::new() };
    format!("{days}{hours:02}:{:02}:{:02}", seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_ps() {
        assert_eq!(processor_time(3_723), "01:02:03");
        assert_eq!(processor_time(2 * 86_400 + 5), "02-00:00:05");
        let now: Timestamp = "2024-03-02T12:00:00Z".parse().unwrap();
        for (start, shown) in [
            ("2024-03-02T01:02:00Z", "01:02"),
            ("2024-03-01T23:59:00Z", "Mar01"),
            ("2023-12-31T23:59:00Z", "2023"),
        ] {
            assert_eq!(start_time(start.parse().unwrap(), now, &TimeZone::UTC), shown);
        }
    }
}
