//! One line of a log file. It knows no file.

use serde::{Deserialize, Serialize};

use crate::fs::Timestamp;

/// Which of its two outputs a container wrote to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Descriptor 1, and all output of a container with a terminal.
    Stdout,
    /// Descriptor 2.
    Stderr,
}

/// A line that a container printed, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Where to.
    pub stream: Stream,
    /// What; its newline is missing where the line goes on in the next entry of
    /// this stream, or ended without one.
    pub text: String,
    /// When.
    pub time: Timestamp,
}

/// The fields of an entry that are read; docker writes others for some options.
#[derive(Deserialize)]
struct Decoded {
    log: String,
    stream: Stream,
    time: String,
}

/// The entry in `line`; `None` if there is none that is whole.
pub(super) fn decode(line: &[u8]) -> Option<LogEntry> {
    let Decoded { log, stream, time } = serde_json::from_slice(line).ok()?;
    let nanoseconds = time.parse::<jiff::Timestamp>().ok()?.as_nanosecond();
    let time = Timestamp {
        seconds: i64::try_from(nanoseconds.div_euclid(1_000_000_000)).ok()?,
        nanoseconds: u32::try_from(nanoseconds.rem_euclid(1_000_000_000)).ok()?,
    };
    Some(LogEntry { stream, text: log, time })
}

/// What docker writes for one line, in its order.
#[derive(Serialize)]
struct Encoded<'a> {
    log: &'a str,
    stream: Stream,
    time: &'a str,
}

/// Appends the entry of `text` to `out`: one JSON object and a newline. `time` is
/// as [`rfc3339`] has it; what is not UTF-8 becomes U+FFFD.
pub(super) fn encode(out: &mut Vec<u8>, stream: Stream, text: &[u8], time: &str) {
    let text = String::from_utf8_lossy(text);
    let entry = Encoded { log: &text, stream, time };
    let start = out.len();
    match serde_json::to_writer(&mut *out, &entry) {
        Ok(()) => out.push(b'\n'),
        // Strings into memory cannot fail; half an object must not stay.
        Err(_) => out.truncate(start),
    }
}

/// RFC 3339 in UTC with nine digits of nanoseconds, as `docker logs -t` has it,
/// so that the times of a log are equally wide. A time beyond the year 9999 is the beginning of 1970.
pub fn rfc3339(time: Timestamp) -> String {
    let nanoseconds = i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanoseconds);
    let time = jiff::Timestamp::from_nanosecond(nanoseconds).unwrap_or_default();
    format!("{time:.9}")
}
