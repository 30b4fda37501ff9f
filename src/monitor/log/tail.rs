//! Finds where the last lines of a log begin, by reading from its end.

use std::collections::VecDeque;
use std::os::unix::fs::FileExt;

use crate::error::{Error, Result};

use super::files::LogFile;

/// So much is read at a time.
const CHUNK: usize = 32 * 1024;

/// Drops the `files`, the oldest of which is the first, before the one in which
/// the last `count` lines begin; where in it they do. A line without an end is
/// not counted.
///
/// # Errors
/// Those of read(2), with the path.
pub(super) fn seek_tail(files: &mut VecDeque<LogFile>, count: u64) -> Result<u64> {
    let mut wanted = count;
    for index in (0..files.len()).rev() {
        if let Some(offset) = seek(&files[index], &mut wanted)? {
            files.drain(..index);
            return Ok(offset);
        }
    }
    Ok(0)
}

/// Where the last `wanted` lines of one file begin. `None` if it does not have
/// more than that; `wanted` are those that are missing then.
fn seek(file: &LogFile, wanted: &mut u64) -> Result<Option<u64>> {
    let mut buffer = vec![0; CHUNK];
    let mut end = file.metadata.size;
    while end > 0 {
        let length = CHUNK.min(usize::try_from(end).unwrap_or(CHUNK));
        let start = end - length as u64;
        let chunk = &mut buffer[..length];
        file.file
            .read_exact_at(chunk, start)
            .map_err(|error| Error::io("read", &file.path, error))?;
        for (index, _) in chunk.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            if *wanted == 0 {
                return Ok(Some(start + index as u64 + 1));
            }
            *wanted -= 1;
        }
        end = start;
    }
    Ok(None)
}
