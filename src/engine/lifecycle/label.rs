//! `--label` and `--label-file`: names and values that mean nothing to envbox.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::PathBuf;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::fs;

use super::super::Settings;

/// A label; without `=` its value is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Its name.
    pub key: String,
    /// Its value.
    pub value: String,
}

impl FromStr for Label {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        Ok(Self { key: key.to_owned(), value: value.to_owned() })
    }
}

/// Reads the labels of a file: one a line, empty ones and those that begin
/// with `#` left out, as docker does.
fn parse_file(text: &str) -> impl Iterator<Item = Label> {
    let lines = text.lines().map(str::trim_start);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .filter_map(|line| line.parse().ok())
}

/// The labels of an image, those of files over them, and `labels` over both.
///
/// # Errors
/// Those of the files; `Invalid` for a label without a name.
pub(super) fn collect(
    image: &BTreeMap<String, String>,
    (files, labels): (&[PathBuf], &[Label]),
    settings: &Settings,
) -> Result<BTreeMap<String, String>> {
    let mut all = image.clone();
    let mut add = |label: Label| {
        if label.key.is_empty() {
            return Err(Error::invalid(format!(
                "invalid label \"={}\": it has no name",
                label.value
            ))
            .hint("write NAME=VALUE"));
        }
        all.insert(label.key, label.value);
        Ok(())
    };
    for file in files {
        let text = fs::read_to_string(&settings.absolute(file))?;
        parse_file(&text).try_for_each(&mut add)?;
    }
    labels.iter().cloned().try_for_each(add)?;
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_as_docker_reads_them() {
        let label = |text: &str| {
            let Ok(label) = text.parse::<Label>();
            (label.key, label.value)
        };
        assert_eq!(label("a=b=c"), ("a".into(), "b=c".into()));
        assert_eq!(label("a"), ("a".into(), String::new()));
        let all: Vec<Label> = parse_file("# no\n\n a=1\nb\n").collect();
        assert_eq!(all, ["a=1", "b"].map(|text| text.parse().unwrap()));
    }
}
