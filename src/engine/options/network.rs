//! `--network`: which network a container sees. Only the modes that exist are
//! values; every other name is refused by an error that lists them.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

use super::namespace::Neighbor;

/// The network of a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NetworkMode {
    /// A network namespace of its own with nothing but loopback.
    #[default]
    None,
    /// The network namespace of the host.
    Host,
}

impl NetworkMode {
    /// The word that [`FromStr`] takes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Host => "host",
        }
    }
}

impl FromStr for NetworkMode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "none" => Ok(Self::None),
            "host" => Ok(Self::Host),
            "" => Err(Error::invalid("the network mode is empty").hint("write `none` or `host`")),
            other => Err(Error::unsupported(format!(
                "network mode \"{other}\" is not there: the modes are `none` and `host`"
            ))
            .hint("write `host` to share the network of the host")),
        }
    }
}

/// `--network` of a verb that can join another container's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetworkOption {
    /// One that needs nobody else.
    Mode(NetworkMode),
    /// The network namespace of another container.
    Container(Neighbor),
}

impl FromStr for NetworkOption {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.starts_with("container:") {
            true => text.parse().map(Self::Container),
            false => text.parse().map(Self::Mode),
        }
    }
}

impl fmt::Display for NetworkMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn another_containers_is_an_option_and_no_mode() {
        let parse = |text: &str| text.parse::<NetworkOption>();
        assert_eq!(parse("host").unwrap(), NetworkOption::Mode(NetworkMode::Host));
        let other = NetworkOption::Container(Neighbor::new("db"));
        assert_eq!(parse("container:db").unwrap(), other);
        assert_eq!(parse("container:").unwrap_err().kind(), Kind::Invalid);
    }

    #[test]
    fn takes_the_modes_that_exist_and_names_them_otherwise() {
        assert_eq!("none".parse::<NetworkMode>().unwrap(), NetworkMode::None);
        assert_eq!("host".parse::<NetworkMode>().unwrap(), NetworkMode::Host);
        for name in ["bridge", "container:db", "Host", "my-net"] {
            let error = name.parse::<NetworkMode>().unwrap_err();
            assert_eq!(error.kind(), Kind::Unsupported);
            assert_eq!(
                error.chain(),
                format!("network mode \"{name}\" is not there: the modes are `none` and `host`")
            );
        }
        assert_eq!("".parse::<NetworkMode>().unwrap_err().kind(), Kind::Invalid);
    }
}
