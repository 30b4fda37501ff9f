//! Names of images that a profile is for: `vmibuild`, `team/vmibuild`,
//! `centos:6*`.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::error::{Error, Result};

/// A name of images: a repository, optionally a tag, `*` for any letters but a
/// slash. Without a tag it is for every tag; without a slash it is for the
/// last part of a repository's name, in any registry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ImagePattern(String);

impl ImagePattern {
    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether an image of this repository and tag is meant.
    pub fn matches(&self, repository: &str, tag: Option<&str>) -> bool {
        let (name, wanted_tag) = split_tag(&self.0);
        let last = repository.rsplit('/').next().unwrap_or(repository);
        let repository = if name.contains('/') { repository } else { last };
        let tag_fits = wanted_tag.is_none_or(|wanted| tag.is_some_and(|tag| fits(wanted, tag)));
        tag_fits && fits(name, repository)
    }
}

impl FromStr for ImagePattern {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:*".contains(&byte);
        let (name, tag) = split_tag(text);
        let whole = name.split('/').all(|part| !part.is_empty()) && tag != Some("");
        if whole && text.bytes().all(allowed) {
            return Ok(Self(text.to_owned()));
        }
        Err(Error::invalid(format!("invalid image name \"{text}\""))
            .hint("write a repository and perhaps a tag, as in `vmibuild` or `centos:6*`"))
    }
}

impl fmt::Display for ImagePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for ImagePattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// A colon before the last slash belongs to a registry's port.
fn split_tag(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (text, None),
    }
}

/// Matches `*` greedily and goes back to the last one on a mismatch: linear
/// for one star, quadratic at worst.
fn fits(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if p < pattern.len() && pattern[p] == b'*' {
            star = Some((p, t));
            p += 1;
        } else if p < pattern.len() && pattern[p] == text[t] {
            (p, t) = (p + 1, t + 1);
        } else {
            match star {
                Some((at, taken)) if text[taken] != b'/' => {
                    star = Some((at, taken + 1));
                    (p, t) = (at + 1, taken + 1);
                }
                _ => return false,
            }
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn matches_names_and_tags() {
        for (pattern, repository, tag, expected) in [
            ("vmibuild", "vmibuild", None, true),
            ("vmibuild", "vmibuild", Some("2"), true),
            ("vmibuild", "registry.local:5000/team/vmibuild", Some("2"), true),
            ("team/vmibuild", "vmibuild", None, false),
            ("team/vmibuild", "team/vmibuild", None, true),
            ("centos:6*", "centos", Some("6.10"), true),
            ("centos:6*", "centos", Some("7"), false),
            ("centos:6*", "centos", None, false),
            ("centos*", "centos6-base", Some("latest"), true),
            ("*/build", "team/build", None, true),
            ("*/build", "a/team/build", None, false),
            ("local:5000/x", "local:5000/x", Some("1"), true),
            ("*a*b", "xaxbxab", None, true),
            ("*a*b", "xaxbxa", None, false),
        ] {
            let parsed: ImagePattern = pattern.parse().unwrap();
            assert_eq!(parsed.matches(repository, tag), expected, "{pattern} {repository} {tag:?}");
        }
        for text in ["", "a b", "a//b", "a:", "/a"] {
            let error = text.parse::<ImagePattern>().unwrap_err();
            assert_eq!(error.chain(), format!("invalid image name \"{text}\""));
        }
    }

    proptest! {
        #[test]
        fn never_panics(pattern in "[ab*/:]{0,10}", text in "[ab/:é]{0,10}") {
            if let Ok(pattern) = pattern.parse::<ImagePattern>() {
                let _ = pattern.matches(&text, Some(&text));
            }
        }
    }
}
