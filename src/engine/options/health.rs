//! `--health-*` and `--no-healthcheck`: how a container's health is probed,
//! put together from its image and the flags. It probes nothing.
//!
//! The rules are docker's (moby, `daemon/commit.go` for the merge, field by
//! field, and `daemon/health.go` for what is left out).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::dockerfile::parse_duration;
use crate::error::{Context, Error, Result};
use crate::monitor::Schedule;
use crate::oci::Healthcheck;

/// From one probe to the next.
const INTERVAL: Duration = Duration::from_secs(30);
/// How long a probe may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// From one probe to the next while the start period lasts.
const START_INTERVAL: Duration = Duration::from_secs(5);
/// Failures in a row that make a container unhealthy.
const RETRIES: u32 = 3;
/// The shortest time that can be said, in nanoseconds (moby,
/// `container.MinimumDuration`).
const SHORTEST: i64 = 1_000_000;
/// What runs the text of a `CMD-SHELL` where the image names no shell.
const SHELL: [&str; 2] = ["/bin/sh", "-c"];

/// What the flags say. An empty text and 0 are docker's for what was not
/// given: the image decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HealthOptions {
    /// `--health-cmd`: a line for the shell.
    pub command: String,
    /// `--health-interval`.
    pub interval: Duration,
    /// `--health-timeout`.
    pub timeout: Duration,
    /// `--health-start-period`.
    pub start_period: Duration,
    /// `--health-start-interval`.
    pub start_interval: Duration,
    /// `--health-retries`.
    pub retries: u32,
    /// `--no-healthcheck`: not even the image's.
    pub disabled: bool,
}

impl HealthOptions {
    /// Refuses what contradicts itself.
    ///
    /// # Errors
    /// `Invalid`, in docker's words.
    pub fn check(&self) -> Result<()> {
        if self.disabled && *self != (Self { disabled: true, ..Self::default() }) {
            return Err(Error::invalid("--no-healthcheck conflicts with --health-* options")
                .hint("leave --no-healthcheck out, or the others"));
        }
        Ok(())
    }

    /// docker's form of the flags alone.
    fn as_healthcheck(&self) -> Healthcheck {
        let test = match (self.disabled, self.command.as_str()) {
            (true, _) => vec!["NONE".to_owned()],
            (false, "") => Vec::new(),
            (false, line) => vec!["CMD-SHELL".to_owned(), line.to_owned()],
        };
        Healthcheck {
            test,
            interval: nanoseconds(self.interval),
            timeout: nanoseconds(self.timeout),
            start_period: nanoseconds(self.start_period),
            start_interval: nanoseconds(self.start_interval),
            retries: i64::from(self.retries),
        }
    }
}

/// How a container's health is probed, with nothing left open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// What is executed in the container; never empty.
    pub command: Vec<String>,
    /// The same in docker's form: `["CMD", ...]` or `["CMD-SHELL", line]`.
    pub test: Vec<String>,
    /// From one probe to the next.
    pub interval: Duration,
    /// After which a probe has failed.
    pub timeout: Duration,
    /// In which failures do not count.
    pub start_period: Duration,
    /// From one probe to the next while the start period lasts.
    pub start_interval: Duration,
    /// How many failures in a row mean unhealthy; never 0.
    pub retries: u32,
}

impl HealthCheck {
    /// When the monitor runs it.
    pub fn schedule(&self) -> Schedule {
        Schedule {
            interval: self.interval,
            start_interval: self.start_interval,
            start_period: self.start_period,
            timeout: self.timeout,
            retries: self.retries,
        }
    }
}

/// Parses the duration of `flag` in Go's form, as in `1m30s`: 0 for what the
/// image says, or 1 ms at least.
///
/// # Errors
/// `Invalid` for anything else, with the flag.
pub fn parse_health_duration(flag: &str, text: &str) -> Result<Duration> {
    if text.strip_prefix('-').is_some_and(|rest| parse_duration(rest).is_ok()) {
        return Err(Error::invalid(format!("{flag} cannot be negative: {text}")));
    }
    match parse_duration(text).context(|| format!("invalid {flag}"))? {
        1..SHORTEST => Err(Error::invalid(format!("{flag} cannot be less than 1ms: {text}"))
            .hint("write it like 30s, or 0 for what the image says")),
        nanoseconds => Ok(duration(nanoseconds)),
    }
}

/// Parses `--health-retries`: a count, 0 for what the image says.
///
/// # Errors
/// `Invalid` for anything else.
pub fn parse_health_retries(text: &str) -> Result<u32> {
    let flag = "--health-retries";
    if text.parse().is_ok_and(|count: i64| count < 0) {
        return Err(Error::invalid(format!("{flag} cannot be negative: {text}")));
    }
    text.parse().map_err(|_| Error::invalid(format!("invalid {flag}: {text:?} is not a count")))
}

/// The image's health check with the flags over it, in docker's form: what
/// nobody said is 0. `None` if neither says anything.
pub fn asked(image: Option<&Healthcheck>, options: &HealthOptions) -> Option<Healthcheck> {
    let flags = options.as_healthcheck();
    let Some(image) = image else {
        return Some(flags).filter(|flags| *flags != Healthcheck::default());
    };
    let over = |flag: i64, image: i64| if flag == 0 { image } else { flag };
    Some(Healthcheck {
        interval: over(flags.interval, image.interval),
        timeout: over(flags.timeout, image.timeout),
        start_period: over(flags.start_period, image.start_period),
        start_interval: over(flags.start_interval, image.start_interval),
        retries: over(flags.retries, image.retries),
        test: if flags.test.is_empty() { image.test.clone() } else { flags.test },
    })
}

/// How health is probed: `image`'s check with the flags over it, and docker's
/// defaults for the rest; a line is run by `shell`, the image's. `None` if there
/// is nothing to run.
///
/// # Errors
/// `Invalid` for an image's check that makes no sense: an unknown type, no
/// command, negative numbers.
pub fn merge(
    image: Option<&Healthcheck>,
    options: &HealthOptions,
    shell: Option<&[String]>,
) -> Result<Option<HealthCheck>> {
    let Some(asked) = asked(image, options) else { return Ok(None) };
    let Some(command) = command(&asked.test, shell)? else { return Ok(None) };
    let or = |value: Duration, default| if value.is_zero() { default } else { value };
    Ok(Some(HealthCheck {
        command,
        interval: or(checked("Interval", asked.interval)?, INTERVAL),
        timeout: or(checked("Timeout", asked.timeout)?, TIMEOUT),
        start_period: checked("StartPeriod", asked.start_period)?,
        start_interval: or(checked("StartInterval", asked.start_interval)?, START_INTERVAL),
        retries: match retries(asked.retries)? {
            0 => RETRIES,
            count => count,
        },
        test: asked.test,
    }))
}

/// What a test executes, if anything.
fn command(test: &[String], shell: Option<&[String]>) -> Result<Option<Vec<String>>> {
    let Some((kind, words)) = test.split_first() else { return Ok(None) };
    let shell = || match shell {
        Some(shell) if !shell.is_empty() => shell.to_vec(),
        _ => SHELL.map(str::to_owned).to_vec(),
    };
    let command = match kind.as_str() {
        "NONE" => return Ok(None),
        "CMD" => Vec::new(),
        "CMD-SHELL" => shell(),
        other => {
            return Err(wrong(format!("its type {other:?} is not CMD, CMD-SHELL or NONE")));
        }
    };
    if words.is_empty() {
        return Err(wrong(format!("there is no command after {kind}")));
    }
    Ok(Some([command.as_slice(), words].concat()))
}

/// A time of docker's, of the field `name`, in nanoseconds.
fn checked(name: &str, nanoseconds: i64) -> Result<Duration> {
    if nanoseconds != 0 && nanoseconds < SHORTEST {
        return Err(wrong(format!("{name} cannot be less than 1ms, it is {nanoseconds}ns")));
    }
    Ok(duration(nanoseconds))
}

fn retries(count: i64) -> Result<u32> {
    if count < 0 {
        return Err(wrong(format!("Retries cannot be negative, it is {count}")));
    }
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

fn wrong(fault: String) -> Error {
    Error::invalid(format!("invalid health check: {fault}"))
        .hint("correct the image's HEALTHCHECK, or leave it out: --no-healthcheck")
}

fn duration(nanoseconds: i64) -> Duration {
    Duration::from_nanos(nanoseconds.unsigned_abs())
}

/// docker's number of a time: 292 years at most.
fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "health_tests.rs"]
mod tests;
