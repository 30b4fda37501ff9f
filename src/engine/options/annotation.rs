//! `--annotation NAME[=VALUE]`: what the caller notes of a container. It means
//! nothing to envbox, and is kept with the container.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// A name and its value, which is empty where none was given.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Annotation {
    /// The name.
    pub key: String,
    /// The value.
    pub value: String,
}

impl FromStr for Annotation {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        if key.trim().is_empty() {
            return Err(Error::invalid(format!("invalid annotation {text:?}: it has no name"))
                .hint("write NAME=VALUE"));
        }
        Ok(Self { key: key.to_owned(), value: value.to_owned() })
    }
}

impl fmt::Display for Annotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.key, self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_a_name_and_comes_back() {
        for text in ["a=b=c", "a", "a=", "org.example/x=1"] {
            let annotation: Annotation = text.parse().unwrap();
            assert_eq!(annotation.to_string().parse::<Annotation>().unwrap(), annotation);
        }
        assert!("=x".parse::<Annotation>().is_err() && "".parse::<Annotation>().is_err());
    }
}
