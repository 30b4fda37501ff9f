//! Sets of processors or memory nodes in the kernel's list format
//! (cpuset(7), "List format"): `0-1,3`. It does not know which exist.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, Result};

/// The kernel is never built for more processors (`NR_CPUS`).
const LARGEST: u32 = 8191;

/// A set of numbers; printed as ascending ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NumberList(BTreeSet<u32>);

impl NumberList {
    /// How many numbers are in it.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if no number is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True if every number of this list is in `other`.
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.is_subset(&other.0)
    }
}

impl FromStr for NumberList {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut numbers = BTreeSet::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(text, first)?, number(text, last)?);
            if first > last {
                return Err(invalid(text, &format!("the range {part} runs backwards")));
            }
            numbers.extend(first..=last);
        }
        Ok(Self(numbers))
    }
}

fn number(text: &str, digits: &str) -> Result<u32> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(invalid(text, &format!("\"{digits}\" is not a number")));
    }
    let number = digits.parse().ok().filter(|number| *number <= LARGEST);
    number.ok_or_else(|| invalid(text, &format!("{digits} is larger than {LARGEST}")))
}

fn invalid(text: &str, fault: &str) -> Error {
    Error::invalid(format!("invalid list \"{text}\": {fault}"))
        .hint("write numbers and ranges, as in `0-1,3`")
}

impl fmt::Display for NumberList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for &number in &self.0 {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == number => *last = number,
                _ => ranges.push((number, number)),
            }
        }
        for (index, (first, last)) in ranges.into_iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            if first == last {
                write!(f, "{comma}{first}")?;
            } else {
                write!(f, "{comma}{first}-{last}")?;
            }
        }
        Ok(())
    }
}

impl Serialize for NumberList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for NumberList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|error: Error| serde::de::Error::custom(error.chain()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_and_prints_ranges() {
        for (text, printed, len) in
            [("0", "0", 1), ("0-1,3", "0-1,3", 3), ("3,1,2", "1-3", 3), ("0-0,0", "0", 1)]
        {
            let list: NumberList = text.parse().unwrap();
            assert_eq!((list.to_string().as_str(), list.len()), (printed, len), "{text}");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, fault) in [
            ("", "\"\" is not a number"),
            ("0,", "\"\" is not a number"),
            ("1-z", "\"z\" is not a number"),
            ("-1", "\"\" is not a number"),
            ("+1", "\"+1\" is not a number"),
            ("3-1", "the range 3-1 runs backwards"),
            ("0-9999999999", "9999999999 is larger than 8191"),
        ] {
            let error = text.parse::<NumberList>().unwrap_err();
            assert_eq!(error.chain(), format!("invalid list \"{text}\": {fault}"));
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_parses_to_the_same(text in "[0-9]{1,3}([,-][0-9]{1,4}){0,4}\\PC{0,1}") {
            if let Ok(list) = text.parse::<NumberList>() {
                prop_assert_eq!(list.to_string().parse::<NumberList>().unwrap(), list);
            }
        }
    }
}
