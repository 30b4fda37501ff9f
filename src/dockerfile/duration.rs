//! Durations as Go's `time.ParseDuration` reads them: `1h2m3.5s`.

use crate::error::{Error, Result};

/// Parses a duration into nanoseconds: decimal numbers with a unit (`ns`, `us`,
/// `µs`, `ms`, `s`, `m`, `h`) each, or `0`.
///
/// # Errors
///
/// `Invalid` for anything else, a negative one, and one of more than 292 years.
pub fn parse_duration(text: &str) -> Result<i64> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    let nanoseconds = if digits == "0" { Some(0) } else { sum(digits) };
    nanoseconds.and_then(|total| i64::try_from(total).ok()).ok_or_else(|| {
        Error::invalid(format!("{text:?} is not a duration")).hint("write it like 30s or 1m30s")
    })
}

fn sum(text: &str) -> Option<u128> {
    let mut rest = text;
    let mut total = 0_u128;
    while !rest.is_empty() || text.is_empty() {
        let (number, tail) = split_while(rest, |ch| ch.is_ascii_digit() || ch == '.');
        let (unit, tail) = split_while(tail, |ch| !ch.is_ascii_digit() && ch != '.');
        rest = tail;
        total = total.checked_add(scaled(number, unit_nanoseconds(unit)?)?)?;
    }
    Some(total)
}

fn split_while(text: &str, is_part: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|ch| !is_part(ch)).unwrap_or(text.len()))
}

fn scaled(number: &str, unit: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    // What lies beyond a nanosecond of an hour changes nothing.
    let fraction = &fraction[..fraction.len().min(15)];
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let parse = |digits: &str| if digits.is_empty() { Some(0) } else { digits.parse().ok() };
    let parts: u128 = parse(fraction)?;
    let places = u32::try_from(fraction.len()).ok()?;
    parse(whole)?.checked_mul(unit)?.checked_add(parts * unit / 10_u128.pow(places))
}

fn unit_nanoseconds(unit: &str) -> Option<u128> {
    Some(match unit {
        "ns" => 1,
        // The micro sign and the Greek letter look alike.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_go_reads() {
        let second = 1_000_000_000;
        for (text, nanoseconds) in [
            ("0", 0),
            ("+5s", 5 * second),
            ("1h2m3.5s", 3_723 * second + second / 2),
            (".5m", 30 * second),
            ("1.s", second),
            ("3us", 3_000),
            ("3µs", 3_000),
            ("3μs", 3_000),
            ("1.0000000001h", 3_600 * second + 360),
            ("0.1234567890123456789s", 123_456_789),
            ("9223372036854775807ns", i64::MAX),
        ] {
            assert_eq!(parse_duration(text).unwrap(), nanoseconds, "{text}");
        }
    }

    #[test]
    fn refuses_the_rest() {
        for text in [
            "",
            "5",
            "-5s",
            "s",
            ".s",
            ".",
            "1.2.3s",
            "5 s",
            "5x",
            "s5",
            "9223372036854775808ns",
            "+",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        assert!(parse_duration(&"9".repeat(60)).is_err());
        assert!(parse_duration(&format!("{}h", "9".repeat(39))).is_err());
    }
}
