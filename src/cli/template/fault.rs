//! What is wrong with a template, and where: a byte offset into its text that
//! becomes `line:column` at the door. Also the nearest known name, for hints.
//! Knows nothing of tokens, nodes or values.

use crate::error::Error;

/// The result of everything below [`super::Template`].
pub(super) type Result<T, E = Fault> = std::result::Result<T, E>;

/// A fault at a byte offset of the template's text.
#[derive(Debug)]
pub(super) struct Fault {
    offset: usize,
    message: String,
    hint: Option<String>,
}

impl Fault {
    pub(super) fn new(offset: usize, message: impl Into<String>) -> Self {
        Self { offset, message: message.into(), hint: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The error that the user sees: `template:LINE:COLUMN: MESSAGE`, both
    /// counted from 1, the column in characters.
    pub(super) fn locate(self, text: &str) -> Error {
        let before = &text[..self.offset.min(text.len())];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.matches('\n').count() + 1;
        let column = before[line_start..].chars().count() + 1;
        let error = Error::invalid(format!("template:{line}:{column}: {}", self.message));
        match self.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

/// The candidate that `name` was most likely meant to be: the same but for
/// case, else within a third of its length in edits, else one that begins so.
pub(super) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let wanted = name.to_lowercase();
    let score = |candidate: &str| {
        let candidate = candidate.to_lowercase();
        match distance(&wanted, &candidate) {
            edits if edits <= wanted.chars().count().div_ceil(3) => Some(edits),
            _ if wanted.len() > 1 && candidate.starts_with(&wanted) => Some(candidate.len()),
            _ => None,
        }
    };
    candidates
        .into_iter()
        .filter_map(|candidate| Some((score(candidate)?, candidate)))
        .min()
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance, in characters.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_lines_and_characters_from_one() {
        let text = "é\nñx{{";
        assert_eq!(Fault::new(0, "m").locate(text).to_string(), "template:1:1: m");
        assert_eq!(Fault::new(3, "m").locate(text).to_string(), "template:2:1: m");
        assert_eq!(Fault::new(6, "m").locate(text).to_string(), "template:2:3: m");
        assert_eq!(Fault::new(99, "m").locate(text).to_string(), "template:2:5: m");
    }

    #[test]
    fn finds_the_name_that_was_meant() {
        let known = ["ID", "Image", "Status", "State", "RunningFor"];
        for (typed, meant) in [
            ("Id", Some("ID")),
            ("image", Some("Image")),
            ("Stat", Some("State")),
            // Five edits and no prefix: too far to guess.
            ("Runing", None),
            ("Running", Some("RunningFor")),
            ("Zebra", None),
            ("", None),
        ] {
            assert_eq!(nearest(typed, known), meant, "{typed}");
        }
    }
}
