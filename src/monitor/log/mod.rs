//! What a container printed, in docker's `json-file` format.
//!
//! ```text
//! log/log.json       the newest lines
//! log/log.json.1     the ones before, if the log is rotated
//! log/log.json.2     ...
//! ```
//!
//! - One JSON object a line: `{"log":"text\n","stream":"stdout","time":"..."}`.
//! - Files are only ever appended to, renamed and removed: a reader that has
//!   one open can finish it. The one writer is the container's monitor.
//! - A writer that was killed leaves at most a line without its end, which the
//!   next one ends and readers pass over.
//! - Nothing is synced: a log outlives its processes, not a crash of the host.
//!
//! It knows no container: a log is a directory.

mod entry;
mod files;
mod writer;

pub use entry::Stream;
pub use writer::{LogOptions, LogWriter};

#[cfg(test)]
mod tests;
