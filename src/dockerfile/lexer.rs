//! Text to logical lines, and a line to keyword, flags and words. Words keep
//! their quotes, escapes and variables: those are `expand`'s matter.

use serde_json::Value;

use crate::error::{Error, Result};

use super::expand::Word;

const ESCAPE: char = '\\';

/// Joins continued lines and drops blank lines and comments, those within a
/// continued instruction included.
pub(super) fn logical_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut open: Option<String> = None;
    for line in text.lines() {
        let bare = line.trim_start();
        if bare.is_empty() || bare.starts_with('#') {
            continue;
        }
        // Only the first line loses its indentation: later ones may be text.
        let (mut whole, line) = match open.take() {
            Some(whole) => (whole, line),
            None => (String::new(), bare),
        };
        match continued(line) {
            Some(part) => {
                whole.push_str(part);
                open = Some(whole);
            }
            None => {
                whole.push_str(line);
                lines.push(whole.trim_end().to_owned());
            }
        }
    }
    lines.extend(open.map(|whole| whole.trim_end().to_owned()));
    lines
}

/// The line without the single escape character at its end, if it has one.
fn continued(line: &str) -> Option<&str> {
    let part = line.trim_end_matches([' ', '\t']).strip_suffix(ESCAPE)?;
    (!part.ends_with(ESCAPE)).then_some(part)
}

/// Splits a logical line into its first word and what follows.
pub(super) fn split_keyword(line: &str) -> (&str, &str) {
    split_word(line.trim())
}

/// Splits at the first white space; the rest begins at its first word.
pub(super) fn split_word(text: &str) -> (&str, &str) {
    match text.split_once(char::is_whitespace) {
        Some((word, rest)) => (word, rest.trim_start()),
        None => (text, ""),
    }
}

/// One `--name=value` or `--name value` before the arguments.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Flag {
    pub(super) name: String,
    pub(super) value: String,
}

/// Splits the flags off the arguments; a `--` ends them. A flag without a value
/// has an empty one.
pub(super) fn split_flags(arguments: &str) -> (Vec<Flag>, &str) {
    let mut flags = Vec::new();
    let mut rest = arguments.trim_start();
    while rest.starts_with("--") {
        let (word, tail) = next_word(rest);
        rest = tail.trim_start();
        let word = without_quotes(&word);
        if word == "--" {
            break;
        }
        let (name, value) = match word[2..].split_once('=') {
            Some((name, value)) => (name.to_owned(), value.to_owned()),
            None => {
                let (value, tail) = next_word(rest);
                rest = tail.trim_start();
                (word[2..].to_owned(), without_quotes(&value))
            }
        };
        flags.push(Flag { name, value });
    }
    (flags, rest)
}

/// Splits at white space that no quote and no escape protects.
pub(super) fn words(text: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (word, tail) = next_word(rest);
        words.push(Word::new(word));
        rest = tail.trim_start();
    }
    words
}

/// The first word of a text that begins with one, as written, and what follows.
/// An escape character at the very end is dropped; a quote may stay open, which
/// expansion reports.
fn next_word(text: &str) -> (String, &str) {
    let mut word = String::new();
    let mut quote: Option<char> = None;
    let mut chars = text.char_indices();
    while let Some((at, ch)) = chars.next() {
        match (quote, ch) {
            (None, _) if ch.is_whitespace() => return (word, &text[at..]),
            (None, '\'' | '"') => quote = Some(ch),
            (Some(open), _) if open == ch => quote = None,
            (None | Some('"'), ESCAPE) => {
                let Some((_, escaped)) = chars.next() else { break };
                word.extend([ESCAPE, escaped]);
                continue;
            }
            _ => {}
        }
        word.push(ch);
    }
    (word, "")
}

/// The text of a flag, whose quotes and escapes go and whose `$` means nothing.
fn without_quotes(word: &str) -> String {
    let mut text = String::new();
    let mut quote: Option<char> = None;
    let mut chars = word.chars();
    while let Some(ch) = chars.next() {
        match (quote, ch) {
            (None, '\'' | '"') => quote = Some(ch),
            (Some(open), _) if open == ch => quote = None,
            (None | Some('"'), ESCAPE) => text.extend(chars.next()),
            _ => text.push(ch),
        }
    }
    text
}

/// The elements of a JSON array of strings; `None` where the text is no JSON
/// array, which docker then reads as plain words or a shell command.
///
/// # Errors
///
/// `Invalid` for an array that holds anything but strings.
pub(super) fn json_array(text: &str) -> Result<Option<Vec<String>>> {
    if !text.trim_start().starts_with('[') {
        return Ok(None);
    }
    let Ok(values) = serde_json::from_str::<Vec<Value>>(text) else { return Ok(None) };
    let strings = values.into_iter().map(|value| match value {
        Value::String(text) => Ok(text),
        other => Err(Error::invalid(format!("{other} in {text} is not a string"))
            .hint("put double quotes around every element of the array")),
    });
    strings.collect::<Result<_>>().map(Some)
}
