//! The text that a docker user writes after `--format`: the subset of Go's
//! `text/template` that is in use there, over [`serde_json::Value`].
//!
//! Text becomes tokens (`lexer`), tokens become nodes (`parser`, `ast`),
//! nodes are walked over a value (`eval`) with functions (`func`,
//! `printf`) whose results are text as Go prints it (`text`). `format`
//! has docker's conventions around it: `json`, `table`, `table TEMPLATE`.
//!
//! Supported: fields, variables, pipelines, parentheses, `if` `with` `range`
//! `else` `break` `continue`, trim markers, comments, Go's built-in functions
//! but for `call html js urlquery`, docker's functions, and `.Label "key"`, the
//! only method with an argument that docker's rows have. Deliberately absent:
//! `define`, `template`, `block`, and character constants. Where Go looks at a
//! type that JSON does not have, the value decides: nothing (`null`) is an
//! empty list or map to `len`, `range` and `index`, and a key that `index` does
//! not find gives the empty string if all values of the map are strings.
//!
//! Nothing here knows what a container or an image is, and nothing prints.

mod ast;
mod eval;
mod fault;
mod format;
mod func;
mod lexer;
mod parser;
mod printf;
mod text;

#[cfg(test)]
mod error_tests;
#[cfg(test)]
mod tests;

pub use format::{Columns, Format, InspectFormat};

use serde_json::Value;

use crate::error::Result;

/// What a field that an object lacks means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missing {
    /// An error that names the field, its place, and the nearest field there
    /// is. Docker's behaviour for the fields of its own types.
    #[default]
    Error,
    /// `<no value>`, as Go does for the keys of maps.
    NoValue,
}

/// A parsed template.
#[derive(Clone, Debug)]
pub struct Template {
    text: String,
    nodes: Vec<ast::Node>,
    missing: Missing,
}

impl Template {
    /// Parses a template; every error says `template:LINE:COLUMN`. Unknown
    /// functions and variables, wrong numbers of arguments, and blocks and
    /// parentheses nested deeper than a hundred levels are errors here already.
    pub fn parse(text: &str) -> Result<Self> {
        let nodes = parser::parse(text).map_err(|fault| fault.locate(text))?;
        Ok(Self { text: text.to_owned(), nodes, missing: Missing::default() })
    }

    /// Says what a missing field means; [`Missing::Error`] if never called.
    #[must_use]
    pub fn missing(mut self, missing: Missing) -> Self {
        self.missing = missing;
        self
    }

    /// Renders the template over a value. Field names are case-sensitive, as
    /// in Go. Errors: a missing field, a function that cannot take its
    /// arguments, a range over text.
    pub fn render(&self, value: &Value) -> Result<String> {
        let mut out = String::new();
        let source = (self.text.as_str(), self.nodes.as_slice());
        match eval::render(source, value, eval::Mode::Data(self.missing), &mut out) {
            Ok(()) => Ok(out),
            Err(fault) => Err(fault.locate(&self.text)),
        }
    }

    /// Renders the header row of a table: `headers` has the header of each
    /// field. As in docker what cannot be rendered of a header is left out.
    fn render_header(&self, headers: &Value) -> String {
        let mut out = String::new();
        let source = (self.text.as_str(), self.nodes.as_slice());
        // The rows, rendered from the same nodes, report what is wrong.
        eval::render(source, headers, eval::Mode::Header, &mut out).ok();
        out
    }
}
