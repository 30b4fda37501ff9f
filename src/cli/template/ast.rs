//! What a parsed template is made of. Data only; `offset` is always a byte
//! offset into the template's text.

use serde_json::Value;

use super::func::Function;

/// A piece of a template.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Text(String),
    /// `{{pipeline}}`
    Print(Pipeline),
    /// `{{if}}`, `{{with}}` or `{{range}}` up to its `{{end}}`.
    Branch(Branch),
    Break,
    Continue,
}

/// Which of the three block actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BranchKind {
    If,
    With,
    Range,
}

/// A block action.
#[derive(Clone, Debug)]
pub(super) struct Branch {
    pub(super) kind: BranchKind,
    pub(super) pipeline: Pipeline,
    pub(super) body: Vec<Node>,
    /// Of `{{else}}`; an `{{else if}}` is one nested branch.
    pub(super) otherwise: Vec<Node>,
}

/// Commands joined by `|`, perhaps bound to variables.
#[derive(Clone, Debug)]
pub(super) struct Pipeline {
    pub(super) offset: usize,
    pub(super) binding: Option<Binding>,
    pub(super) first: Command,
    /// Each is given the value before it as its last argument.
    pub(super) rest: Vec<Call>,
}

/// `$x :=`, `$x =` or `$i, $e :=`.
#[derive(Clone, Debug)]
pub(super) struct Binding {
    pub(super) names: Vec<String>,
    pub(super) kind: BindingKind,
}

/// Whether a binding makes variables or changes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BindingKind {
    Declare,
    Assign,
}

/// The first part of a pipeline.
#[derive(Clone, Debug)]
pub(super) enum Command {
    Operand(Operand),
    Call(Call),
    /// `.Label "key"`, docker's only method with an argument.
    Label {
        base: Operand,
        key: Operand,
    },
}

/// A function and its arguments.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) offset: usize,
    pub(super) function: Function,
    pub(super) arguments: Vec<Operand>,
}

/// A value and the fields taken of it.
#[derive(Clone, Debug)]
pub(super) struct Operand {
    pub(super) offset: usize,
    pub(super) base: Base,
    pub(super) fields: Vec<Field>,
}

/// Where an operand begins.
#[derive(Clone, Debug)]
pub(super) enum Base {
    Dot,
    Variable(String),
    Constant(Value),
    Nested(Box<Pipeline>),
}

/// `.Name`
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) offset: usize,
    pub(super) name: String,
}
