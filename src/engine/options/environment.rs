//! `--env` and `--env-file`: variables for the container. A name without a
//! value is kept as such: only the caller may look at its own environment.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// One variable to set.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum EnvironmentOption {
    /// `NAME=VALUE`.
    Set {
        /// Not empty; holds neither `=` nor NUL.
        name: String,
        /// May be empty, may hold `=` and line breaks.
        value: String,
    },
    /// `NAME` alone: the value of the caller's environment, nothing where the
    /// caller has none.
    FromCaller(String),
}

impl EnvironmentOption {
    /// The variable's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Set { name, .. } | Self::FromCaller(name) => name,
        }
    }
}

impl FromStr for EnvironmentOption {
    type Err = Error;

    /// Parses `NAME=VALUE` or `NAME` by docker's rules: everything after the
    /// first `=` is the value, quotes included.
    fn from_str(text: &str) -> Result<Self> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        if name.is_empty() {
            return Err(Error::invalid(format!(
                "invalid environment variable \"{text}\": it has no name"
            ))
            .hint("write NAME=VALUE, or NAME to pass on the caller's value"));
        }
        if text.contains('\0') {
            return Err(Error::invalid(format!(
                "invalid environment variable {text:?}: it holds a NUL byte"
            ))
            .hint("take the NUL byte out; a C string ends at it"));
        }
        let name = name.to_owned();
        Ok(match value {
            Some(value) => Self::Set { name, value: value.to_owned() },
            None => Self::FromCaller(name),
        })
    }
}

impl fmt::Display for EnvironmentOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set { name, value } => write!(f, "{name}={value}"),
            Self::FromCaller(name) => f.write_str(name),
        }
    }
}

/// Parses the text of an `--env-file` by docker's rules: a line is
/// `NAME=VALUE` or `NAME`; white space before the name is dropped, the value
/// is taken as it stands (no quotes, no `export`, no comment at its end);
/// empty lines and lines that start with `#` are skipped. `label` names the
/// file in errors.
pub fn parse_env_file(label: &str, text: &str) -> Result<Vec<EnvironmentOption>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut variables = Vec::new();
    for (number, line) in (1..).zip(text.split('\n')) {
        let line = line.strip_suffix('\r').unwrap_or(line).trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let place = || format!("{label}:{number}");
        let name = line.split_once('=').map_or(line, |(name, _)| name);
        if name.contains(char::is_whitespace) {
            let hint = match name.strip_prefix("export ") {
                Some(_) => "take `export` away; this is no shell script",
                None => "write NAME=VALUE without white space around the `=`",
            };
            return Err(Error::invalid(format!(
                "{}: variable \"{name}\" contains white space",
                place()
            ))
            .hint(hint));
        }
        variables.push(line.parse().map_err(|error: Error| error.context(place()))?);
    }
    Ok(variables)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(name: &str, value: &str) -> EnvironmentOption {
        EnvironmentOption::Set { name: name.into(), value: value.into() }
    }

    #[test]
    fn splits_at_the_first_equals_sign() {
        for (text, expected) in [
            ("A=1", set("A", "1")),
            ("A=", set("A", "")),
            ("A=b=c", set("A", "b=c")),
            ("A=\"q\"", set("A", "\"q\"")),
            ("A", EnvironmentOption::FromCaller("A".into())),
        ] {
            assert_eq!(text.parse::<EnvironmentOption>().unwrap(), expected);
        }
        let error = "=1".parse::<EnvironmentOption>().unwrap_err();
        assert_eq!(error.chain(), "invalid environment variable \"=1\": it has no name");
        assert!("A=\0".parse::<EnvironmentOption>().is_err());
    }

    #[test]
    fn reads_a_file_by_dockers_rules() {
        let text = "\u{feff}# comment\n\n  A=1\nB = 2".replace("B = 2", "B= 2 # kept ")
            + "\r\nC\nD='x'\n\t#x\nE=\r";
        assert_eq!(
            parse_env_file("env", &text).unwrap(),
            [
                set("A", "1"),
                set("B", " 2 # kept "),
                EnvironmentOption::FromCaller("C".into()),
                set("D", "'x'"),
                set("E", ""),
            ]
        );
    }

    #[test]
    fn names_the_line_that_is_wrong() {
        for (text, message, hint) in [
            (
                "A=1\nB C=2\n",
                "env:2: variable \"B C\" contains white space",
                "write NAME=VALUE without white space around the `=`",
            ),
            (
                "A =1\n",
                "env:1: variable \"A \" contains white space",
                "write NAME=VALUE without white space around the `=`",
            ),
            (
                "export A=1",
                "env:1: variable \"export A\" contains white space",
                "take `export` away; this is no shell script",
            ),
            (
                "\n\n=x",
                "env:3: invalid environment variable \"=x\": it has no name",
                "write NAME=VALUE, or NAME to pass on the caller's value",
            ),
        ] {
            let error = parse_env_file("env", text).unwrap_err();
            assert_eq!((error.chain().as_str(), error.hint_text()), (message, Some(hint)));
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "[A-Z #=\\n\\r]{0,40}\\PC{0,4}") {
            let _ = parse_env_file("env", &text);
        }
    }
}
