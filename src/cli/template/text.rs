//! Values as text, the way Go's `fmt` prints them: `%v` of whatever JSON can
//! hold, and the JSON that docker's `json` function writes. Knows no templates.

use serde_json::{Map, Value};

/// What `{{.}}` prints: as `%v`, but `<no value>` for nothing.
pub(super) fn display(value: &Value) -> String {
    match value {
        Value::Null => "<no value>".to_owned(),
        _ => sprint(value),
    }
}

/// Go's `%v`: strings bare, `[a b]`, `map[k:v]` sorted by key, `<nil>`.
pub(super) fn sprint(value: &Value) -> String {
    let mut out = String::new();
    each(value, &mut out, &mut |leaf, out| match leaf {
        Value::String(text) => out.push_str(text),
        _ => out.push_str(&scalar(leaf)),
    });
    out
}

/// Writes a value with `leaf` for everything that is not a list or a map.
pub(super) fn each(value: &Value, out: &mut String, leaf: &mut impl FnMut(&Value, &mut String)) {
    match value {
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(' ');
                }
                each(item, out, leaf);
            }
            out.push(']');
        }
        Value::Object(map) => {
            out.push_str("map[");
            for (index, (key, item)) in sorted(map).into_iter().enumerate() {
                if index > 0 {
                    out.push(' ');
                }
                leaf(&Value::String(key.clone()), out);
                out.push(':');
                each(item, out, leaf);
            }
            out.push(']');
        }
        _ => leaf(value, out),
    }
}

/// The entries of a map in the order of their keys, however it stores them.
pub(super) fn sorted(map: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_unstable_by_key(|(key, _)| *key);
    entries
}

/// Nothing, a boolean or a number.
fn scalar(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::Number(number) if number.is_f64() => shortest(number.as_f64().unwrap_or_default()),
        _ => value.to_string(),
    }
}

/// The shortest decimal that reads back the same (Go's `%g`): with an exponent
/// below a ten-thousandth and from a million.
pub(super) fn shortest(value: f64) -> String {
    let scientific = format!("{value:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return value.to_string();
    };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..6).contains(&exponent) {
        return value.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

/// Compact JSON as docker's `json` function writes it: `<`, `>` and `&` as they
/// are, U+2028 and U+2029 escaped (Go's `encoding/json` with
/// `SetEscapeHTML(false)`).
pub(super) fn json(value: &Value) -> String {
    escaped(value.to_string())
}

/// Compact JSON with the two letters escaped that docker escapes.
pub(super) fn escaped(text: String) -> String {
    if text.contains(['\u{2028}', '\u{2029}']) {
        return text.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029");
    }
    text
}

/// A value's type in messages.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nil",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int",
        Value::String(_) => "string",
        Value::Array(_) => "list",
        Value::Object(_) => "map",
    }
}

/// A value's type with its article, as part of a sentence.
pub(super) fn a_kind(value: &Value) -> String {
    match kind(value) {
        "nil" => "nil".to_owned(),
        "int" => "an int".to_owned(),
        kind => format!("a {kind}"),
    }
}

/// Whether `{{if}}` takes the value for true: it is not empty and not zero.
pub(super) fn truth(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}
