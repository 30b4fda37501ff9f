//! The functions a template can call: Go's built-in ones and docker's. They
//! take values and give a value or the reason why not; position, pipelines and
//! the short circuit of `and` and `or` are the renderer's matter.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::Value;

use super::printf::sprintf;
use super::text;
use crate::cli::output::prefix;

/// A value of a template: borrowed from the data or the template, or made.
pub(super) type Datum<'a> = Cow<'a, Value>;

/// The spaces `pad` may add at most on a side, that a slip of the finger does
/// not eat the memory.
const MAX_PAD: usize = 1_000_000;

macro_rules! functions {
    ($($variant:ident $name:literal $least:literal $most:expr;)+) => {
        /// A function by name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Function { $($variant),+ }

        impl Function {
            /// The function called `name`.
            pub(super) fn named(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)+
                    _ => None,
                }
            }

            /// Every name.
            pub(super) fn names() -> impl Iterator<Item = &'static str> {
                [$($name),+].into_iter()
            }

            /// The name in the template.
            pub(super) fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// The least and the most arguments.
            pub(super) fn arity(self) -> (usize, usize) {
                match self { $(Self::$variant => ($least, $most)),+ }
            }
        }
    };
}

functions! {
    And "and" 1 usize::MAX;
    Or "or" 1 usize::MAX;
    Not "not" 1 1;
    Eq "eq" 2 usize::MAX;
    Ne "ne" 2 2;
    Lt "lt" 2 2;
    Le "le" 2 2;
    Gt "gt" 2 2;
    Ge "ge" 2 2;
    Index "index" 1 usize::MAX;
    Slice "slice" 1 3;
    Len "len" 1 1;
    Print "print" 0 usize::MAX;
    Printf "printf" 1 usize::MAX;
    Println "println" 0 usize::MAX;
    Json "json" 1 1;
    Join "join" 2 2;
    Split "split" 2 2;
    Lower "lower" 1 1;
    Upper "upper" 1 1;
    Title "title" 1 1;
    Pad "pad" 3 3;
    Truncate "truncate" 2 2;
}

impl Function {
    /// Whether the function leaves a column's header as it is, although it
    /// changes the column (docker's `HeaderFunctions`).
    pub(super) fn keeps_headers(self) -> bool {
        matches!(
            self,
            Self::Json
                | Self::Join
                | Self::Split
                | Self::Lower
                | Self::Upper
                | Self::Title
                | Self::Truncate
        )
    }

    /// Calls the function; the number of arguments is within its arity.
    pub(super) fn call<'a>(self, arguments: &[Datum<'a>]) -> Result<Datum<'a>, String> {
        match arguments {
            [value] => self.call_one(value),
            [left, right] => self.call_two(left, right),
            [first, rest @ ..] => self.call_many(first, rest),
            [] => Ok(made(if self == Self::Println { "\n" } else { "" })),
        }
    }

    fn call_one<'a>(self, value: &Datum<'a>) -> Result<Datum<'a>, String> {
        Ok(match self {
            Self::Not => Cow::Owned(Value::Bool(!text::truth(value))),
            Self::Len => Cow::Owned(Value::from(length(value)?)),
            Self::Json => made(text::json(value)),
            Self::Lower => made(string(value)?.to_lowercase()),
            Self::Upper => made(string(value)?.to_uppercase()),
            Self::Title => made(title(string(value)?)),
            _ => return self.call_many(value, &[]),
        })
    }

    fn call_two<'a>(self, left: &Datum<'a>, right: &Datum<'a>) -> Result<Datum<'a>, String> {
        let holds = match self {
            Self::Ne => !equal(left, right)?,
            Self::Lt => order(left, right)?.is_lt(),
            Self::Le => order(left, right)?.is_le(),
            Self::Gt => order(left, right)?.is_gt(),
            Self::Ge => order(left, right)?.is_ge(),
            Self::Join => return join(left, string(right)?),
            Self::Split => return Ok(split(string(left)?, string(right)?)),
            Self::Truncate => return Ok(made(prefix(string(left)?, size(right)?))),
            _ => return self.call_many(left, std::slice::from_ref(right)),
        };
        Ok(Cow::Owned(Value::Bool(holds)))
    }

    fn call_many<'a>(self, first: &Datum<'a>, rest: &[Datum<'a>]) -> Result<Datum<'a>, String> {
        match self {
            Self::Eq => {
                for other in rest {
                    if equal(first, other)? {
                        return Ok(Cow::Owned(Value::Bool(true)));
                    }
                }
                Ok(Cow::Owned(Value::Bool(false)))
            }
            Self::Index => {
                rest.iter().try_fold(first.clone(), |value, key| index(value, key.as_ref()))
            }
            Self::Slice => slice(first, rest),
            Self::Pad => pad(string(first)?, rest),
            Self::Print => Ok(made(print(first, rest))),
            Self::Println => Ok(made(println(first, rest))),
            Self::Printf => {
                let values: Vec<&Value> = rest.iter().map(AsRef::as_ref).collect();
                Ok(made(sprintf(string(first)?, &values)))
            }
            // Never reached: the parser checks the arity of every other one.
            _ => Err(format!("{} arguments", rest.len() + 1)),
        }
    }
}

fn made<'a>(text: impl Into<String>) -> Datum<'a> {
    Cow::Owned(Value::String(text.into()))
}

fn string(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| format!("wants a string, not {}", text::a_kind(value)))
}

fn size(value: &Value) -> Result<usize, String> {
    match value.as_u64().and_then(|number| usize::try_from(number).ok()) {
        Some(number) => Ok(number),
        None => Err(format!("wants a number of at least 0, not {}", text::json(value))),
    }
}

fn length(value: &Value) -> Result<usize, String> {
    match value {
        Value::String(text) => Ok(text.len()),
        Value::Array(items) => Ok(items.len()),
        Value::Object(map) => Ok(map.len()),
        // A nil list or map of Go, which JSON cannot tell apart.
        Value::Null => Ok(0),
        _ => Err(format!("{} has no length", text::a_kind(value))),
    }
}

fn equal(left: &Value, right: &Value) -> Result<bool, String> {
    match (left, right) {
        (Value::Array(_) | Value::Object(_), Value::Null)
        | (Value::Null, Value::Array(_) | Value::Object(_)) => Ok(false),
        (Value::Array(_) | Value::Object(_), _) | (_, Value::Array(_) | Value::Object(_)) => {
            Err("lists and maps cannot be compared".to_owned())
        }
        (Value::Null, _) | (_, Value::Null) => Ok(left == right),
        (Value::Bool(left), Value::Bool(right)) => Ok(left == right),
        _ => Ok(order(left, right)?.is_eq()),
    }
}

fn order(left: &Value, right: &Value) -> Result<Ordering, String> {
    let whole =
        |value: &Value| value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from));
    if let (Value::String(left), Value::String(right)) = (left, right) {
        return Ok(left.cmp(right));
    }
    if let (Some(left), Some(right)) = (whole(left), whole(right)) {
        return Ok(left.cmp(&right));
    }
    let floats = left.as_f64().zip(right.as_f64());
    floats
        .and_then(|(left, right)| left.partial_cmp(&right))
        .ok_or_else(|| format!("cannot compare {} with {}", text::kind(left), text::kind(right)))
}

/// One step of `index`. A key that a map lacks gives Go's zero value: the empty
/// string for a map of strings (labels), else nothing.
pub(super) fn index<'a>(value: Datum<'a>, key: &Value) -> Result<Datum<'a>, String> {
    if value.is_null() {
        return Ok(made(""));
    }
    if let Value::Object(map) = value.as_ref() {
        let key = string(key).map_err(|_| "the key of a map is a string".to_owned())?;
        if !map.contains_key(key) {
            let strings = map.values().all(Value::is_string);
            return Ok(if strings { made("") } else { Cow::Owned(Value::Null) });
        }
        return Ok(member(value, key));
    }
    let at = size(key)?;
    let out_of_range = || format!("index out of range: {at}");
    match value {
        Cow::Borrowed(Value::Array(items)) => {
            items.get(at).map(Cow::Borrowed).ok_or_else(out_of_range)
        }
        Cow::Owned(Value::Array(mut items)) if at < items.len() => {
            Ok(Cow::Owned(items.swap_remove(at)))
        }
        Cow::Owned(Value::Array(_)) => Err(out_of_range()),
        other => match other.as_ref() {
            Value::String(text) => {
                let byte = text.as_bytes().get(at).ok_or_else(out_of_range)?;
                Ok(Cow::Owned(Value::from(*byte)))
            }
            _ => Err(format!("{} cannot be indexed", text::a_kind(&other))),
        },
    }
}

/// A member of a map; nothing where there is none.
pub(super) fn member<'a>(value: Datum<'a>, key: &str) -> Datum<'a> {
    match value {
        Cow::Borrowed(value) => Cow::Borrowed(value.get(key).unwrap_or(&Value::Null)),
        Cow::Owned(mut value) => {
            Cow::Owned(value.get_mut(key).map(Value::take).unwrap_or_default())
        }
    }
}

fn slice<'a>(value: &Datum<'a>, bounds: &[Datum<'a>]) -> Result<Datum<'a>, String> {
    let whole = length(value)?;
    let from = bounds.first().map_or(Ok(0), |bound| size(bound))?;
    let to = bounds.get(1).map_or(Ok(whole), |bound| size(bound))?;
    let out_of_range = || format!("slice bounds out of range: {from} to {to} of {whole}");
    match value.as_ref() {
        Value::String(text) => text.get(from..to).map(made).ok_or_else(out_of_range),
        Value::Array(items) => {
            let part = items.get(from..to).ok_or_else(out_of_range)?;
            Ok(Cow::Owned(Value::Array(part.to_vec())))
        }
        other => Err(format!("{} cannot be sliced", text::a_kind(other))),
    }
}

fn join<'a>(list: &Value, separator: &str) -> Result<Datum<'a>, String> {
    let items = match list {
        Value::Null => &[],
        Value::Array(items) => items.as_slice(),
        _ => return Err(format!("wants a list first, not {}", text::a_kind(list))),
    };
    let strings: Result<Vec<&str>, String> = items.iter().map(string).collect();
    Ok(made(strings?.join(separator)))
}

fn split<'a>(value: &str, separator: &str) -> Datum<'a> {
    let text = |part: &str| Value::String(part.to_owned());
    Cow::Owned(Value::Array(match separator {
        "" => value.chars().map(|letter| Value::String(letter.into())).collect(),
        _ => value.split(separator).map(text).collect(),
    }))
}

/// Go's `strings.Title`: the first letter of every word in upper case.
fn title(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let mut begins = true;
    for letter in value.chars() {
        match begins {
            true => out.extend(letter.to_uppercase()),
            false => out.push(letter),
        }
        begins = match letter.is_ascii() {
            true => !letter.is_ascii_alphanumeric() && letter != '_',
            false => letter.is_whitespace(),
        };
    }
    out
}

fn pad<'a>(value: &str, sides: &[Datum<'a>]) -> Result<Datum<'a>, String> {
    let side = |index: usize| match sides.get(index).map_or(Ok(0), |side| size(side))? {
        wide if wide > MAX_PAD => Err(format!("wants at most {MAX_PAD} spaces, not {wide}")),
        side => Ok(" ".repeat(side)),
    };
    let (before, after) = (side(0)?, side(1)?);
    Ok(made(if value.is_empty() { String::new() } else { before + value + &after }))
}

/// Go's `Sprint`: a space between two operands neither of which is a string.
fn print(first: &Datum<'_>, rest: &[Datum<'_>]) -> String {
    let mut out = text::sprint(first);
    let mut previous = first;
    for value in rest {
        if !previous.is_string() && !value.is_string() {
            out.push(' ');
        }
        out.push_str(&text::sprint(value));
        previous = value;
    }
    out
}

fn println(first: &Datum<'_>, rest: &[Datum<'_>]) -> String {
    let mut out = text::sprint(first);
    for value in rest {
        out.push(' ');
        out.push_str(&text::sprint(value));
    }
    out.push('\n');
    out
}
