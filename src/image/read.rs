//! Reads a tar of any dialect (v7, ustar, PAX, GNU; sparse files in all four
//! forms) as a stream of [`Entry`] and data. It splits blocks and follows the
//! headers that belong to the next member; what a header means is `foreign`'s
//! matter, and where members go is `apply`'s.
//!
//! As GNU tar does, it ends at two blocks of zeros, takes one alone for
//! nothing, and takes the end of the input for the end of the archive. What
//! follows the end is read and thrown away, so that a writer at the other end
//! of a pipe can finish; whether it was more than zeros is told.

use std::io::BufRead;
use std::sync::Arc;

use tar::{EntryType, GnuExtSparseHeader, Header};

use crate::error::{Context, Error, Result};

use super::canonical::{BLOCK, padding};
use super::entry::{Entry, EntryKind, Segment, SparseMap};
use super::foreign::{self, Extensions};
use super::frame::FrameWriter;
use super::report::{Report, Topic};
use super::sums::{Summing, Sums};
use super::{pax, sparse};

/// The largest PAX header.
pub(super) const PAX_LIMIT: u64 = 1 << 20;
/// The largest GNU long name, with its NUL: a path as long as a layer may
/// have, and room for a `./` and doubled slashes.
const LONG_NAME_LIMIT: u64 = 8192;
/// The most segments of a sparse file.
pub(super) const SEGMENT_LIMIT: usize = 1 << 20;

/// A reader of tar members.
pub struct TarReader<R> {
    input: R,
    /// How much of the input was read, in bytes.
    position: u64,
    global: Arc<pax::Records>,
    data: Data,
    /// The path of the last member, for messages.
    last: Option<String>,
    ended: bool,
    end_marker: bool,
    has_more: bool,
    /// Takes in all that passes but the data of files.
    frame: Option<FrameWriter>,
    /// The most members, and how many more there may be.
    limit: (u64, u64),
    /// Takes in all that passes.
    sums: Option<Summing>,
}

/// The data of the present member.
#[derive(Default)]
struct Data {
    segments: Vec<Segment>,
    /// Stored bytes not yet read, padding not counted.
    left: u64,
    padding: usize,
    /// Where the stored bytes begin in the input.
    start: u64,
    /// Of the member.
    path: Vec<u8>,
}

impl<R: BufRead> TarReader<R> {
    /// A reader of `input`, which is not compressed.
    pub fn new(input: R) -> Self {
        Self {
            input,
            position: 0,
            global: Arc::default(),
            data: Data::default(),
            last: None,
            ended: false,
            end_marker: false,
            has_more: false,
            frame: None,
            limit: (u64::MAX, u64::MAX),
            sums: None,
        }
    }

    /// The same, of at most `limit` members.
    #[must_use]
    pub fn at_most(mut self, limit: u64) -> Self {
        self.limit = (limit, limit);
        self
    }

    /// Keeps in `frame` what the data of the files is no part of. What is
    /// skipped is kept as well.
    pub(super) fn keep_frame(&mut self, frame: FrameWriter) {
        self.frame = Some(frame);
    }

    /// The frame that is being kept, if one is.
    pub(super) fn frame(&mut self) -> Option<&mut FrameWriter> {
        self.frame.as_mut()
    }

    /// Ends the frame.
    ///
    /// # Errors
    /// Those of writing it.
    pub(super) fn finish_frame(&mut self) -> Result<()> {
        self.frame.take().map_or(Ok(()), FrameWriter::finish)
    }

    /// Takes sums from now on.
    pub(super) fn keep_sums(&mut self) {
        self.sums = Some(Summing::default());
    }

    /// The sums so far, if they are taken: of each member that has passed.
    pub(super) fn sums(&self) -> Option<&Sums> {
        self.sums.as_ref().map(Summing::sums)
    }

    /// The sums, if they were taken; of all, if no member is left.
    pub(super) fn take_sums(&mut self) -> Option<Sums> {
        self.sums.take().map(Summing::into_sums)
    }

    /// The next member; what was not read of the present one's data is
    /// skipped. `None` at the end.
    ///
    /// # Errors
    /// `Invalid` if the input is no tar, is damaged or ends within a member;
    /// `Unsupported` for members that no file system can hold, and for more
    /// members than there may be.
    pub fn next_entry(&mut self) -> Result<Option<Entry>> {
        if self.ended {
            return Ok(None);
        }
        self.skip_data()?;
        if let Some(sums) = &mut self.sums {
            sums.end();
        }
        let mut extensions = Extensions::new(&self.global);
        let mut is_awaited = false;
        loop {
            let Some(header) = self.header()? else {
                if is_awaited {
                    return Err(truncated(&self.last));
                }
                self.drain()?;
                if let Some(sums) = &mut self.sums {
                    sums.finish();
                }
                return Ok(None);
            };
            if !self.extension(&header, &mut extensions)? {
                return self.member(&header, extensions).map(Some);
            }
            // All others belong to a member that has to come.
            is_awaited |= !matches!(header.entry_type().as_byte(), b'g' | b'V');
        }
    }

    /// True if the archive ended with its two blocks of zeros.
    pub fn has_end_marker(&self) -> bool {
        self.end_marker
    }

    /// True if something else than zeros follows the end.
    pub fn has_more(&self) -> bool {
        self.has_more
    }

    /// Notes in `report` what is unusual about the end, which has been read; true
    /// if it had its two blocks of zeros.
    pub(super) fn note_end(&self, report: &mut Report) -> bool {
        if !self.end_marker {
            report.note(Topic::NoEndMarker, self.last_path());
        } else if self.has_more {
            report.note(Topic::DataAfterEnd, self.last_path());
        }
        self.end_marker
    }

    /// The path of the last member, for messages; empty before the first.
    pub(super) fn last_path(&self) -> &[u8] {
        self.last.as_deref().unwrap_or_default().as_bytes()
    }

    /// How much of the input was read, in bytes: all of it once there is no
    /// member left.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Where the data of the present member begins in the input, in bytes; a
    /// multiple of 512. What [`Self::copy_data`] passes lies there without
    /// gaps: the map of a sparse file is before it.
    pub(super) fn data_start(&self) -> u64 {
        self.data.start
    }

    fn take(&mut self, count: usize) {
        self.input.consume(count);
        self.position += count as u64;
    }

    /// Passes the data of the present regular file to `consume`, piece by
    /// piece with its offset in the file.
    ///
    /// # Errors
    /// `Invalid` if the input ends too early; those of `consume`.
    pub fn copy_data(&mut self, consume: &mut dyn FnMut(u64, &[u8]) -> Result<()>) -> Result<()> {
        for segment in std::mem::take(&mut self.data.segments) {
            let mut offset = segment.offset;
            let end = segment.offset + segment.length;
            while offset < end {
                let length = (end - offset).min(self.data.left);
                let available = fill(&mut self.input, &self.last)?;
                if available.is_empty() || length == 0 {
                    return Err(truncated(&self.last));
                }
                let count = available.len().min(usize::try_from(length).unwrap_or(usize::MAX));
                consume(offset, &available[..count])?;
                if let Some(frame) = &mut self.frame {
                    frame.add_data(&self.data.path, (offset, count as u64))?;
                }
                sum(&mut self.sums, &available[..count]);
                self.take(count);
                offset += count as u64;
                self.data.left -= count as u64;
            }
        }
        Ok(())
    }

    fn skip_data(&mut self) -> Result<()> {
        let mut left = self.data.left + self.data.padding as u64;
        self.data = Data::default();
        while left > 0 {
            let available = fill(&mut self.input, &self.last)?;
            if available.is_empty() {
                return Err(truncated(&self.last));
            }
            let count = available.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            keep(&mut self.frame, &available[..count])?;
            sum(&mut self.sums, &available[..count]);
            self.take(count);
            left -= count as u64;
        }
        Ok(())
    }

    fn drain(&mut self) -> Result<()> {
        self.ended = true;
        loop {
            let available = fill(&mut self.input, &self.last)?;
            if available.is_empty() {
                return Ok(());
            }
            self.has_more = self.has_more || !sparse::is_zero(available);
            let count = available.len();
            keep(&mut self.frame, available)?;
            sum(&mut self.sums, available);
            self.take(count);
        }
    }

    /// Reads a block; `None` if the input ends before it.
    fn block(&mut self) -> Result<Option<[u8; BLOCK]>> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            let available = fill(&mut self.input, &self.last)?;
            let count = available.len().min(BLOCK - filled);
            if count == 0 {
                break;
            }
            block[filled..filled + count].copy_from_slice(&available[..count]);
            keep(&mut self.frame, &available[..count])?;
            sum(&mut self.sums, &available[..count]);
            self.take(count);
            filled += count;
        }
        match filled {
            0 => Ok(None),
            BLOCK => Ok(Some(block)),
            _ if self.last.is_none() => Err(not_tar(&block[..filled])),
            _ => Err(truncated(&self.last)),
        }
    }

    fn header(&mut self) -> Result<Option<Header>> {
        let mut zeros = 0;
        while let Some(block) = self.block()? {
            if sparse::is_zero(&block) {
                zeros += 1;
                if zeros == 2 {
                    self.end_marker = true;
                    return Ok(None);
                }
                continue;
            }
            let header = Header::from_byte_slice(&block);
            if foreign::checksum_is_right(header) {
                return Ok(Some(header.clone()));
            }
            return Err(match &self.last {
                None => not_tar(&block),
                Some(last) => Error::invalid(format!("damaged tar header after {last}")),
            });
        }
        Ok(None)
    }

    /// Takes in a header that belongs to the next member; tells whether it is
    /// one.
    fn extension(&mut self, header: &Header, extensions: &mut Extensions) -> Result<bool> {
        match header.entry_type().as_byte() {
            b'x' | b'X' => {
                let body = self.body(header, PAX_LIMIT)?;
                extensions.add(&body)?;
            }
            b'g' => {
                let body = self.body(header, PAX_LIMIT)?;
                foreign::merge(Arc::make_mut(&mut self.global), &body)?;
                extensions.set_global(&self.global);
            }
            b'L' => extensions.name = Some(text(self.body(header, LONG_NAME_LIMIT)?)),
            b'K' => extensions.link = Some(text(self.body(header, LONG_NAME_LIMIT)?)),
            // The name of the volume.
            b'V' => {}
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn body(&mut self, header: &Header, limit: u64) -> Result<Vec<u8>> {
        let size = foreign::number(&header.as_old().size)?;
        let size = u64::try_from(size).ok().filter(|&size| size <= limit).ok_or_else(|| {
            Error::invalid(format!("an extended tar header has {size} bytes, more than {limit}"))
        })?;
        let mut body = Vec::new();
        self.take_blocks(size, &mut body)?;
        Ok(body)
    }

    fn take_blocks(&mut self, size: u64, out: &mut Vec<u8>) -> Result<()> {
        let mut left = size;
        while left > 0 {
            let block = self.block()?.ok_or_else(|| truncated(&self.last))?;
            let count = left.min(BLOCK as u64);
            out.extend_from_slice(&block[..count as usize]);
            left -= count;
        }
        Ok(())
    }

    fn member(&mut self, header: &Header, extensions: Extensions) -> Result<Entry> {
        let (mut entry, stored) = foreign::member(header, &extensions)?;
        let name = entry.display_path();
        self.last = Some(name.clone());
        self.limit.1 = self.limit.1.checked_sub(1).ok_or_else(|| too_many(self.limit.0, &name))?;
        let context = || format!("cannot read {name} in the archive");
        let mut left = stored;
        if let EntryKind::Regular { size, sparse } = &mut entry.kind {
            let map = match header.entry_type() {
                EntryType::GNUSparse => Some(self.gnu_map(header).context(context)?),
                _ if extensions.is_sparse_1() => {
                    let (map, used) = self.leading_map(stored).context(context)?;
                    left -= used;
                    Some(map)
                }
                _ => extensions.sparse_map().context(context)?,
            };
            if let Some(map) = map {
                sparse::validate(&map, *size).context(context)?;
                *sparse = Some(map);
            }
            self.data.segments = sparse::segments(*size, sparse.as_ref());
            let expected: u64 = self.data.segments.iter().map(|segment| segment.length).sum();
            if expected > left {
                return Err(Error::invalid(format!("{name} in the archive lacks data")));
            }
        }
        self.data.left = left;
        self.data.start = self.position;
        self.data.padding = padding(stored);
        if self.frame.is_some() {
            self.data.path.clone_from(&entry.path);
        }
        if let Some(sums) = &mut self.sums {
            sums.begin(&entry.path);
        }
        Ok(entry)
    }

    /// The map at the start of the data (PAX 1.0) and how much it takes.
    fn leading_map(&mut self, stored: u64) -> Result<(SparseMap, u64)> {
        let mut numbers = foreign::MapText::default();
        let mut used = 0;
        while !numbers.is_complete() {
            // Its last block is whole, and of the data: what pads the data is
            // skipped once more.
            if used + BLOCK as u64 > stored {
                return Err(Error::invalid("the map of a sparse file is cut off"));
            }
            let block = self.block()?.ok_or_else(|| truncated(&self.last))?;
            numbers.push(&block)?;
            used += BLOCK as u64;
        }
        Ok((numbers.finish(), used))
    }

    /// The map of an old GNU sparse header and the blocks that go on with it.
    fn gnu_map(&mut self, header: &Header) -> Result<SparseMap> {
        let mut map = SparseMap::default();
        let Some(gnu) = header.as_gnu() else {
            return Err(Error::invalid("a sparse file has no GNU header"));
        };
        let mut goes_on = gnu.isextended[0] == 1;
        foreign::add_segments(&gnu.sparse, &mut map)?;
        while goes_on {
            let mut extended = GnuExtSparseHeader::new();
            let block = self.block()?.ok_or_else(|| truncated(&self.last))?;
            extended.as_mut_bytes().copy_from_slice(&block);
            foreign::add_segments(&extended.sparse, &mut map)?;
            goes_on = extended.isextended[0] == 1;
        }
        Ok(map)
    }
}

fn keep(frame: &mut Option<FrameWriter>, bytes: &[u8]) -> Result<()> {
    frame.as_mut().map_or(Ok(()), |frame| frame.add_raw(bytes))
}

fn sum(sums: &mut Option<Summing>, bytes: &[u8]) {
    if let Some(sums) = sums {
        sums.update(bytes);
    }
}

fn fill<'a>(input: &'a mut impl BufRead, last: &Option<String>) -> Result<&'a [u8]> {
    input.fill_buf().map_err(|error| {
        let after = last.as_ref().map(|last| format!(" at {last}")).unwrap_or_default();
        Error::io_named(format!("cannot read the archive{after}"), error)
    })
}

/// A long name without its NUL.
fn text(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(end) = bytes.iter().position(|&byte| byte == 0) {
        bytes.truncate(end);
    }
    bytes
}

fn truncated(last: &Option<String>) -> Error {
    let last = last.as_deref().unwrap_or("its first header");
    Error::invalid(format!("the archive is cut off in or after {last}"))
        .hint("make or download it again")
}

fn too_many(limit: u64, last: &str) -> Error {
    Error::unsupported(format!("there are more than {limit} members, at last {last:?}"))
        .hint("allow more with --max-entries, if you trust who made it")
}

fn not_tar(start: &[u8]) -> Error {
    let looks: &[(&[u8], &str)] = &[
        (b"PK\x03\x04", "a zip archive"),
        (b"\x7fELF", "an ELF program"),
        (b"hsqs", "a squashfs image"),
        (b"QFI\xfb", "a qcow2 disk image"),
        (b"070701", "a cpio archive"),
        (b"!<arch>", "an ar archive or Debian package"),
        (b"\xed\xab\xee\xdb", "an RPM package"),
        (b"<", "a web page or XML"),
        (b"{", "JSON"),
    ];
    let found = looks.iter().find(|(magic, _)| start.starts_with(magic));
    let looks = found.map(|(_, name)| format!(": it looks like {name}")).unwrap_or_default();
    Error::invalid(format!("not a tar archive{looks}"))
        .hint("give a directory, or a tar that may be compressed by gzip, bzip2, xz or zstd")
}

#[cfg(test)]
#[path = "tests/read.rs"]
mod tests;
