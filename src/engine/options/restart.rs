//! `--restart POLICY`: whether a container that ended is started again, and
//! how long that waits. It knows neither containers nor clocks: who restarts
//! tells what happened.
//!
//! The rules are docker's (moby, `daemon/internal/restartmanager`, and the
//! checks of `ValidateRestartPolicy`).

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use crate::error::{Error, Result};

/// The pause before the first restart.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
/// The pause that no other is longer than.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A run of this length counts as one that came up.
const LONG_RUN: Duration = Duration::from_secs(10);

/// When a container is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RestartPolicy {
    /// Never.
    #[default]
    No,
    /// When it failed; so many times at most, 0 and `None` meaning no limit.
    OnFailure(Option<u32>),
    /// Whenever it ended, unless it was stopped by hand.
    Always,
    /// As [`Self::Always`], but what was stopped by hand stays so at boot.
    UnlessStopped,
}

impl RestartPolicy {
    /// docker's name of it, without the number: `on-failure`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::No => "no",
            Self::OnFailure(_) => "on-failure",
            Self::Always => "always",
            Self::UnlessStopped => "unless-stopped",
        }
    }

    /// How many restarts there are at most; 0 for no limit.
    pub fn maximum_retries(&self) -> u32 {
        match self {
            Self::OnFailure(most) => most.unwrap_or(0),
            Self::No | Self::Always | Self::UnlessStopped => 0,
        }
    }

    /// Whether a container that ended with `status`, and was restarted
    /// `restarts_so_far` times before, is to be started again.
    pub fn restarts(&self, status: i32, restarts_so_far: u32, stopped_by_hand: bool) -> bool {
        let limit = self.maximum_retries();
        !stopped_by_hand
            && match self {
                Self::No => false,
                Self::OnFailure(_) => status != 0 && (limit == 0 || restarts_so_far < limit),
                Self::Always | Self::UnlessStopped => true,
            }
    }

    /// The same when the host comes up, of a container that ended before or
    /// with it: docker's rule for the start of its daemon.
    pub fn starts_at_boot(&self, status: i32, restarts_so_far: u32, stopped_by_hand: bool) -> bool {
        *self == Self::Always || self.restarts(status, restarts_so_far, stopped_by_hand)
    }

    fn parse(name: &str, count: i64) -> Result<Self, &'static str> {
        let policy = match name {
            "no" => Self::No,
            "always" => Self::Always,
            "unless-stopped" => Self::UnlessStopped,
            "on-failure" => {
                let count = match count {
                    ..0 => return Err("maximum retry count cannot be negative"),
                    count => {
                        u32::try_from(count).map_err(|_| "maximum retry count is too large")?
                    }
                };
                return Ok(Self::OnFailure((count > 0).then_some(count)));
            }
            _ => return Err("unknown policy"),
        };
        match count {
            0 => Ok(policy),
            ..0 => Err("maximum retry count can only be used with 'on-failure' \
                        and cannot be negative"),
            _ => Err("maximum retry count can only be used with 'on-failure'"),
        }
    }
}

impl FromStr for RestartPolicy {
    type Err = Error;

    /// Parses `no`, `on-failure[:COUNT]`, `always` and `unless-stopped`; an
    /// empty text is `no`.
    ///
    /// # Errors
    /// `Invalid`, in docker's words.
    fn from_str(text: &str) -> Result<Self> {
        if text.is_empty() {
            return Ok(Self::No);
        }
        let parsed = match text.split_once(':').unwrap_or((text, "")) {
            ("", _) => Err("no policy provided before colon"),
            (name, "") => Self::parse(name, 0),
            (name, count) => match count.parse() {
                Ok(count) => Self::parse(name, count),
                Err(_) => Err("maximum retry count must be an integer"),
            },
        };
        parsed.map_err(|fault| {
            Error::invalid(format!("invalid restart policy: {fault}: \"{text}\""))
                .hint("use one of no, on-failure[:COUNT], always and unless-stopped")
        })
    }
}

impl fmt::Display for RestartPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self.maximum_retries() {
            0 => Ok(()),
            most => write!(f, ":{most}"),
        }
    }
}

impl<'de> Deserialize<'de> for RestartPolicy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|error: Error| serde::de::Error::custom(error.chain()))
    }
}

/// How long each restart of one container waits: twice as long as the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackOff {
    last: Duration,
}

impl BackOff {
    /// The pause before the next restart, after a run that took `ran`: 100 ms
    /// at first and after a run of 10 s or longer, then doubled each time, a
    /// minute at most.
    pub fn next(&mut self, ran: Duration) -> Duration {
        self.last = if self.last.is_zero() || ran >= LONG_RUN {
            SHORTEST_PAUSE
        } else {
            (self.last * 2).min(LONGEST_PAUSE)
        };
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::RestartPolicy::{Always, No, OnFailure, UnlessStopped};
    use super::*;

    #[test]
    fn takes_docker_s_forms() {
        for (text, policy, printed) in [
            ("", No, "no"),
            ("no", No, "no"),
            ("no:", No, "no"),
            ("no:0", No, "no"),
            ("on-failure", OnFailure(None), "on-failure"),
            ("on-failure:", OnFailure(None), "on-failure"),
            ("on-failure:0", OnFailure(None), "on-failure"),
            ("on-failure:3", OnFailure(Some(3)), "on-failure:3"),
            ("always", Always, "always"),
            ("unless-stopped", UnlessStopped, "unless-stopped"),
        ] {
            assert_eq!(text.parse::<RestartPolicy>().unwrap(), policy, "{text}");
            assert_eq!(policy.to_string(), printed);
            let json = serde_json::to_string(&policy).unwrap();
            assert_eq!(json, format!("\"{printed}\""));
            assert_eq!(serde_json::from_str::<RestartPolicy>(&json).unwrap(), policy);
        }
    }

    #[test]
    fn refuses_what_docker_refuses() {
        for (text, fault) in [
            ("never", "unknown policy"),
            ("Always", "unknown policy"),
            ("no::", "must be an integer"),
            (":3", "no policy provided before colon"),
            (":", "no policy provided before colon"),
            ("on-failure:x", "must be an integer"),
            ("on-failure:1:2", "must be an integer"),
            ("on-failure:-1", "maximum retry count cannot be negative"),
            ("on-failure:4294967296", "maximum retry count is too large"),
            ("always:1", "can only be used with 'on-failure'"),
            ("unless-stopped:-1", "can only be used with 'on-failure' and cannot be negative"),
        ] {
            let error = text.parse::<RestartPolicy>().unwrap_err().chain();
            assert!(error.starts_with("invalid restart policy: "), "{text}: {error}");
            assert!(error.contains(fault), "{text}: {error}");
        }
    }

    #[test]
    fn restarts_by_docker_s_rule() {
        for (policy, after_success, after_failure) in [
            (No, false, false),
            (OnFailure(None), false, true),
            (Always, true, true),
            (UnlessStopped, true, true),
        ] {
            assert_eq!(policy.restarts(0, 1_000_000, false), after_success, "{policy}");
            assert_eq!(policy.restarts(137, 1_000_000, false), after_failure, "{policy}");
            assert!(!policy.restarts(0, 0, true) && !policy.restarts(1, 0, true), "{policy}");
        }
        let twice = OnFailure(Some(2));
        let restarted: Vec<bool> = (0..4).map(|count| twice.restarts(1, count, false)).collect();
        assert_eq!(restarted, [true, true, false, false]);
        assert!(OnFailure(Some(0)).restarts(1, u32::MAX, false));
    }

    #[test]
    fn starts_at_boot_by_docker_s_rule() {
        for (policy, of_itself, failed, by_hand) in [
            (No, false, false, false),
            (OnFailure(Some(1)), false, true, false),
            (Always, true, true, true),
            (UnlessStopped, true, true, false),
        ] {
            assert_eq!(policy.starts_at_boot(0, 0, false), of_itself, "{policy}");
            assert_eq!(policy.starts_at_boot(1, 0, false), failed, "{policy}");
            assert_eq!(policy.starts_at_boot(143, 0, true), by_hand, "{policy}");
        }
        // One that has had all of its restarts stays where it is.
        assert!(!OnFailure(Some(1)).starts_at_boot(1, 1, false));
    }

    #[test]
    fn waits_longer_each_time_and_not_after_a_long_run() {
        let mut back_off = BackOff::default();
        let short = Duration::from_millis(9_999);
        let pauses: Vec<u128> = (0..12).map(|_| back_off.next(short).as_millis()).collect();
        assert_eq!(
            pauses,
            [100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 51_200, 60_000, 60_000]
        );
        assert_eq!(back_off.next(LONG_RUN), SHORTEST_PAUSE);
        assert_eq!(back_off.next(Duration::ZERO), SHORTEST_PAUSE * 2);
    }
}
