//! One line of a log file. It knows no file.

use serde::Serialize;

use crate::fs::Timestamp;

/// Which of its two outputs a container wrote to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Descriptor 1, and all output of a container with a terminal.
    Stdout,
    /// Descriptor 2.
    Stderr,
}

/// What docker writes for one line, in its order.
#[derive(Serialize)]
struct Encoded<'a> {
    log: &'a str,
    stream: Stream,
    time: &'a str,
}

/// Appends the entry of `text` to `out`: one JSON object and a newline. What is
/// not UTF-8 becomes U+FFFD.
pub(super) fn encode(out: &mut Vec<u8>, stream: Stream, text: &[u8], time: Timestamp) {
    let text = String::from_utf8_lossy(text);
    let entry = Encoded { log: &text, stream, time: &rfc3339(time) };
    let start = out.len();
    match serde_json::to_writer(&mut *out, &entry) {
        Ok(()) => out.push(b'\n'),
        // Strings into memory cannot fail; half an object must not stay.
        Err(_) => out.truncate(start),
    }
}

/// RFC 3339 in UTC with nine digits of nanoseconds, so that times of one log
/// are equally wide. A time beyond the year 9999 is the beginning of 1970.
pub(super) fn rfc3339(time: Timestamp) -> String {
    let nanoseconds = i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanoseconds);
    let time = jiff::Timestamp::from_nanosecond(nanoseconds).unwrap_or_default();
    format!("{time:.9}")
}
