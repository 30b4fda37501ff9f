//! Template text into tokens, by the rules of Go's `text/template/parse`:
//! literal text, `{{` `}}` with trim markers, comments, and the words inside.
//! Refuses to know what an action means.

use serde_json::{Number, Value};

use super::fault::{Fault, Result};

/// A token of template text.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// Literal text outside of actions, already trimmed.
    Text(String),
    /// `{{`
    Open,
    /// `}}`
    Close,
    /// A lone `.`
    Dot,
    /// `.Name`, without the dot.
    Field(String),
    /// `$` or `$name`, with the dollar sign.
    Variable(String),
    /// A keyword or the name of a function.
    Word(String),
    /// A string or number.
    Constant(Value),
    /// `|`, `(`, `)`, `,`, `=`, or `:=`.
    Sign(&'static str),
}

/// A token, where it stands, and whether it touches the one before it
/// (`.a.b` is one operand, `.a .b` are two).
#[derive(Clone, Debug)]
pub(super) struct Spanned {
    pub(super) token: Token,
    pub(super) offset: usize,
    pub(super) glued: bool,
}

const SPACE: [char; 4] = [' ', '\t', '\r', '\n'];
const SIGNS: [&str; 6] = [":=", "|", "(", ")", ",", "="];

/// Splits `text` into tokens. Faults: an action, comment or string that is not
/// closed, a character that no token begins with, a malformed number or escape.
pub(super) fn tokens(text: &str) -> Result<Vec<Spanned>> {
    let mut lexer = Lexer { text, at: 0, tokens: Vec::new() };
    let mut trim_left = false;
    while lexer.at < text.len() {
        let start = lexer.at;
        let open = text[start..].find("{{").map(|found| start + found);
        let mut literal = &text[start..open.unwrap_or(text.len())];
        if trim_left {
            literal = literal.trim_start_matches(SPACE);
        }
        let inside = open.map_or(text.len(), |open| open + 2);
        let trim_right = open.is_some()
            && text[inside..].strip_prefix('-').is_some_and(|rest| rest.starts_with(SPACE));
        if trim_right {
            literal = literal.trim_end_matches(SPACE);
        }
        if !literal.is_empty() {
            lexer.push(Token::Text(literal.to_owned()), start);
        }
        lexer.at = inside + usize::from(trim_right);
        if let Some(open) = open {
            trim_left = lexer.comment_or_action(open)?;
        }
    }
    Ok(lexer.tokens)
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    tokens: Vec<Spanned>,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn push(&mut self, token: Token, offset: usize) {
        let glued = offset == 0 || !self.text[..offset].ends_with(SPACE);
        self.tokens.push(Spanned { token, offset, glued });
    }

    /// Reads what follows the `{{` at `open`; tells whether the text after it
    /// is to be trimmed.
    fn comment_or_action(&mut self, open: usize) -> Result<bool> {
        let spaces = self.rest().len() - self.rest().trim_start_matches(SPACE).len();
        // Go lets a comment follow the brace, or one space after a trim marker.
        let trimmed = self.at > open + 2;
        if self.rest()[usize::from(trimmed && spaces > 0)..].starts_with("/*") {
            return self.comment(open);
        }
        self.push(Token::Open, open);
        loop {
            let spaced = self.skip_space();
            let (offset, rest) = (self.at, self.rest());
            let close = match rest {
                "" => return Err(unclosed(open)),
                _ if rest.starts_with("}}") => Some((2, false)),
                _ if spaced && rest.starts_with("-}}") => Some((3, true)),
                _ => None,
            };
            if let Some((length, trim)) = close {
                self.push(Token::Close, offset);
                self.at += length;
                return Ok(trim);
            }
            let token = self.word()?;
            self.push(token, offset);
        }
    }

    fn comment(&mut self, open: usize) -> Result<bool> {
        let Some(end) = self.rest().find("*/") else {
            return Err(Fault::new(open, "unclosed comment").hint("close it with */}}"));
        };
        self.at += end + 2;
        let rest = self.rest();
        let after_space = rest.strip_prefix(SPACE).unwrap_or_default();
        if rest.starts_with("}}") {
            self.at += 2;
            Ok(false)
        } else if after_space.starts_with("-}}") {
            self.at += 4;
            Ok(true)
        } else {
            Err(Fault::new(self.at, "a comment must fill its action")
                .hint("write {{/* text */}}, nothing beside it"))
        }
    }

    fn skip_space(&mut self) -> bool {
        let start = self.at;
        self.at = self.text.len() - self.rest().trim_start_matches(SPACE).len();
        self.at > start
    }

    /// One token inside an action; there is at least one character.
    fn word(&mut self) -> Result<Token> {
        let (offset, rest) = (self.at, self.rest());
        if let Some(sign) = SIGNS.into_iter().find(|sign| rest.starts_with(sign)) {
            self.at += sign.len();
            return Ok(Token::Sign(sign));
        }
        let mut chars = rest.chars();
        let first = chars.next().unwrap_or_default();
        let digit_follows = chars.next().is_some_and(|next| next.is_ascii_digit());
        match first {
            '.' if !digit_follows => {
                self.at += 1;
                let name = self.name();
                Ok(if name.is_empty() { Token::Dot } else { Token::Field(name.to_owned()) })
            }
            '$' => {
                self.at += 1;
                Ok(Token::Variable(format!("${}", self.name())))
            }
            '"' => self.quoted(),
            '`' => self.raw(),
            '0'..='9' | '.' | '+' | '-' => self.number(),
            '\'' => Err(Fault::new(offset, "a character constant in single quotes")
                .hint("write text in double quotes or backquotes")),
            _ if first == '_' || first.is_alphabetic() => Ok(Token::Word(self.name().to_owned())),
            _ => Err(Fault::new(offset, format!("unexpected {first:?} in an action"))),
        }
    }

    /// Letters, digits and underscores from here on; perhaps none.
    fn name(&mut self) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn number(&mut self) -> Result<Token> {
        let (offset, rest) = (self.at, self.rest());
        let mut previous = ' ';
        let end = rest
            .find(|c: char| {
                let sign = matches!(c, '+' | '-') && matches!(previous, ' ' | 'e' | 'E');
                previous = c;
                !(sign || c == '.' || c == '_' || c.is_alphanumeric())
            })
            .unwrap_or(rest.len());
        let word = &rest[..end];
        self.at += end;
        match parse_number(word) {
            Some(number) => Ok(Token::Constant(Value::Number(number))),
            None => Err(Fault::new(offset, format!("bad number {word:?}"))),
        }
    }

    fn raw(&mut self) -> Result<Token> {
        let body = &self.rest()[1..];
        let Some(end) = body.find('`') else {
            return Err(
                Fault::new(self.at, "unclosed raw string").hint("close it with a backquote")
            );
        };
        self.at += end + 2;
        // Go drops carriage returns from raw strings.
        Ok(Token::Constant(Value::String(body[..end].replace('\r', ""))))
    }

    fn quoted(&mut self) -> Result<Token> {
        let open = self.at;
        let unclosed = || Fault::new(open, "unclosed string").hint("close it with a double quote");
        let mut bytes = Vec::new();
        self.at += 1;
        loop {
            let next = self.rest().chars().next().ok_or_else(unclosed)?;
            let at = self.at;
            self.at += next.len_utf8();
            match next {
                '"' => break,
                '\n' => return Err(unclosed()),
                '\\' => {
                    let (length, escaped) = escape(self.rest())
                        .ok_or_else(|| Fault::new(at, "unknown escape in a string"))?;
                    self.at += length;
                    bytes.extend(escaped);
                }
                _ => bytes.extend_from_slice(&self.text.as_bytes()[at..self.at]),
            }
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Token::Constant(Value::String(text))),
            Err(_) => Err(Fault::new(open, "the string is not UTF-8")),
        }
    }
}

fn unclosed(open: usize) -> Fault {
    Fault::new(open, "unclosed action").hint("close it with }}")
}

/// The escape after a backslash, by Go's specification ("Rune literals"): its
/// length in bytes and what it stands for.
fn escape(rest: &str) -> Option<(usize, Vec<u8>)> {
    let first = rest.chars().next()?;
    let simple = match first {
        'a' => Some(7),
        'b' => Some(8),
        't' => Some(b'\t'),
        'n' => Some(b'\n'),
        'v' => Some(11),
        'f' => Some(12),
        'r' => Some(b'\r'),
        '\\' | '"' => u8::try_from(first).ok(),
        _ => None,
    };
    if let Some(byte) = simple {
        return Some((1, vec![byte]));
    }
    let (skip, digits, radix) = match first {
        '0'..='7' => (0, 3, 8),
        'x' => (1, 2, 16),
        'u' => (1, 4, 16),
        'U' => (1, 8, 16),
        _ => return None,
    };
    let word = rest.get(skip..skip + digits)?;
    if !word.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    let code = u32::from_str_radix(word, radix).ok()?;
    let bytes = match first {
        'u' | 'U' => char::from_u32(code)?.to_string().into_bytes(),
        _ => vec![u8::try_from(code).ok()?],
    };
    Some((skip + digits, bytes))
}

/// A number as Go writes it: decimal, `0x`, `0o`, `0b`, or with a fraction.
fn parse_number(word: &str) -> Option<Number> {
    let plain = word.replace('_', "");
    let (negative, digits) = match plain.strip_prefix(['-', '+']) {
        Some(digits) => (plain.starts_with('-'), digits),
        None => (false, plain.as_str()),
    };
    let lower = digits.to_ascii_lowercase();
    let based = [("0x", 16), ("0o", 8), ("0b", 2)]
        .into_iter()
        .find_map(|(prefix, radix)| Some((lower.strip_prefix(prefix)?, radix)));
    if let Some((digits, radix)) = based {
        let signed = if negative { format!("-{digits}") } else { digits.to_owned() };
        return i64::from_str_radix(&signed, radix).ok().map(Number::from);
    }
    // Rust would also read "inf" and "nan".
    if !digits.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return None;
    }
    let integer = plain.parse::<i64>().map(Number::from);
    let integer = integer.or_else(|_| plain.parse::<u64>().map(Number::from));
    integer.ok().or_else(|| Number::from_f64(plain.parse().ok()?))
}
