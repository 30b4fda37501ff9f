//! Writes a log. It never stops a container: what finds no room is dropped,
//! counted, and told once there is room again.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, SeekFrom};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::fs::{self, Timestamp};

use super::entry::{Stream, encode};
use super::files;

/// A longer line is written in parts, all but the last without a newline, as
/// docker does.
const MAX_LINE: usize = 16 * 1024;

/// So much JSON is gathered at most before it is written, give or take a line.
const MAX_BATCH: usize = 64 * 1024;

/// A character of UTF-8 may lack so many bytes.
const MAX_INCOMPLETE: usize = 3;

/// docker's `--log-opt` of the json-file driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogOptions {
    /// Bytes (`max-size`) that no file exceeds, except one that holds a single
    /// larger line; `None` is no limit.
    pub max_size: Option<u64>,
    /// How many files are kept (`max-file`); 0 counts as 1.
    pub max_file: u32,
}

impl Default for LogOptions {
    /// docker's: one file without a limit.
    fn default() -> Self {
        Self { max_size: None, max_file: 1 }
    }
}

/// What a stream said since its last newline.
#[derive(Debug, Default)]
struct Line {
    bytes: Vec<u8>,
    /// When its first part was written, if one was: all have the same time.
    parted: Option<Timestamp>,
}

/// The one writer of a log. Holds at most a line of each stream and one batch,
/// some 200 KiB, whatever is written.
///
/// What was not followed by a newline yet is lost if it is dropped without
/// [`LogWriter::finish`].
#[derive(Debug)]
pub struct LogWriter {
    dir: PathBuf,
    options: LogOptions,
    /// The file and its size; `None` where it could not be created.
    file: Option<(OwnedFd, u64)>,
    /// The file's last line has no end.
    torn: bool,
    stdout: Line,
    stderr: Line,
    batch: Vec<u8>,
    /// How many entries could not be written since the last one that could.
    lost: u64,
    last: Timestamp,
}

impl LogWriter {
    /// Opens the log in the directory `dir`, which is created (mode 0700) if it
    /// is missing; what is there is continued.
    ///
    /// # Errors
    /// Those of mkdir(2) and open(2), with the path.
    pub fn open(dir: &Path, options: LogOptions) -> Result<Self> {
        fs::ensure_dir(dir, 0o700)?;
        let mut writer = Self {
            dir: dir.to_owned(),
            options,
            file: None,
            torn: false,
            stdout: Line::default(),
            stderr: Line::default(),
            batch: Vec::new(),
            lost: 0,
            last: Timestamp::default(),
        };
        writer.ensure_file()?;
        Ok(writer)
    }

    /// Takes what `stream` said at `now`. What makes whole lines is in the file
    /// when this returns, by one write(2) for all of them unless they are many.
    ///
    /// Having no room is no error: see the module.
    ///
    /// # Errors
    /// Those of open(2), write(2) and rename(2) otherwise; the lines are lost
    /// and counted then, and the next ones may be written.
    pub fn write(&mut self, stream: Stream, bytes: &[u8], now: Timestamp) -> Result<()> {
        self.last = now;
        let mut result = Ok(());
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            result = result.and(self.take(stream, piece));
        }
        result.and(self.flush())
    }

    /// Writes what was not followed by a newline, without one, and closes.
    ///
    /// # Errors
    /// As [`LogWriter::write`].
    pub fn finish(mut self) -> Result<()> {
        let mut result = Ok(());
        for stream in [Stream::Stdout, Stream::Stderr] {
            let length = self.line(stream).bytes.len();
            if length > 0 {
                result = result.and(self.put(stream, length));
            }
        }
        result.and(self.flush())
    }

    fn line(&mut self, stream: Stream) -> &mut Line {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }

    /// Takes a piece of one line, with its newline if it ends there.
    fn take(&mut self, stream: Stream, mut piece: &[u8]) -> Result<()> {
        let mut result = Ok(());
        while !piece.is_empty() {
            let bytes = &mut self.line(stream).bytes;
            let (fits, rest) = piece.split_at(piece.len().min(MAX_LINE - bytes.len()));
            bytes.extend_from_slice(fits);
            piece = rest;
            if bytes.ends_with(b"\n") {
                let length = bytes.len();
                result = result.and(self.put(stream, length));
                self.line(stream).parted = None;
            } else if bytes.len() == MAX_LINE {
                let length = whole_characters(bytes);
                let now = self.last;
                self.line(stream).parted.get_or_insert(now);
                result = result.and(self.put(stream, length));
            }
        }
        result
    }

    /// Puts the first `length` bytes of the line of `stream` into the batch.
    fn put(&mut self, stream: Stream, length: usize) -> Result<()> {
        let now = self.last;
        let line = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        let start = self.batch.len();
        let time = line.parted.unwrap_or(now);
        encode(&mut self.batch, stream, &line.bytes[..length], time);
        line.bytes.drain(..length);
        let mut result = Ok(());
        if self.is_too_large(start) {
            let entry = self.batch.split_off(start);
            result = self.flush();
            result = result.and(self.rotate());
            self.batch = entry;
        }
        if self.batch.len() >= MAX_BATCH {
            result = result.and(self.flush());
        }
        result
    }

    /// Whether file and batch are larger together than a file may be, and
    /// there is something before the entry that begins at `start`.
    fn is_too_large(&self, start: usize) -> bool {
        let (Some(max), Some((_, size))) = (self.options.max_size, &self.file) else {
            return false;
        };
        size + self.batch.len() as u64 > max && (*size > 0 || start > 0)
    }

    fn rotate(&mut self) -> Result<()> {
        // Without a file there is nothing to move, and a full disk would
        // otherwise take one old file after the other.
        if self.file.take().is_some() {
            let moved = files::rotate(&self.dir, self.options.max_file);
            return unless_no_room(moved.and_then(|()| self.ensure_file()));
        }
        Ok(())
    }

    fn ensure_file(&mut self) -> Result<()> {
        if self.file.is_none() {
            let path = files::path(&self.dir, 0);
            let fail = |error| Error::io("open", &path, error);
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::APPEND | OFlags::CLOEXEC;
            let file = rustix::fs::open(&path, flags, Mode::from_raw_mode(0o600)).map_err(fail)?;
            let size = rustix::fs::seek(&file, SeekFrom::End(0)).map_err(fail)?;
            let mut last = [b'\n'];
            if size > 0 {
                rustix::io::pread(&file, &mut last, size - 1).map_err(fail)?;
            }
            self.torn = last != [b'\n'];
            self.file = Some((file, size));
        }
        Ok(())
    }

    /// Writes the batch, which is empty then whatever happens.
    fn flush(&mut self) -> Result<()> {
        if self.batch.is_empty() && self.lost == 0 {
            return Ok(());
        }
        let opened = self.ensure_file();
        let preamble = self.preamble();
        let own = preamble.len();
        let mut bytes = std::mem::take(&mut self.batch);
        bytes.splice(..0, preamble);
        let result = opened.and_then(|()| self.append(&bytes, own));
        if result.is_err() && self.file.is_none() {
            self.lost += count_entries(&bytes[own..]);
        }
        bytes.clear();
        self.batch = bytes;
        unless_no_room(result)
    }

    /// What has to stand before the next batch: the end of a torn line, and how
    /// much is missing.
    fn preamble(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if self.torn {
            bytes.push(b'\n');
        }
        if self.lost > 0 {
            let lines = if self.lost == 1 { "line is" } else { "lines are" };
            let text = format!(
                "envbox: {} {lines} missing here: the log could not be written\n",
                self.lost
            );
            encode(&mut bytes, Stream::Stderr, text.as_bytes(), self.last);
        }
        bytes
    }

    /// Appends `bytes`, the first `own` of which are the preamble, and accounts
    /// for what did not get in.
    fn append(&mut self, bytes: &[u8], own: usize) -> Result<()> {
        let Some((file, size)) = &mut self.file else { return Ok(()) };
        let (written, result) = write_all(file, bytes);
        *size += written as u64;
        if written > 0 {
            self.torn = bytes[written - 1] != b'\n';
        }
        if written >= own {
            self.lost = 0;
        }
        self.lost += count_entries(&bytes[written.max(own)..]);
        result.map_err(|error| Error::io("write", files::path(&self.dir, 0), error))
    }
}

/// Writes as much as gets in: how much that is, and why it is not all.
fn write_all(file: &OwnedFd, bytes: &[u8]) -> (usize, Result<(), Errno>) {
    let mut written = 0;
    while written < bytes.len() {
        match rustix::io::write(file, &bytes[written..]) {
            Ok(0) => return (written, Err(Errno::NOSPC)),
            Ok(count) => written += count,
            Err(Errno::INTR) => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}

/// Entries that end in `bytes`: a newline stands nowhere else.
fn count_entries(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// `result`, except that a full disk, a quota, or a limit of the size of files
/// is no error.
fn unless_no_room(result: Result<()>) -> Result<()> {
    let Err(error) = result else { return Ok(()) };
    let source = std::error::Error::source(&error);
    let errno = source.and_then(|source| source.downcast_ref::<std::io::Error>()?.raw_os_error());
    match errno {
        Some(libc::ENOSPC | libc::EDQUOT | libc::EFBIG) => Ok(()),
        _ => Err(error),
    }
}

/// The length of `bytes` without a character at their end of which bytes are
/// missing.
fn whole_characters(bytes: &[u8]) -> usize {
    let length = bytes.len();
    for back in 1..=MAX_INCOMPLETE.min(length) {
        let byte = bytes[length - back];
        // RFC 3629, 3: how many bytes a first byte announces.
        let announced = match byte {
            0x80..=0xbf => continue,
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf7 => 4,
            _ => 1,
        };
        return if announced > back { length - back } else { length };
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A writer whose file is `path` from now on.
    fn redirect(writer: &mut LogWriter, path: &str) {
        let file = rustix::fs::open(path, OFlags::WRONLY, Mode::empty()).unwrap();
        let (_, size) = writer.file.as_ref().unwrap();
        writer.file = Some((file, *size));
    }

    #[test]
    fn a_full_disk_is_told_once_there_is_room() {
        let room = tempfile::tempdir().unwrap();
        let now = Timestamp::from_seconds(1);
        let mut writer = LogWriter::open(room.path(), LogOptions::default()).unwrap();
        writer.write(Stream::Stdout, b"one\n", now).unwrap();
        redirect(&mut writer, "/dev/full");
        writer.write(Stream::Stdout, b"two\nthree\n", now).unwrap();
        writer.write(Stream::Stderr, b"four\nfi", now).unwrap();
        assert_eq!(writer.lost, 3);
        writer.file = None;
        writer.write(Stream::Stderr, b"ve\n", now).unwrap();
        assert_eq!(writer.lost, 0);
        writer.finish().unwrap();
        let text = fs::read_to_string(&files::path(room.path(), 0)).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[1].contains("envbox: 3 lines are missing here"), "{}", lines[1]);
        assert!(lines[2].contains("five"), "{}", lines[2]);
    }

    #[test]
    fn a_loss_is_told_at_the_end_as_well() {
        let room = tempfile::tempdir().unwrap();
        let now = Timestamp::from_seconds(1);
        let mut writer = LogWriter::open(room.path(), LogOptions::default()).unwrap();
        redirect(&mut writer, "/dev/full");
        writer.write(Stream::Stdout, b"one\n", now).unwrap();
        writer.file = None;
        writer.finish().unwrap();
        let text = fs::read_to_string(&files::path(room.path(), 0)).unwrap();
        assert!(text.contains("envbox: 1 line is missing here"), "{text}");
    }

    #[test]
    fn what_is_lost_is_counted_by_what_got_in() {
        let room = tempfile::tempdir().unwrap();
        let mut writer = LogWriter::open(room.path(), LogOptions::default()).unwrap();
        redirect(&mut writer, "/dev/full");
        writer.lost = 5;
        unless_no_room(writer.append(b"preamble\na\nb\n", 9)).unwrap();
        assert_eq!(writer.lost, 7);
        assert!(!writer.torn);
    }

    #[test]
    fn a_character_is_not_cut() {
        for (bytes, whole) in [
            ("aé".as_bytes(), 3),
            (b"a\xc3", 1),
            (b"a\xe2\x82", 1),
            (b"a\xf0\x9f\x98", 1),
            ("a😀".as_bytes(), 5),
            (b"\x80\x80\x80\x80", 4),
            (b"a\xff", 2),
            (b"", 0),
        ] {
            assert_eq!(whole_characters(bytes), whole, "{bytes:x?}");
        }
    }
}
