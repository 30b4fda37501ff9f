//! The `spec` of a container's record: JSON text that the engine writes and
//! reads. It is parsed where somebody asks for something in it, into no more
//! than that: a list of a thousand containers reads a thousand of them.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::error::{Error, Result};

/// JSON text that nobody has parsed yet. As a part of other JSON it is a value
/// there, not a string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecText(String);

impl SpecText {
    /// The text of `value`.
    ///
    /// # Errors
    /// `Internal` for what JSON cannot hold.
    pub fn of<T: Serialize>(value: &T) -> Result<Self> {
        serde_json::to_string(value)
            .map(Self)
            .map_err(|error| Error::internal("a container's spec is no JSON").because(error))
    }

    /// What `T` takes of it; `None` if it is no such thing.
    pub fn read<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_str(&self.0).ok()
    }

    /// What the database has; it holds only what [`SpecText::of`] made.
    pub(super) fn stored(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The text.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Serialize for SpecText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.0).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SpecText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(|raw| Self(Box::<str>::from(raw).into()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    #[test]
    fn a_part_of_other_json_is_a_value_there() {
        let spec = SpecText::of(&json!({"image": "a:1"})).unwrap();
        let whole = BTreeMap::from([("spec", Some(spec.clone()))]);
        let text = serde_json::to_string(&whole).unwrap();
        assert_eq!(text, r#"{"spec":{"image":"a:1"}}"#);
        let read: BTreeMap<&str, Option<SpecText>> = serde_json::from_str(&text).unwrap();
        assert_eq!(read, whole);
        let none: Option<SpecText> = serde_json::from_str("null").unwrap();
        assert_eq!(none, None);
    }

    #[test]
    fn reads_what_is_asked_for() {
        let spec = SpecText::of(&json!({"a": 1, "b": [2]})).unwrap();
        assert_eq!(spec.read(), Some(json!({"a": 1, "b": [2]})));
        assert_eq!(spec.read::<Vec<u8>>(), None);
    }
}
