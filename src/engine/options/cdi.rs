//! A device by its CDI name, `VENDOR/CLASS=NAME` (Container Device Interface,
//! SPEC.md, "Kind" and "Devices"). What the name stands for is in the host's
//! files, which this does not read.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// A fully qualified name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CdiName {
    /// `VENDOR/CLASS`.
    pub kind: CdiKind,
    /// The device among those of its kind.
    pub device: String,
}

/// What kind of device: `VENDOR/CLASS`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CdiKind(String);

impl CdiName {
    /// The device `name` of `kind`.
    ///
    /// # Errors
    /// `Invalid` for a name that breaks the specification's grammar.
    pub fn new(kind: CdiKind, name: &str) -> Result<Self> {
        check_device(name)?;
        Ok(Self { kind, device: name.to_owned() })
    }
}

impl FromStr for CdiName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = |what: Error| {
            what.context(format!("CDI device {text:?}"))
                .hint("write VENDOR/CLASS=NAME, as in `nvidia.com/gpu=all`")
        };
        let (kind, device) =
            text.split_once('=').ok_or_else(|| bad(Error::invalid("there is no `=` in it")))?;
        kind.parse().and_then(|kind| Self::new(kind, device)).map_err(bad)
    }
}

impl fmt::Display for CdiName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.kind, self.device)
    }
}

impl FromStr for CdiKind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (vendor, class) = text
            .split_once('/')
            .ok_or_else(|| Error::invalid(format!("kind {text:?} is not VENDOR/CLASS")))?;
        check_part("vendor", vendor, ".")?;
        check_part("class", class, "")?;
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for CdiKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A letter at the beginning, a letter or digit at the end, and between them
/// also `_`, `-` and `more`.
fn check_part(what: &str, text: &str, more: &str) -> Result<()> {
    if !text.starts_with(|first: char| first.is_ascii_alphabetic()) {
        return Err(Error::invalid(format!("{what} {text:?} does not start with a letter")));
    }
    check_inside(what, text, &format!("_-{more}"))
}

fn check_device(text: &str) -> Result<()> {
    if !text.starts_with(|first: char| first.is_ascii_alphanumeric()) {
        return Err(Error::invalid(format!("name {text:?} does not start with a letter or digit")));
    }
    check_inside("name", text, "_-.:")
}

fn check_inside(what: &str, text: &str, marks: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || marks.contains(c);
    if let Some(other) = text.chars().find(|c| !allowed(*c)) {
        return Err(Error::invalid(format!("{what} {text:?} has an invalid character {other:?}")));
    }
    if text.ends_with(|last: char| !last.is_ascii_alphanumeric()) {
        return Err(Error::invalid(format!("{what} {text:?} does not end with a letter or digit")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_names_of_the_grammar() {
        for text in ["vendor.com/class=name", "v/c=0", "a_b-c.d/x-y_z1=0:1.2-GPU_a", "v1/c1=all"] {
            assert_eq!(text.parse::<CdiName>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn refuses_all_others() {
        for text in [
            "",
            "=",
            "v/c",
            "v/c=",
            "v=c",
            "/c=n",
            "v/=n",
            "1v/c=n",
            "v/1c=n",
            "v./c=n",
            "v/c-=n",
            "v/c.d=n",
            "v/c/d=n",
            "v/c=-n",
            "v/c=n:",
            "v/c=n=m",
            "v/c=n/m",
            "v/c=\u{e9}",
            "v /c=n",
        ] {
            assert!(text.parse::<CdiName>().is_err(), "{text}");
        }
    }
}
