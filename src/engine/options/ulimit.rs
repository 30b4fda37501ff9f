//! `--ulimit NAME=SOFT[:HARD]`: resource limits (getrlimit(2)). It knows the
//! names and the numbers, not what the host allows.

use std::fmt;
use std::str::FromStr;

use super::suggest;
use crate::error::{Error, Result};

/// docker's names and the kernel's numbers, which are the same on x86-64 and
/// arm64 (`include/uapi/asm-generic/resource.h`).
const RESOURCES: &[(&str, u32, &str)] = &[
    ("as", 9, "RLIMIT_AS"),
    ("core", 4, "RLIMIT_CORE"),
    ("cpu", 0, "RLIMIT_CPU"),
    ("data", 2, "RLIMIT_DATA"),
    ("fsize", 1, "RLIMIT_FSIZE"),
    ("locks", 10, "RLIMIT_LOCKS"),
    ("memlock", 8, "RLIMIT_MEMLOCK"),
    ("msgqueue", 12, "RLIMIT_MSGQUEUE"),
    ("nice", 13, "RLIMIT_NICE"),
    ("nofile", 7, "RLIMIT_NOFILE"),
    ("nproc", 6, "RLIMIT_NPROC"),
    ("rss", 5, "RLIMIT_RSS"),
    ("rtprio", 14, "RLIMIT_RTPRIO"),
    ("rttime", 15, "RLIMIT_RTTIME"),
    ("sigpending", 11, "RLIMIT_SIGPENDING"),
    ("stack", 3, "RLIMIT_STACK"),
];

/// A resource that can be limited: docker's fifteen, and `as`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Resource(usize);

impl Resource {
    /// docker's name: `nofile`.
    pub fn name(self) -> &'static str {
        RESOURCES[self.0].0
    }

    /// The kernel's number, for prlimit(2).
    pub fn number(self) -> u32 {
        RESOURCES[self.0].1
    }

    /// The runtime specification's name: `RLIMIT_NOFILE`.
    pub fn spec_name(self) -> &'static str {
        RESOURCES[self.0].2
    }
}

impl FromStr for Resource {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let index = RESOURCES.iter().position(|(name, ..)| *name == text);
        index.map(Self).ok_or_else(|| {
            let known: Vec<&str> = RESOURCES.iter().map(|(name, ..)| *name).collect();
            Error::invalid(format!("invalid ulimit type \"{text}\""))
                .hint(suggest::hint(text, &known))
        })
    }
}

/// One side of a limit, in the resource's own unit (setrlimit(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Bound {
    /// At most this much.
    At(u64),
    /// No limit.
    Unlimited,
}

impl Bound {
    /// The value that prlimit(2) takes; `RLIM_INFINITY` is all ones.
    pub fn raw(self) -> u64 {
        match self {
            Self::At(value) => value,
            Self::Unlimited => u64::MAX,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(value) => write!(f, "{value}"),
            Self::Unlimited => f.write_str("unlimited"),
        }
    }
}

/// The limit of one resource; `soft` is never above `hard`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ulimit {
    /// What is limited.
    pub resource: Resource,
    /// The limit in force.
    pub soft: Bound,
    /// The ceiling to which a process may raise it.
    pub hard: Bound,
}

impl Ulimit {
    /// Parses `SOFT[:HARD]` for `resource`. A side is a number, `-1` or
    /// `unlimited`; one side alone stands for both.
    pub fn parse_value(resource: Resource, text: &str) -> Result<Self> {
        let (soft, hard) = text.split_once(':').unwrap_or((text, text));
        let bound = |side: &str| {
            parse_bound(side).ok_or_else(|| {
                Error::invalid(format!(
                    "invalid ulimit {}={text}: \"{side}\" is not a number",
                    resource.name()
                ))
                .hint(format!(
                    "write numbers, -1 or `unlimited`, as in `{}=1024:4096`",
                    resource.name()
                ))
            })
        };
        let limit = Self { resource, soft: bound(soft)?, hard: bound(hard)? };
        if limit.soft > limit.hard {
            return Err(Error::invalid(format!(
                "invalid ulimit {}={text}: the soft limit is above the hard limit",
                resource.name()
            ))
            .hint(format!(
                "write `{}={}:{}`",
                resource.name(),
                limit.hard,
                limit.soft
            )));
        }
        Ok(limit)
    }

    /// The value as [`Ulimit::parse_value`] takes it.
    pub fn value(&self) -> String {
        if self.soft == self.hard {
            return self.soft.to_string();
        }
        format!("{}:{}", self.soft, self.hard)
    }
}

impl FromStr for Ulimit {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let Some((name, value)) = text.split_once('=') else {
            return Err(Error::invalid(format!("invalid ulimit \"{text}\": there is no value"))
                .hint("write NAME=SOFT[:HARD], as in `nofile=1024:4096`"));
        };
        Self::parse_value(name.parse()?, value)
    }
}

impl fmt::Display for Ulimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.resource.name(), self.value())
    }
}

fn parse_bound(text: &str) -> Option<Bound> {
    if matches!(text, "-1" | "unlimited") {
        return Some(Bound::Unlimited);
    }
    // `u64::from_str` takes a plus sign; docker does not.
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let value: u64 = digits.then(|| text.parse().ok())??;
    Some(if value == u64::MAX { Bound::Unlimited } else { Bound::At(value) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn takes_one_or_two_sides() {
        for (text, soft, hard) in [
            ("nofile=1024", Bound::At(1024), Bound::At(1024)),
            ("nofile=1024:2048", Bound::At(1024), Bound::At(2048)),
            ("core=-1", Bound::Unlimited, Bound::Unlimited),
            ("core=0:unlimited", Bound::At(0), Bound::Unlimited),
            ("stack=18446744073709551615", Bound::Unlimited, Bound::Unlimited),
        ] {
            let limit: Ulimit = text.parse().unwrap();
            assert_eq!((limit.soft, limit.hard), (soft, hard), "{text}");
        }
        let nofile: Resource = "nofile".parse().unwrap();
        assert_eq!((nofile.number(), nofile.spec_name()), (7, "RLIMIT_NOFILE"));
    }

    #[test]
    fn numbers_are_the_kernels() {
        use nix::sys::resource::Resource as Kernel;
        for (name, kernel) in [
            ("as", Kernel::RLIMIT_AS),
            ("core", Kernel::RLIMIT_CORE),
            ("cpu", Kernel::RLIMIT_CPU),
            ("data", Kernel::RLIMIT_DATA),
            ("fsize", Kernel::RLIMIT_FSIZE),
            ("locks", Kernel::RLIMIT_LOCKS),
            ("memlock", Kernel::RLIMIT_MEMLOCK),
            ("msgqueue", Kernel::RLIMIT_MSGQUEUE),
            ("nice", Kernel::RLIMIT_NICE),
            ("nofile", Kernel::RLIMIT_NOFILE),
            ("nproc", Kernel::RLIMIT_NPROC),
            ("rss", Kernel::RLIMIT_RSS),
            ("rtprio", Kernel::RLIMIT_RTPRIO),
            ("rttime", Kernel::RLIMIT_RTTIME),
            ("sigpending", Kernel::RLIMIT_SIGPENDING),
            ("stack", Kernel::RLIMIT_STACK),
        ] {
            assert_eq!(name.parse::<Resource>().unwrap().number(), kernel as u32, "{name}");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, message, hint) in [
            (
                "nofile",
                "invalid ulimit \"nofile\": there is no value",
                "write NAME=SOFT[:HARD], as in `nofile=1024:4096`",
            ),
            ("nofiles=1", "invalid ulimit type \"nofiles\"", "write `nofile`"),
            (
                "nofile=+1",
                "invalid ulimit nofile=+1: \"+1\" is not a number",
                "write numbers, -1 or `unlimited`, as in `nofile=1024:4096`",
            ),
            (
                "nofile=1:",
                "invalid ulimit nofile=1:: \"\" is not a number",
                "write numbers, -1 or `unlimited`, as in `nofile=1024:4096`",
            ),
            (
                "nofile=9:1",
                "invalid ulimit nofile=9:1: the soft limit is above the hard limit",
                "write `nofile=1:9`",
            ),
            (
                "nofile=-1:1",
                "invalid ulimit nofile=-1:1: the soft limit is above the hard limit",
                "write `nofile=1:unlimited`",
            ),
        ] {
            let error = text.parse::<Ulimit>().unwrap_err();
            assert_eq!((error.chain().as_str(), error.hint_text()), (message, Some(hint)));
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_prints_what_parses(text in "(nofile|core)?=?[-0-9:a-z]{0,12}\\PC{0,2}") {
            if let Ok(limit) = text.parse::<Ulimit>() {
                prop_assert_eq!(limit.to_string().parse::<Ulimit>().unwrap(), limit);
            }
        }
    }
}
