//! Cuts what is read of a file into lines. It knows nothing of what they say.

use std::os::unix::fs::FileExt;

use crate::error::{Error, Result};

use super::files::LogFile;

/// So much is read at a time.
const CHUNK: usize = 64 * 1024;

/// No writer of logs writes a longer line: it would not end in memory.
const MAX_LINE: usize = 1 << 20;

/// What was read and not taken yet.
#[derive(Debug, Default)]
pub(super) struct Lines {
    buffer: Vec<u8>,
    taken: usize,
    /// The line that the buffer begins with is too long: its beginning is gone.
    skipping: bool,
}

impl Lines {
    /// The next whole line, without its newline.
    pub(super) fn next(&mut self) -> Option<&[u8]> {
        loop {
            let rest = &self.buffer[self.taken..];
            let length = rest.iter().position(|byte| *byte == b'\n')?;
            let start = self.taken;
            self.taken += length + 1;
            if !std::mem::take(&mut self.skipping) {
                return Some(&self.buffer[start..start + length]);
            }
        }
    }

    /// Reads on in `file` at `offset`, but not beyond `end`; false at its end.
    ///
    /// # Errors
    /// Those of read(2), with the path.
    pub(super) fn fill(&mut self, file: &LogFile, offset: &mut u64, end: u64) -> Result<bool> {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        if self.buffer.len() > MAX_LINE {
            self.buffer.clear();
            self.skipping = true;
        }
        let held = self.buffer.len();
        let left = usize::try_from(end.saturating_sub(*offset)).unwrap_or(CHUNK);
        self.buffer.resize(held + left.min(CHUNK), 0);
        let read = file.file.read_at(&mut self.buffer[held..], *offset);
        let read = read.map_err(|error| Error::io("read", &file.path, error));
        let count = *read.as_ref().unwrap_or(&0);
        self.buffer.truncate(held + count);
        *offset += count as u64;
        read.map(|count| count > 0)
    }

    /// Forgets a line without an end.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
