//! `envbox import`.

use crate::cli::args::import::Import;
use crate::cli::exit;
use crate::engine::{Engine, ImportRequest};
use crate::error::Result;

/// Imports, names what was not kept, and prints the image's ID alone.
pub(in crate::cli) fn run(engine: &Engine, import: Import) -> Result<i32> {
    let request = ImportRequest {
        source: import.source,
        reference: import.reference,
        exclude: import.exclude,
        changes: import.change,
        message: import.message,
        author: import.author,
        platform: import.platform,
        profile: import.profile,
    };
    // docker import fails with 1, not with run's 125.
    let outcome = match engine.import(&request) {
        Ok(outcome) => outcome,
        Err(error) => {
            exit::failure(&error);
            return Ok(1);
        }
    };
    for (topic, findings) in &outcome.report.topics {
        let examples = findings.examples.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
        exit::note(&format!("{topic:?}: {} ({examples})", findings.count), None);
    }
    Ok(exit::data(&format!("{}\n", outcome.id)))
}
