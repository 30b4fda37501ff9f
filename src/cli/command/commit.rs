//! `envbox commit`.

use crate::cli::args::commit::Commit;
use crate::cli::exit;
use crate::engine::{CommitRequest, Engine, Pausing};
use crate::error::Result;

/// Commits, names what was not kept, and prints the image's ID alone.
pub(in crate::cli) fn run(engine: &Engine, commit: Commit) -> Result<i32> {
    let outcome = engine.commit(&CommitRequest {
        container: commit.container,
        reference: commit.reference,
        changes: commit.change,
        message: commit.message,
        author: commit.author,
        pausing: if commit.pause { Pausing::WhileRead } else { Pausing::Never },
    })?;
    for line in outcome.report.lines() {
        exit::note(&line, None);
    }
    Ok(exit::data(&format!("{}\n", outcome.id)))
}
