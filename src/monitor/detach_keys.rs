//! The keys that take a client away from its container, which goes on. It
//! knows no terminal: bytes in, bytes out.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// docker's own: Ctrl-P, Ctrl-Q.
const DEFAULT: [u8; 2] = [0x10, 0x11];

/// A sequence of keys as docker's `--detach-keys` spells it: characters and
/// `ctrl-X`, with commas between, X being a letter or one of `@[\]^_`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DetachKeys {
    keys: Vec<u8>,
}

impl Default for DetachKeys {
    fn default() -> Self {
        Self { keys: DEFAULT.to_vec() }
    }
}

impl FromStr for DetachKeys {
    type Err = Error;

    /// # Errors
    /// `Invalid` for what is no key.
    fn from_str(text: &str) -> Result<Self> {
        let keys = text.split(',').map(|key| {
            parse_key(key).ok_or_else(|| {
                Error::invalid(format!("{key:?} is no key to detach with"))
                    .hint("write characters and ctrl-LETTER, as in ctrl-p,ctrl-q")
            })
        });
        Ok(Self { keys: keys.collect::<Result<_>>()? })
    }
}

impl fmt::Display for DetachKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, &key) in self.keys.iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            match key {
                0..0x20 => {
                    write!(f, "{comma}ctrl-{}", char::from(key + b'@').to_ascii_lowercase())?
                }
                _ => write!(f, "{comma}{}", char::from(key))?,
            }
        }
        Ok(())
    }
}

/// The byte that a terminal sends for `key`.
fn parse_key(key: &str) -> Option<u8> {
    if let [byte] = key.as_bytes() {
        return byte.is_ascii().then_some(*byte);
    }
    match key.strip_prefix("ctrl-")?.as_bytes() {
        [letter @ (b'a'..=b'z' | b'A'..=b'Z')] => Some(letter.to_ascii_uppercase() - b'@'),
        [sign @ (b'@' | b'[' | b'\\' | b']' | b'^' | b'_')] => Some(sign - b'@'),
        _ => None,
    }
}

/// Looks for the keys in what is typed.
#[derive(Debug)]
pub(super) struct KeyFilter {
    keys: Vec<u8>,
    /// So many of them have been typed, and not been passed on yet.
    matched: usize,
}

impl KeyFilter {
    pub(super) fn new(keys: &DetachKeys) -> Self {
        Self { keys: keys.keys.clone(), matched: 0 }
    }

    /// Appends what of `typed` goes to the container to `passed`; true at the
    /// end of the sequence, after which nothing goes anywhere.
    pub(super) fn take(&mut self, typed: &[u8], passed: &mut Vec<u8>) -> bool {
        for &byte in typed {
            if byte != self.keys[self.matched] {
                passed.extend_from_slice(&self.keys[..self.matched]);
                self.matched = 0;
            }
            if byte == self.keys[self.matched] {
                self.matched += 1;
            } else {
                passed.push(byte);
            }
            if self.matched == self.keys.len() {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_spelled_as_in_docker() {
        for (text, keys) in [
            ("ctrl-p,ctrl-q", &[16, 17][..]),
            ("ctrl-A,x", &[1, b'x']),
            ("a,b,c", b"abc"),
            ("ctrl-@,ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_", &[0, 27, 28, 29, 30, 31]),
        ] {
            let parsed: DetachKeys = text.parse().unwrap();
            assert_eq!(parsed.keys, keys, "{text}");
            assert_eq!(parsed.to_string().parse::<DetachKeys>().unwrap(), parsed);
        }
        assert_eq!("ctrl-p,ctrl-q".parse::<DetachKeys>().unwrap(), DetachKeys::default());
        for text in ["", "ctrl-", "ctrl-1", "alt-x", "ab", "a,", "é", "ctrl-ab"] {
            assert!(text.parse::<DetachKeys>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_no_whole_sequence_is_passed_on() {
        let typed = |keys: &str, pieces: &[&[u8]]| {
            let mut filter = KeyFilter::new(&keys.parse().unwrap());
            let mut passed = Vec::new();
            let ended = pieces.iter().any(|piece| filter.take(piece, &mut passed));
            (passed, ended)
        };
        assert_eq!(typed("ctrl-p,ctrl-q", &[b"ab\x10", b"\x11cd"]), (b"ab".to_vec(), true));
        assert_eq!(typed("ctrl-p,ctrl-q", &[b"\x10a\x11"]), (b"\x10a\x11".to_vec(), false));
        assert_eq!(typed("ctrl-p,ctrl-q", &[b"\x10\x10\x11"]), (b"\x10".to_vec(), true));
        assert_eq!(typed("x", &[b"abx"]), (b"ab".to_vec(), true));
        assert_eq!(typed("a,b,c", &[b"ab", b"d"]), (b"abd".to_vec(), false));
    }
}
