//! Go's `fmt.Sprintf` for the values of templates: the verbs v s d q t x X o b
//! c e f g, flags, width and precision. As in Go a wrong verb or a missing
//! argument is no error; it stands in the text as `%!d(string=hi)`. Absent:
//! `%T`, `%U`, `%p`, argument numbers (`%[1]d`), and floats by x and b.

use serde_json::Value;

use super::text;
use crate::cli::output::significant;

/// The widest width or precision, about Go's own bound; a larger one is ignored.
const MAX_WIDTH: usize = 1_000_000;

/// Formats `arguments` by `format`.
pub(super) fn sprintf(format: &str, arguments: &[&Value]) -> String {
    let mut out = String::new();
    let mut arguments = arguments.iter().copied();
    let mut rest = format;
    while let Some(percent) = rest.find('%') {
        out.push_str(&rest[..percent]);
        let (directive, length) = Directive::read(&rest[percent + 1..], &mut arguments);
        rest = &rest[percent + 1 + length..];
        match directive.verb {
            None => out.push_str("%!(NOVERB)"),
            Some('%') => out.push('%'),
            Some(verb) => match arguments.next() {
                Some(value) => directive.write(verb, value, &mut out),
                None => out.push_str(&format!("%!{verb}(MISSING)")),
            },
        }
    }
    out.push_str(rest);
    let extra: Vec<String> = arguments.map(typed).collect();
    if !extra.is_empty() {
        out.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    out
}

/// `type=value`, as Go shows an argument that it cannot format.
fn typed(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        _ => format!("{}={}", text::kind(value), text::sprint(value)),
    }
}

/// What stands between `%` and the verb.
#[derive(Default)]
struct Directive {
    flags: String,
    width: Option<usize>,
    precision: Option<usize>,
    verb: Option<char>,
}

impl Directive {
    /// Reads a directive after its `%`; returns its length too. A `*` takes its
    /// number from the arguments.
    fn read<'a>(text: &str, arguments: &mut impl Iterator<Item = &'a Value>) -> (Self, usize) {
        let mut directive = Self::default();
        let flags = text.find(|c| !"-+# 0".contains(c)).unwrap_or(text.len());
        directive.flags = text[..flags].to_owned();
        let mut at = flags;
        directive.width = read_size(text, &mut at, arguments);
        if text[at..].starts_with('.') {
            at += 1;
            directive.precision = read_size(text, &mut at, arguments).or(Some(0));
        }
        directive.verb = text[at..].chars().next();
        at += directive.verb.map_or(0, char::len_utf8);
        (directive, at)
    }

    fn flag(&self, flag: char) -> bool {
        self.flags.contains(flag)
    }

    fn write(&self, verb: char, value: &Value, out: &mut String) {
        match (value, verb) {
            (Value::Null, 'v') => self.pad("<nil>", out),
            (Value::Null, _) => out.push_str(&format!("%!{verb}(<nil>)")),
            _ => text::each(value, out, &mut |leaf, out| self.leaf(verb, leaf, out)),
        }
    }

    fn leaf(&self, verb: char, value: &Value, out: &mut String) {
        let formatted = match (verb, value) {
            (_, Value::Null) => return out.push_str("<nil>"),
            ('v' | 's', Value::String(text)) => Some(self.cut(text)),
            ('v', Value::Number(number)) if !number.is_f64() => self.integer('d', value),
            ('v', Value::Bool(value)) => Some(value.to_string()),
            ('q', Value::String(text)) => Some(quote(&self.cut(text), '"')),
            ('x', Value::String(text)) => Some(self.hex(text)),
            ('X', Value::String(text)) => Some(self.hex(text).to_uppercase()),
            ('t', Value::Bool(value)) => Some(value.to_string()),
            ('v' | 'e' | 'f' | 'F' | 'g', Value::Number(number)) if number.is_f64() => {
                number.as_f64().map(|number| self.float(verb, number))
            }
            (_, Value::Number(number)) if !number.is_f64() => self.integer(verb, value),
            _ => None,
        };
        match formatted {
            Some(text) => self.pad(&text, out),
            None => out.push_str(&format!("%!{verb}({})", typed(value))),
        }
    }

    /// The bytes in hexadecimal; a space flag puts spaces between them.
    fn hex(&self, text: &str) -> String {
        let prefix = if self.flag('#') { "0x" } else { "" };
        let spaced = self.flag(' ');
        let bytes = text.bytes().take(self.precision.unwrap_or(usize::MAX)).enumerate();
        bytes
            .map(|(index, byte)| match (index, spaced) {
                (0, _) | (_, true) => {
                    format!("{}{prefix}{byte:02x}", if index > 0 { " " } else { "" })
                }
                _ => format!("{byte:02x}"),
            })
            .collect()
    }

    fn cut(&self, text: &str) -> String {
        text.chars().take(self.precision.unwrap_or(usize::MAX)).collect()
    }

    fn integer(&self, verb: char, value: &Value) -> Option<String> {
        let number = value.as_i64().map(i128::from).or(value.as_u64().map(i128::from))?;
        let size = number.unsigned_abs();
        let alternate = self.flag('#');
        let digits = match verb {
            'd' => size.to_string(),
            'x' => format!("{}{size:x}", if alternate { "0x" } else { "" }),
            'X' => format!("{}{size:X}", if alternate { "0X" } else { "" }),
            'o' => format!("{}{size:o}", if alternate { "0" } else { "" }),
            'b' => format!("{}{size:b}", if alternate { "0b" } else { "" }),
            'c' => return Some(letter(number).to_string()),
            'q' => return Some(quote(&letter(number).to_string(), '\'')),
            _ => return None,
        };
        let least = self.precision.unwrap_or(0);
        Some(self.signed(number < 0, &filled(&digits, least)))
    }

    fn float(&self, verb: char, number: f64) -> String {
        let size = number.abs();
        let digits = match (verb, self.precision) {
            ('g' | 'v', None) => text::shortest(size),
            ('g' | 'v', Some(digits)) => significant(size, digits.min(17)),
            ('e', digits) => go_exponent(&format!("{size:.0$e}", digits.unwrap_or(6).min(1000))),
            (_, digits) => format!("{size:.0$}", digits.unwrap_or(6).min(1000)),
        };
        self.signed(number < 0.0, &digits)
    }

    /// Digits with their sign; the zeros of a zero flag go between them.
    fn signed(&self, negative: bool, digits: &str) -> String {
        let sign = match negative {
            true => "-",
            false if self.flag('+') && self.verb != Some('v') => "+",
            false if self.flag(' ') => " ",
            false => "",
        };
        let zeros = self.flag('0') && !self.flag('-');
        let least = if zeros { self.width.unwrap_or(0).saturating_sub(sign.len()) } else { 0 };
        format!("{sign}{}", filled(digits, least))
    }

    fn pad(&self, text: &str, out: &mut String) {
        let missing = self.width.unwrap_or(0).saturating_sub(text.chars().count());
        if self.flag('-') {
            out.push_str(text);
            out.extend(std::iter::repeat_n(' ', missing));
            return;
        }
        out.extend(std::iter::repeat_n(if self.flag('0') { '0' } else { ' ' }, missing));
        out.push_str(text);
    }
}

/// `digits` with zeros before them, at `least` so many. The width of a format
/// string of Rust's is sixteen bits.
fn filled(digits: &str, least: usize) -> String {
    let mut text = "0".repeat(least.saturating_sub(digits.len()));
    text.push_str(digits);
    text
}

/// A width or precision at `at`: digits, or `*` for the next argument.
fn read_size<'a>(
    text: &str,
    at: &mut usize,
    arguments: &mut impl Iterator<Item = &'a Value>,
) -> Option<usize> {
    let rest = &text[*at..];
    if rest.starts_with('*') {
        *at += 1;
        let given = arguments.next().and_then(Value::as_u64)?;
        return usize::try_from(given).ok().filter(|size| *size <= MAX_WIDTH);
    }
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    *at += digits;
    rest[..digits].parse().ok().filter(|size| *size <= MAX_WIDTH)
}

/// Go writes at least two digits of exponent, and its sign.
fn go_exponent(scientific: &str) -> String {
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return scientific.to_owned();
    };
    match exponent.strip_prefix('-') {
        Some(digits) => format!("{mantissa}e-{digits:0>2}"),
        None => format!("{mantissa}e+{exponent:0>2}"),
    }
}

/// The character of a code point, or the replacement character.
fn letter(code: i128) -> char {
    u32::try_from(code).ok().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// A Go string or character literal (`strconv.Quote`, `QuoteRune`).
fn quote(text: &str, mark: char) -> String {
    let mut out = String::from(mark);
    for letter in text.chars() {
        match letter {
            _ if letter == mark => out.extend(['\\', mark]),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            _ if letter.is_ascii_control() => {
                out.push_str(&format!("\\x{:02x}", u32::from(letter)))
            }
            _ if letter.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(letter))),
            _ => out.push(letter),
        }
    }
    out.push(mark);
    out
}
