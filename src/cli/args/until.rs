//! Points in time as docker takes them for `until` and `since`: seconds since
//! 1970, a date, a date and time, or a span that counts back from now.

use jiff::civil;
use jiff::tz::TimeZone;

use crate::error::{Error, Result};
use crate::fs::Timestamp;

/// Parses a point in time; `zone` is that of a time without one.
///
/// # Errors
/// `Invalid`, with the forms that there are.
pub(super) fn parse(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Timestamp> {
    unix(text)
        .or_else(|| span(text).map(|nanoseconds| before(now, nanoseconds)))
        .or_else(|| date(text, zone))
        .ok_or_else(|| {
            Error::invalid(format!(
                "{text:?} is no time: give a span as in 24h or 1h30m, a date as in 2024-01-31 or \
                 2024-01-31T12:00:00Z, or seconds since 1970"
            ))
        })
}

/// `1700000000` or `1700000000.25`.
fn unix(text: &str) -> Option<Timestamp> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(seconds) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let nanoseconds = format!("{fraction:0<9}").parse().ok()?;
    Some(Timestamp { seconds: seconds.parse().ok()?, nanoseconds })
}

/// Go's durations (`time.ParseDuration`), in nanoseconds.
fn span(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut sum: f64 = 0.0;
    while !rest.is_empty() {
        let number_ends = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let (number, after) = rest.split_at(number_ends);
        let unit_ends = after
            .find(|letter: char| letter.is_ascii_digit() || letter == '.')
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_ends);
        let nanoseconds = match unit {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => return None,
        };
        sum += number.parse::<f64>().ok()? * nanoseconds;
        rest = after;
    }
    // As in Go, where a duration is 64 bits of nanoseconds.
    (!text.is_empty() && sum < i64::MAX as f64).then_some(sum as i64)
}

fn before(now: Timestamp, nanoseconds: i64) -> Timestamp {
    let then = i128::from(now.seconds) * 1_000_000_000 + i128::from(now.nanoseconds)
        - i128::from(nanoseconds);
    Timestamp {
        seconds: i64::try_from(then.div_euclid(1_000_000_000)).unwrap_or(i64::MIN),
        nanoseconds: u32::try_from(then.rem_euclid(1_000_000_000)).unwrap_or_default(),
    }
}

fn date(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let time = match text.parse::<jiff::Timestamp>() {
        Ok(time) => time,
        // A date alone is its midnight.
        Err(_) => {
            let civil: civil::DateTime = text.parse().ok()?;
            zone.to_timestamp(civil).ok()?
        }
    };
    let nanoseconds = time.as_nanosecond();
    Some(Timestamp {
        seconds: i64::try_from(nanoseconds.div_euclid(1_000_000_000)).ok()?,
        nanoseconds: u32::try_from(nanoseconds.rem_euclid(1_000_000_000)).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_docker_s() {
        let now = Timestamp::from_seconds(100_000);
        for (text, seconds, nanoseconds) in [
            ("0", 0, 0),
            ("1700000000", 1_700_000_000, 0),
            ("17.25", 17, 250_000_000),
            ("10m", 99_400, 0),
            ("1h30m", 94_600, 0),
            ("1.5s", 99_998, 500_000_000),
            ("240h", -764_000, 0),
            ("1970-01-02", 86_400, 0),
            ("1970-01-02T00:00:01", 86_401, 0),
            ("1970-01-02T00:00:01Z", 86_401, 0),
            ("1970-01-02T01:00:01+01:00", 86_401, 0),
            ("1969-12-31T23:59:59.25Z", -1, 250_000_000),
        ] {
            let expected = Timestamp { seconds, nanoseconds };
            assert_eq!(parse(text, now, &TimeZone::UTC).unwrap(), expected, "{text}");
        }
        for text in ["", "h", "1", "x", "1d", "1h2", ".", "1.2.3h", "2024-13-01", "-1h"] {
            let result = parse(text, now, &TimeZone::UTC);
            assert_eq!(result.is_ok(), text == "1", "{text}");
        }
    }

    #[test]
    fn a_time_without_a_zone_is_the_caller_s() {
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        let time = parse("1970-01-02", Timestamp::from_seconds(0), &zone).unwrap();
        assert_eq!(time.seconds, 86_400 - 3_600);
    }
}
