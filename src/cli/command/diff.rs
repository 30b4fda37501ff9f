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

/// `A /path`. A name comes from the container: its control characters must not
/// reach the terminal.
fn line(change: &Change) -> String {
    let letter = match change.kind {
        ChangeKind::Added => 'A',
        ChangeKind::Changed => 'C',
        ChangeKind::Deleted => 'D',
    };
    let mut line = format!("{letter} ");
    for character in String::from_utf8_lossy(change.path.as_os_str().as_bytes()).chars() {
        match character.is_control() {
            true => line.extend(character.escape_default()),
            false => line.push(character),
        }
    }
    line.push('\n');
    line
}
