//! Dockerfile knowledge: text becomes typed instructions. Pure: no file, no
//! image and no process is known here.
//!
//! A line passes four stages, each a type:
//!
//! 1. `lexer`: text to logical lines (continuations joined, comments gone), to
//!    keyword, flags and words, which keep their quotes and variables;
//! 2. [`Keyword`]: which instruction it is, and where it may stand;
//! 3. [`Instruction`]: the arguments parsed; what docker expands is a [`Word`];
//! 4. [`ConfigChange`]: variables expanded and values checked, ready to be
//!    written into an image config, which the engine does.
//!
//! The instructions that change an image config alone are here, those that
//! `docker import --change` and `docker commit --change` take; the ones that
//! need a builder (`RUN`, `COPY`, `FROM` and the like) are known by name only.
//! The rules are those of the Dockerfile reference and of its parser's
//! behaviour (BuildKit's `frontend/dockerfile`); the escape character is `\`.

mod change;
mod duration;
mod expand;
mod instruction;
mod keyword;
mod lexer;
mod port;
mod signal;

pub use change::{ConfigChange, Scope};
pub use duration::parse_duration;
pub use expand::Word;
pub use instruction::{CommandForm, HealthProbe, Healthcheck, Instruction};
pub use keyword::Keyword;
pub use port::{PortRange, Protocol};
pub use signal::StopSignal;

use crate::error::{Error, Result};

/// Parses the argument of one `--change`: one instruction, of those that change
/// an image config and nothing else.
///
/// # Errors
///
/// `Invalid` for anything but one well-formed instruction; the hint names the
/// instruction that was probably meant, and those allowed.
pub fn parse_change(text: &str) -> Result<Instruction> {
    let lines = lexer::logical_lines(text);
    let [line] = &lines[..] else {
        return Err(Error::invalid(format!("change has {} instructions, not one", lines.len()))
            .hint("give each instruction its own --change"));
    };
    let (name, arguments) = lexer::split_keyword(line);
    match Keyword::parse(name) {
        Some(keyword) if keyword.changes_config_only() => Instruction::parse(keyword, arguments),
        Some(keyword) => Err(Error::invalid(format!("{keyword} is not allowed in a change"))
            .hint(format!("use one of {}", keyword::listed(Keyword::changes_config_only)))),
        None => Err(keyword::unknown(name, Keyword::changes_config_only)),
    }
}

#[cfg(test)]
mod tests;
