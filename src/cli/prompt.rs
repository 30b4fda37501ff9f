//! Questions to the person at the terminal. Asked on stderr, so that stdout
//! stays data; answered by Enter with what stands in brackets.

use std::io::IsTerminal;
use std::str::FromStr;

use dialoguer::{Confirm, Input};

use crate::error::{Error, Result};

/// True if somebody can be asked.
pub(super) fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks until the answer is a `T`.
///
/// # Errors
/// Those of the terminal.
pub(super) fn ask<T>(question: &str, default: Option<String>) -> Result<T>
where
    T: FromStr<Err = Error>,
{
    let mut input = Input::<String>::new().with_prompt(question);
    if let Some(default) = default {
        input = input.default(default);
    }
    let input = input.validate_with(|text: &String| match T::from_str(text) {
        Ok(_) => Ok(()),
        Err(error) => Err(error.chain()),
    });
    let answer = input.interact_text().map_err(|dialoguer::Error::IO(error)| {
        Error::io_named("cannot ask at the terminal", error)
    })?;
    answer.parse()
}

/// Asks for a yes or a no; Enter is `default`.
///
/// # Errors
/// Those of the terminal.
pub(super) fn confirm(question: &str, default: bool) -> Result<bool> {
    Confirm::new()
        .with_prompt(question)
        .default(default)
        .interact()
        .map_err(|dialoguer::Error::IO(error)| Error::io_named("cannot ask at the terminal", error))
}
