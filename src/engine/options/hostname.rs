//! `--hostname`: a name that RFC 1123 allows and the kernel takes; the
//! underscore too, which docker forbade for a while and had to allow again
//! (moby/moby#28988).

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// The kernel's limit (`__NEW_UTS_LEN`, sethostname(2)).
const LONGEST: usize = 64;
/// The limit of one label (RFC 1035 section 2.3.4, kept by RFC 1123).
const LONGEST_LABEL: usize = 63;

/// A host name: labels of letters, digits, underscores and inner hyphens,
/// joined by dots; at most 64 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Hostname(String);

impl Hostname {
    /// The name as given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Hostname {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match fault(text) {
            None => Ok(Self(text.to_owned())),
            Some(fault) => Err(Error::invalid(format!("invalid hostname \"{text}\": {fault}"))
                .hint("use letters, digits and hyphens, as in `build-1`")),
        }
    }
}

impl fmt::Display for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn fault(text: &str) -> Option<String> {
    if text.is_empty() {
        return Some("it is empty".into());
    }
    if text.len() > LONGEST {
        return Some(format!("it has {} bytes, the kernel takes {LONGEST}", text.len()));
    }
    text.split('.').find_map(|label| {
        if label.is_empty() {
            return Some("a part between dots is empty".into());
        }
        if label.len() > LONGEST_LABEL {
            return Some(format!("a part between dots is longer than {LONGEST_LABEL} bytes"));
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Some(format!("\"{label}\" starts or ends with a hyphen"));
        }
        let wrong = label.chars().find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_'));
        wrong.map(|letter| format!("{letter:?} is not allowed"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_rfc_1123_allows_and_underscores() {
        for name in ["a", "build-1", "7zip", "stack_web_1", "node.example.org", &"x".repeat(63)] {
            assert_eq!(name.parse::<Hostname>().unwrap().as_str(), name);
        }
    }

    #[test]
    fn says_what_is_wrong() {
        let long = "x".repeat(65);
        let label = "x".repeat(64);
        for (name, fault) in [
            ("", "it is empty"),
            ("a/b", "'/' is not allowed"),
            ("a b", "' ' is not allowed"),
            ("-a", "\"-a\" starts or ends with a hyphen"),
            ("a..b", "a part between dots is empty"),
            ("bücher", "'ü' is not allowed"),
            (long.as_str(), "it has 65 bytes, the kernel takes 64"),
            (label.as_str(), "a part between dots is longer than 63 bytes"),
        ] {
            let error = name.parse::<Hostname>().unwrap_err();
            assert_eq!(error.chain(), format!("invalid hostname \"{name}\": {fault}"));
        }
    }
}
