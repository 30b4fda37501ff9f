//! Words as written become text: quotes and escapes are resolved and variables
//! replaced, in one pass, the way docker does it, which is close to a shell's
//! but not the same (no command substitution, no field splitting).

use std::iter::Peekable;
use std::str::Chars;

use crate::error::{Context, Error, Result};

/// How deep `${a:-${b:-...}}` may nest.
const MAX_DEPTH: usize = 64;

/// An argument as it stands in the Dockerfile, quotes, escapes and variables
/// included.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Word(String);

impl Word {
    /// A word as written.
    pub fn new(written: impl Into<String>) -> Self {
        Self(written.into())
    }

    /// The word as written.
    pub fn as_written(&self) -> &str {
        &self.0
    }

    /// The text that the word stands for. `env` holds `NAME=value` entries, as
    /// an image config does; the last one of a name counts, and a name without
    /// an entry is empty.
    ///
    /// # Errors
    ///
    /// `Invalid` for an open quote or brace, and for `${NAME:?message}` without
    /// a value; `Unsupported` for the modifiers `#`, `%` and `/`.
    pub fn expand(&self, env: &[String]) -> Result<String> {
        let mut expander = Expander { chars: self.0.chars().peekable(), env, depth: 0 };
        expander.text(None).context(|| format!("cannot expand {}", self.0))
    }
}

struct Expander<'a> {
    chars: Peekable<Chars<'a>>,
    env: &'a [String],
    depth: usize,
}

impl Expander<'_> {
    /// Reads to the end, or to `stop`, which is consumed.
    fn text(&mut self, stop: Option<char>) -> Result<String> {
        let mut text = String::new();
        while let Some(ch) = self.chars.next() {
            match ch {
                _ if Some(ch) == stop => return Ok(text),
                '\'' => self.single_quoted(&mut text)?,
                '"' => self.double_quoted(&mut text)?,
                '$' => text.push_str(&self.variable()?),
                '\\' => text.extend(self.chars.next()),
                _ => text.push(ch),
            }
        }
        match stop {
            Some(stop) => Err(unclosed(stop)),
            None => Ok(text),
        }
    }

    fn single_quoted(&mut self, text: &mut String) -> Result<()> {
        loop {
            match self.chars.next() {
                Some('\'') => return Ok(()),
                Some(ch) => text.push(ch),
                None => return Err(unclosed('\'')),
            }
        }
    }

    fn double_quoted(&mut self, text: &mut String) -> Result<()> {
        loop {
            match self.chars.next() {
                Some('"') => return Ok(()),
                Some('$') => text.push_str(&self.variable()?),
                // Before any other character the backslash stays.
                Some('\\') => match self.chars.next_if(|ch| matches!(ch, '"' | '$' | '\\')) {
                    Some(escaped) => text.push(escaped),
                    None => text.push('\\'),
                },
                Some(ch) => text.push(ch),
                None => return Err(unclosed('"')),
            }
        }
    }

    /// Reads what follows a `$`.
    fn variable(&mut self) -> Result<String> {
        if self.chars.next_if_eq(&'{').is_some() {
            return self.braced();
        }
        let name = self.name();
        // A `$` that names nothing stands for itself.
        Ok(if name.is_empty() { "$".into() } else { self.value(&name).unwrap_or("").into() })
    }

    /// Reads what follows a `${`.
    fn braced(&mut self) -> Result<String> {
        let name = self.name();
        if name.is_empty() {
            return Err(match self.chars.peek() {
                Some(_) => Error::invalid("no variable name behind ${"),
                None => unclosed('}'),
            });
        }
        let empty_is_unset = self.chars.next_if_eq(&':').is_some();
        let modifier = self.chars.next().ok_or_else(|| unclosed('}'))?;
        match modifier {
            '}' if !empty_is_unset => return Ok(self.value(&name).unwrap_or("").into()),
            '-' | '+' | '?' => {}
            '#' | '%' | '/' if !empty_is_unset => {
                return Err(Error::unsupported(format!("${{{name}{modifier}...}}"))
                    .hint("write out the value that it is to have"));
            }
            _ => return Err(Error::invalid(format!("bad modifier {modifier} of variable {name}"))),
        }
        let word = self.nested()?;
        let value = self.value(&name).filter(|value| !(empty_is_unset && value.is_empty()));
        match (modifier, value) {
            ('+', Some(_)) | ('-', None) => Ok(word),
            ('+', None) => Ok(String::new()),
            (_, Some(value)) => Ok(value.into()),
            (_, None) if word.is_empty() => {
                Err(Error::invalid(format!("variable {name} has no value")))
            }
            (_, None) => Err(Error::invalid(format!("variable {name}: {word}"))),
        }
    }

    fn nested(&mut self) -> Result<String> {
        if self.depth == MAX_DEPTH {
            return Err(Error::invalid(format!("variables nest deeper than {MAX_DEPTH}")));
        }
        self.depth += 1;
        let word = self.text(Some('}'))?;
        self.depth -= 1;
        Ok(word)
    }

    /// Reads a variable's name: letters, digits and `_`; digits alone where it
    /// begins with one; or one of the shell's special parameters.
    fn name(&mut self) -> String {
        let mut name = String::new();
        let is_part = match self.chars.peek() {
            Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => {
                name.extend(self.chars.next());
                return name;
            }
            Some(ch) if ch.is_numeric() => |ch: &char| ch.is_numeric(),
            _ => |ch: &char| ch.is_alphanumeric() || *ch == '_',
        };
        while let Some(ch) = self.chars.next_if(is_part) {
            name.push(ch);
        }
        name
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.env.iter().rev().find_map(|entry| match entry.split_once('=') {
            Some((own, value)) => (own == name).then_some(value),
            None => (entry == name).then_some(""),
        })
    }
}

fn unclosed(closing: char) -> Error {
    Error::invalid(format!("no closing {closing}")).hint(format!("add a {closing}"))
}
