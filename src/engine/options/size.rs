//! Sizes as docker writes them (`64m`, `1.5g`, `512k`, `100b`, `4096`): the
//! letters mean powers of 1024, as in go-units' `RAMInBytes`.

use crate::error::{Error, Result};

/// docker keeps sizes in a signed 64-bit integer.
const LARGEST: u128 = i64::MAX as u128;
/// More digits than the largest size could have, in any unit.
const MOST_DIGITS: usize = 24;

/// Parses a size in bytes. A unit is one of `b k m g t p` in either case,
/// `k` to `p` optionally followed by `b` or `ib`; a fraction is rounded down,
/// and one space may stand before the unit.
pub fn parse_size(text: &str) -> Result<u64> {
    let invalid = |fault: &str| {
        Error::invalid(format!("invalid size \"{text}\": {fault}"))
            .hint("write a number and a unit, as in `512k`, `64m` or `1g`")
    };
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let factor =
        factor(unit).ok_or_else(|| invalid("the unit is none of `b`, `k`, `m`, `g`, `t`, `p`"))?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || fraction.contains('.') {
        return Err(invalid("it does not start with a number"));
    }
    let too_large = || invalid("it is too large");
    if whole.len() > MOST_DIGITS {
        return Err(too_large());
    }
    // Digits beyond these are worth less than a byte in the largest unit.
    let fraction = &fraction[..fraction.len().min(18)];
    let whole: u128 = whole.parse().map_err(|_| too_large())?;
    let part = match fraction {
        "" => 0,
        digits => {
            let numerator: u128 = digits.parse().map_err(|_| too_large())?;
            numerator * factor / 10_u128.pow(digits.len() as u32)
        }
    };
    let bytes = whole.checked_mul(factor).ok_or_else(too_large)? + part;
    if bytes > LARGEST {
        return Err(too_large());
    }
    u64::try_from(bytes).map_err(|_| too_large())
}

fn factor(unit: &str) -> Option<u128> {
    let unit = unit.strip_prefix(' ').unwrap_or(unit).to_ascii_lowercase();
    let mut letters = unit.chars();
    let power = match letters.next() {
        None => return Some(1),
        Some('b') => return letters.as_str().is_empty().then_some(1),
        Some('k') => 1,
        Some('m') => 2,
        Some('g') => 3,
        Some('t') => 4,
        Some('p') => 5,
        Some(_) => return None,
    };
    matches!(letters.as_str(), "" | "b" | "ib").then_some(1 << (10 * power))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn letters_are_powers_of_1024() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("100b", 100),
            ("512k", 512 << 10),
            ("64m", 64 << 20),
            ("64M", 64 << 20),
            ("64mb", 64 << 20),
            ("64MiB", 64 << 20),
            ("1g", 1 << 30),
            ("1.5g", 3 << 29),
            ("1.g", 1 << 30),
            ("2 t", 2 << 40),
            ("1p", 1 << 50),
            ("0.1k", 102),
        ] {
            assert_eq!(parse_size(text).unwrap(), bytes, "{text}");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, fault) in [
            ("", "it does not start with a number"),
            (".5g", "it does not start with a number"),
            ("1.2.3", "it does not start with a number"),
            ("m", "it does not start with a number"),
            ("-1", "the unit is none of `b`, `k`, `m`, `g`, `t`, `p`"),
            ("64x", "the unit is none of `b`, `k`, `m`, `g`, `t`, `p`"),
            ("64bb", "the unit is none of `b`, `k`, `m`, `g`, `t`, `p`"),
            ("64  m", "the unit is none of `b`, `k`, `m`, `g`, `t`, `p`"),
            ("9000p", "it is too large"),
            ("99999999999999999999999999", "it is too large"),
        ] {
            let error = parse_size(text).unwrap_err();
            assert_eq!(error.chain(), format!("invalid size \"{text}\": {fault}"));
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "[0-9.]{0,40}[ kmgtpib]{0,3}\\PC{0,2}") {
            let _ = parse_size(&text);
        }
    }
}
