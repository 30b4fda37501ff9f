//! How errors are printed, and which exit status they have.
//!
//! docker's statuses: what runs a command passes that one's status on and has
//! 125 for a failure of its own; every other verb fails with 1, also where its
//! command line is wrong. `exec` has 1 where there is no such container that runs,
//! and 126 for all that keeps the command from running there.

use std::io::Write;

use crate::error::Error;
use crate::monitor::FailedStage;

/// A verb that runs a command failed itself.
const CANNOT_RUN: i32 = 125;
/// The command was found and cannot be executed.
const CANNOT_EXECUTE: i32 = 126;
/// Any other verb failed.
const FAILED: i32 = 1;

/// The status of a failure of `verb`.
pub(super) fn failed(verb: Option<&str>) -> i32 {
    match verb {
        Some("run" | "shell" | "exec") => CANNOT_RUN,
        _ => FAILED,
    }
}

fn print(kind: &str, text: &str, hint: Option<&str>) {
    let mut stderr = std::io::stderr().lock();
    // Nobody is left to tell if this fails.
    let _ = writeln!(stderr, "envbox: {kind}{text}");
    if let Some(hint) = hint {
        let _ = writeln!(stderr, "hint: {hint}");
    }
}

/// Prints `error`.
pub(super) fn failure(error: &Error) {
    print("", &error.chain(), error.hint_text());
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

/// Prints what clap has to say; tells whether it is an error: help and version
/// are none. A value that our own parsers refuse has their words and hint.
pub(super) fn usage(error: &clap::Error) -> bool {
    let refused = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<Error>());
    match refused {
        Some(refused) => failure(refused),
        // Nobody is left to tell if this fails.
        None => drop(error.print()),
    }
    error.use_stderr()
}

/// Prints why a container did not start; docker's status for it.
pub(super) fn not_started(stage: FailedStage, error: &Error) -> i32 {
    failure(error);
    match stage {
        FailedStage::Setup => CANNOT_RUN,
        FailedStage::NotExecutable => CANNOT_EXECUTE,
        FailedStage::NotFound => 127,
    }
}

/// Prints why a program did not start in a container that runs; docker's
/// status for it.
pub(super) fn not_joined(stage: FailedStage, error: &Error) -> i32 {
    match not_started(stage, error) {
        CANNOT_RUN => CANNOT_EXECUTE,
        status => status,
    }
}

/// Prints why no program could be asked for.
pub(super) fn not_asked(error: &Error) -> i32 {
    failure(error);
    FAILED
}

/// Writes to stdout; a reader that has gone is no error of ours.
pub(super) fn data(text: &str) -> i32 {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => 0,
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => 0,
        Err(error) => {
            failure(&Error::io_named("cannot write to stdout", error));
            FAILED
        }
    }
}
