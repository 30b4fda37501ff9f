//! A TOML file that is read key by key, each value knowing where it stands:
//! every error starts with `FILE:LINE:COLUMN`, and an unknown key is answered
//! with the nearest right one. It knows nothing of what the keys mean.

use std::fmt::Display;
use std::ops::Range;
use std::str::FromStr;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::engine::options::suggest;
use crate::error::{Error, Result};

/// A parsed file.
pub(in crate::engine) struct Document<'t> {
    file: File<'t>,
    root: Spanned<DeTable<'t>>,
}

/// What turns a byte offset into a place a person can find.
#[derive(Clone, Copy)]
struct File<'t> {
    label: &'t str,
    text: &'t str,
}

/// A table of the file.
pub(in crate::engine) struct Table<'d> {
    file: File<'d>,
    /// `shell`; empty for the top of the file.
    name: String,
    entries: &'d DeTable<'d>,
}

/// A value of the file.
pub(in crate::engine) struct Value<'d> {
    file: File<'d>,
    /// `shell.network`.
    name: String,
    value: &'d Spanned<DeValue<'d>>,
}

impl<'t> Document<'t> {
    /// Parses `text`; `label` names the file in errors.
    pub(in crate::engine) fn parse(label: &'t str, text: &'t str) -> Result<Self> {
        let file = File { label, text };
        let root = DeTable::parse(text).map_err(|error| {
            let place = file.place(error.span().unwrap_or(0..0));
            let message = error.message().trim().replace('\n', ", ");
            Error::invalid(format!("{place}: this is not TOML: {message}"))
                .hint("write `key = \"value\"`, and tables as `[table]`; see https://toml.io")
        })?;
        Ok(Self { file, root })
    }

    /// The table that the file is.
    pub(in crate::engine) fn root(&self) -> Table<'_> {
        Table { file: self.file, name: String::new(), entries: self.root.get_ref() }
    }
}

impl File<'_> {
    /// `LABEL:LINE:COLUMN`, both counted from 1, the column in characters.
    fn place(&self, span: Range<usize>) -> String {
        let bytes = self.text.as_bytes();
        let before = &bytes[..span.start.min(bytes.len())];
        let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
        let column = String::from_utf8_lossy(&before[line_start..]).chars().count() + 1;
        format!("{}:{line}:{column}", self.label)
    }
}

impl<'d> Table<'d> {
    /// Refuses every key that is none of `known`.
    pub(in crate::engine) fn check_keys(&self, known: &[&str]) -> Result<()> {
        let unknown = |key: &&Spanned<_>| !known.contains(&AsRef::<str>::as_ref(key.get_ref()));
        // The table is sorted by key; the first in the file is the one to name.
        let first = self.entries.keys().filter(unknown).min_by_key(|key| key.span().start);
        let Some(key) = first else { return Ok(()) };
        let place = self.file.place(key.span());
        let name = self.full_name(key.get_ref());
        Err(Error::invalid(format!("{place}: there is no key `{name}`"))
            .hint(suggest::hint(key.get_ref(), known)))
    }

    /// The value of a key, where it is there.
    pub(in crate::engine) fn value(&self, key: &str) -> Option<Value<'d>> {
        let value = self.entries.get(key)?;
        Some(Value { file: self.file, name: self.full_name(key), value })
    }

    /// The table of a key, where it is there.
    pub(in crate::engine) fn table(&self, key: &str) -> Result<Option<Table<'d>>> {
        self.value(key).map(Value::into_table).transpose()
    }

    /// Keys and values in the order of the keys.
    pub(in crate::engine) fn entries(&self) -> impl Iterator<Item = (&'d str, Value<'d>)> {
        self.entries.iter().map(|(key, value)| {
            let key: &str = key.get_ref();
            (key, Value { file: self.file, name: self.full_name(key), value })
        })
    }

    fn full_name(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }
}

impl<'d> Value<'d> {
    fn into_table(self) -> Result<Table<'d>> {
        match self.value.get_ref() {
            DeValue::Table(entries) => Ok(Table { file: self.file, name: self.name, entries }),
            _ => {
                Err(self
                    .unlike("a table", &format!("write `[{}]` on a line of its own", self.name)))
            }
        }
    }

    /// The value as text.
    pub(in crate::engine) fn text(&self) -> Result<&'d str> {
        match self.value.get_ref() {
            DeValue::String(text) => Ok(text),
            _ => Err(self.unlike("text", "write it in quotes")),
        }
    }

    /// The value as text that `T` parses.
    pub(in crate::engine) fn parsed<T: FromStr<Err = Error>>(&self) -> Result<T> {
        self.parsed_by(str::parse)
    }

    /// The value as text that `parse` takes.
    pub(in crate::engine) fn parsed_by<T>(&self, parse: impl Fn(&str) -> Result<T>) -> Result<T> {
        parse(self.text()?).map_err(|error| self.wrap(error))
    }

    /// The value as true or false.
    pub(in crate::engine) fn flag(&self) -> Result<bool> {
        match self.value.get_ref() {
            DeValue::Boolean(flag) => Ok(*flag),
            _ => Err(self.unlike("a boolean", "write `true` or `false`")),
        }
    }

    /// Whether the value is `false`, by which a file takes an inherited value
    /// away.
    pub(in crate::engine) fn is_false(&self) -> bool {
        matches!(self.value.get_ref(), DeValue::Boolean(false))
    }

    /// The text of an integer in base ten, where it is one that fits.
    pub(in crate::engine) fn integer(&self) -> Option<i64> {
        match self.value.get_ref() {
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        }
    }

    /// The values of a list.
    pub(in crate::engine) fn list(&self) -> Result<Vec<Value<'d>>> {
        let DeValue::Array(items) = self.value.get_ref() else {
            return Err(self.unlike("a list", "write it in brackets, as in `[\"a\", \"b\"]`"));
        };
        let item = |value| Value { file: self.file, name: self.name.clone(), value };
        Ok(items.iter().map(item).collect())
    }

    /// Whether the value is a list.
    pub(in crate::engine) fn is_list(&self) -> bool {
        self.value.get_ref().is_array()
    }

    /// The texts of a list.
    pub(in crate::engine) fn texts(&self) -> Result<Vec<String>> {
        self.list()?.iter().map(|item| item.text().map(str::to_owned)).collect()
    }

    /// An error about this value: `FILE:LINE:COLUMN: NAME: FAULT`.
    pub(in crate::engine) fn invalid(&self, fault: impl Display) -> Error {
        Error::invalid(format!("{}: {fault}", self.place()))
    }

    /// Puts an error below the place and name of this value.
    pub(in crate::engine) fn wrap(&self, error: Error) -> Error {
        error.context(self.place())
    }

    fn place(&self) -> String {
        format!("{}: {}", self.file.place(self.value.span()), self.name)
    }

    fn unlike(&self, wanted: &str, hint: &str) -> Error {
        let found = match self.value.get_ref() {
            DeValue::String(_) => "text",
            DeValue::Integer(_) | DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.invalid(format!("this is {found}, not {wanted}")).hint(hint.to_owned())
    }
}
