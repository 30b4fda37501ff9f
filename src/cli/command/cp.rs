//! `envbox cp`.

use std::io::IsTerminal;

use crate::cli::args::copy::Copy;
use crate::cli::exit;
use crate::cli::output::human_size;
use crate::engine::{CopyEnd, CopyRequest, Engine};
use crate::error::{Error, Result};

/// Copies, says how much unless that is not wanted, and what was lost.
pub(in crate::cli) fn run(engine: &Engine, copy: Copy) -> Result<i32> {
    let mut stdout = std::io::stdout();
    if copy.to == CopyEnd::Stream && stdout.is_terminal() {
        return Err(Error::invalid("a tar is not written to a terminal")
            .hint("give a path, or redirect standard output"));
    }
    let to = shown(&copy.to);
    let request = CopyRequest {
        from: copy.from,
        to: copy.to,
        archive: copy.archive,
        follow: copy.follow_link,
    };
    let copied = engine.copy(&request, &mut stdout)?;
    for line in copied.report.lines() {
        exit::note(&line, None);
    }
    if let Some(to) = to.filter(|_| !copy.quiet) {
        exit::say(&format!("Successfully copied {} to {to}", human_size(copied.content_size)));
    }
    Ok(0)
}

/// The end as it was typed; nothing for a stream, which says itself what it is.
fn shown(end: &CopyEnd) -> Option<String> {
    match end {
        CopyEnd::Container { name, path } => Some(format!("{name}:{}", path.display())),
        CopyEnd::Host(path) => Some(path.display().to_string()),
        CopyEnd::Stream => None,
    }
}
