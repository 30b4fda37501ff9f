//! The frame of a layer's tar: all of the tar but the data of its files. A
//! layer that came from elsewhere need not have the form that `canonical`
//! defines, and its digest is to stay: the tree gives the data back, the frame
//! everything between.
//!
//! On disk it is one zstd stream of records: a tag byte, then numbers as LEB128
//! and bytes after their length.
//!
//! | tag | what follows | meaning |
//! |---|---|---|
//! | 0 | length, bytes | these bytes as they are |
//! | 1 | length, path | what data records speak of from now on |
//! | 2 | offset, length | so much of that file's content |
//! | 3 | length, path | what the tree had there so far is in `replaced` now, under the number of such records before this one |

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::fs::{self, Dir, File};

use super::chain::open_long;
use super::entry::display;
use super::layer::LayerTarget;

const RAW: u8 = 0;
const FILE: u8 = 1;
const DATA: u8 = 2;
const MOVED: u8 = 3;

/// The most bytes of one raw record, and the unit in which files are read.
const PIECE: usize = 64 * 1024;
/// The longest path of a record; `read` allows none that is longer.
const PATH_LIMIT: u64 = 8192;
/// How hard the frame is compressed: headers are so alike that more finds
/// nothing.
const LEVEL: i32 = 3;

/// The most members of one layer that later ones may replace: their data is
/// kept beside the tree.
pub(super) const REPLACED_LIMIT: usize = 65_536;

/// Writes a frame.
pub(super) struct FrameWriter {
    output: zstd::Encoder<'static, BufWriter<File>>,
    path: PathBuf,
    raw: Vec<u8>,
    /// The file that the last path record named.
    named: Vec<u8>,
    /// The run of data that goes on.
    run: Option<(u64, u64)>,
}

impl FrameWriter {
    /// A writer of the new file `path`.
    ///
    /// # Errors
    /// Those of creating it.
    pub(super) fn create(path: &Path) -> Result<Self> {
        let file = BufWriter::new(fs::create_new(path)?);
        let output =
            zstd::Encoder::new(file, LEVEL).map_err(|error| Error::io("write", path, error))?;
        let path = path.to_owned();
        Ok(Self { output, path, raw: Vec::new(), named: Vec::new(), run: None })
    }

    /// Takes in `bytes`, which are no file's data.
    ///
    /// # Errors
    /// Those of writing.
    pub(super) fn add_raw(&mut self, mut bytes: &[u8]) -> Result<()> {
        self.end_run()?;
        while !bytes.is_empty() {
            let count = bytes.len().min(PIECE - self.raw.len());
            self.raw.extend_from_slice(&bytes[..count]);
            bytes = &bytes[count..];
            if self.raw.len() == PIECE {
                self.end_raw()?;
            }
        }
        Ok(())
    }

    /// Takes in `length` bytes of data that are at `offset` of the file `path`.
    ///
    /// # Errors
    /// Those of writing.
    pub(super) fn add_data(&mut self, path: &[u8], (offset, length): (u64, u64)) -> Result<()> {
        if let Some((start, run)) = &mut self.run
            && self.named == path
            && *start + *run == offset
        {
            *run += length;
            return Ok(());
        }
        self.end_run()?;
        self.end_raw()?;
        if self.named != path {
            self.bytes(FILE, path)?;
            self.named = path.to_vec();
        }
        self.run = Some((offset, length));
        Ok(())
    }

    /// Says that what was at `path` so far is kept elsewhere from now on.
    ///
    /// # Errors
    /// Those of writing.
    pub(super) fn add_moved(&mut self, path: &[u8]) -> Result<()> {
        self.end_run()?;
        self.end_raw()?;
        // The next data of that path is another file's.
        self.named.clear();
        self.bytes(MOVED, path)
    }

    /// Ends the frame.
    ///
    /// # Errors
    /// Those of writing.
    pub(super) fn finish(mut self) -> Result<()> {
        self.end_run()?;
        self.end_raw()?;
        let path = self.path;
        self.output
            .finish()
            .and_then(|mut file| file.flush())
            .map_err(|error| Error::io("write", &path, error))
    }

    fn end_raw(&mut self) -> Result<()> {
        if self.raw.is_empty() {
            return Ok(());
        }
        let raw = std::mem::take(&mut self.raw);
        self.bytes(RAW, &raw)?;
        self.raw = raw;
        self.raw.clear();
        Ok(())
    }

    fn end_run(&mut self) -> Result<()> {
        let Some((offset, length)) = self.run.take() else { return Ok(()) };
        let mut record = vec![DATA];
        push_number(&mut record, offset);
        push_number(&mut record, length);
        self.put(&record)
    }

    fn bytes(&mut self, tag: u8, bytes: &[u8]) -> Result<()> {
        let mut head = vec![tag];
        push_number(&mut head, bytes.len() as u64);
        self.put(&head)?;
        self.put(bytes)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.output.write_all(bytes).map_err(|error| Error::io("write", &self.path, error))
    }
}

fn push_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// One record.
#[derive(Debug, PartialEq, Eq)]
enum Record {
    Raw(Vec<u8>),
    File(Vec<u8>),
    Data(u64, u64),
    Moved(Vec<u8>),
}

/// The records of a frame.
struct Records<'a> {
    path: &'a Path,
    input: Box<dyn Read>,
}

impl<'a> Records<'a> {
    fn open(path: &'a Path) -> Result<Option<Self>> {
        let Some(file) = fs::absent_is_none(fs::open(path))? else { return Ok(None) };
        let decoder = zstd::Decoder::new(file).map_err(|error| Error::io("read", path, error))?;
        Ok(Some(Self { path, input: Box::new(BufReader::new(decoder)) }))
    }

    fn next(&mut self) -> Result<Option<Record>> {
        let Some(tag) = self.byte()? else { return Ok(None) };
        let record = match tag {
            RAW => Record::Raw(self.bytes(PIECE as u64)?),
            FILE => Record::File(self.bytes(PATH_LIMIT)?),
            DATA => Record::Data(self.number()?, self.number()?),
            MOVED => Record::Moved(self.bytes(PATH_LIMIT)?),
            _ => return Err(self.damaged()),
        };
        Ok(Some(record))
    }

    fn byte(&mut self) -> Result<Option<u8>> {
        let mut byte = [0];
        match self.input.read_exact(&mut byte) {
            Ok(()) => Ok(Some(byte[0])),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(Error::io("read", self.path, error)),
        }
    }

    fn number(&mut self) -> Result<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?.ok_or_else(|| self.damaged())?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(self.damaged())
    }

    fn bytes(&mut self, limit: u64) -> Result<Vec<u8>> {
        let length = self.number()?;
        if length > limit {
            return Err(self.damaged());
        }
        let mut bytes = vec![0; length as usize];
        self.input.read_exact(&mut bytes).map_err(|_| self.damaged())?;
        Ok(bytes)
    }

    fn damaged(&self) -> Error {
        Error::mismatch(format!("{} is damaged", self.path.display()))
            .hint("remove and load the layer's image again")
    }
}

/// Writes the tar of `layer` to `output` if it has a frame; tells whether it
/// has one.
///
/// # Errors
/// `Mismatch` if the tree no longer has the data; those of reading and writing.
pub(super) fn replay(layer: &LayerTarget, output: &mut dyn Write) -> Result<bool> {
    let Some(mut records) = Records::open(&layer.frame)? else { return Ok(false) };
    let moves = Moves::read(&layer.frame)?;
    let mut content = Content { layer, tree: Dir::open(&layer.tree)?, moves, present: None };
    let (mut position, mut named) = (0, Vec::new());
    let mut buffer = vec![0; PIECE];
    while let Some(record) = records.next()? {
        match record {
            Record::Raw(bytes) => output.write_all(&bytes).map_err(unwritable)?,
            Record::File(path) => {
                content.present = None;
                named = path;
            }
            Record::Data(offset, length) => {
                let file = content.file((&named, position))?;
                copy((file, &named), (offset, length), (&mut buffer, output))?;
            }
            Record::Moved(_) => content.present = None,
        }
        position += 1;
    }
    Ok(true)
}

fn copy(
    (file, path): (&File, &[u8]),
    (mut offset, length): (u64, u64),
    (buffer, output): (&mut [u8], &mut dyn Write),
) -> Result<()> {
    let mut left = length;
    while left > 0 {
        let wanted = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let count = match file.read_at(&mut buffer[..wanted], offset) {
            Ok(0) => return Err(lost(path)),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                return Err(Error::io_named(format!("cannot read {}", display(path)), error));
            }
        };
        output.write_all(&buffer[..count]).map_err(unwritable)?;
        offset += count as u64;
        left -= count as u64;
    }
    Ok(())
}

fn lost(path: &[u8]) -> Error {
    Error::mismatch(format!("{} in the store is not what was loaded", display(path)))
        .hint("remove and load the layer's image again")
}

fn unwritable(error: io::Error) -> Error {
    Error::io_named("cannot write the layer", error)
}

/// What was moved away, by path: after which record, and to where.
struct Moves(HashMap<Vec<u8>, Vec<(u64, usize)>>);

impl Moves {
    fn read(frame: &Path) -> Result<Self> {
        let mut moves = HashMap::<_, Vec<_>>::new();
        let (mut position, mut count) = (0, 0);
        let Some(mut records) = Records::open(frame)? else { return Ok(Self(moves)) };
        while let Some(record) = records.next()? {
            if let Record::Moved(path) = record {
                moves.entry(path).or_default().push((position, count));
                count += 1;
            }
            position += 1;
        }
        Ok(Self(moves))
    }

    /// Where what `path` was at `position` is now: the number in `replaced`
    /// and the path below that; none if it is in the tree still.
    fn find<'p>(&self, path: &'p [u8], position: u64) -> Option<(usize, &'p [u8])> {
        if self.0.is_empty() {
            return None;
        }
        let ends = (0..path.len()).filter(|&index| path[index] == b'/').chain([path.len()]);
        let first = |end: usize| {
            let moved = self.0.get(&path[..end])?.iter().find(|moved| moved.0 > position)?;
            Some((*moved, path.get(end + 1..).unwrap_or_default()))
        };
        let ((_, number), rest) = ends.filter_map(first).min_by_key(|(moved, _)| moved.0)?;
        Some((number, rest))
    }
}

/// The files whose data the frame names.
struct Content<'a> {
    layer: &'a LayerTarget,
    tree: Dir,
    moves: Moves,
    present: Option<File>,
}

impl Content<'_> {
    fn file(&mut self, (path, position): (&[u8], u64)) -> Result<&File> {
        let file = match self.present.take() {
            Some(file) => file,
            None => self.open((path, position))?,
        };
        Ok(self.present.insert(file))
    }

    fn open(&self, (path, position): (&[u8], u64)) -> Result<File> {
        let (root, path) = match self.moves.find(path, position) {
            None => (self.tree.duplicate()?, path.to_vec()),
            Some((number, rest)) => {
                let slash: &[u8] = if rest.is_empty() { b"" } else { b"/" };
                let path = [number.to_string().as_bytes(), slash, rest].concat();
                (Dir::open(&self.layer.replaced)?, path)
            }
        };
        let (parent, name) = match path.iter().rposition(|&byte| byte == b'/') {
            Some(slash) => (&path[..slash], &path[slash + 1..]),
            None => (&b""[..], &path[..]),
        };
        let opened = open_long(&root, parent)?.open_file(OsStr::from_bytes(name));
        opened.map_err(|error| lost(&path).because(error))
    }
}

#[cfg(test)]
#[path = "tests/frame.rs"]
mod tests;
