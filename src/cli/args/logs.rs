//! What can be typed after `envbox logs`.

use clap::Args;
use jiff::tz::TimeZone;

use crate::error::{Error, Result};
use crate::fs::Timestamp;
use crate::monitor::log::LogQuery;

use super::until;

/// Show what a container printed
///
/// Shows what a container has printed, on stdout what it printed there, and on
/// stderr likewise.
#[derive(Args, Debug)]
pub(in crate::cli) struct Logs {
    /// A name, an ID or its beginning
    pub container: String,
    /// Go on with what it prints from now on, until it ends
    #[arg(short, long)]
    pub follow: bool,
    /// Show the last NUMBER lines; all
    #[arg(short = 'n', long, value_name = "NUMBER", default_value = "all",
          allow_negative_numbers = true, value_parser = Tail::parse)]
    pub tail: Tail,
    /// Show what it printed since then: a span as in 10m, a date, a time
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub since: Option<Timestamp>,
    /// Show what it had printed by then
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub until: Option<Timestamp>,
    /// Show before each line when it was printed
    #[arg(short, long)]
    pub timestamps: bool,
}

impl Logs {
    /// The engine's form.
    pub fn query(&self) -> LogQuery {
        LogQuery { tail: self.tail.0, since: self.since, until: self.until, follow: self.follow }
    }
}

/// So many lines from the end, or all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Tail(Option<u64>);

impl Tail {
    /// Parses `all` or a number; one below 0 is all, as in docker.
    fn parse(text: &str) -> Result<Self> {
        if text == "all" {
            return Ok(Self(None));
        }
        let number: i64 = text.parse().map_err(|_| {
            Error::invalid(format!("{text:?} is no number of lines"))
                .hint("give a number, or all: --tail 10")
        })?;
        Ok(Self(u64::try_from(number).ok()))
    }
}

fn time(text: &str) -> Result<Timestamp> {
    until::parse(text, Timestamp::now(), &TimeZone::system())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_is_docker_s() {
        let lines = |text| Tail::parse(text).ok().map(|tail| tail.0);
        for (text, expected) in [
            ("all", Some(None)),
            ("-1", Some(None)),
            ("0", Some(Some(0))),
            ("10", Some(Some(10))),
            ("", None),
            ("ten", None),
            ("1.5", None),
        ] {
            assert_eq!(lines(text), expected, "{text}");
        }
    }
}
