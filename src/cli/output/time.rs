//! Durations and times as docker writes them. The clock and the time zone are
//! the caller's.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::error::{Error, Result};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// A duration in words, by go-units' `HumanDuration`: `About a minute`,
/// `3 hours`, `2 weeks`.
pub fn human_duration(seconds: u64) -> String {
    // Hours are rounded to the nearest, all else is cut off.
    let hours = seconds.saturating_add(HOUR / 2) / HOUR;
    match (seconds, hours) {
        (0, _) => "Less than a second".to_owned(),
        (1, _) => "1 second".to_owned(),
        (..MINUTE, _) => format!("{seconds} seconds"),
        (MINUTE..120, _) => "About a minute".to_owned(),
        (..HOUR, _) => format!("{} minutes", seconds / MINUTE),
        (_, 1) => "About an hour".to_owned(),
        (_, ..48) => format!("{hours} hours"),
        (_, ..336) => format!("{} days", hours / 24),
        (_, ..1440) => format!("{} weeks", hours / 24 / 7),
        (_, ..17520) => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", seconds / DAY / 365),
    }
}

/// How long ago something was, from its time and the present one in seconds
/// since 1970: `3 hours ago`. The future is `Less than a second ago`.
pub fn ago(then: i64, now: i64) -> String {
    let seconds = u64::try_from(now.saturating_sub(then)).unwrap_or(0);
    human_duration(seconds) + " ago"
}

/// RFC 3339 in UTC with as many digits of nanoseconds as there are, as docker's
/// inspect has it: `2024-01-02T03:04:05.123456789Z`, `2024-01-02T03:04:05Z`.
/// `nanos` is below a thousand millions; `Error` (`Invalid`) beyond the year
/// 9999.
pub fn rfc3339(seconds: i64, nanos: u32) -> Result<String> {
    timestamp(seconds, nanos).map(|time| time.to_string())
}

/// A time in a list's `CreatedAt`: `2024-01-02 03:04:05 +0000 UTC`. Errors as
/// [`rfc3339`].
pub fn created_at(seconds: i64, zone: &TimeZone) -> Result<String> {
    let time = timestamp(seconds, 0)?.to_zoned_datetime(zone.clone());
    Ok(time.strftime("%Y-%m-%d %H:%M:%S %z %Z").to_string())
}

/// The time of an event, with all nine digits of nanoseconds:
/// `2024-01-02T03:04:05.000000123+02:00`, or `Z` for UTC (docker's
/// `RFC3339NanoFixed`). Errors as [`rfc3339`].
pub fn event_time(seconds: i64, nanos: u32, zone: &TimeZone) -> Result<String> {
    let time = timestamp(seconds, nanos)?.to_zoned_datetime(zone.clone());
    let offset =
        if time.offset().is_zero() { "Z".into() } else { time.strftime("%:z").to_string() };
    Ok(format!("{}{offset}", time.strftime("%Y-%m-%dT%H:%M:%S.%9f")))
}

fn timestamp(seconds: i64, nanos: u32) -> Result<Timestamp> {
    i32::try_from(nanos)
        .ok()
        .filter(|nanos| *nanos < 1_000_000_000)
        .and_then(|nanos| {
            // jiff wants the sign of both to agree; before 1970 the fraction
            // still counts forward.
            let whole = Timestamp::from_second(seconds).ok()?;
            whole.checked_add(jiff::SignedDuration::new(0, nanos)).ok()
        })
        .ok_or_else(|| Error::invalid(format!("no such time: {seconds} seconds and {nanos} ns")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_times_have_a_fixed_width() {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let time = event_time(1_700_000_000, 123, &zone).unwrap();
        assert_eq!(time, "2023-11-15T00:13:20.000000123+02:00");
        let time = event_time(1_700_000_000, 0, &TimeZone::UTC).unwrap();
        assert_eq!(time, "2023-11-14T22:13:20.000000000Z");
    }

    #[test]
    fn durations_are_docker_s() {
        for (seconds, words) in [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (119, "About a minute"),
            (120, "2 minutes"),
            (3599, "59 minutes"),
            (3600, "About an hour"),
            (5399, "About an hour"),
            (5400, "2 hours"),
            (3 * HOUR, "3 hours"),
            (47 * HOUR, "47 hours"),
            (2 * DAY, "2 days"),
            (13 * DAY, "13 days"),
            (14 * DAY, "2 weeks"),
            (21 * DAY, "3 weeks"),
            (59 * DAY, "8 weeks"),
            (60 * DAY, "2 months"),
            (120 * DAY, "4 months"),
            (729 * DAY, "24 months"),
            (730 * DAY, "2 years"),
            (u64::MAX, "584942417355 years"),
        ] {
            assert_eq!(human_duration(seconds), words, "{seconds}");
        }
    }

    #[test]
    fn ago_never_looks_forward() {
        assert_eq!(ago(1_000, 1_000 + 7200), "2 hours ago");
        assert_eq!(ago(1_000, 0), "Less than a second ago");
        assert_eq!(ago(i64::MIN, i64::MAX), "292471208677 years ago");
    }

    #[test]
    fn times_carry_the_digits_they_have() {
        for (seconds, nanos, text) in [
            (1_704_164_645, 123_456_789, "2024-01-02T03:04:05.123456789Z"),
            (1_704_164_645, 120_000_000, "2024-01-02T03:04:05.12Z"),
            (1_704_164_645, 0, "2024-01-02T03:04:05Z"),
            (0, 1, "1970-01-01T00:00:00.000000001Z"),
            (-1, 500_000_000, "1969-12-31T23:59:59.5Z"),
            (-62_135_596_800, 0, "0001-01-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(seconds, nanos).expect("a time"), text);
        }
    }

    #[test]
    fn a_time_that_is_none_is_an_error() {
        let error = rfc3339(i64::MAX, 7).expect_err("too late");
        assert_eq!(error.to_string(), "no such time: 9223372036854775807 seconds and 7 ns");
        assert!(rfc3339(0, 1_000_000_000).is_err());
        assert!(rfc3339(0, u32::MAX).is_err());
    }

    #[test]
    fn created_at_names_the_zone() {
        let utc = created_at(1_704_164_645, &TimeZone::UTC).expect("a time");
        assert_eq!(utc, "2024-01-02 03:04:05 +0000 UTC");
    }
}
