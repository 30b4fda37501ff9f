//! How errors are printed, and which exit status they have.

use std::io::Write;

use crate::error::Error;
use crate::monitor::FailedStage;

/// envbox itself failed (docker run).
pub(super) const FAILED: i32 = 125;

fn print(kind: &str, text: &str, hint: Option<&str>) {
    let mut stderr = std::io::stderr().lock();
    // Nobody is left to tell if this fails.
    let _ = writeln!(stderr, "envbox: {kind}{text}");
    if let Some(hint) = hint {
        let _ = writeln!(stderr, "hint: {hint}");
    }
}

/// Prints `error`; the status of a command that failed.
pub(super) fn failure(error: &Error) -> i32 {
    print("", &error.chain(), error.hint_text());
    FAILED
}

/// Prints what is no error.
pub(super) fn note(text: &str, hint: Option<&str>) {
    print("note: ", text, hint);
}

/// Prints a line for the person at the terminal.
pub(super) fn say(text: &str) {
    // Nobody is left to tell if this fails.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Prints what clap has to say: help and version are no errors.
pub(super) fn usage(error: &clap::Error) -> i32 {
    let _ = error.print();
    if error.use_stderr() { FAILED } else { 0 }
}

/// Prints why a container did not start; docker's status for it.
pub(super) fn not_started(stage: FailedStage, error: &Error) -> i32 {
    failure(error);
    match stage {
        FailedStage::Setup => FAILED,
        FailedStage::NotExecutable => 126,
        FailedStage::NotFound => 127,
    }
}

/// Writes to stdout; a reader that has gone is no error of ours.
pub(super) fn data(text: &str) -> i32 {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => 0,
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => 0,
        Err(error) => failure(&Error::io_named("cannot write to stdout", error)),
    }
}
