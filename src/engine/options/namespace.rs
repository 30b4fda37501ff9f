//! `--ipc`, `--uts` and `--userns`: which namespaces a container shares. Only
//! the modes that exist are values; every other one is refused with words.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// `--ipc`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum IpcMode {
    /// A namespace and a `/dev/shm` of its own.
    #[default]
    Private,
    /// A namespace of its own, and no `/dev/shm` that can be written to.
    None,
    /// The host's.
    Host,
}

/// `--uts`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum UtsMode {
    /// A host name of its own.
    #[default]
    Private,
    /// The host's.
    Host,
}

/// `--userns`: `host`, which is what every container has. Root's is the
/// host's; an ordinary user's is the one in which all containers of that user
/// are, as with rootless docker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UsernsMode;

impl FromStr for IpcMode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "" | "private" => Ok(Self::Private),
            "none" => Ok(Self::None),
            "host" => Ok(Self::Host),
            other => Err(refused("IPC", other, "`private`, `none` and `host`")),
        }
    }
}

impl FromStr for UtsMode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "" | "private" => Ok(Self::Private),
            "host" => Ok(Self::Host),
            other => Err(refused("UTS", other, "`private` and `host`")),
        }
    }
}

impl FromStr for UsernsMode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "host" => Ok(Self),
            other => Err(refused("USER", other, "`host`")),
        }
    }
}

/// docker's words for a mode that is none; others for one that is docker's.
fn refused(name: &str, text: &str, modes: &str) -> Error {
    let kind = text.split_once(':').map_or(text, |(kind, _)| kind);
    let hint = format!("the modes are {modes}");
    match kind {
        "container" | "shareable" | "keep-id" | "auto" | "nomap" | "ns" => {
            Error::unsupported(format!("{name} mode \"{text}\" is not there")).hint(hint)
        }
        _ => Error::invalid(format!("invalid {name} mode: {text}")).hint(hint),
    }
}

impl fmt::Display for IpcMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Private => "private",
            Self::None => "none",
            Self::Host => "host",
        })
    }
}

impl fmt::Display for UtsMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Private => "private",
            Self::Host => "host",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn takes_the_modes_that_exist() {
        for mode in [IpcMode::Private, IpcMode::None, IpcMode::Host] {
            assert_eq!(mode.to_string().parse::<IpcMode>().unwrap(), mode);
        }
        for mode in [UtsMode::Private, UtsMode::Host] {
            assert_eq!(mode.to_string().parse::<UtsMode>().unwrap(), mode);
        }
        assert_eq!("host".parse::<UsernsMode>().unwrap(), UsernsMode);
    }

    #[test]
    fn tells_modes_that_are_not_there_from_those_that_are_none() {
        let kind = |error: Error| error.kind();
        assert_eq!(kind("container:x".parse::<IpcMode>().unwrap_err()), Kind::Unsupported);
        assert_eq!(kind("shareable".parse::<IpcMode>().unwrap_err()), Kind::Unsupported);
        assert_eq!(kind("keep-id".parse::<UsernsMode>().unwrap_err()), Kind::Unsupported);
        let error = "Host".parse::<UtsMode>().unwrap_err();
        assert_eq!(error.chain(), "invalid UTS mode: Host");
    }
}
