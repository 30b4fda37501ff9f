//! Patterns on the names of images, by the rules of Go's `path.Match`, which
//! docker uses: `*` and `?` stop at a slash, `[a-z]` and `[^a-z]` are classes,
//! `\` takes the next character as it is.

use std::str::FromStr;

use crate::error::{Error, Result};
use crate::reference::{DEFAULT_TAG, ImageRef};

/// A pattern on names: on the whole of one with its tag, or on its repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePattern(Vec<Token>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Run,
    One,
    Class { negated: bool, ranges: Vec<(char, char)> },
    Exactly(char),
}

impl Token {
    fn takes(&self, letter: char) -> bool {
        match self {
            Self::Exactly(wanted) => *wanted == letter,
            _ if letter == '/' => false,
            Self::Run | Self::One => true,
            Self::Class { negated, ranges } => {
                ranges.iter().any(|(from, to)| (*from..=*to).contains(&letter)) != *negated
            }
        }
    }
}

impl NamePattern {
    /// Whether `name` is meant, in its familiar form.
    pub fn matches(&self, name: &ImageRef) -> bool {
        let repository = name.familiar_repository();
        let full = match name.digest() {
            Some(digest) => format!("{repository}@{digest}"),
            None => format!("{repository}:{}", name.tag().unwrap_or(DEFAULT_TAG)),
        };
        self.matches_text(&full) || self.matches_text(&repository)
    }

    fn matches_text(&self, text: &str) -> bool {
        let letters: Vec<char> = text.chars().collect();
        let tokens = self.0.as_slice();
        let (mut token, mut letter) = (0, 0);
        // Behind the last run, and where its next attempt begins.
        let mut again = None;
        while letter < letters.len() {
            match tokens.get(token) {
                Some(Token::Run) => {
                    token += 1;
                    again = Some((token, letter));
                }
                Some(single) if single.takes(letters[letter]) => {
                    token += 1;
                    letter += 1;
                }
                // The run takes one letter more; it never takes a slash, so
                // an earlier run could not help either.
                _ => match again {
                    Some((behind, start)) if Token::Run.takes(letters[start]) => {
                        again = Some((behind, start + 1));
                        (token, letter) = (behind, start + 1);
                    }
                    _ => return false,
                },
            }
        }
        tokens[token..].iter().all(|token| *token == Token::Run)
    }
}

impl FromStr for NamePattern {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        // `docker.io/library/x` means what is listed as `x`.
        let familiar = text.parse::<ImageRef>().map(|name| name.to_string());
        let familiar = familiar.unwrap_or_else(|_| text.to_owned());
        let malformed = || {
            Error::invalid(format!("malformed pattern {text:?}: [ is not closed or \\ ends it"))
                .hint("write a backslash before a character that is meant itself")
        };
        let mut letters = familiar.chars().peekable();
        let mut tokens = Vec::new();
        while let Some(letter) = letters.next() {
            tokens.push(match letter {
                '*' => Token::Run,
                '?' => Token::One,
                '[' => class(&mut letters).ok_or_else(malformed)?,
                '\\' => Token::Exactly(letters.next().ok_or_else(malformed)?),
                letter => Token::Exactly(letter),
            });
        }
        Ok(Self(tokens))
    }
}

/// What follows a `[`; none if it does not end, or has a range without an end.
fn class(letters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<Token> {
    let negated = letters.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    while ranges.is_empty() || letters.next_if_eq(&']').is_none() {
        let from = member(letters)?;
        let to = match letters.next_if_eq(&'-') {
            Some(_) => member(letters)?,
            None => from,
        };
        ranges.push((from, to));
    }
    Some(Token::Class { negated, ranges })
}

fn member(letters: &mut impl Iterator<Item = char>) -> Option<char> {
    match letters.next()? {
        '\\' => letters.next(),
        '-' | ']' => None,
        letter => Some(letter),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_docker_s_do() {
        let digest = format!("b@sha256:{}", "0".repeat(64));
        for (pattern, name, matches) in [
            ("b", "b", true),
            ("b", "b:v2", true),
            ("b:v2", "b:v2", true),
            ("b:v2", "b:v1", false),
            ("b:latest", "b", true),
            ("docker.io/library/b", "b", true),
            ("*", "b", true),
            ("*", "team/b", false),
            ("*/*", "team/b", true),
            ("*/b", "localhost:5000/team/b", false),
            ("localhost:5000/*/b", "localhost:5000/team/b:1", true),
            ("bu*:v[0-9]", "build:v2", true),
            ("bu*:v[^0-9]", "build:v2", false),
            ("b*d*1", "build:2.1", true),
            ("b?ild", "build", true),
            ("b?", "b", false),
            ("b\\*", "build", false),
            ("build*****", "build", true),
            ("", "build", false),
            (&digest, &digest, true),
        ] {
            let pattern: NamePattern = pattern.parse().unwrap();
            assert_eq!(pattern.matches(&name.parse().unwrap()), matches, "{pattern:?} {name}");
        }
    }

    #[test]
    fn what_is_not_closed_is_refused() {
        for text in ["[", "[]", "[a", "[a-", "[a-]", "[^", "a\\", "[\\"] {
            assert!(text.parse::<NamePattern>().is_err(), "{text}");
        }
    }
}
