//! `envbox export`.

use std::io::IsTerminal;

use crate::cli::args::image::Export;
use crate::cli::exit;
use crate::engine::{Engine, ExportRequest, ExportTarget};
use crate::error::{Error, Result};

/// Writes the tar to the file or to stdout, and names what it cannot hold.
pub(in crate::cli) fn run(engine: &Engine, export: Export) -> Result<i32> {
    let request = ExportRequest {
        source: export.source,
        exclude: export.exclude,
        exclude_from: export.exclude_from,
    };
    let mut stdout = std::io::stdout();
    let target = match &export.output {
        Some(file) => ExportTarget::File(file),
        None if stdout.is_terminal() => {
            return Err(Error::invalid("a tar is not written to a terminal")
                .hint("give a file with -o, or redirect standard output"));
        }
        None => ExportTarget::Stream(&mut stdout),
    };
    let report = engine.export(&request, target)?;
    for (topic, findings) in &report.topics {
        let examples = findings.examples.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
        exit::note(&format!("{topic:?}: {} ({examples})", findings.count), None);
    }
    Ok(0)
}
