//! `--pid`, `--ipc`, `--uts` and `--userns`: which namespaces a container shares.
//! Only the modes that exist are values; every other one is refused with words.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// The other container of a mode `container:NAME`: a name or an ID as it was
/// typed, and the whole ID in a container that is made.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Neighbor(String);

impl Neighbor {
    /// The container with this name or ID.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// Its name or ID.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Neighbor {
    type Err = Error;

    /// Reads `container:NAME`.
    fn from_str(text: &str) -> Result<Self> {
        match text.strip_prefix("container:") {
            Some(name) if !name.is_empty() => Ok(Self::new(name)),
            _ => Err(Error::invalid("invalid container format container:<name|id>")
                .hint("write container: and the name of a container that runs")),
        }
    }
}

impl fmt::Display for Neighbor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "container:{}", self.0)
    }
}

/// `--pid`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum PidMode {
    /// Its own processes are all that it sees.
    #[default]
    Private,
    /// It sees the host's.
    Host,
    /// It sees another container's, and that one its.
    Container(Neighbor),
}

/// `--ipc`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum IpcMode {
    /// A namespace and a `/dev/shm` of its own.
    #[default]
    Private,
    /// As private, and others may join it.
    Shareable,
    /// A namespace of its own, and no `/dev/shm` that can be written to.
    None,
    /// The host's.
    Host,
    /// Another container's.
    Container(Neighbor),
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
            "shareable" => Ok(Self::Shareable),
            "none" => Ok(Self::None),
            "host" => Ok(Self::Host),
            other => other.parse().map(Self::Container).map_err(|_| {
                let modes = "`private`, `shareable`, `none`, `host` and `container:NAME`";
                refused("IPC", other, modes)
            }),
        }
    }
}

impl FromStr for PidMode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "" | "private" => Ok(Self::Private),
            "host" => Ok(Self::Host),
            other => other
                .parse()
                .map(Self::Container)
                .map_err(|_| refused("PID", other, "`private`, `host` and `container:NAME`")),
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
        "container" if text == "container:" => {
            Error::invalid(format!("invalid {name} mode: {text}")).hint(hint)
        }
        "container" | "keep-id" | "auto" | "nomap" | "ns" => {
            Error::unsupported(format!("{name} mode \"{text}\" is not there")).hint(hint)
        }
        _ => Error::invalid(format!("invalid {name} mode: {text}")).hint(hint),
    }
}

impl fmt::Display for IpcMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Private => "private",
            Self::Shareable => "shareable",
            Self::None => "none",
            Self::Host => "host",
            Self::Container(neighbor) => return neighbor.fmt(f),
        })
    }
}

impl fmt::Display for PidMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Private => f.write_str("private"),
            Self::Host => f.write_str("host"),
            Self::Container(neighbor) => neighbor.fmt(f),
        }
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
        let other = || Neighbor::new("db");
        for mode in [
            IpcMode::Private,
            IpcMode::Shareable,
            IpcMode::None,
            IpcMode::Host,
            IpcMode::Container(other()),
        ] {
            assert_eq!(mode.to_string().parse::<IpcMode>().unwrap(), mode);
        }
        for mode in [PidMode::Private, PidMode::Host, PidMode::Container(other())] {
            assert_eq!(mode.to_string().parse::<PidMode>().unwrap(), mode);
        }
        for mode in [UtsMode::Private, UtsMode::Host] {
            assert_eq!(mode.to_string().parse::<UtsMode>().unwrap(), mode);
        }
        assert_eq!("host".parse::<UsernsMode>().unwrap(), UsernsMode);
    }

    #[test]
    fn tells_modes_that_are_not_there_from_those_that_are_none() {
        let kind = |error: Error| error.kind();
        assert_eq!(kind("container:x".parse::<UtsMode>().unwrap_err()), Kind::Unsupported);
        assert_eq!(kind("container:".parse::<IpcMode>().unwrap_err()), Kind::Invalid);
        assert_eq!(kind("container:".parse::<PidMode>().unwrap_err()), Kind::Invalid);
        assert_eq!(kind("shareable".parse::<PidMode>().unwrap_err()), Kind::Invalid);
        assert_eq!(kind("keep-id".parse::<UsernsMode>().unwrap_err()), Kind::Unsupported);
        let error = "Host".parse::<UtsMode>().unwrap_err();
        assert_eq!(error.chain(), "invalid UTS mode: Host");
    }
}
