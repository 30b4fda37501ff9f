//! `envbox image verify`: `sha256sum -c` for images.

use crate::cli::args::verify::Verify;
use crate::cli::exit;
use crate::cli::progress::{self, Progress};
use crate::engine::{Engine, ImportStart, VerifyScope};
use crate::error::Result;

/// The status if an image is not as it was.
const DAMAGED: i32 = 1;

/// Verifies; prints a line for each image that is whole.
pub(in crate::cli) fn run(engine: &Engine, verify: &Verify) -> Result<i32> {
    let scope = if verify.all { VerifyScope::All } else { VerifyScope::Named(&verify.images) };
    let is_shown = !verify.quiet && progress::is_seen();
    let mut line = None;
    let verified = engine.verify(scope, |ImportStart { counters, total }| {
        line = is_shown.then(|| Progress::start(counters, total));
    });
    drop(line);
    let mut status = 0;
    for image in verified? {
        for problem in &image.problems {
            exit::failure(problem);
            status = DAMAGED;
        }
        if image.problems.is_empty() && !verify.quiet {
            status = status.max(exit::data(&format!("{}: OK\n", image.name)));
        }
    }
    Ok(status)
}
