//! Names and identifiers that envbox hands out or takes: validated once, a
//! type from then on.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, Result};

/// Implements text conversion and serde for a validated string type.
macro_rules! validated {
    ($name:ident) => {
        impl $name {
            /// The text as it was validated.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(|error: Error| serde::de::Error::custom(error.chain()))
            }
        }
    };
}

/// A container's ID: 64 lower-case hex digits of randomness.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerId(String);
validated!(ContainerId);

impl ContainerId {
    /// The ID made of 32 random bytes, which the caller draws.
    pub fn from_random(bytes: [u8; 32]) -> Self {
        Self(crate::digest::Digest::of(&bytes).encoded())
    }

    /// The first twelve digits, as docker prints and as the default hostname.
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

impl FromStr for ContainerId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() == 64 && text.bytes().all(hex) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::invalid(format!("invalid container ID {text:?}")))
        }
    }
}

/// A container's name: docker's rule `[a-zA-Z0-9][a-zA-Z0-9_.-]+`, at most 128.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerName(String);
validated!(ContainerName);

impl FromStr for ContainerName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        // Docker accepts and strips the slash that its API prepends.
        let name = text.strip_prefix('/').unwrap_or(text);
        let rest = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        let mut bytes = name.bytes();
        let valid = bytes.next().is_some_and(|byte| byte.is_ascii_alphanumeric())
            && (2..=128).contains(&name.len())
            && bytes.all(rest);
        if valid {
            return Ok(Self(name.to_owned()));
        }
        Err(Error::invalid(format!("invalid container name {text:?}"))
            .hint("use two or more of [a-zA-Z0-9_.-], the first a letter or a digit"))
    }
}

/// A volume's name: docker's rule `[a-zA-Z0-9][a-zA-Z0-9_.-]+`, at most 255,
/// since it is a directory's name too.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VolumeName(String);
validated!(VolumeName);

impl VolumeName {
    /// The name of an anonymous volume, made of 32 random bytes, which the
    /// caller draws: 64 lower-case hex digits.
    pub fn from_random(bytes: [u8; 32]) -> Self {
        Self(crate::digest::Digest::of(&bytes).encoded())
    }
}

impl FromStr for VolumeName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        if first && (2..=255).contains(&text.len()) && text.bytes().all(inner) {
            return Ok(Self(text.to_owned()));
        }
        Err(Error::invalid(format!("invalid volume name {text:?}"))
            .hint("use 2 to 255 of [a-zA-Z0-9_.-], the first a letter or a digit"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn container_names_follow_dockers_rule() {
        for name in ["a1", "web-server_1.2", "/slash"] {
            assert!(name.parse::<ContainerName>().is_ok(), "{name}");
        }
        for name in ["", "a", "-a", ".a", "a b", "a/b", "ü2", &"x".repeat(129)] {
            assert!(name.parse::<ContainerName>().is_err(), "{name}");
        }
    }

    #[test]
    fn container_ids_are_64_hex_digits() {
        let id = ContainerId::from_random([7; 32]);
        assert_eq!(id.to_string().parse::<ContainerId>().unwrap(), id);
        assert_eq!(id.short().len(), 12);
        assert!("abc".parse::<ContainerId>().is_err());
    }

    #[test]
    fn volume_names_are_one_component_of_a_path() {
        let anonymous = VolumeName::from_random([7; 32]);
        assert_eq!(anonymous.as_str().len(), 64);
        for name in ["a1", "data_2.x-y", &"x".repeat(255), anonymous.as_str()] {
            assert!(name.parse::<VolumeName>().is_ok(), "{name}");
        }
        for name in ["", "a", ".", "..", "../x", "a/b", "/a", ".a", "a b", "a\0", &"x".repeat(256)]
        {
            assert!(name.parse::<VolumeName>().is_err(), "{name}");
        }
    }
}
