//! What an image was built for: operating system, architecture and variant in
//! Go's names, which the OCI image spec takes over (image-index.md,
//! "platform").

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// `os/architecture[/variant]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Platform {
    /// `linux`; others are kept as read, and never run.
    pub os: String,
    /// `amd64`, `386`, `arm64`, `arm`, ...
    pub architecture: String,
    /// `v7` for arm, `v8` for arm64; often absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// A Linux platform without a variant.
    pub fn linux(architecture: &str) -> Self {
        Self { os: "linux".into(), architecture: architecture.into(), variant: None }
    }

    /// The platform this binary was built for, and so runs on.
    pub fn host() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "x86" => "386",
            other => other,
        };
        Self::linux(architecture)
    }

    /// True if an image of this platform is what was asked for by `wanted`: a
    /// variant that either leaves out is any.
    pub fn satisfies(&self, wanted: &Platform) -> bool {
        let variants = self.variant.as_ref().zip(wanted.variant.as_ref());
        self.os == wanted.os
            && self.architecture == wanted.architecture
            && variants.is_none_or(|(own, wanted)| own == wanted)
    }

    /// True if it is written with letters, digits, `_`, `.` and `-` alone.
    pub fn is_plain(&self) -> bool {
        let variant = self.variant.as_deref().into_iter();
        [self.os.as_str(), &self.architecture].into_iter().chain(variant).all(is_word)
    }

    /// True if the host's kernel runs programs of this platform by itself:
    /// its own architecture, and i386 on x86-64.
    pub fn is_native_on(&self, host: &Platform) -> bool {
        self.os == host.os
            && (self.architecture == host.architecture
                || (host.architecture == "amd64" && self.architecture == "386"))
    }
}

/// Which of `platforms` is the one: that which is wanted, to the variant if there
/// is one, else the host's, else
/// one that the host's kernel runs as well. One alone is taken if none is
/// wanted.
pub fn choose(platforms: &[Option<Platform>], wanted: Option<&Platform>) -> Option<usize> {
    let host = Platform::host();
    let find = |is_it: &dyn Fn(&Platform) -> bool| {
        platforms.iter().position(|platform| platform.as_ref().is_some_and(is_it))
    };
    match wanted {
        Some(wanted) => find(&|platform| platform == wanted)
            .or_else(|| find(&|platform| platform.satisfies(wanted))),
        None => find(&|platform| platform.satisfies(&host))
            .or_else(|| find(&|platform| platform.is_native_on(&host)))
            .or((platforms.len() == 1).then_some(0)),
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Platform {
    type Err = Error;

    /// Reads `os/arch[/variant]`, or an architecture alone, with the usual
    /// other names (`x86_64`, `aarch64`, `i386`, `armhf`) normalised as
    /// containerd's platforms package does.
    fn from_str(text: &str) -> Result<Self> {
        let bad = || {
            Error::invalid(format!("invalid platform {text:?}"))
                .hint("write os/architecture, as in linux/amd64 or linux/386")
        };
        let lower = text.to_ascii_lowercase();
        let parts: Vec<&str> = lower.split('/').collect();
        if !parts.iter().all(|part| is_word(part)) {
            return Err(bad());
        }
        let (os, architecture, variant) = match parts[..] {
            ["linux"] => return Ok(Self::host()),
            [architecture] => ("linux", architecture, None),
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some(variant)),
            _ => return Err(bad()),
        };
        let (architecture, implied) = match architecture {
            "x86_64" | "x86-64" => ("amd64", None),
            "i386" | "i486" | "i586" | "i686" | "x86" => ("386", None),
            "aarch64" => ("arm64", None),
            "armhf" => ("arm", Some("v7")),
            "armel" => ("arm", Some("v6")),
            other => (other, None),
        };
        // v8 is what arm64 means; the spec's examples leave it out.
        let variant = variant.or(implied).filter(|&v| !(architecture == "arm64" && v == "v8"));
        Ok(Self {
            os: os.into(),
            architecture: architecture.into(),
            variant: variant.map(Into::into),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalises_the_usual_names() {
        let parse = |text: &str| text.parse::<Platform>().unwrap().to_string();
        assert_eq!(parse("linux/amd64"), "linux/amd64");
        assert_eq!(parse("x86_64"), "linux/amd64");
        assert_eq!(parse("linux/i686"), "linux/386");
        assert_eq!(parse("linux/arm64/v8"), "linux/arm64");
        assert_eq!(parse("armhf"), "linux/arm/v7");
    }

    #[test]
    fn refuses_nonsense() {
        for text in ["", "/", "linux/", "linux/a/b/c", "lin ux/amd64"] {
            assert!(text.parse::<Platform>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_variant_that_is_left_out_is_any() {
        let parse = |text: &str| text.parse::<Platform>().unwrap();
        assert!(parse("linux/arm/v7").satisfies(&parse("linux/arm")));
        assert!(parse("linux/arm").satisfies(&parse("linux/arm/v6")));
        assert!(!parse("linux/arm/v7").satisfies(&parse("linux/arm/v6")));
        assert!(!parse("linux/386").satisfies(&parse("linux/amd64")));
    }

    #[test]
    fn i386_runs_on_x86_64_and_not_the_reverse() {
        let (amd64, i386) = (Platform::linux("amd64"), Platform::linux("386"));
        assert!(i386.is_native_on(&amd64));
        assert!(!amd64.is_native_on(&i386));
    }
}
