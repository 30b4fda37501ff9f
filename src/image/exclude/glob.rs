//! One pattern with wildcards: `fnmatch(3)` without `FNM_PATHNAME` and
//! `FNM_PERIOD`, over bytes, in the C locale.
//!
//! Matching walks pattern and name once and returns only to the latest `*`, so
//! its cost is bounded by the product of their lengths.

/// A compiled pattern.
#[derive(Debug)]
pub(super) struct Glob {
    tokens: Vec<Token>,
}

#[derive(Debug)]
enum Token {
    Byte(u8),
    /// `?`
    One,
    /// `*`
    Run,
    /// `[...]`
    Set(Box<ByteSet>),
}

impl Glob {
    /// Compiles any pattern: what cannot be meant as a bracket expression is
    /// taken literally, what can match nothing makes the pattern dead.
    pub(super) fn parse(pattern: &[u8]) -> Self {
        let mut tokens = Vec::with_capacity(pattern.len());
        let mut rest = pattern;
        while let Some((&byte, tail)) = rest.split_first() {
            rest = tail;
            tokens.push(match byte {
                b'*' => {
                    if matches!(tokens.last(), Some(Token::Run)) {
                        continue;
                    }
                    Token::Run
                }
                b'?' => Token::One,
                b'\\' => match rest.split_first() {
                    Some((&escaped, tail)) => {
                        rest = tail;
                        Token::Byte(escaped)
                    }
                    // fnmatch: a backslash at the end matches nothing.
                    None => Token::Set(Box::default()),
                },
                b'[' => match parse_bracket(rest) {
                    Some((set, tail)) => {
                        rest = tail;
                        Token::Set(Box::new(set))
                    }
                    None => Token::Byte(b'['),
                },
                _ => Token::Byte(byte),
            });
        }
        Self { tokens }
    }

    /// Whether no member name can match.
    pub(super) fn is_dead(&self) -> bool {
        let ends_in_slash = matches!(self.tokens.last(), Some(Token::Byte(b'/')));
        let is_empty_set = |token: &Token| matches!(token, Token::Set(set) if set.is_empty());
        ends_in_slash || self.tokens.iter().any(is_empty_set)
    }

    /// Whether the pattern begins with `*`: what it matches behind a slash, it
    /// also matches from the start of the name.
    pub(super) fn starts_with_run(&self) -> bool {
        matches!(self.tokens.first(), Some(Token::Run))
    }

    /// Whether the pattern matches all of `name`.
    pub(super) fn matches(&self, name: &[u8]) -> bool {
        let (mut token, mut at) = (0, 0);
        // Where to go on after a mismatch: behind the latest `*`, which then
        // takes one more byte.
        let mut retry: Option<(usize, usize)> = None;
        while at < name.len() {
            match self.tokens.get(token) {
                Some(Token::Run) => {
                    token += 1;
                    retry = Some((token, at));
                    continue;
                }
                Some(one) if one.takes(name[at]) => {
                    token += 1;
                    at += 1;
                    continue;
                }
                _ => {}
            }
            let Some((behind, taken)) = retry else { return false };
            retry = Some((behind, taken + 1));
            (token, at) = (behind, taken + 1);
        }
        self.tokens[token..].iter().all(|token| matches!(token, Token::Run))
    }
}

impl Token {
    fn takes(&self, byte: u8) -> bool {
        match self {
            Token::Byte(own) => *own == byte,
            Token::One => true,
            Token::Set(set) => set.contains(byte),
            Token::Run => false,
        }
    }
}

/// The bytes that a bracket expression matches.
#[derive(Debug, Default, PartialEq, Eq)]
struct ByteSet([u64; 4]);

impl ByteSet {
    fn insert(&mut self, byte: u8) {
        self.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }

    fn contains(&self, byte: u8) -> bool {
        self.0[usize::from(byte >> 6)] & (1 << (byte & 63)) != 0
    }

    fn is_empty(&self) -> bool {
        self.0 == [0; 4]
    }

    /// Adds an element; `high` ends the range that a byte begins.
    fn extend(&mut self, element: &Element, high: u8) {
        match *element {
            Element::Byte(low) => (low..=high).for_each(|byte| self.insert(byte)),
            Element::Equivalent(byte) => self.insert(byte),
            Element::Class(is_member) => {
                (0..=255).filter(|&byte| is_member(byte)).for_each(|byte| self.insert(byte));
            }
            Element::Unknown => {}
        }
    }

    fn complement(&self) -> Self {
        Self(self.0.map(|word| !word))
    }
}

/// What stands between the brackets, one at a time.
enum Element {
    /// A byte, which may begin a range.
    Byte(u8),
    /// `[=a=]`: in the C locale the byte alone; begins no range.
    Equivalent(u8),
    /// `[:alpha:]`
    Class(fn(u8) -> bool),
    /// A class or collating symbol that the C locale does not have.
    Unknown,
}

/// Parses a bracket expression from behind its `[`; returns it and what
/// follows, or `None` where no `]` closes it.
fn parse_bracket(text: &[u8]) -> Option<(ByteSet, &[u8])> {
    let is_negated = matches!(text.first(), Some(b'!' | b'^'));
    let mut rest = &text[usize::from(is_negated)..];
    let mut set = ByteSet::default();
    let mut is_first = true;
    let mut is_known = true;
    while is_first || rest.first() != Some(&b']') {
        is_first = false;
        let (element, tail) = parse_element(rest)?;
        let (high, tail) = match element {
            Element::Byte(low) => parse_range_end(tail).unwrap_or((low, tail)),
            _ => (0, tail),
        };
        rest = tail;
        // fnmatch gives up at what it does not know: the rest never matches.
        is_known &= !matches!(element, Element::Unknown);
        if is_known {
            set.extend(&element, high);
        }
    }
    let set = match (is_negated, is_known) {
        (false, _) => set,
        (true, true) => set.complement(),
        (true, false) => ByteSet::default(),
    };
    Some((set, &rest[1..]))
}

/// The byte behind a `-` that makes a range, and what follows.
fn parse_range_end(text: &[u8]) -> Option<(u8, &[u8])> {
    match text {
        [b'-', b']', ..] => None,
        [b'-', b'[', b'.', byte, b'.', b']', tail @ ..] => Some((*byte, tail)),
        [b'-', b'\\', byte, tail @ ..] | [b'-', byte, tail @ ..] => Some((*byte, tail)),
        _ => None,
    }
}

fn parse_element(text: &[u8]) -> Option<(Element, &[u8])> {
    let (&first, after) = text.split_first()?;
    let named = match (first, after) {
        (b'\\', _) => return after.split_first().map(|(&byte, tail)| (Element::Byte(byte), tail)),
        (b'[', [b'=', byte, b'=', b']', tail @ ..]) => Some((Element::Equivalent(*byte), tail)),
        (b'[', [b'.', tail @ ..]) => parse_symbol(tail),
        (b'[', [b':', tail @ ..]) => parse_class(tail),
        _ => None,
    };
    named.or(Some((Element::Byte(first), after)))
}

/// Parses `a.]`; only symbols of one byte exist in the C locale.
fn parse_symbol(text: &[u8]) -> Option<(Element, &[u8])> {
    let length = text.windows(2).position(|pair| pair == b".]")?;
    let element = match text[..length] {
        [byte] => Element::Byte(byte),
        _ => Element::Unknown,
    };
    Some((element, &text[length + 2..]))
}

/// Parses `word:]`; `None` where the text has not this shape.
fn parse_class(text: &[u8]) -> Option<(Element, &[u8])> {
    let length = text.iter().take_while(|byte| byte.is_ascii_lowercase()).count();
    let tail = text[length..].strip_prefix(b":]")?;
    let is_member: fn(u8) -> bool = match &text[..length] {
        b"alnum" => |byte| byte.is_ascii_alphanumeric(),
        b"alpha" => |byte| byte.is_ascii_alphabetic(),
        b"blank" => |byte| matches!(byte, b' ' | b'\t'),
        b"cntrl" => |byte| byte.is_ascii_control(),
        b"digit" => |byte| byte.is_ascii_digit(),
        b"graph" => |byte| byte.is_ascii_graphic(),
        b"lower" => |byte| byte.is_ascii_lowercase(),
        b"print" => |byte| matches!(byte, b' '..=b'~'),
        b"punct" => |byte| byte.is_ascii_punctuation(),
        b"space" => |byte| matches!(byte, b' ' | 0x09..=0x0d),
        b"upper" => |byte| byte.is_ascii_uppercase(),
        b"xdigit" => |byte| byte.is_ascii_hexdigit(),
        _ => return Some((Element::Unknown, tail)),
    };
    Some((Element::Class(is_member), tail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn does_not_blow_up_on_many_stars() {
        let pattern = b"*a".repeat(2000);
        let name = b"a".repeat(4000);
        assert!(Glob::parse(&pattern).matches(&name));
        assert!(!Glob::parse(&[&pattern[..], b"b"].concat()).matches(&name));
    }

    #[test]
    fn works_on_bytes_that_are_not_utf8() {
        assert!(Glob::parse(b"?\xff[\x80-\x90]").matches(b"\xc3\xff\x85"));
        assert!(!Glob::parse(b"?").matches("é".as_bytes()));
        assert!(Glob::parse(b"[!a]").matches(b"\xff"));
    }

    #[test]
    fn knows_what_can_match_nothing() {
        for dead in ["a*/", "[[:foo:]]", "[![:foo:]a]", "[z-a]", "*\\"] {
            assert!(Glob::parse(dead.as_bytes()).is_dead(), "{dead}");
        }
        for live in ["a/*", "[a[:foo:]]", "[ab", "[/]", "*\\\\"] {
            assert!(!Glob::parse(live.as_bytes()).is_dead(), "{live}");
        }
    }
}
