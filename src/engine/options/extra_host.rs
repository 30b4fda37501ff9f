//! `--add-host NAME:IP`: a line of the container's `/etc/hosts`. The name is
//! one word (hosts(5)), so no value can bring a second line with it.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::error::{Error, Result};

/// A name and the address that it stands for in the container.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ExtraHost {
    name: String,
    address: IpAddr,
}

impl ExtraHost {
    /// The line of hosts(5), with its end.
    pub fn line(&self) -> String {
        format!("{}\t{}\n", self.address, self.name)
    }
}

impl FromStr for ExtraHost {
    type Err = Error;

    /// Parses `NAME:IP` or `NAME=IP`; an IPv6 address may stand in brackets.
    fn from_str(text: &str) -> Result<Self> {
        let hint = "write NAME:IP, as in `db:192.0.2.7`";
        let bad = || Error::invalid(format!("bad format for add-host: {text:?}")).hint(hint);
        let (name, address) =
            text.split_once('=').or_else(|| text.split_once(':')).ok_or_else(bad)?;
        let letter = |c: char| c.is_whitespace() || c.is_control() || c == '#';
        if name.is_empty() || address.is_empty() || name.contains(letter) {
            return Err(bad());
        }
        if address == "host-gateway" {
            return Err(Error::unsupported(
                "host-gateway stands for no address: no network joins container and host",
            )
            .hint("use --network host, where the host is localhost"));
        }
        let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let address = bare.unwrap_or(address).parse().map_err(|_| {
            Error::invalid(format!("invalid IP address in add-host: {address:?}")).hint(hint)
        })?;
        Ok(Self { name: name.to_owned(), address })
    }
}

impl fmt::Display for ExtraHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use proptest::prelude::*;

    #[test]
    fn takes_dockers_forms() {
        for (text, line) in [
            ("db:192.0.2.7", "192.0.2.7\tdb\n"),
            ("db=192.0.2.7", "192.0.2.7\tdb\n"),
            ("six:::1", "::1\tsix\n"),
            ("six:[2001:db8::1]", "2001:db8::1\tsix\n"),
            ("six=2001:db8::1", "2001:db8::1\tsix\n"),
            ("a.example.org:127.0.0.1", "127.0.0.1\ta.example.org\n"),
        ] {
            assert_eq!(text.parse::<ExtraHost>().unwrap().line(), line);
        }
    }

    #[test]
    fn refuses_what_is_no_line_in_dockers_words() {
        for (text, kind, message) in [
            ("db", Kind::Invalid, "bad format for add-host: \"db\""),
            (":1.2.3.4", Kind::Invalid, "bad format for add-host: \":1.2.3.4\""),
            ("db:", Kind::Invalid, "bad format for add-host: \"db:\""),
            ("a\n1.1.1.1 b:1.2.3.4", Kind::Invalid, "bad format for add-host"),
            ("a b:1.2.3.4", Kind::Invalid, "bad format for add-host"),
            ("#:1.2.3.4", Kind::Invalid, "bad format for add-host"),
            ("db:1.2.3", Kind::Invalid, "invalid IP address in add-host: \"1.2.3\""),
            ("db:1.2.3.4\n6.6.6.6 x", Kind::Invalid, "invalid IP address in add-host"),
            ("db:host-gateway", Kind::Unsupported, "host-gateway"),
        ] {
            let error = text.parse::<ExtraHost>().unwrap_err();
            assert_eq!(error.kind(), kind, "{text}");
            assert!(error.chain().contains(message), "{}", error.chain());
        }
    }

    proptest! {
        #[test]
        fn is_one_line_and_comes_back(text in "\\PC{0,6}[=:\n\r ]?(\\[?[0-9a-f:.]{0,9}\\]?|\\PC{0,4})") {
            if let Ok(host) = text.parse::<ExtraHost>() {
                prop_assert_eq!(host.line().lines().count(), 1);
                prop_assert_eq!(host.to_string().parse::<ExtraHost>().unwrap(), host);
            }
        }
    }
}
