//! Addresses of archives: `http://` and `https://`, parsed once.

use std::fmt;
use std::str::FromStr;

use ureq::http::Uri;

use crate::error::{Error, Result};

/// An http or https URL. It prints without user, password and query, which may
/// hold secrets: what is printed ends up in logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    uri: Uri,
}

impl Url {
    /// Whether `text` is meant as a URL and not as a path: a scheme and `://`
    /// (RFC 3986 section 3.1).
    pub fn is_meant_by(text: &str) -> bool {
        text.split_once("://").is_some_and(|(scheme, _)| {
            scheme.starts_with(|first: char| first.is_ascii_alphabetic())
                && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
        })
    }

    /// True for https.
    pub fn is_secure(&self) -> bool {
        self.uri.scheme_str() == Some("https")
    }

    /// The host's name or address, without the port.
    pub fn host(&self) -> &str {
        self.uri.host().unwrap_or_default()
    }

    pub(super) fn uri(&self) -> &Uri {
        &self.uri
    }
}

impl From<Uri> for Url {
    /// The address that an answer came from.
    fn from(uri: Uri) -> Self {
        Self { uri }
    }
}

impl FromStr for Url {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (scheme, rest) = text.split_once("://").unwrap_or_default();
        if !["http", "https"].contains(&scheme.to_ascii_lowercase().as_str()) {
            return Err(Error::unsupported(format!("{scheme}:// addresses cannot be fetched"))
                .hint("fetch it with another program: PROGRAM ... | envbox import - NAME"));
        }
        // Without what may be a password: the text could not be taken apart.
        let bad = || {
            let shown = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
            Error::invalid(format!("malformed URL {scheme}://{shown}"))
                .hint("write https://HOST/PATH, with %20 for a space")
        };
        let uri: Uri = text.parse().map_err(|_| bad())?;
        match uri.host() {
            Some(host) if !host.is_empty() => Ok(Self { uri }),
            _ => Err(bad()),
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = self.uri.authority().map_or("", |authority| authority.as_str());
        let (secret, place) = match authority.rsplit_once('@') {
            Some((_, place)) => ("***@", place),
            None => ("", authority),
        };
        write!(f, "{}://{secret}{place}", self.uri.scheme_str().unwrap_or_default())?;
        f.write_str(self.uri.path())?;
        match self.uri.query() {
            Some(_) => f.write_str("?..."),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn prints_without_secrets() {
        let shown = |text: &str| text.parse::<Url>().unwrap().to_string();
        assert_eq!(shown("http://h/a.tar"), "http://h/a.tar");
        assert_eq!(shown("HTTPS://u:p@h:8443/a"), "https://***@h:8443/a");
        assert_eq!(shown("https://h/a?Signature=x"), "https://h/a?...");
        assert_eq!(shown("http://[::1]:80/"), "http://[::1]:80/");
    }

    #[test]
    fn what_cannot_be_fetched_is_told_apart() {
        let kind = |text: &str| text.parse::<Url>().unwrap_err().kind();
        assert_eq!(kind("ftp://h/a"), Kind::Unsupported);
        assert_eq!(kind("http://"), Kind::Invalid);
        assert_eq!(kind("http://h h/"), Kind::Invalid);
        let error = "http://u:secret@h h/".parse::<Url>().unwrap_err();
        assert!(!error.chain().contains("secret"), "{}", error.chain());
    }

    #[test]
    fn a_path_is_no_url() {
        assert!(Url::is_meant_by("http://h") && Url::is_meant_by("ftp://h"));
        for path in ["rootfs", "./a://b", "/a", "-", "://x", "a b://c"] {
            assert!(!Url::is_meant_by(path), "{path}");
        }
    }
}
