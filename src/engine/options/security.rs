//! `--security-opt`: docker's options, each a value of its own. What envbox
//! does not do (labels of SELinux, profiles of AppArmor) is refused, never
//! ignored.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::suggest;
use crate::error::{Error, Result};

const NAMES: &[&str] = &["no-new-privileges", "seccomp", "apparmor", "label", "systempaths"];

/// Which system call filter a container gets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum SeccompOption {
    /// The built-in policy.
    #[default]
    Default,
    /// No filter.
    Unconfined,
    /// A policy in docker's JSON form; the caller reads the file.
    File(PathBuf),
}

/// One value of `--security-opt`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SecurityOption {
    /// `no-new-privileges[=BOOL]`: prctl(2) `PR_SET_NO_NEW_PRIVS`.
    NoNewPrivileges(bool),
    /// `seccomp=unconfined|builtin|FILE`.
    Seccomp(SeccompOption),
    /// `apparmor=unconfined`: the container keeps no profile.
    AppArmorUnconfined,
    /// `label=disable`: no SELinux label is set.
    LabelDisable,
    /// `systempaths=unconfined`: nothing of `/proc` and `/sys` is masked or
    /// read-only.
    SystemPathsUnconfined,
}

/// All `--security-opt` of a command line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct SecurityOptions {
    /// Whether programs may gain no privileges by set-user-ID.
    pub no_new_privileges: bool,
    /// The system call filter.
    pub seccomp: SeccompOption,
    /// Whether docker's masked and read-only paths are left as they are.
    pub unmasked_paths: bool,
}

impl FromIterator<SecurityOption> for SecurityOptions {
    /// The last of several equal options wins, as in docker.
    fn from_iter<T: IntoIterator<Item = SecurityOption>>(options: T) -> Self {
        let mut all = Self::default();
        for option in options {
            match option {
                SecurityOption::NoNewPrivileges(on) => all.no_new_privileges = on,
                SecurityOption::Seccomp(seccomp) => all.seccomp = seccomp,
                SecurityOption::SystemPathsUnconfined => all.unmasked_paths = true,
                // envbox sets neither profile nor label: both are the case.
                SecurityOption::AppArmorUnconfined | SecurityOption::LabelDisable => {}
            }
        }
        all
    }
}

impl FromStr for SecurityOption {
    type Err = Error;

    /// Parses `NAME`, `NAME=VALUE` or docker's older `NAME:VALUE`.
    fn from_str(text: &str) -> Result<Self> {
        let (name, value) = match text.find(['=', ':']) {
            Some(at) => (&text[..at], Some(&text[at + 1..])),
            None => (text, None),
        };
        match (name, value) {
            ("no-new-privileges", None) => Ok(Self::NoNewPrivileges(true)),
            ("no-new-privileges", Some(value)) => no_new_privileges(text, value),
            ("seccomp", Some(value)) => seccomp(text, value),
            ("systempaths", Some("unconfined")) => Ok(Self::SystemPathsUnconfined),
            ("systempaths", Some(_)) => Err(invalid(text, "the only value is `unconfined`")
                .hint("write `systempaths=unconfined`")),
            ("apparmor", Some(value)) => apparmor(value),
            ("label", Some(value)) => label(text, value),
            ("disable", None) => Ok(Self::LabelDisable),
            (known, None) if NAMES.contains(&known) => {
                Err(invalid(text, "there is no value").hint(format!("write `{known}=VALUE`")))
            }
            (unknown, _) => {
                Err(invalid(text, "there is no such option").hint(suggest::hint(unknown, NAMES)))
            }
        }
    }
}

impl fmt::Display for SecurityOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoNewPrivileges(on) => write!(f, "no-new-privileges={on}"),
            Self::Seccomp(SeccompOption::Default) => f.write_str("seccomp=builtin"),
            Self::Seccomp(SeccompOption::Unconfined) => f.write_str("seccomp=unconfined"),
            Self::Seccomp(SeccompOption::File(file)) => write!(f, "seccomp={}", file.display()),
            Self::AppArmorUnconfined => f.write_str("apparmor=unconfined"),
            Self::LabelDisable => f.write_str("label=disable"),
            Self::SystemPathsUnconfined => f.write_str("systempaths=unconfined"),
        }
    }
}

/// Parses a boolean as docker (Go's `strconv.ParseBool`) does.
pub(super) fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

fn invalid(text: &str, fault: &str) -> Error {
    Error::invalid(format!("invalid --security-opt \"{text}\": {fault}"))
}

fn no_new_privileges(text: &str, value: &str) -> Result<SecurityOption> {
    parse_bool(value).map(SecurityOption::NoNewPrivileges).ok_or_else(|| {
        invalid(text, "the value is neither true nor false").hint("write `no-new-privileges=true`")
    })
}

fn seccomp(text: &str, value: &str) -> Result<SecurityOption> {
    Ok(SecurityOption::Seccomp(match value {
        "" => {
            return Err(invalid(text, "there is no value")
                .hint("write `seccomp=unconfined`, or `seccomp=FILE` for a policy of your own"));
        }
        "unconfined" => SeccompOption::Unconfined,
        "builtin" => SeccompOption::Default,
        file => SeccompOption::File(PathBuf::from(file)),
    }))
}

fn apparmor(value: &str) -> Result<SecurityOption> {
    match value {
        "unconfined" => Ok(SecurityOption::AppArmorUnconfined),
        other => Err(Error::unsupported(format!(
            "apparmor profile \"{other}\" cannot be applied: envbox loads no AppArmor profiles"
        ))
        .hint("leave the option out, or write `apparmor=unconfined`")),
    }
}

fn label(text: &str, value: &str) -> Result<SecurityOption> {
    let key = value.split(':').next().unwrap_or_default();
    match key {
        "disable" if value == key => Ok(SecurityOption::LabelDisable),
        "user" | "role" | "type" | "level" | "filetype" | "nested" => Err(Error::unsupported(
            format!("label \"{value}\" cannot be applied: envbox sets no SELinux labels"),
        )
        .hint("leave the option out, or write `label=disable`")),
        _ => Err(invalid(text, "there is no such label option").hint("write `label=disable`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use proptest::prelude::*;

    #[test]
    fn takes_dockers_options_in_both_spellings() {
        let file = |path: &str| SecurityOption::Seccomp(SeccompOption::File(path.into()));
        for (text, expected) in [
            ("no-new-privileges", SecurityOption::NoNewPrivileges(true)),
            ("no-new-privileges=false", SecurityOption::NoNewPrivileges(false)),
            ("no-new-privileges:true", SecurityOption::NoNewPrivileges(true)),
            ("seccomp=unconfined", SecurityOption::Seccomp(SeccompOption::Unconfined)),
            ("seccomp:unconfined", SecurityOption::Seccomp(SeccompOption::Unconfined)),
            ("seccomp=builtin", SecurityOption::Seccomp(SeccompOption::Default)),
            ("seccomp=/a=b:c.json", file("/a=b:c.json")),
            ("seccomp:p.json", file("p.json")),
            ("apparmor=unconfined", SecurityOption::AppArmorUnconfined),
            ("label=disable", SecurityOption::LabelDisable),
            ("label:disable", SecurityOption::LabelDisable),
            ("systempaths=unconfined", SecurityOption::SystemPathsUnconfined),
        ] {
            assert_eq!(text.parse::<SecurityOption>().unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, kind, message, hint) in [
            (
                "no-new-privilege",
                Kind::Invalid,
                "invalid --security-opt \"no-new-privilege\": there is no such option",
                "write `no-new-privileges`",
            ),
            (
                "no-new-privileges=yes",
                Kind::Invalid,
                "invalid --security-opt \"no-new-privileges=yes\": the value is neither true nor false",
                "write `no-new-privileges=true`",
            ),
            (
                "seccomp",
                Kind::Invalid,
                "invalid --security-opt \"seccomp\": there is no value",
                "write `seccomp=VALUE`",
            ),
            (
                "systempaths=none",
                Kind::Invalid,
                "invalid --security-opt \"systempaths=none\": the only value is `unconfined`",
                "write `systempaths=unconfined`",
            ),
            (
                "apparmor=mine",
                Kind::Unsupported,
                "apparmor profile \"mine\" cannot be applied: envbox loads no AppArmor profiles",
                "leave the option out, or write `apparmor=unconfined`",
            ),
            (
                "label=type:x_t",
                Kind::Unsupported,
                "label \"type:x_t\" cannot be applied: envbox sets no SELinux labels",
                "leave the option out, or write `label=disable`",
            ),
            (
                "label=x",
                Kind::Invalid,
                "invalid --security-opt \"label=x\": there is no such label option",
                "write `label=disable`",
            ),
        ] {
            let error = text.parse::<SecurityOption>().unwrap_err();
            assert_eq!(error.kind(), kind, "{text}");
            assert_eq!((error.chain().as_str(), error.hint_text()), (message, Some(hint)));
        }
    }

    #[test]
    fn the_last_of_several_wins() {
        let parse = |text: &str| text.parse::<SecurityOption>().unwrap();
        let all: SecurityOptions = ["seccomp=a.json", "no-new-privileges", "seccomp=unconfined"]
            .map(parse)
            .into_iter()
            .collect();
        assert_eq!(all.seccomp, SeccompOption::Unconfined);
        assert!(all.no_new_privileges && !all.unmasked_paths);
    }

    proptest! {
        #[test]
        fn never_panics(text in "[a-z-]{0,20}[=:]?\\PC{0,8}") {
            let _ = text.parse::<SecurityOption>();
        }
    }
}
