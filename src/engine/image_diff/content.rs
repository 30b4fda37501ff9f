//! Whether two regular files of one size have the same bytes. What is a hole in
//! both is not read: a log of the last logins may be a terabyte of nothing.

use std::io;
use std::os::unix::fs::FileExt;

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

use crate::fs::File;

/// How much is compared at a time, in bytes.
const CHUNK: usize = 128 * 1024;

/// Memory to compare in, of two files.
pub(super) struct Buffers(Box<[u8]>, Box<[u8]>);

impl Buffers {
    pub(super) fn new() -> Self {
        let half = || vec![0; CHUNK].into_boxed_slice();
        Self(half(), half())
    }

    /// Whether `old` and `new` have the same bytes; each has `size` of them.
    ///
    /// # Errors
    /// Those of lseek(2) and pread(2).
    pub(super) fn are_equal(&mut self, old: &File, new: &File, size: u64) -> io::Result<bool> {
        let mut position = 0;
        while position < size {
            // Small files are cheaper to read than to ask about.
            if size > CHUNK as u64 {
                position = next_data(old, position, size)?.min(next_data(new, position, size)?);
            }
            let rest = usize::try_from(size - position).unwrap_or(CHUNK).min(CHUNK);
            let (one, other) = (&mut self.0[..rest], &mut self.1[..rest]);
            old.read_exact_at(one, position)?;
            new.read_exact_at(other, position)?;
            if one != other {
                return Ok(false);
            }
            position += rest as u64;
        }
        Ok(true)
    }
}

/// Where the next byte is that is not in a hole; `size` if none is.
fn next_data(file: &File, position: u64, size: u64) -> io::Result<u64> {
    match seek(file, SeekFrom::Data(position)) {
        Ok(data) => Ok(data.min(size)),
        Err(Errno::NXIO) => Ok(size),
        // A file system need not know holes (lseek(2)).
        Err(Errno::INVAL) => Ok(position),
        Err(error) => Err(error.into()),
    }
}
