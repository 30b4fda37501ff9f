//! PAX records (POSIX pax, "pax Extended Header"): `LENGTH KEY=VALUE\n`, and
//! the numbers and times in them. It knows no key's meaning.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::fs::Timestamp;

/// Records by key; values are raw bytes.
pub(super) type Records = BTreeMap<Vec<u8>, Vec<u8>>;

const NANOSECONDS: u32 = 1_000_000_000;

/// Appends all records, sorted by key.
pub(super) fn encode(records: &Records, out: &mut Vec<u8>) {
    for (key, value) in records {
        // The length counts itself: its digits may add one more digit.
        let rest = key.len() + value.len() + 3;
        let mut length = rest + digits(rest);
        if rest + digits(length) != length {
            length = rest + digits(length);
        }
        out.extend_from_slice(length.to_string().as_bytes());
        out.push(b' ');
        out.extend_from_slice(key);
        out.push(b'=');
        out.extend_from_slice(value);
        out.push(b'\n');
    }
}

fn digits(number: usize) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

/// Reads all records of `bytes` in order, repeated keys included.
///
/// # Errors
/// `Invalid` if a record does not have the form.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<(&[u8], &[u8])>> {
    let mut records = Vec::new();
    let mut rest = bytes;
    // Some writers pad the record area with zeros.
    while rest.first().is_some_and(|&byte| byte != 0) {
        let (record, after) = split(rest)?;
        records.push(record);
        rest = after;
    }
    Ok(records)
}

type Record<'a> = (&'a [u8], &'a [u8]);

fn split(bytes: &[u8]) -> Result<(Record<'_>, &[u8])> {
    let bad = || Error::invalid("malformed record in an extended tar header");
    let space = bytes.iter().position(|&byte| byte == b' ').ok_or_else(bad)?;
    let length = decimal(&bytes[..space]).and_then(|n| usize::try_from(n).ok()).ok_or_else(bad)?;
    if length <= space + 1 || length > bytes.len() || bytes[length - 1] != b'\n' {
        return Err(bad());
    }
    let body = &bytes[space + 1..length - 1];
    let equals = body.iter().position(|&byte| byte == b'=').ok_or_else(bad)?;
    if equals == 0 {
        return Err(bad());
    }
    Ok(((&body[..equals], &body[equals + 1..]), &bytes[length..]))
}

/// A number in decimal digits and nothing else.
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// `time` in decimal seconds, without trailing zeros: `-0.5`, `17`, `3.25`.
pub(super) fn encode_time(time: Timestamp) -> String {
    if time.nanoseconds == 0 {
        return time.seconds.to_string();
    }
    // Seconds are rounded down, so before 1970 the fraction counts back.
    let (sign, whole, fraction) = if time.seconds < 0 {
        ("-", time.seconds.wrapping_add(1).unsigned_abs(), NANOSECONDS - time.nanoseconds)
    } else {
        ("", time.seconds.unsigned_abs(), time.nanoseconds)
    };
    let text = format!("{sign}{whole}.{fraction:09}");
    text.trim_end_matches('0').to_owned()
}

/// Reads what [`encode_time`] writes; digits past the ninth are cut off.
pub(super) fn parse_time(text: &[u8]) -> Option<Timestamp> {
    let (negative, text) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let dot = text.iter().position(|&byte| byte == b'.');
    let (whole, fraction) = match dot {
        Some(dot) => (&text[..dot], &text[dot + 1..]),
        None => (text, &b""[..]),
    };
    let whole = decimal(whole)?;
    let nanoseconds = parse_fraction(fraction)?;
    if !negative {
        return Some(Timestamp { seconds: i64::try_from(whole).ok()?, nanoseconds });
    }
    let seconds = 0i64.checked_sub_unsigned(whole)?;
    match nanoseconds {
        0 => Some(Timestamp::from_seconds(seconds)),
        _ => {
            let nanoseconds = NANOSECONDS - nanoseconds;
            Some(Timestamp { seconds: seconds.checked_sub(1)?, nanoseconds })
        }
    }
}

fn parse_fraction(digits: &[u8]) -> Option<u32> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let padded = digits.iter().copied().chain(std::iter::repeat(b'0')).take(9);
    Some(padded.fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_length_counts_itself() {
        for size in 0..1200 {
            let records = Records::from([(b"key".to_vec(), vec![b'\n'; size])]);
            let mut bytes = Vec::new();
            encode(&records, &mut bytes);
            let parsed = parse(&bytes).unwrap();
            assert_eq!(parsed, [(&b"key"[..], &vec![b'\n'; size][..])], "{size}");
        }
    }

    #[test]
    fn refuses_malformed_records() {
        for bad in ["5 a=b", "99 a=b\n", "6 a=b\nx", "0 a=b\n", "x a=b\n", "6 ab\n\n", "5 =b\n"] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert!(parse(b"6 a=b\n\0\0\0").is_ok());
    }

    #[test]
    fn times_survive() {
        for (seconds, nanoseconds, text) in [
            (0, 0, "0"),
            (17, 250_000_000, "17.25"),
            (-1, 500_000_000, "-0.5"),
            (-2, 500_000_000, "-1.5"),
            (-2, 0, "-2"),
            (1, 1, "1.000000001"),
            (i64::MIN, 0, "-9223372036854775808"),
            (i64::MIN, 1, "-9223372036854775807.999999999"),
        ] {
            let time = Timestamp { seconds, nanoseconds };
            assert_eq!(encode_time(time), text);
            assert_eq!(parse_time(text.as_bytes()), Some(time));
        }
        assert_eq!(parse_time(b"1.0000000019").unwrap().nanoseconds, 1);
        for bad in
            ["", "-", ".", ".5", "1.x", "+1", "1e3", "99999999999999999999", "-9223372036854775809"]
        {
            assert_eq!(parse_time(bad.as_bytes()), None, "{bad}");
        }
    }
}
