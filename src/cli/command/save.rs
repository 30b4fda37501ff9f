//! `envbox save`, `envbox image save`.

use std::cell::OnceCell;
use std::path::Path;

use crate::cli::args::save::{Save, SaveFormat};
use crate::cli::interrupt::Interrupt;
use crate::cli::pipe::Pipe;
use crate::cli::progress::{self, Progress};
use crate::engine::{Engine, ImportStart, SaveRequest, SaveTarget, TarOutput};
use crate::error::{Error, Result};
use crate::image::LayoutForm;

/// Saves, in silence but for the progress.
pub(in crate::cli) fn run(engine: &Engine, save: &Save) -> Result<i32> {
    match &save.output {
        Some(path) => to_path(engine, save, path),
        None => to_stdout(engine, save),
    }
}

/// What is half-made goes before a signal has its way.
fn to_path(engine: &Engine, save: &Save, path: &Path) -> Result<i32> {
    let interrupt = OnceCell::new();
    let target = match form(save.format) {
        None => SaveTarget::Layout(path),
        Some(form) => SaveTarget::Archive(TarOutput::File(path), form),
    };
    let is_cancelled = || interrupt.get().is_some_and(Interrupt::is_caught);
    let saved = perform(engine, save, (target, &is_cancelled), || {
        // Where signals cannot be held back they end the work as ever.
        if let Ok(held) = Interrupt::hold() {
            let _ = interrupt.set(held);
        }
    });
    if let Some(interrupt) = interrupt.into_inner() {
        interrupt.release();
    }
    saved.map(|()| 0)
}

fn to_stdout(engine: &Engine, save: &Save) -> Result<i32> {
    let Some(form) = form(save.format) else {
        return Err(Error::invalid("a directory is not written to standard output")
            .hint("give its name with -o"));
    };
    let mut pipe = Pipe::open(|| {
        Error::invalid("cowardly refusing to save to a terminal")
            .hint("use the -o flag or redirect")
    })?;
    let target = SaveTarget::Archive(TarOutput::Stream(&mut pipe), form);
    let saved = perform(engine, save, (target, &|| false), || ());
    Ok(pipe.ended(saved)?.status(|()| ()))
}

/// Of an archive; none for a directory.
fn form(format: SaveFormat) -> Option<LayoutForm> {
    match format {
        SaveFormat::DockerArchive => Some(LayoutForm::Docker),
        SaveFormat::OciArchive => Some(LayoutForm::Oci),
        SaveFormat::OciDir => None,
    }
}

fn perform(
    engine: &Engine,
    save: &Save,
    (target, is_cancelled): (SaveTarget<'_>, &dyn Fn() -> bool),
    began: impl FnOnce(),
) -> Result<()> {
    let is_shown = !save.quiet && progress::is_seen();
    let compression = save.compress.map(Into::into);
    let platform = save.platform.as_ref();
    let request = SaveRequest { images: &save.images, platform, compression, is_cancelled };
    let mut line = None;
    engine.save(&request, target, |ImportStart { counters, total }| {
        began();
        line = is_shown.then(|| Progress::start(counters, total));
    })
}
