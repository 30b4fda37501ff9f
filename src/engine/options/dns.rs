//! `--dns`, `--dns-search` and `--dns-option`: the container's
//! `/etc/resolv.conf`. Each value is one word of resolv.conf(5), so none can
//! bring a second line with it.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::error::{Error, Result};

/// `--dns`: a name server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NameServer(IpAddr);

/// `--dns-search`: a domain that names are completed with, or `.` for none.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SearchDomain(String);

/// `--dns-option`: an option of the resolver, such as `ndots:2`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ResolverOption(String);

impl FromStr for NameServer {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        text.trim_matches(' ').parse().map(Self).map_err(|_| {
            Error::invalid(format!("{text:?} is not an ip address"))
                .hint("write an address, as in `192.0.2.53`")
        })
    }
}

impl FromStr for SearchDomain {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let label = |label: &str| {
            let inner = !label.starts_with('-') && !label.ends_with('-');
            (1..=63).contains(&label.len()) && inner && label.chars().all(letter)
        };
        let name = text.strip_suffix('.').unwrap_or(text);
        if text == "." || (name.len() < 255 && name.split('.').all(label)) {
            return Ok(Self(text.to_owned()));
        }
        Err(Error::invalid(format!("{text:?} is not a valid domain"))
            .hint("write a domain, as in `example.org`, or `.` for none"))
    }
}

impl FromStr for ResolverOption {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let letter = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'#' | b';');
        if text.is_empty() || !text.bytes().all(letter) {
            return Err(Error::invalid(format!("{text:?} is not an option of the resolver"))
                .hint("write one word of resolv.conf(5), as in `ndots:2`"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for NameServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for SearchDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ResolverOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The content of a `resolv.conf` that begins as `host`'s: whichever of the
/// three lists is not empty replaces what `host` says of it, as in docker.
pub fn resolv_conf(
    host: &[u8],
    (servers, search, options): (&[NameServer], &[SearchDomain], &[ResolverOption]),
) -> Vec<u8> {
    let host = String::from_utf8_lossy(host);
    let replaced = |line: &&str| match line.split_whitespace().next() {
        Some("nameserver") => !servers.is_empty(),
        Some("search" | "domain") => !search.is_empty(),
        Some("options") => !options.is_empty(),
        _ => false,
    };
    let mut lines: Vec<String> =
        host.lines().filter(|line| !replaced(line)).map(str::to_owned).collect();
    lines.extend(servers.iter().map(|server| format!("nameserver {server}")));
    let domains: Vec<&str> =
        search.iter().map(|domain| domain.0.as_str()).filter(|domain| *domain != ".").collect();
    if !domains.is_empty() {
        lines.push(format!("search {}", domains.join(" ")));
    }
    if !options.is_empty() {
        let options: Vec<&str> = options.iter().map(|option| option.0.as_str()).collect();
        lines.push(format!("options {}", options.join(" ")));
    }
    lines.into_iter().map(|line| line + "\n").collect::<String>().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn replaces_what_is_given_and_leaves_the_rest() {
        let host = b"# of the host\nnameserver 10.0.0.1\nsearch a.example\noptions edns0\n";
        let servers: Vec<NameServer> = vec!["192.0.2.1".parse().unwrap(), "::1".parse().unwrap()];
        let search: Vec<SearchDomain> = vec!["b.example".parse().unwrap()];
        let options: Vec<ResolverOption> = vec!["ndots:2".parse().unwrap()];
        let none: Vec<SearchDomain> = vec![".".parse().unwrap()];
        let text = |lists| String::from_utf8(resolv_conf(host, lists)).unwrap();
        assert_eq!(
            text((&servers, &search, &options)),
            "# of the host\nnameserver 192.0.2.1\nnameserver ::1\nsearch b.example\n\
             options ndots:2\n"
        );
        assert_eq!(text((&[], &none, &[])), "# of the host\nnameserver 10.0.0.1\noptions edns0\n");
        assert_eq!(text((&[], &[], &[])).as_bytes(), host);
    }

    #[test]
    fn refuses_what_is_more_than_one_word() {
        for text in ["", "x", "1.2.3", "1.1.1.1\nnameserver 6.6.6.6", "1.1.1.1 #"] {
            assert!(text.parse::<NameServer>().is_err(), "{text:?}");
        }
        for text in ["", "..", "a b", "a\nnameserver 6.6.6.6", "-a", "a..b", "a;b"] {
            assert!(text.parse::<SearchDomain>().is_err(), "{text:?}");
        }
        for text in ["", "a b", "a\nnameserver 6.6.6.6", "a\u{85}b", "#"] {
            assert!(text.parse::<ResolverOption>().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn every_value_is_one_word_and_comes_back(text in "[0-9a-f:.\\- ]{0,12}\\PC{0,3}\n?") {
            let word = |text: &str| text.split_whitespace().count() == 1;
            if let Ok(server) = text.parse::<NameServer>() {
                prop_assert_eq!(server.to_string().parse::<NameServer>().unwrap(), server);
            }
            if let Ok(domain) = text.parse::<SearchDomain>() {
                prop_assert!(word(&domain.0));
            }
            if let Ok(option) = text.parse::<ResolverOption>() {
                prop_assert!(word(&option.0));
            }
        }
    }
}
