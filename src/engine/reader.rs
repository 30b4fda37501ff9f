//! Reads a tree in a child: for an import one that stays outside of the user
//! namespace, where the tree's owners are who they are on the host; for the
//! first content of a volume so that no thread is left when the container is
//! forked.
//!
//! Two pipes lead back. The first carries the canonical tar. When it has ended,
//! the second carries one JSON document, the [`Outcome`]; the child's death
//! without one is an outcome too. A parent that has stopped reading ends the
//! child at its next write.

use std::cell::Cell;
use std::io::{self, PipeReader, PipeWriter, Write};

use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Result};
use crate::fs::{self, Dir};
use crate::image::{self, ImportOptions, Report};
use crate::sys::process;

/// A report has a hundred paths a topic at most, of 4 KiB each at most.
const MAX_OUTCOME: u64 = 16 << 20;

/// What the child says when it is done.
#[derive(Debug, Serialize, Deserialize)]
enum Outcome {
    /// The tree is written, and this was noticed.
    Written(Report),
    /// It could not be read.
    Failed { kind: Kind, message: String, hint: Option<String> },
    /// Nobody takes the bytes any more; the parent knows why.
    Unread,
}

impl Outcome {
    fn of(error: &Error) -> Self {
        let hint = error.hint_text().map(str::to_owned);
        Self::Failed { kind: error.kind(), message: error.chain(), hint }
    }
}

/// A child that reads, and the two pipes from it.
pub(super) struct Reader {
    child: Pid,
    tar: PipeReader,
    outcome: PipeReader,
    /// The tree's path, for messages.
    path: String,
}

/// Starts a child that reads `dir`, in the user namespace of this moment. Must
/// be called by the only thread.
///
/// # Errors
/// Those of fork(2) and pipe(2).
pub(super) fn read(dir: Dir, options: &ImportOptions) -> Result<Reader> {
    let fail = |error| Error::io_named("cannot start a process to read the source", error);
    let path = dir.path().display().to_string();
    let (tar, write_tar) = io::pipe().map_err(fail)?;
    let (outcome, write_outcome) = io::pipe().map_err(fail)?;
    let ends = Cell::new(Some((tar, outcome)));
    let parents = &ends;
    let child = process::fork(move || {
        // With a reading end of its own the child would never notice that
        // nobody else reads.
        drop(parents.take());
        run(&dir, options, (write_tar, write_outcome))
    })
    .map_err(fail)?;
    let (tar, outcome) = ends.take().ok_or_else(|| Error::internal("the pipes are gone"))?;
    Ok(Reader { child, tar, outcome, path })
}

/// The child: writes the tree, then what became of it.
fn run(dir: &Dir, options: &ImportOptions, (tar, mut told): (PipeWriter, PipeWriter)) -> i32 {
    let mut tar = Watched { inner: tar, failed: false };
    let outcome = match image::write_canonical(dir, options, &mut tar) {
        Ok(report) => Outcome::Written(report),
        Err(_) if tar.failed => Outcome::Unread,
        Err(error) => Outcome::of(&error),
    };
    // The parent turns to the second pipe when the first has ended.
    drop(tar);
    let written = serde_json::to_vec(&outcome)
        .map_err(io::Error::other)
        .and_then(|bytes| told.write_all(&bytes));
    i32::from(written.is_err())
}

/// Remembers whether the errors of a work came from its output.
struct Watched {
    inner: PipeWriter,
    failed: bool,
}

impl Write for Watched {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = self.inner.write(bytes);
        let is_over = result.as_ref().is_err_and(|e| e.kind() != io::ErrorKind::Interrupted);
        self.failed |= is_over;
        result
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Reader {
    /// Has `consume` take the canonical tar of what the child reads, and waits
    /// for the child: what came of it, and what the child noticed.
    ///
    /// # Errors
    /// What kept the child from reading, with the path; else those of `consume`.
    pub(super) fn finish<T>(
        self,
        consume: impl FnOnce(PipeReader) -> Result<T>,
    ) -> Result<(T, Report)> {
        let Self { child, tar, outcome, path } = self;
        let consumed = consume(tar);
        let told = listen(outcome);
        let ended = waitpid(child, None);
        match told {
            Some(Outcome::Written(report)) => consumed.map(|value| (value, report)),
            Some(Outcome::Failed { kind, message, hint }) => {
                let error = Error::new(kind, message);
                Err(match hint {
                    Some(hint) => error.hint(hint),
                    None => error,
                })
            }
            // The child stopped because this side did.
            Some(Outcome::Unread) => consumed.map(|value| (value, Report::default())),
            None => Err(died(&path, ended.ok())),
        }
    }
}

/// What the child said; `None` if it died before.
fn listen(pipe: PipeReader) -> Option<Outcome> {
    let bytes = fs::read_limited(pipe, MAX_OUTCOME, "the report of the reading process").ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn died(path: &str, status: Option<WaitStatus>) -> Error {
    let how = match status {
        Some(WaitStatus::Signaled(_, signal, _)) => format!(" of {signal}"),
        _ => String::new(),
    };
    Error::new(Kind::Unavailable, format!("the process that reads {path} died{how}"))
        .hint("try again; if memory is short the kernel's log names it: dmesg")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

    use super::*;

    #[test]
    fn an_error_and_a_report_cross_the_pipe() {
        let error = Error::new(Kind::Denied, "cannot open etc/shadow").hint("run as root");
        let mut report = Report::default();
        report.note(image::Topic::Socket, b"run/s");
        for outcome in [Outcome::of(&error), Outcome::Written(report), Outcome::Unread] {
            let (reader, mut writer) = io::pipe().unwrap();
            writer.write_all(&serde_json::to_vec(&outcome).unwrap()).unwrap();
            drop(writer);
            let heard = listen(reader).unwrap();
            assert_eq!(format!("{heard:?}"), format!("{outcome:?}"));
        }
    }

    /// What the child says of the tree at `path`, if somebody takes the tar.
    fn told(path: &std::path::Path, taken: bool) -> Outcome {
        let (tar, write_tar) = io::pipe().unwrap();
        let (outcome, tell) = io::pipe().unwrap();
        let tar = taken.then_some(tar);
        let dir = Dir::open(path).unwrap();
        assert_eq!(run(&dir, &ImportOptions::default(), (write_tar, tell)), 0);
        drop(tar);
        listen(outcome).unwrap()
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        // Root reads everything otherwise; it is this thread's alone.
        let mut own = capabilities(None).unwrap();
        own.effective -= CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
        set_capabilities(None, own).unwrap();
        let room = tempfile::tempdir().unwrap();
        std::fs::write(room.path().join("plain"), "x").unwrap();
        assert!(matches!(told(room.path(), true), Outcome::Written(_)));
        let secret = room.path().join("secret");
        std::fs::write(&secret, "x").unwrap();
        std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o0)).unwrap();
        let Outcome::Failed { kind, message, .. } = told(room.path(), true) else {
            panic!("it was read")
        };
        assert_eq!(kind, Kind::Denied);
        assert!(message.contains("secret"), "{message}");
    }

    #[test]
    fn a_parent_that_does_not_take_the_tar_knows_why() {
        let room = tempfile::tempdir().unwrap();
        std::fs::write(room.path().join("file"), "x").unwrap();
        assert!(matches!(told(room.path(), false), Outcome::Unread));
    }

    #[test]
    fn a_child_that_died_says_nothing() {
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"{\"Writ").unwrap();
        drop(writer);
        assert!(listen(reader).is_none());
        let status = WaitStatus::Signaled(Pid::this(), nix::sys::signal::Signal::SIGKILL, false);
        let error = died("./tree", Some(status));
        assert_eq!(error.chain(), "the process that reads ./tree died of SIGKILL");
    }
}
