//! Image references: `[registry/]repository[:tag][@digest]`, parsed once.
//!
//! The grammar is that of distribution's reference package, with docker's
//! defaults (`docker.io`, `library/`, `latest`). Written by hand because the
//! parser of oci-spec compiles a regular expression at first use (36 ms) and
//! refuses `[::1]:5000/x`. No I/O: whether a name exists is the store's matter.

use std::fmt;
use std::str::FromStr;

use crate::digest::Digest;
use crate::error::{Error, Result};

/// The registry that a name without one means.
pub const DEFAULT_REGISTRY: &str = "docker.io";
/// The tag that a name without tag and digest means.
pub const DEFAULT_TAG: &str = "latest";

const MAX_REPOSITORY: usize = 255;
const MAX_TAG: usize = 128;

/// A parsed image reference. The registry and `library/` are always filled
/// in, the tag only if it was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageRef {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl ImageRef {
    /// Host and port, as in `docker.io` or `localhost:5000`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The path below the registry, as in `library/debian`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, if one was written.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if one was written.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// The tag that this reference names in a store: the one written, else
    /// `latest`, or none where a digest says which image is meant.
    pub fn tag_or_default(&self) -> Option<&str> {
        match (&self.tag, self.digest) {
            (Some(tag), _) => Some(tag),
            (None, None) => Some(DEFAULT_TAG),
            (None, Some(_)) => None,
        }
    }

    /// The repository as docker prints it: without `docker.io/` and
    /// `library/` where they are the defaults, unless it would be read as
    /// another one then.
    pub fn familiar_repository(&self) -> String {
        let short = match self.repository.strip_prefix("library/") {
            Some(name) if !name.contains('/') => name,
            _ => &self.repository,
        };
        // Alone, `docker.io/a.io/b` would be of the registry a.io.
        let is_plain = matches!(split_registry(short), Ok((None, _))) && !is_encoded_digest(short);
        if self.registry == DEFAULT_REGISTRY && is_plain {
            return short.to_owned();
        }
        self.full_repository()
    }

    /// Registry and repository in full, as in `docker.io/library/debian`.
    pub fn full_repository(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }
}

impl fmt::Display for ImageRef {
    /// The familiar form: what docker prints.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.familiar_repository())?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl FromStr for ImageRef {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        parse(text).map_err(|why| {
            let error = Error::invalid(format!("invalid reference {text:?}: {why}"));
            let lower = text.to_lowercase();
            if lower != text && parse(&lower).is_ok() {
                return error.hint(format!("use lower case: {lower}"));
            }
            error.hint("a reference is [registry/]name[:tag][@digest], as in vmibuild:v2")
        })
    }
}

fn parse(text: &str) -> Result<ImageRef, &'static str> {
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => {
            (rest, Some(digest.parse().map_err(|_| "the digest is not sha256: and 64 hex digits")?))
        }
        None => (text, None),
    };
    let (registry, path) = split_registry(rest)?;
    let (path, tag) = match path.split_once(':') {
        Some((path, tag)) => (path, Some(valid_tag(tag)?.to_owned())),
        None => (path, None),
    };
    valid_path(path)?;
    // Docker refuses such a name, since `docker run <id>` would be ambiguous.
    if registry.is_none() && is_encoded_digest(path) {
        return Err("64 hex digits name an image ID, not a repository");
    }
    let registry = registry.unwrap_or(DEFAULT_REGISTRY);
    let repository = if registry == DEFAULT_REGISTRY && !path.contains('/') {
        format!("library/{path}")
    } else {
        path.to_owned()
    };
    if registry.len() + 1 + repository.len() > MAX_REPOSITORY {
        return Err("the repository name is longer than 255 characters");
    }
    Ok(ImageRef { registry: registry.to_owned(), repository, tag, digest })
}

/// Splits off the first component if it looks like a host: it has a dot or a
/// colon, an upper-case letter, or is `localhost`.
fn split_registry(text: &str) -> Result<(Option<&str>, &str), &'static str> {
    let Some((first, rest)) = text.split_once('/') else { return Ok((None, text)) };
    let is_host = first == "localhost"
        || first.contains(['.', ':'])
        || first.bytes().any(|byte| byte.is_ascii_uppercase());
    if !is_host {
        return Ok((None, text));
    }
    valid_host(first)?;
    // Docker's hub has an old second name.
    let host = if first == "index.docker.io" { DEFAULT_REGISTRY } else { first };
    Ok((Some(host), rest))
}

fn valid_host(host: &str) -> Result<(), &'static str> {
    const BAD: &str = "the registry is not a host with an optional port";
    let (name, port) = if let Some(rest) = host.strip_prefix('[') {
        let (address, after) = rest.split_once(']').ok_or(BAD)?;
        address.parse::<std::net::Ipv6Addr>().map_err(|_| BAD)?;
        match after {
            "" => return Ok(()),
            after => ("", Some(after.strip_prefix(':').ok_or(BAD)?)),
        }
    } else {
        match host.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (host, None),
        }
    };
    let label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let valid_name = host.starts_with('[') || name.split('.').all(label);
    let valid_port = port.is_none_or(|port| {
        !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) && port.len() <= 5
    });
    if valid_name && valid_port { Ok(()) } else { Err(BAD) }
}

fn valid_tag(tag: &str) -> Result<&str, &'static str> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let valid = !tag.is_empty()
        && tag.len() <= MAX_TAG
        && word(tag.as_bytes()[0])
        && tag.bytes().all(|byte| word(byte) || b".-".contains(&byte));
    if valid { Ok(tag) } else { Err("the tag may hold at most 128 of [A-Za-z0-9_.-]") }
}

fn valid_path(path: &str) -> Result<(), &'static str> {
    if path.is_empty() {
        return Err("the repository name is missing");
    }
    if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err("the repository name must be lower case");
    }
    if !path.split('/').all(valid_component) {
        return Err("a name part is [a-z0-9] with single '.', '_', '__' or '-' between");
    }
    Ok(())
}

/// `[a-z0-9]+` joined by `.`, `_`, `__` or any number of `-`.
fn valid_component(component: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = component.as_bytes();
    let (Some(&first), Some(&last)) = (bytes.first(), bytes.last()) else { return false };
    alphanumeric(first)
        && alphanumeric(last)
        && component.split(|c: char| alphanumeric(c as u8) && c.is_ascii()).all(|separator| {
            matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|b| b == b'-')
        })
}

fn is_encoded_digest(text: &str) -> bool {
    Digest::from_encoded(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (String, String, Option<String>) {
        let parsed: ImageRef = text.parse().unwrap();
        (parsed.registry, parsed.repository, parsed.tag)
    }

    #[test]
    fn fills_in_dockers_defaults() {
        let own = |a: &str, b: &str, c: Option<&str>| (a.into(), b.into(), c.map(Into::into));
        assert_eq!(parts("debian"), own("docker.io", "library/debian", None));
        assert_eq!(parts("a/b:v1"), own("docker.io", "a/b", Some("v1")));
        assert_eq!(parts("localhost/x"), own("localhost", "x", None));
        assert_eq!(parts("h:5000/a/b:T"), own("h:5000", "a/b", Some("T")));
        assert_eq!(parts("[::1]:5000/x"), own("[::1]:5000", "x", None));
        assert_eq!(parts("index.docker.io/x"), own("docker.io", "library/x", None));
    }

    #[test]
    fn prints_the_familiar_form() {
        for text in ["debian", "a/b:v1", "localhost/x", "q.io/x:1"] {
            assert_eq!(text.parse::<ImageRef>().unwrap().to_string(), text);
        }
        assert_eq!("docker.io/library/x".parse::<ImageRef>().unwrap().to_string(), "x");
    }

    #[test]
    fn what_the_familiar_form_would_change_is_printed_in_full() {
        let id = Digest::of(b"").encoded();
        for name in ["a.io/b", "localhost/b", "a.b/c/d:1", &format!("library/{id}")] {
            let text = format!("docker.io/{name}");
            let parsed: ImageRef = text.parse().unwrap();
            assert_eq!(parsed.to_string(), text);
        }
        assert_eq!("docker.io/localhost".parse::<ImageRef>().unwrap().to_string(), "localhost");
    }

    #[test]
    fn a_digest_needs_no_tag() {
        let text = format!("x@{}", Digest::of(b""));
        let parsed: ImageRef = text.parse().unwrap();
        assert_eq!(parsed.tag_or_default(), None);
        assert_eq!("x".parse::<ImageRef>().unwrap().tag_or_default(), Some("latest"));
    }

    #[test]
    fn refuses_malformed_names() {
        let id = Digest::of(b"").encoded();
        let long = "a/".repeat(128) + "a";
        for text in [
            "",
            ":",
            "x:",
            "X",
            "a/B",
            "a//b",
            "-a",
            "a-",
            "a..b",
            "a___b",
            "x:-t",
            "x@sha256:1",
            "x y",
            "ä",
            "h:x/a",
            "[::g]/x",
            "/a",
            "a/",
            &id,
            &long,
        ] {
            assert!(text.parse::<ImageRef>().is_err(), "{text}");
        }
    }

    #[test]
    fn hints_at_lower_case() {
        let error = "VmiBuild".parse::<ImageRef>().unwrap_err();
        assert_eq!(error.hint_text(), Some("use lower case: vmibuild"));
    }
}
