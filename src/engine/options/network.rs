//! `--network`: which network a container sees. Only the modes that exist are
//! values; every other name is refused by an error that lists them.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

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
