//! What the values of `--filter` have in common, whatever is filtered.

use crate::error::{Error, Result};

/// Splits `KEY=VALUE`.
///
/// # Errors
/// `Invalid` without a `=`; `example` is a filter of this list.
pub(super) fn split<'a>(text: &'a str, example: &str) -> Result<(&'a str, &'a str)> {
    text.split_once('=')
        .ok_or_else(|| Error::invalid(format!("a filter is KEY=VALUE, as in {example}")))
}

/// What docker takes for a truth.
///
/// # Errors
/// `Invalid`, with the `key` that it was given for.
pub(super) fn boolean(key: &str, value: &str) -> Result<bool> {
    match value.to_ascii_lowercase().as_str() {
        "1" | "t" | "true" => Ok(true),
        "0" | "f" | "false" => Ok(false),
        _ => Err(Error::invalid(format!("{key} is true or false, not {value:?}"))),
    }
}

/// A label by its key, or by key and value.
pub(super) fn label(text: &str) -> (String, Option<String>) {
    match text.split_once('=') {
        Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
        None => (text.to_owned(), None),
    }
}
