//! Ports that an image exposes: `80`, `53/udp`, `8000-8010/tcp`.

use std::fmt;
use std::ops::RangeInclusive;

use crate::error::{Error, Result};

/// The transport of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP, which a port without a protocol means.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        })
    }
}

/// One port, or several in a row, of one protocol.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PortRange {
    /// The port numbers; never empty, never 0.
    pub ports: RangeInclusive<u16>,
    /// Their protocol.
    pub protocol: Protocol,
}

impl PortRange {
    /// Parses `FIRST[-LAST][/PROTOCOL]`.
    ///
    /// # Errors
    ///
    /// `Invalid` for anything else, a host's address or port included: those
    /// belong to a container, not to an image.
    pub fn parse(text: &str) -> Result<Self> {
        if text.contains(':') {
            return Err(Error::invalid(format!("port {text} names a port of the host"))
                .hint("expose the container's port alone, and publish it with --publish"));
        }
        let (numbers, protocol) = text.split_once('/').unwrap_or((text, ""));
        let protocol = match protocol.to_ascii_lowercase().as_str() {
            "" | "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            "sctp" => Protocol::Sctp,
            _ => return Err(invalid(text)),
        };
        let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
        match (parse_port(first), parse_port(last)) {
            (Some(first), Some(last)) if first <= last => {
                Ok(Self { ports: first..=last, protocol })
            }
            _ => Err(invalid(text)),
        }
    }

    /// The keys of the image config's `ExposedPorts`, one a port, such as
    /// `80/tcp`.
    pub fn keys(&self) -> impl Iterator<Item = String> {
        let protocol = self.protocol;
        self.ports.clone().map(move |port| format!("{port}/{protocol}"))
    }
}

fn parse_port(text: &str) -> Option<u16> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|&port| is_number && port != 0)
}

fn invalid(text: &str) -> Error {
    Error::invalid(format!("{text:?} is not a port")).hint("write it like 80, 53/udp or 8000-8010")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_ports_and_ranges() {
        let keys = |text| PortRange::parse(text).unwrap().keys().collect::<Vec<_>>();
        assert_eq!(keys("80"), ["80/tcp"]);
        assert_eq!(keys("80/"), ["80/tcp"]);
        assert_eq!(keys("53/UDP"), ["53/udp"]);
        assert_eq!(keys("65534-65535/sctp"), ["65534/sctp", "65535/sctp"]);
    }

    #[test]
    fn refuses_the_rest() {
        for text in ["", "0", "65536", "+80", "80-", "9-8", "80/icmp", "8080:80", "1-2-3", "/tcp"] {
            assert!(PortRange::parse(text).is_err(), "{text}");
        }
    }
}
