//! `envbox export`.

use std::path::Path;

use crate::cli::args::image::Export;
use crate::cli::exit;
use crate::cli::pipe::Pipe;
use crate::engine::{Engine, ExportRequest, TarOutput};
use crate::error::{Error, Result};
use crate::image::Report;

/// Writes the tar to the file or to stdout, and names what it cannot hold.
pub(in crate::cli) fn run(engine: &Engine, export: Export) -> Result<i32> {
    let request = ExportRequest { source: export.source, excludes: export.excludes.into_options() };
    write_tar(export.output.as_deref(), |output| engine.export(&request, output))
}

/// Has `write` write a tar to the file where there is one, else to stdout, but
/// not if that is a terminal; names what it could not hold.
pub(super) fn write_tar(
    file: Option<&Path>,
    write: impl FnOnce(TarOutput<'_>) -> Result<Report>,
) -> Result<i32> {
    if let Some(file) = file {
        tell(&write(TarOutput::File(file))?);
        return Ok(0);
    }
    let mut pipe = Pipe::open(|| {
        Error::invalid("a tar is not written to a terminal")
            .hint("give a file with -o, or redirect standard output")
    })?;
    let written = write(TarOutput::Stream(&mut pipe));
    Ok(pipe.ended(written)?.status(|report| tell(&report)))
}

/// Names what was not kept, a note a topic.
pub(super) fn tell(report: &Report) {
    for line in report.lines() {
        exit::note(&line, None);
    }
}
