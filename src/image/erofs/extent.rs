//! Where the content of a regular file lies. EROFS cuts a file into chunks of
//! one size, a power of two of at least a block, and says of each where it is:
//! in a device, from a block on, or nowhere (a hole). Content lies in the tar
//! wherever that can be said so; what cannot is copied into the index.

use crate::error::{Error, Result};
use crate::image::entry::Segment;

/// A block, in bytes; also of a tar.
pub(super) const BLOCK: u64 = 512;
const BLOCK_BITS: u32 = 9;
/// The largest chunk: 512 bytes shifted by the 5 bits that say so.
const CHUNK_BITS_MAX: u32 = BLOCK_BITS + 31;
/// How many chunks a file has at most, next to one for each block that it
/// stores: a small member must not make a large index.
const CHUNKS_MIN: u64 = 512;
/// How many more it may have while there are [`Space::spare`] ones: what is copied
/// of a chunk with an edge in it looks like data to whoever looks for holes.
const CHUNKS_MORE: u64 = 32_768;
/// How many more all files together may have: 32 MiB of table.
const SPARE: u64 = 4 << 20;

/// What a copy of scattered pieces takes is mostly zeros, which are no room on a
/// disk, but have to be read by who checks the index.
const SCATTERED: u64 = 4 << 30;

/// What is left of the index.
#[derive(Clone, Copy, Debug)]
pub(super) struct Space {
    /// The next free block.
    pub(super) next: u64,
    spare: u64,
    /// How many bytes more than twice what they store copies may take.
    scattered: u64,
}

impl Space {
    /// All from the block `next` on.
    pub(super) fn from(next: u64) -> Self {
        Self { next, spare: SPARE, scattered: SCATTERED }
    }
}

/// Where a run of chunks is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Nowhere: zeros.
    Hole,
    /// In the tar, from this block on.
    Tar(u32),
    /// In the index, from this block on.
    Index(u32),
}

/// Chunks one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// The number of the first chunk behind it.
    pub(super) end: u32,
    /// Of its first chunk; the others follow it.
    pub(super) place: Place,
}

/// Where all of a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Map {
    /// The size of a chunk is 2 to this power.
    pub(super) bits: u32,
    pub(super) runs: Vec<Run>,
}

impl Map {
    /// How many chunks there are.
    pub(super) fn chunks(&self) -> u64 {
        self.runs.last().map_or(0, |run| run.end.into())
    }

    /// The chunks one by one.
    pub(super) fn each(&self) -> impl Iterator<Item = Place> {
        let blocks = 1 << (self.bits - BLOCK_BITS);
        let starts = std::iter::once(0).chain(self.runs.iter().map(|run| run.end));
        self.runs.iter().zip(starts).flat_map(move |(run, start)| {
            (0..run.end - start).map(move |chunk| match run.place {
                Place::Hole => Place::Hole,
                Place::Tar(block) => Place::Tar(block + chunk * blocks),
                Place::Index(block) => Place::Index(block + chunk * blocks),
            })
        })
    }

    /// The place in the index of what is at `offset` of the file, and how far
    /// it is one run from there, both in bytes; no place if it is not in the
    /// index.
    pub(super) fn own_place(&self, offset: u64) -> (Option<u64>, u64) {
        let end_of = |run: &Run| u64::from(run.end) << self.bits;
        let index = self.runs.partition_point(|run| end_of(run) <= offset);
        let start = index.checked_sub(1).map_or(0, |before| end_of(&self.runs[before]));
        let Some(run) = self.runs.get(index) else { return (None, u64::MAX) };
        let place = match run.place {
            Place::Index(block) => Some(u64::from(block) * BLOCK + (offset - start)),
            Place::Hole | Place::Tar(_) => None,
        };
        (place, end_of(run) - offset)
    }

    /// True if something of it is in the index.
    pub(super) fn has_copies(&self) -> bool {
        self.runs.iter().any(|run| matches!(run.place, Place::Index(_)))
    }
}

/// The size in bits of the chunk that a whole file fits.
pub(super) fn single_bits(size: u64) -> Option<u32> {
    let bits = size.max(BLOCK).checked_next_power_of_two()?.trailing_zeros();
    (bits <= CHUNK_BITS_MAX).then_some(bits)
}

/// The block that begins at the byte `at`, if it and those of all `length`
/// bytes have a number.
pub(super) fn block_of(at: u64, length: u64) -> Option<u32> {
    let end = at.checked_add(length)?.div_ceil(BLOCK);
    // The highest number means a hole.
    (at.is_multiple_of(BLOCK) && end < u64::from(u32::MAX)).then_some((at / BLOCK) as u32)
}

/// Maps a file of `size` bytes with `segments` of data, the first of which
/// lies at `start` in the tar and the others behind it; `None` for `start` if
/// all is to be in the index. What is copied gets its place in `space`.
///
/// # Errors
/// `Unsupported` for what is larger than the format holds.
pub(super) fn map(
    (size, segments): (u64, &[Segment]),
    start: Option<u64>,
    space: &mut Space,
) -> Result<Map> {
    let stored: u64 = segments.iter().map(|segment| segment.length).sum();
    let always = CHUNKS_MIN + stored / BLOCK;
    let limit = always + CHUNKS_MORE.min(space.spare);
    let mut bits = natural_bits(size, segments);
    while size.div_ceil(1 << bits) > limit {
        bits += 1;
    }
    space.spare -= size.div_ceil(1 << bits).saturating_sub(always).min(space.spare);
    if bits > CHUNK_BITS_MAX {
        return Err(Error::unsupported(format!("a sparse file of {size} bytes is too large")));
    }
    let before_copies = space.next;
    let next = &mut space.next;
    let mut builder = Builder { bits, size, start, next, runs: Vec::new(), done: 0 };
    let mut before = 0;
    for segment in segments.iter().filter(|segment| segment.length > 0) {
        builder.segment(segment, before)?;
        before += segment.length;
    }
    builder.push(size.div_ceil(1 << bits), Place::Hole)?;
    let runs = builder.runs;
    let taken = (space.next - before_copies) * BLOCK;
    let scattered = taken.saturating_sub(stored.saturating_mul(2));
    space.scattered = space.scattered.checked_sub(scattered).ok_or_else(|| {
        Error::unsupported("the pieces of the layer's sparse files are too small and too far apart")
            .hint("keep it as directories: --storage-driver overlay, before the verb")
    })?;
    Ok(Map { bits, runs })
}

/// The largest chunk of which all segments are multiples.
fn natural_bits(size: u64, segments: &[Segment]) -> u32 {
    let mut edges = 0;
    for segment in segments.iter().filter(|segment| segment.length > 0) {
        edges |= segment.offset;
        let end = segment.offset + segment.length;
        if end != size {
            edges |= end;
        }
    }
    let whole = size.max(BLOCK).checked_next_power_of_two().map_or(63, u64::trailing_zeros);
    edges.trailing_zeros().clamp(BLOCK_BITS, CHUNK_BITS_MAX).min(whole)
}

struct Builder<'a> {
    bits: u32,
    size: u64,
    start: Option<u64>,
    next: &'a mut u64,
    runs: Vec<Run>,
    /// Chunks that have a place.
    done: u64,
}

impl Builder<'_> {
    /// Places the chunks that `segment` touches; `before` bytes are stored
    /// before it.
    fn segment(&mut self, segment: &Segment, before: u64) -> Result<()> {
        let (chunk, end) = (1 << self.bits, segment.offset + segment.length);
        // Of the first chunk, the segment before has perhaps a part.
        let first = (segment.offset / chunk).max(self.done);
        self.push(segment.offset / chunk, Place::Hole)?;
        let last = if end == self.size { end.div_ceil(chunk) } else { end / chunk };
        let whole = segment.offset.div_ceil(chunk).max(first);
        let skipped = (whole << self.bits).saturating_sub(segment.offset);
        let stored =
            self.start.and_then(|start| block_of(start + before + skipped, segment.length));
        match stored {
            Some(block) if whole < last => {
                self.copied(whole)?;
                self.push(last, Place::Tar(block))?;
            }
            _ => {}
        }
        self.copied(end.div_ceil(chunk))
    }

    /// Gives the chunks before `until` that have no place one in the index.
    fn copied(&mut self, until: u64) -> Result<()> {
        if until <= self.done {
            return Ok(());
        }
        let bytes = (until << self.bits).min(self.size) - (self.done << self.bits);
        let block = block_of(*self.next * BLOCK, bytes).ok_or_else(too_much)?;
        *self.next += bytes.div_ceil(BLOCK);
        self.push(until, Place::Index(block))
    }

    fn push(&mut self, until: u64, place: Place) -> Result<()> {
        if until > self.done {
            let end = u32::try_from(until).map_err(|_| too_much())?;
            self.runs.push(Run { end, place });
            self.done = until;
        }
        Ok(())
    }
}

fn too_much() -> Error {
    Error::unsupported("the layer has more data than an index can point to")
}
