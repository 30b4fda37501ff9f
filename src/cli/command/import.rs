//! `envbox import`.

use std::time::Instant;

use indicatif::HumanCount;

use crate::cli::args::import::Import;
use crate::cli::exit;
use crate::cli::output::human_size;
use crate::cli::progress::{self, Progress};
use crate::engine::{Engine, ImportOutcome, ImportRequest, ImportStart};
use crate::error::Result;

/// Imports, names what was not kept, and prints the image's ID alone.
pub(in crate::cli) fn run(engine: &Engine, import: Import) -> Result<i32> {
    let is_shown = !import.quiet && progress::is_seen();
    let request = ImportRequest {
        source: import.source,
        reference: import.reference,
        excludes: import.excludes.into_options(),
        changes: import.change,
        message: import.message,
        author: import.author,
        platform: import.platform,
        profile: import.profile,
        parent: import.parent,
        max_entries: Some(import.max_entries),
    };
    let start = Instant::now();
    let mut line = None;
    let began = |ImportStart { counters, total }| {
        line = is_shown.then(|| Progress::start(counters, total));
    };
    let outcome = engine.import(&request, began);
    // What follows is printed where the line was.
    drop(line);
    let outcome = outcome?;
    tell_of_losses(&outcome);
    if is_shown {
        exit::say(&format!(
            "{} {}, {} files in {:.1} s",
            if outcome.is_unchanged { "unchanged:" } else { "imported" },
            human_size(outcome.content_size),
            HumanCount(outcome.entries),
            start.elapsed().as_secs_f64()
        ));
    }
    Ok(exit::data(&format!("{}\n", outcome.id)))
}

/// One note a topic.
fn tell_of_losses(outcome: &ImportOutcome) {
    for line in outcome.report.lines() {
        exit::note(&line, None);
    }
    if !outcome.has_root {
        exit::note(
            "the archive does not say what its root directory is: it gets owner 0:0, \
             mode 0755 and no time",
            Some("to have the digest of the directory, make it with: tar -C DIRECTORY -c ."),
        );
    }
}
