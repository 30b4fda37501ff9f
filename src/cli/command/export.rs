//! `envbox export`.

use std::io::{IsTerminal, Stdout};
use std::path::Path;

use crate::cli::args::image::Export;
use crate::cli::exit;
use crate::engine::{Engine, ExportRequest, TarOutput};
use crate::error::{Error, Result};

/// Writes the tar to the file or to stdout, and names what it cannot hold.
pub(in crate::cli) fn run(engine: &Engine, export: Export) -> Result<i32> {
    let request = ExportRequest { source: export.source, excludes: export.excludes.into_options() };
    let mut stdout = std::io::stdout();
    let output = tar_output(export.output.as_deref(), &mut stdout)?;
    let report = engine.export(&request, output)?;
    for line in report.lines() {
        exit::note(&line, None);
    }
    Ok(0)
}

/// The file where there is one, else stdout, but not if that is a terminal.
pub(super) fn tar_output<'a>(
    file: Option<&'a Path>,
    stdout: &'a mut Stdout,
) -> Result<TarOutput<'a>> {
    match file {
        Some(file) => Ok(TarOutput::File(file)),
        None if stdout.is_terminal() => Err(Error::invalid("a tar is not written to a terminal")
            .hint("give a file with -o, or redirect standard output")),
        None => Ok(TarOutput::Stream(stdout)),
    }
}
