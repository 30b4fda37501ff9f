//! `envbox cp`.

use std::io;

use crate::cli::args::copy::Copy;
use crate::cli::exit;
use crate::cli::output::human_size;
use crate::cli::pipe::Pipe;
use crate::engine::{CopyEnd, CopyRequest, Engine};
use crate::error::{Error, Result};

use super::export::tell;

/// Copies, says how much unless that is not wanted, and what was lost.
pub(in crate::cli) fn run(engine: &Engine, copy: Copy) -> Result<i32> {
    let to = shown(&copy.to);
    let request = CopyRequest {
        from: copy.from,
        to: copy.to,
        archive: copy.archive,
        follow: copy.follow_link,
    };
    let Some(to) = to else {
        let mut pipe = Pipe::open(|| {
            Error::invalid("a tar is not written to a terminal")
                .hint("give a path, or redirect standard output")
        })?;
        let copied = engine.copy(&request, &mut pipe);
        return Ok(pipe.ended(copied)?.status(|copied| tell(&copied.report)));
    };
    let copied = engine.copy(&request, &mut io::sink())?;
    tell(&copied.report);
    if !copy.quiet {
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
