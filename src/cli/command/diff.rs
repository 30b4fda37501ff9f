//! `envbox diff`.

use std::os::unix::ffi::OsStrExt;

use crate::cli::args::copy::Diff;
use crate::cli::exit;
use crate::engine::{Change, ChangeKind, Engine};
use crate::error::Result;

/// Prints a line for each path that differs.
pub(in crate::cli) fn run(engine: &Engine, diff: &Diff) -> Result<i32> {
    let changes = engine.diff(&diff.container)?;
    Ok(exit::data(&changes.iter().map(line).collect::<String>()))
}

/// `A /path`.
fn line(change: &Change) -> String {
    let path = String::from_utf8_lossy(change.path.as_os_str().as_bytes());
    format!("{} {}\n", letter(change.kind), shown(&path))
}

/// docker's letter.
pub(super) fn letter(kind: ChangeKind) -> char {
    match kind {
        ChangeKind::Added => 'A',
        ChangeKind::Changed => 'C',
        ChangeKind::Deleted => 'D',
    }
}

/// A name comes from the container: its control characters must not reach the
/// terminal.
pub(super) fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character.is_control() {
            true => shown.extend(character.escape_default()),
            false => shown.push(character),
        }
    }
    shown
}
