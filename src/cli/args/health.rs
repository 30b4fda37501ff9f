//! The options of `run` and `create` that say how a container's health is
//! probed.

use std::time::Duration;

use clap::Args;

use crate::engine::options::health::{HealthOptions, parse_health_duration, parse_health_retries};
use crate::error::Result;

/// What is probed, and when.
#[derive(Args, Debug)]
#[command(next_help_heading = "Health")]
pub(in crate::cli) struct Health {
    /// Run this line in the container to see whether it is well
    #[arg(long, value_name = "LINE", default_value = "", hide_default_value = true)]
    pub health_cmd: String,
    /// From one probe to the next, as in 1m30s; 30s without it
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = |text: &str| parse_health_duration("--health-interval", text),
        allow_hyphen_values = true
    )]
    pub health_interval: Option<Duration>,
    /// After which a probe has failed; 30s without it
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = |text: &str| parse_health_duration("--health-timeout", text),
        allow_hyphen_values = true
    )]
    pub health_timeout: Option<Duration>,
    /// At first, how long failures do not count; 0 without it
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = |text: &str| parse_health_duration("--health-start-period", text),
        allow_hyphen_values = true
    )]
    pub health_start_period: Option<Duration>,
    /// From one probe to the next in that time; 5s without it
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = |text: &str| parse_health_duration("--health-start-interval", text),
        allow_hyphen_values = true
    )]
    pub health_start_interval: Option<Duration>,
    /// How many failures in a row make it unhealthy; 3 without it
    #[arg(
        long,
        value_name = "NUMBER",
        value_parser = parse_health_retries,
        allow_negative_numbers = true
    )]
    pub health_retries: Option<u32>,
    /// Probe nothing, whatever the image says
    #[arg(long)]
    pub no_healthcheck: bool,
}

impl Health {
    /// The engine's form, in which 0 is what was not given.
    ///
    /// # Errors
    /// `Invalid` for options that do not go together.
    pub fn into_options(self) -> Result<HealthOptions> {
        let options = HealthOptions {
            command: self.health_cmd,
            interval: self.health_interval.unwrap_or_default(),
            timeout: self.health_timeout.unwrap_or_default(),
            start_period: self.health_start_period.unwrap_or_default(),
            start_interval: self.health_start_interval.unwrap_or_default(),
            retries: self.health_retries.unwrap_or_default(),
            disabled: self.no_healthcheck,
        };
        options.check()?;
        Ok(options)
    }
}
