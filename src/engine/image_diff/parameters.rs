//! In what two image configs differ, for those who run containers of them: the
//! `config` object whole, with what envbox has no type for, and for whom the
//! image is. When and in which steps it was made is no part of that. Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::oci::ImageConfig;

use super::ParameterChange;

/// Of the config itself (image spec, config.md, "Properties").
const OUTER: [&str; 4] = ["architecture", "os", "variant", "author"];

/// What differs, by name. Each config comes with its bytes.
///
/// # Errors
/// `Invalid` if the bytes are no JSON object.
pub(super) fn compare(
    old: (&ImageConfig, &[u8]),
    new: (&ImageConfig, &[u8]),
) -> Result<Vec<ParameterChange>> {
    let (mut old, mut new) = (flat(old)?, flat(new)?);
    let mut names: Vec<String> = old.keys().chain(new.keys()).cloned().collect();
    names.sort();
    names.dedup();
    let changes = names.into_iter().filter_map(|name| {
        let (old, new) = (old.remove(&name), new.remove(&name));
        (old != new).then_some(ParameterChange { name, old, new })
    });
    Ok(changes.collect())
}

/// Each parameter that says something, as JSON.
fn flat((config, bytes): (&ImageConfig, &[u8])) -> Result<BTreeMap<String, String>> {
    let bad = |error| Error::invalid("an image config is not a JSON object").because(error);
    let mut outer: Map<String, Value> = serde_json::from_slice(bytes).map_err(bad)?;
    let mut flat = BTreeMap::new();
    for name in OUTER {
        add(&mut flat, name, outer.remove(name).unwrap_or_default());
    }
    let Some(Value::Object(inner)) = outer.remove("config") else { return Ok(flat) };
    for (name, value) in inner {
        match value {
            _ if name == "Env" => environment(&mut flat, &config.config.env),
            Value::Object(members) => {
                for (member, value) in members {
                    flat.insert(format!("{name}.{member}"), value.to_string());
                }
            }
            value => add(&mut flat, &name, value),
        }
    }
    Ok(flat)
}

/// The last of two values of a variable is the one that counts.
fn environment(flat: &mut BTreeMap<String, String>, variables: &[String]) {
    for variable in variables {
        let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
        flat.insert(format!("Env.{name}"), Value::from(value).to_string());
    }
}

/// docker writes what is not set as well, in many ways.
fn add(flat: &mut BTreeMap<String, String>, name: &str, value: Value) {
    let is_unset = match &value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_u64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    };
    if !is_unset {
        flat.insert(name.to_owned(), value.to_string());
    }
}
