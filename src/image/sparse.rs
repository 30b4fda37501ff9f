//! Where a file has holes, told by its content and not by how its file system
//! stores it: a dense copy of a sparse file must give the same layer.
//!
//! A hole is a maximal run of aligned 4,096-byte blocks that are all zero (the
//! last block may be partial) and that is at least 1 MiB long. Every such run
//! holds a block whose offset is a multiple of 1 MiB, so one block in each MiB
//! is looked at, and only around a zero one more is read. What the file system
//! says is a hole (lseek(2), `SEEK_DATA`) is zero without a look.

use std::os::unix::fs::FileExt;

use rustix::fs::SeekFrom;

use crate::error::Result;
use crate::fs::File;

use super::entry::{Segment, SparseMap};

const BLOCK: u64 = 4096;
/// The shortest hole, and the distance of the blocks looked at.
const HOLE_MIN: u64 = 1 << 20;
const CHUNK: usize = 64 * 1024;
/// The size and alignment of what is written as a hole if it is all zero.
const WRITTEN: u64 = 64 * 1024;
/// Pieces of such a block at the edge of a buffer are holes from this on.
const WRITTEN_MIN: usize = 4096;

/// The map of `file`, whose content is `size` bytes long; `None` if it has no
/// hole.
///
/// # Errors
/// Those of pread(2), without a path.
pub(super) fn detect(file: &File, size: u64) -> std::io::Result<Option<SparseMap>> {
    if size < HOLE_MIN {
        return Ok(None);
    }
    let mut scan = Scan { file, size, data: 0..0, buffer: vec![0; CHUNK] };
    let mut segments = Vec::new();
    let mut data_start = 0;
    let mut position = 0;
    while position < size {
        let end = scan.zeros_until(position, position + 1)?;
        if end == position {
            position += HOLE_MIN;
            continue;
        }
        let start = scan.zeros_back(position, data_start)?;
        let end = scan.zeros_until(position, size)?;
        if end - start >= HOLE_MIN {
            if start > data_start {
                segments.push(Segment { offset: data_start, length: start - data_start });
            }
            data_start = end;
        }
        // The block at `end` is not zero, or the file ends there.
        position = (end + 1).next_multiple_of(HOLE_MIN);
    }
    if data_start == 0 && segments.is_empty() {
        return Ok(None);
    }
    // A length of 0 here says that the file ends with a hole.
    segments.push(Segment { offset: data_start, length: size - data_start });
    Ok(Some(SparseMap { segments }))
}

struct Scan<'a> {
    file: &'a File,
    size: u64,
    /// A range that the file system says is data.
    data: std::ops::Range<u64>,
    buffer: Vec<u8>,
}

impl Scan<'_> {
    /// The end of the zero blocks that begin at `start`, a block's offset;
    /// looks no further than the block that holds `limit - 1`.
    fn zeros_until(&mut self, start: u64, limit: u64) -> std::io::Result<u64> {
        let limit = limit.next_multiple_of(BLOCK).min(self.size);
        let mut position = start;
        while position < limit {
            let hole = self.hole_until(position);
            if hole > position {
                position = hole;
                continue;
            }
            let length = (limit - position).min(CHUNK as u64);
            let zeros = self.leading_zeros(position, length)?;
            position += zeros;
            if zeros < length {
                break;
            }
        }
        Ok(position.min(self.size))
    }

    /// The start of the zero blocks that end at `end`, a block's offset; looks
    /// no further back than `limit`.
    fn zeros_back(&mut self, end: u64, limit: u64) -> std::io::Result<u64> {
        let mut start = end;
        while start > limit && self.zeros_until(start - BLOCK, start)? >= start {
            start -= BLOCK;
        }
        Ok(start)
    }

    /// The end of the whole blocks from `position` on that are a hole of the
    /// file system; `position` if its block is not.
    fn hole_until(&mut self, position: u64) -> u64 {
        if self.data.contains(&position) {
            return position;
        }
        let next = match rustix::fs::seek(self.file, SeekFrom::Data(position)) {
            Ok(next) => next,
            Err(rustix::io::Errno::NXIO) => return self.size,
            // A file system without SEEK_DATA: everything may be data.
            Err(_) => position,
        };
        let next = (next / BLOCK * BLOCK).min(self.size);
        if next > position {
            return next;
        }
        let end = rustix::fs::seek(self.file, SeekFrom::Hole(position)).unwrap_or(self.size);
        self.data = position..end.max(position + BLOCK);
        position
    }

    /// How many of the `length` bytes at `position` are whole zero blocks
    /// before the first that is not. A file that became shorter counts as not
    /// zero: reading it will tell.
    fn leading_zeros(&mut self, position: u64, length: u64) -> std::io::Result<u64> {
        let buffer = &mut self.buffer[..length as usize];
        let mut filled = 0;
        while filled < buffer.len() {
            match self.file.read_at(&mut buffer[filled..], position + filled as u64)? {
                0 => break,
                count => filled += count,
            }
        }
        let mut zeros = 0;
        for block in buffer.chunks(BLOCK as usize) {
            if zeros + block.len() > filled || !is_zero(block) {
                break;
            }
            zeros += block.len();
        }
        Ok(zeros as u64)
    }
}

/// True if all of `bytes` are zero.
pub(super) fn is_zero(bytes: &[u8]) -> bool {
    // Most content shows at once that it is not; the rest goes by vector.
    let (head, tail) = bytes.split_at(bytes.len().min(16));
    head.iter().all(|&byte| byte == 0)
        && tail.chunks(256).all(|c| c.iter().fold(0, |a, b| a | b) == 0)
}

/// The parts of `bytes`, which stand at `start`, without the blocks of zeros.
pub(super) fn data_runs(start: u64, bytes: &[u8]) -> Vec<(u64, &[u8])> {
    let mut runs = Vec::new();
    let (mut run_start, mut position) = (0, 0);
    while position < bytes.len() {
        let offset = start + position as u64;
        let to_edge = ((offset + 1).next_multiple_of(WRITTEN) - offset) as usize;
        let end = bytes.len().min(position + to_edge);
        if end - position >= WRITTEN_MIN && is_zero(&bytes[position..end]) {
            if run_start < position {
                runs.push((start + run_start as u64, &bytes[run_start..position]));
            }
            run_start = end;
        }
        position = end;
    }
    if run_start < bytes.len() {
        runs.push((start + run_start as u64, &bytes[run_start..]));
    }
    runs
}

/// The segments of a file: those of its map, or one for all of it.
pub(super) fn segments(size: u64, map: Option<&SparseMap>) -> Vec<Segment> {
    match map {
        Some(map) => map.segments.clone(),
        None => vec![Segment { offset: 0, length: size }],
    }
}

/// Checks that `map` lies within `size` bytes, in order.
///
/// # Errors
/// `Invalid` if it does not.
pub(super) fn validate(map: &SparseMap, size: u64) -> Result<()> {
    let mut position = 0;
    for segment in &map.segments {
        let end = segment.offset.checked_add(segment.length);
        match end {
            Some(end) if segment.offset >= position && end <= size => position = end,
            _ => return Err(crate::error::Error::invalid("malformed map of a sparse file")),
        }
    }
    Ok(())
}
