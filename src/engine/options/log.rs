//! `--log-driver` and `--log-opt`: where what a container prints is kept.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::monitor::log::LogOptions;

use super::size::parse_size;

/// docker's drivers, as far as envbox has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogDriver {
    /// Files of JSON beside the container.
    #[default]
    JsonFile,
    /// Nowhere.
    None,
}

impl FromStr for LogDriver {
    type Err = Error;

    /// # Errors
    /// `Unsupported` for docker's others.
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "json-file" => Ok(Self::JsonFile),
            "none" => Ok(Self::None),
            _ => Err(Error::unsupported(format!("there is no log driver {text:?}"))
                .hint("choose json-file or none")),
        }
    }
}

/// One `--log-opt` of the json-file driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogOption {
    /// `max-size=`: bytes; `None` for -1, no limit.
    MaxSize(Option<u64>),
    /// `max-file=`.
    MaxFile(u32),
}

impl FromStr for LogOption {
    type Err = Error;

    /// # Errors
    /// `Invalid` for what is no such option, or has no such value.
    fn from_str(text: &str) -> Result<Self> {
        match text.split_once('=') {
            Some(("max-size", "-1")) => Ok(Self::MaxSize(None)),
            Some(("max-size", size)) => match parse_size(size)? {
                0 => Err(Error::invalid("max-size must be larger than 0")),
                size => Ok(Self::MaxSize(Some(size))),
            },
            Some(("max-file", count)) => {
                let count = count.parse().ok().filter(|count| *count > 0);
                count.map(Self::MaxFile).ok_or_else(|| {
                    Error::invalid(format!("{text}: at least 1 file is kept"))
                        .hint("write a whole number, as in max-file=3")
                })
            }
            _ => Err(Error::invalid(format!("unknown log option {text:?}"))
                .hint("write max-size=SIZE or max-file=NUMBER")),
        }
    }
}

/// What a container's log is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogSpec {
    /// Where.
    pub driver: LogDriver,
    /// See [`LogOptions::max_size`].
    pub max_size: Option<u64>,
    /// See [`LogOptions::max_file`]; 1 if not given.
    pub max_file: Option<u32>,
}

impl LogSpec {
    /// The log of `driver` with `options`, the last of each kind counting.
    ///
    /// # Errors
    /// `Invalid` for options of a driver that has none.
    pub fn new(driver: LogDriver, options: &[LogOption]) -> Result<Self> {
        if driver == LogDriver::None && !options.is_empty() {
            return Err(Error::invalid("the log driver none has no options")
                .hint("leave --log-opt out, or choose --log-driver json-file"));
        }
        let mut spec = Self { driver, ..Self::default() };
        for option in options {
            match *option {
                LogOption::MaxSize(size) => spec.max_size = size,
                LogOption::MaxFile(count) => spec.max_file = Some(count),
            }
        }
        Ok(spec)
    }

    /// What the writer of the log is told; `None` if there is no log.
    pub fn writer(self) -> Option<LogOptions> {
        let default = LogOptions::default();
        (self.driver == LogDriver::JsonFile).then(|| LogOptions {
            max_size: self.max_size,
            max_file: self.max_file.unwrap_or(default.max_file),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_docker_s() {
        let spec = |driver: &str, options: &[&str]| {
            let options: Result<Vec<LogOption>> = options.iter().map(|text| text.parse()).collect();
            LogSpec::new(driver.parse()?, &options?)
        };
        let full = spec("json-file", &["max-size=1k", "max-size=10m", "max-file=3"]).unwrap();
        let options = LogOptions { max_size: Some(10 << 20), max_file: 3 };
        assert_eq!(full.writer(), Some(options));
        let unlimited = spec("json-file", &["max-size=-1"]).unwrap();
        assert_eq!(unlimited.writer(), Some(LogOptions::default()));
        assert_eq!(spec("none", &[]).unwrap().writer(), None);
        for (driver, options) in [
            ("local", &[][..]),
            ("none", &["max-size=1m"]),
            ("json-file", &["max-size"]),
            ("json-file", &["max-size=0"]),
            ("json-file", &["max-file=0"]),
            ("json-file", &["max-file=x"]),
            ("json-file", &["mode=non-blocking"]),
        ] {
            assert!(spec(driver, options).is_err(), "{driver} {options:?}");
        }
    }
}
