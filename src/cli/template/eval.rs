//! The renderer: walks the nodes of a template over one value. It knows scope,
//! pipelines and what a missing field means; functions and text are elsewhere.

use std::borrow::Cow;

use serde_json::Value;

use super::Missing;
use super::ast::{
    Base, Binding, BindingKind, Branch, BranchKind, Call, Command, Field, Node, Operand, Pipeline,
};
use super::fault::{Fault, Result, nearest};
use super::func::{Datum, Function, index, member};
use super::text::{a_kind, display, sorted, truth};

/// What the values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// An object; what a field that it lacks means.
    Data(Missing),
    /// The headers of a table by field: a field without one is its own name in
    /// upper case, and functions leave a header as it is.
    Header,
}

/// Renders the nodes of the template `text` over `root`; `out` keeps what was
/// written before a fault.
pub(super) fn render(
    (text, nodes): (&str, &[Node]),
    root: &Value,
    mode: Mode,
    out: &mut String,
) -> Result<()> {
    let mut renderer = Renderer { text, mode, variables: vec![("$", Cow::Borrowed(root))], out };
    renderer.walk(nodes, &Cow::Borrowed(root)).map(|_| ())
}

/// How the walk through a block ended.
#[derive(PartialEq, Eq)]
enum Flow {
    Next,
    Break,
    Continue,
}

struct Renderer<'a, 'o> {
    text: &'a str,
    mode: Mode,
    variables: Vec<(&'a str, Datum<'a>)>,
    out: &'o mut String,
}

impl<'a> Renderer<'a, '_> {
    fn walk(&mut self, nodes: &'a [Node], dot: &Datum<'a>) -> Result<Flow> {
        for node in nodes {
            match node {
                Node::Text(text) => self.out.push_str(text),
                Node::Break => return Ok(Flow::Break),
                Node::Continue => return Ok(Flow::Continue),
                Node::Print(pipeline) => {
                    let value = self.pipeline(pipeline, dot)?;
                    // An action that only sets a variable prints nothing.
                    match &pipeline.binding {
                        Some(binding) => self.bind(binding, vec![value]),
                        None => self.out.push_str(&display(&value)),
                    }
                }
                Node::Branch(branch) => {
                    let scope = self.variables.len();
                    let flow = self.branch(branch, dot)?;
                    self.variables.truncate(scope);
                    if flow != Flow::Next {
                        return Ok(flow);
                    }
                }
            }
        }
        Ok(Flow::Next)
    }

    fn branch(&mut self, branch: &'a Branch, dot: &Datum<'a>) -> Result<Flow> {
        let value = self.pipeline(&branch.pipeline, dot)?;
        if branch.kind == BranchKind::Range {
            return self.range(branch, value, dot);
        }
        let holds = truth(&value);
        if let Some(binding) = &branch.pipeline.binding {
            self.bind(binding, vec![value.clone()]);
        }
        match (holds, branch.kind) {
            (false, _) => self.walk(&branch.otherwise, dot),
            (true, BranchKind::With) => self.walk(&branch.body, &value),
            (true, _) => self.walk(&branch.body, dot),
        }
    }

    fn range(&mut self, branch: &'a Branch, value: Datum<'a>, dot: &Datum<'a>) -> Result<Flow> {
        let found = a_kind(&value);
        let Some(entries) = entries(value) else {
            let message = format!("range wants a list, a map or a number, not {found}");
            return Err(Fault::new(branch.pipeline.offset, message));
        };
        let scope = self.variables.len();
        let mut any = false;
        for (key, element) in entries {
            any = true;
            if let Some(binding) = &branch.pipeline.binding {
                let values = match binding.names.len() {
                    1 => vec![element.clone()],
                    _ => vec![key, element.clone()],
                };
                self.bind(binding, values);
            }
            let flow = self.walk(&branch.body, &element)?;
            self.variables.truncate(scope);
            if flow == Flow::Break {
                break;
            }
        }
        if any { Ok(Flow::Next) } else { self.walk(&branch.otherwise, dot) }
    }

    fn bind(&mut self, binding: &'a Binding, values: Vec<Datum<'a>>) {
        for (name, value) in binding.names.iter().zip(values) {
            let known = self.variables.iter_mut().rev().find(|(known, _)| known == name);
            match (binding.kind, known) {
                (BindingKind::Assign, Some((_, slot))) => *slot = value,
                _ => self.variables.push((name, value)),
            }
        }
    }

    fn pipeline(&mut self, pipeline: &'a Pipeline, dot: &Datum<'a>) -> Result<Datum<'a>> {
        let mut value = match &pipeline.first {
            Command::Operand(operand) => self.operand(operand, dot)?,
            Command::Call(call) => self.call(call, None, dot)?,
            Command::Label { base, key } => self.label(base, key, dot)?,
        };
        for call in &pipeline.rest {
            value = self.call(call, Some(value), dot)?;
        }
        Ok(value)
    }

    fn call(
        &mut self,
        call: &'a Call,
        piped: Option<Datum<'a>>,
        dot: &Datum<'a>,
    ) -> Result<Datum<'a>> {
        // The value that ends `and` and `or` early, by its truth.
        let decisive = match call.function {
            Function::And => Some(false),
            Function::Or => Some(true),
            _ => None,
        };
        let mut arguments = Vec::with_capacity(call.arguments.len() + 1);
        for operand in &call.arguments {
            let value = self.operand(operand, dot)?;
            if decisive == Some(truth(&value)) {
                return Ok(value);
            }
            arguments.push(value);
        }
        arguments.extend(piped);
        if decisive.is_some() {
            return Ok(arguments.pop().unwrap_or_default());
        }
        if self.mode == Mode::Header
            && call.function.keeps_headers()
            && let Some(header) = arguments.iter().find(|value| value.is_string())
        {
            return Ok(header.clone());
        }
        call.function.call(&arguments).map_err(|reason| {
            Fault::new(call.offset, format!("{}: {reason}", call.function.name()))
        })
    }

    fn operand(&mut self, operand: &'a Operand, dot: &Datum<'a>) -> Result<Datum<'a>> {
        let base = match &operand.base {
            Base::Dot => dot.clone(),
            Base::Constant(value) => Cow::Borrowed(value),
            Base::Nested(pipeline) => self.pipeline(pipeline, dot)?,
            Base::Variable(name) => {
                let found = self.variables.iter().rev().find(|(known, _)| known == name);
                // The parser has seen its declaration.
                found.map(|(_, value)| value.clone()).unwrap_or_default()
            }
        };
        operand.fields.iter().try_fold(base, |value, field| self.field(operand, value, field))
    }

    fn field(&self, operand: &Operand, value: Datum<'a>, field: &Field) -> Result<Datum<'a>> {
        if value.get(&field.name).is_some() {
            return Ok(member(value, &field.name));
        }
        match (self.mode, value.as_ref()) {
            (Mode::Header, _) => Ok(Cow::Owned(Value::String(field.name.to_uppercase()))),
            (Mode::Data(Missing::NoValue), Value::Object(_) | Value::Null) => {
                Ok(Cow::Borrowed(&Value::Null))
            }
            (Mode::Data(_), found) => Err(self.no_field(operand, found, field)),
        }
    }

    fn no_field(&self, operand: &Operand, found: &Value, field: &Field) -> Fault {
        // What the field was taken of, as the user wrote it; nothing for a dot.
        let path = &self.text[operand.offset..field.offset];
        let of = match path.trim_end_matches('.') {
            "" => String::new(),
            path => format!(" of {path}"),
        };
        let message = format!("can't evaluate field {}{of}", field.name);
        let Value::Object(map) = found else {
            return Fault::new(field.offset, format!("{message}: it is {}", a_kind(found)));
        };
        let fault = Fault::new(field.offset, message);
        match nearest(&field.name, map.keys().map(String::as_str)) {
            Some(name) => fault.hint(format!("write {path}.{name}")),
            None => fault.hint("list the fields with --format '{{json .}}'"),
        }
    }

    /// `.Label "key"`: a member of the `Labels` beside it, which are a map or
    /// docker's text `key=value,key=value`. A label that is not set is empty.
    fn label(&mut self, base: &'a Operand, key: &'a Operand, dot: &Datum<'a>) -> Result<Datum<'a>> {
        let key = self.operand(key, dot)?;
        let Some(name) = key.as_str() else {
            return Err(Fault::new(base.offset, format!("Label: not a name but {}", a_kind(&key))));
        };
        if self.mode == Mode::Header {
            let last = name.rsplit('.').next().unwrap_or_default();
            return Ok(Cow::Owned(Value::String(last.replace(['-', '_'], " "))));
        }
        let row = self.operand(base, dot)?;
        let labels = row.get("Labels").unwrap_or(&Value::Null);
        let found = match labels {
            Value::String(text) => text
                .split(',')
                .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
                .unwrap_or_default()
                .to_owned(),
            _ => {
                let label = index(Cow::Borrowed(labels), &key);
                let reason = |reason| Fault::new(base.offset, format!("Label: {reason}"));
                display(label.map_err(reason)?.as_ref())
            }
        };
        Ok(Cow::Owned(Value::String(found)))
    }
}

type Entries<'a> = Box<dyn Iterator<Item = (Datum<'a>, Datum<'a>)> + 'a>;

/// The keys and elements that a range goes over; `None` where it cannot.
fn entries(value: Datum<'_>) -> Option<Entries<'_>> {
    let number = |index: usize| Cow::Owned(Value::from(index));
    match value {
        Cow::Borrowed(Value::Array(items)) => Some(Box::new(
            items.iter().enumerate().map(move |(index, item)| (number(index), Cow::Borrowed(item))),
        )),
        Cow::Owned(Value::Array(items)) => Some(Box::new(
            items
                .into_iter()
                .enumerate()
                .map(move |(index, item)| (number(index), Cow::Owned(item))),
        )),
        Cow::Borrowed(Value::Object(map)) => Some(Box::new(
            sorted(map)
                .into_iter()
                .map(|(key, item)| (Cow::Owned(Value::String(key.clone())), Cow::Borrowed(item))),
        )),
        Cow::Owned(Value::Object(map)) => {
            let mut sorted: Vec<_> = map.into_iter().collect();
            sorted.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
            Some(Box::new(
                sorted
                    .into_iter()
                    .map(|(key, item)| (Cow::Owned(Value::String(key)), Cow::Owned(item))),
            ))
        }
        other => {
            match other.as_ref() {
                Value::Null => Some(Box::new(std::iter::empty())),
                Value::Number(count) if !count.is_f64() => {
                    let count = count.as_i64().unwrap_or_default().max(0);
                    Some(Box::new((0..count).map(|index| {
                        (Cow::Owned(Value::from(index)), Cow::Owned(Value::from(index)))
                    })))
                }
                _ => None,
            }
        }
    }
}
