//! A container's health: what the results of its checks make of it. It knows
//! no process and no clock.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::fs::Timestamp;

/// How many results are kept (docker).
const KEPT: usize = 5;

/// When a container's health is checked (docker's `HEALTHCHECK`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// From the start, or the end of a check, to the next one.
    pub interval: Duration,
    /// The same in the start period, until it is healthy.
    pub start_interval: Duration,
    /// In which failures do not count, until it is healthy.
    pub start_period: Duration,
    /// How long a check may take.
    pub timeout: Duration,
    /// How many failures in a row make it unhealthy.
    pub retries: u32,
}

/// docker's words for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    /// Not known yet.
    #[default]
    Starting,
    /// Its last check, or one not many before, succeeded.
    Healthy,
    /// Too many failed.
    Unhealthy,
}

impl HealthStatus {
    /// docker's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// What one check said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckResult {
    /// When it began.
    pub start: Timestamp,
    /// When it ended.
    pub end: Timestamp,
    /// Its exit status; -1 if it has none.
    pub exit_code: i32,
    /// What it printed, as far as that is kept.
    pub output: String,
}

/// A container's health.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// What it is.
    pub status: HealthStatus,
    /// How many checks have failed since one succeeded.
    pub failing_streak: u32,
    /// The last results, the oldest first.
    pub log: VecDeque<CheckResult>,
}

impl Health {
    /// Adds what a check said that began so long after the container's start;
    /// true if the status has changed.
    pub fn add(&mut self, result: CheckResult, schedule: &Schedule, age: Duration) -> bool {
        let before = self.status;
        if result.exit_code == 0 {
            self.failing_streak = 0;
            self.status = HealthStatus::Healthy;
        } else if !self.is_starting(schedule, age) {
            self.failing_streak = self.failing_streak.saturating_add(1);
            if self.failing_streak >= schedule.retries {
                self.status = HealthStatus::Unhealthy;
            }
        }
        self.log.push_back(result);
        if self.log.len() > KEPT {
            self.log.pop_front();
        }
        self.status != before
    }

    /// How long until the next check, so long after the container's start.
    pub fn pause(&self, schedule: &Schedule, age: Duration) -> Duration {
        match self.is_starting(schedule, age) {
            true => schedule.start_interval,
            false => schedule.interval,
        }
    }

    fn is_starting(&self, schedule: &Schedule, age: Duration) -> bool {
        self.status == HealthStatus::Starting && age < schedule.start_period
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEDULE: Schedule = Schedule {
        interval: Duration::from_secs(30),
        start_interval: Duration::from_secs(5),
        start_period: Duration::from_secs(60),
        timeout: Duration::from_secs(30),
        retries: 2,
    };

    fn result(exit_code: i32) -> CheckResult {
        let now = Timestamp::default();
        CheckResult { start: now, end: now, exit_code, output: String::new() }
    }

    #[test]
    fn failures_count_after_the_start_period_and_successes_always() {
        let (early, late) = (Duration::from_secs(10), Duration::from_secs(61));
        let mut health = Health::default();
        for _ in 0..4 {
            assert!(!health.add(result(1), &SCHEDULE, early));
        }
        assert_eq!((health.status, health.failing_streak), (HealthStatus::Starting, 0));
        assert_eq!(health.pause(&SCHEDULE, early), SCHEDULE.start_interval);
        assert_eq!(health.pause(&SCHEDULE, late), SCHEDULE.interval);
        assert!(!health.add(result(1), &SCHEDULE, late));
        assert!(health.add(result(-1), &SCHEDULE, late));
        assert_eq!((health.status, health.failing_streak), (HealthStatus::Unhealthy, 2));
        assert!(health.add(result(0), &SCHEDULE, late));
        assert_eq!((health.status, health.failing_streak), (HealthStatus::Healthy, 0));
        assert_eq!(health.log.len(), KEPT);
        assert_eq!(health.log.back().unwrap().exit_code, 0);
    }

    #[test]
    fn one_success_ends_the_start_period() {
        let early = Duration::from_secs(10);
        let mut health = Health::default();
        assert!(health.add(result(0), &SCHEDULE, early));
        assert_eq!(health.pause(&SCHEDULE, early), SCHEDULE.interval);
        assert!(!health.add(result(2), &SCHEDULE, early));
        assert!(health.add(result(2), &SCHEDULE, early));
        assert_eq!(health.status, HealthStatus::Unhealthy);
    }
}
