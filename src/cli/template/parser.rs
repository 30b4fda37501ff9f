//! Tokens into nodes. Everything that can be known without data is refused
//! here: unknown functions and variables, wrong numbers of arguments, blocks
//! that do not close, nesting deeper than [`MAX_DEPTH`].

use serde_json::Value;

use super::ast::{
    Base, Binding, BindingKind, Branch, BranchKind, Call, Command, Field, Node, Operand, Pipeline,
};
use super::fault::{Fault, Result, nearest};
use super::func::Function;
use super::lexer::{Spanned, Token, tokens};

/// How deep blocks and parentheses may nest. Parser, renderer and the drop of
/// the tree recurse once a level, so this bounds the stack.
pub(super) const MAX_DEPTH: usize = 100;

/// Parses a whole template.
pub(super) fn parse(text: &str) -> Result<Vec<Node>> {
    let mut parser = Parser {
        tokens: tokens(text)?,
        next: 0,
        end: text.len(),
        variables: vec!["$".to_owned()],
        depth: 0,
        ranges: 0,
    };
    match parser.block()? {
        (nodes, Stop::Eof) => Ok(nodes),
        (_, Stop::Else(offset)) => Err(Fault::new(offset, "unexpected {{else}}")),
        (_, Stop::End(offset)) => Err(Fault::new(offset, "unexpected {{end}}")),
    }
}

/// What ended a block, and where.
enum Stop {
    Eof,
    End(usize),
    /// The word `else` is read, its `}}` is not.
    Else(usize),
}

struct Parser {
    tokens: Vec<Spanned>,
    next: usize,
    end: usize,
    variables: Vec<String>,
    depth: usize,
    ranges: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next).map(|spanned| &spanned.token)
    }

    fn offset(&self) -> usize {
        self.tokens.get(self.next).map_or(self.end, |spanned| spanned.offset)
    }

    fn peek_word(&self) -> Option<&str> {
        match self.peek() {
            Some(Token::Word(word)) => Some(word),
            _ => None,
        }
    }

    fn at_sign(&self, wanted: &str) -> bool {
        matches!(self.peek(), Some(Token::Sign(sign)) if *sign == wanted)
    }

    fn glued(&self) -> bool {
        self.tokens.get(self.next).is_some_and(|spanned| spanned.glued)
    }

    fn expect_close(&mut self) -> Result<()> {
        if self.peek() == Some(&Token::Close) {
            self.next += 1;
            return Ok(());
        }
        Err(self.unexpected("}}"))
    }

    fn unexpected(&self, wanted: &str) -> Fault {
        let found = match self.peek() {
            None => "the end of the template".to_owned(),
            Some(token) => describe(token),
        };
        Fault::new(self.offset(), format!("unexpected {found}, expected {wanted}"))
    }

    fn enter(&mut self, offset: usize) -> Result<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let message = format!("nested deeper than {MAX_DEPTH} levels");
            return Err(Fault::new(offset, message));
        }
        Ok(())
    }

    fn block(&mut self) -> Result<(Vec<Node>, Stop)> {
        let mut nodes = Vec::new();
        loop {
            let offset = self.offset();
            match self.peek() {
                None => return Ok((nodes, Stop::Eof)),
                Some(Token::Text(text)) => {
                    nodes.push(Node::Text(text.clone()));
                    self.next += 1;
                    continue;
                }
                Some(_) => self.next += 1,
            }
            match self.peek_word() {
                Some("end") => {
                    self.next += 1;
                    self.expect_close()?;
                    return Ok((nodes, Stop::End(offset)));
                }
                Some("else") => {
                    self.next += 1;
                    return Ok((nodes, Stop::Else(offset)));
                }
                _ => nodes.push(self.action(offset)?),
            }
        }
    }

    /// An action whose `{{` is read.
    fn action(&mut self, offset: usize) -> Result<Node> {
        let word = self.peek_word().unwrap_or_default().to_owned();
        if let Some(kind) = branch_kind(&word) {
            self.next += 1;
            return Ok(Node::Branch(self.branch(kind, offset)?));
        }
        match word.as_str() {
            "break" | "continue" => {
                if self.ranges == 0 {
                    return Err(Fault::new(offset, format!("{{{{{word}}}}} outside of a range")));
                }
                self.next += 1;
                self.expect_close()?;
                Ok(if word == "break" { Node::Break } else { Node::Continue })
            }
            "define" | "template" | "block" => {
                Err(Fault::new(offset, format!("{{{{{word}}}}} is not supported"))
                    .hint("write the template in one piece"))
            }
            _ => {
                let pipeline = self.pipeline(1)?;
                self.expect_close()?;
                Ok(Node::Print(pipeline))
            }
        }
    }

    /// A block action whose keyword is read.
    fn branch(&mut self, kind: BranchKind, offset: usize) -> Result<Branch> {
        self.enter(offset)?;
        let outer = self.variables.len();
        let pipeline = self.pipeline(if kind == BranchKind::Range { 2 } else { 1 })?;
        self.expect_close()?;
        let scope = self.variables.len();
        self.ranges += usize::from(kind == BranchKind::Range);
        let (body, stop) = self.block()?;
        self.ranges -= usize::from(kind == BranchKind::Range);
        self.variables.truncate(scope);
        let otherwise = match stop {
            Stop::End(_) => Vec::new(),
            Stop::Else(_) => self.otherwise(kind, offset)?,
            Stop::Eof => return Err(unclosed(kind, offset)),
        };
        self.variables.truncate(outer);
        self.depth -= 1;
        Ok(Branch { kind, pipeline, body, otherwise })
    }

    /// What follows the word `else` of the block that opened at `offset`.
    fn otherwise(&mut self, kind: BranchKind, offset: usize) -> Result<Vec<Node>> {
        let chained = self.peek_word().and_then(branch_kind);
        if chained == Some(kind) && kind != BranchKind::Range {
            let at = self.offset();
            self.next += 1;
            // Its {{end}} closes this block too.
            return Ok(vec![Node::Branch(self.branch(kind, at)?)]);
        }
        self.expect_close()?;
        match self.block()? {
            (nodes, Stop::End(_)) => Ok(nodes),
            (_, Stop::Else(second)) => Err(Fault::new(second, "a second {{else}}")),
            (_, Stop::Eof) => Err(unclosed(kind, offset)),
        }
    }

    /// A pipeline that may bind up to `names` variables; stops before `}}`
    /// or `)`.
    fn pipeline(&mut self, names: usize) -> Result<Pipeline> {
        let offset = self.offset();
        let binding = self.binding(names)?;
        let first = self.command()?;
        let mut rest = Vec::new();
        while self.at_sign("|") {
            self.next += 1;
            let offset = self.offset();
            match self.peek_word() {
                Some(word) if !is_constant(word) => rest.push(self.call(1)?),
                _ => {
                    let message = "only a function can stand after |";
                    return Err(Fault::new(offset, message));
                }
            }
        }
        if self.peek() != Some(&Token::Close) && !self.at_sign(")") {
            return Err(self.unexpected("a value, | or }}"));
        }
        if let Some(binding) = &binding
            && binding.kind == BindingKind::Declare
        {
            self.variables.extend(binding.names.iter().cloned());
        }
        Ok(Pipeline { offset, binding, first, rest })
    }

    fn binding(&mut self, limit: usize) -> Result<Option<Binding>> {
        let start = self.next;
        let mut names = Vec::new();
        while let Some(Token::Variable(name)) = self.peek() {
            names.push(name.clone());
            self.next += 1;
            if names.len() > 1 || !self.at_sign(",") {
                break;
            }
            self.next += 1;
        }
        let kind = match self.peek() {
            Some(Token::Sign(":=")) => BindingKind::Declare,
            Some(Token::Sign("=")) => BindingKind::Assign,
            _ if names.len() > 1 => return Err(self.unexpected(":=")),
            _ => {
                self.next = start;
                return Ok(None);
            }
        };
        let offset = self.tokens.get(start).map_or(self.end, |spanned| spanned.offset);
        if names.is_empty() {
            return Err(self.unexpected("a variable before it"));
        }
        if names.len() > limit {
            let message = match limit {
                0 => "a variable cannot be set in parentheses",
                _ => "two variables are for {{range}} only",
            };
            return Err(Fault::new(offset, message));
        }
        if names.iter().any(|name| name == "$") {
            return Err(Fault::new(offset, "$ is the whole value and cannot be set"));
        }
        if kind == BindingKind::Assign {
            names.iter().try_for_each(|name| self.check_variable(name, offset))?;
        }
        self.next += 1;
        Ok(Some(Binding { names, kind }))
    }

    fn check_variable(&self, name: &str, offset: usize) -> Result<()> {
        if self.variables.iter().any(|known| known == name) {
            return Ok(());
        }
        Err(Fault::new(offset, format!("undefined variable {name}"))
            .hint(format!("declare it first: {{{{{name} := .}}}}")))
    }

    fn command(&mut self) -> Result<Command> {
        if self.peek_word().is_some_and(|word| !is_constant(word)) {
            return Ok(Command::Call(self.call(0)?));
        }
        let mut base = self.operand()?;
        let offset = self.offset();
        let mut arguments = self.arguments()?;
        let Some(key) = arguments.pop() else {
            if let Base::Constant(Value::Null) = base.base {
                return Err(Fault::new(base.offset, "nil can only be an argument"));
            }
            return Ok(Command::Operand(base));
        };
        if arguments.is_empty() && base.fields.last().is_some_and(|field| field.name == "Label") {
            base.fields.pop();
            return Ok(Command::Label { base, key });
        }
        Err(Fault::new(offset, "an argument to something that is not a function")
            .hint("begin with the function, as in {{index .List 0}}"))
    }

    /// A function and its arguments, `piped` of which come through a `|`.
    fn call(&mut self, piped: usize) -> Result<Call> {
        let offset = self.offset();
        let name = self.peek_word().unwrap_or_default().to_owned();
        let Some(function) = Function::named(&name) else {
            let fault = Fault::new(offset, format!("function {name:?} is not defined"));
            return Err(match nearest(&name, Function::names()) {
                Some(known) => fault.hint(format!("write {known}")),
                None => fault.hint(format!("write .{name} if a field is meant")),
            });
        };
        self.next += 1;
        let arguments = self.arguments()?;
        let (least, most) = function.arity();
        let given = arguments.len() + piped;
        if given < least || given > most {
            let wanted = match (least, most) {
                (least, usize::MAX) => format!("at least {least}"),
                (least, most) if least == most => least.to_string(),
                (least, most) => format!("{least} to {most}"),
            };
            let plural = if most == 1 { "" } else { "s" };
            let message = format!("{name} takes {wanted} argument{plural}, not {given}");
            return Err(Fault::new(offset, message));
        }
        Ok(Call { offset, function, arguments })
    }

    fn arguments(&mut self) -> Result<Vec<Operand>> {
        let mut arguments = Vec::new();
        loop {
            let ends = match self.peek() {
                None | Some(Token::Close | Token::Text(_) | Token::Open) => true,
                Some(Token::Sign(sign)) => *sign != "(",
                Some(_) => false,
            };
            if ends {
                return Ok(arguments);
            }
            if self.glued() {
                return Err(self.unexpected("a space before it"));
            }
            arguments.push(self.operand()?);
        }
    }

    fn operand(&mut self) -> Result<Operand> {
        let offset = self.offset();
        let mut fields = Vec::new();
        let base = match self.peek().cloned() {
            Some(Token::Dot) => Base::Dot,
            Some(Token::Field(name)) => {
                fields.push(Field { offset, name });
                Base::Dot
            }
            Some(Token::Variable(name)) => {
                self.check_variable(&name, offset)?;
                Base::Variable(name)
            }
            Some(Token::Constant(value)) => Base::Constant(value),
            Some(Token::Word(word)) => Base::Constant(constant(&word, offset)?),
            Some(Token::Sign("(")) => {
                self.enter(offset)?;
                self.next += 1;
                let inner = self.pipeline(0)?;
                if !self.at_sign(")") {
                    return Err(Fault::new(offset, "unclosed parenthesis").hint("close it with )"));
                }
                self.depth -= 1;
                Base::Nested(Box::new(inner))
            }
            _ => return Err(self.unexpected("a value")),
        };
        self.next += 1;
        while self.glued()
            && let Some(Token::Field(name)) = self.peek()
        {
            match base {
                Base::Constant(_) => {
                    return Err(Fault::new(self.offset(), "a constant has no fields"));
                }
                Base::Dot if fields.is_empty() => return Err(self.unexpected("a space before it")),
                _ => {}
            }
            fields.push(Field { offset: self.offset(), name: name.clone() });
            self.next += 1;
        }
        Ok(Operand { offset, base, fields })
    }
}

fn branch_kind(word: &str) -> Option<BranchKind> {
    match word {
        "if" => Some(BranchKind::If),
        "with" => Some(BranchKind::With),
        "range" => Some(BranchKind::Range),
        _ => None,
    }
}

fn unclosed(kind: BranchKind, offset: usize) -> Fault {
    let word = match kind {
        BranchKind::If => "if",
        BranchKind::With => "with",
        BranchKind::Range => "range",
    };
    Fault::new(offset, format!("{{{{{word}}}}} has no {{{{end}}}}")).hint("close it with {{end}}")
}

fn is_constant(word: &str) -> bool {
    matches!(word, "true" | "false" | "nil")
}

fn constant(word: &str, offset: usize) -> Result<Value> {
    match word {
        "true" => Ok(Value::Bool(true)),
        "false" => Ok(Value::Bool(false)),
        "nil" => Ok(Value::Null),
        _ if Function::named(word).is_some() => {
            Err(Fault::new(offset, format!("{word} is a function, not a value"))
                .hint(format!("put the call in parentheses: ({word} ...)")))
        }
        _ => Err(Fault::new(offset, format!("{word} is not a value"))
            .hint(format!("write .{word} for a field or \"{word}\" for text"))),
    }
}

fn describe(token: &Token) -> String {
    match token {
        Token::Text(_) => "text".to_owned(),
        Token::Open => "{{".to_owned(),
        Token::Close => "}}".to_owned(),
        Token::Dot => ".".to_owned(),
        Token::Field(name) => format!(".{name}"),
        Token::Variable(name) | Token::Word(name) => name.clone(),
        Token::Constant(value) => value.to_string(),
        Token::Sign(sign) => (*sign).to_owned(),
    }
}
