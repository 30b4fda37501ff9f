//! An archive whose members can be read in any order, by their paths: a
//! directory; a plain tar file, which is read where it lies; or any other
//! stream, whose members are laid by in the store's own folder as they come.
//!
//! It knows nothing of images. No path leads out of the archive, and no member
//! is ever a file of the host's.

use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use crate::error::{Error, Kind, Result};
use crate::fs::{self, Dir, File};
use crate::image::{self, Counters, Entry, EntryKind, TarReader};

/// Of what a tar is read by, in bytes.
const BUFFER: usize = 256 * 1024;
/// The most members; an image has two or three for each layer.
const MEMBER_LIMIT: usize = 65_536;
/// The most that their paths may have together, in bytes.
const PATHS_LIMIT: usize = 8 << 20;
/// How many symbolic links a path may lead through.
const LINK_LIMIT: usize = 16;

/// What can be read of an archive.
pub(super) enum Archive {
    /// A directory; symbolic links in it are not followed.
    Directory(Dir),
    /// The members of a tar by path.
    Members(Members),
}

/// The members of a tar.
pub(super) struct Members {
    map: HashMap<Vec<u8>, Member>,
    place: Place,
    options: Arc<ReadOptions>,
}

/// How an archive is read.
pub(super) struct ReadOptions {
    /// The most bytes of one member.
    pub(super) limit: u64,
    /// Its bytes are counted up on the way.
    pub(super) counters: Arc<Counters>,
}

/// Where the data is.
enum Place {
    /// In the archive itself.
    File(Arc<File>),
    /// In a folder, one file a member.
    Folder(PathBuf),
}

#[derive(Clone)]
enum Member {
    /// Offset or number of the file; and size.
    Data(u64, u64),
    /// The path that it leads to, not yet looked up.
    Link(Vec<u8>),
}

/// A member that is open, and its size in bytes.
pub(super) type Opened = (Box<dyn Read + Send>, u64);

impl Archive {
    /// The plain tar `file`, to be read where it lies.
    ///
    /// # Errors
    /// Those of [`TarReader`]; `Invalid` for a link that leaves the archive;
    /// `Unsupported` for too many members.
    pub(super) fn of_file(file: File, options: &Arc<ReadOptions>) -> Result<Self> {
        let reader =
            file.try_clone().map_err(|error| Error::io_named("cannot read the archive", error))?;
        let members = Members {
            map: HashMap::new(),
            place: Place::File(Arc::new(file)),
            options: Arc::clone(options),
        };
        members.filled(BufReader::with_capacity(BUFFER, reader)).map(Self::Members)
    }

    /// The tar that `reader` gives, kept in `folder`.
    ///
    /// # Errors
    /// As [`Archive::of_file`]; those of writing.
    pub(super) fn of_stream(
        reader: Box<dyn Read + Send>,
        folder: &Path,
        options: &Arc<ReadOptions>,
    ) -> Result<Self> {
        let place = Place::Folder(folder.to_owned());
        let members = Members { map: HashMap::new(), place, options: Arc::clone(options) };
        members.filled(BufReader::with_capacity(BUFFER, reader)).map(Self::Members)
    }

    /// Opens the member `path`; `None` if there is none.
    ///
    /// # Errors
    /// `Invalid` for a path that leads out of the archive or in circles.
    pub(super) fn open(&self, path: &str) -> Result<Option<Opened>> {
        let cleaned = cleaned(b"", path.as_bytes())
            .ok_or_else(|| Error::invalid(format!("{path:?} leads out of the archive")))?;
        match self {
            Self::Directory(dir) => open_in(dir, &cleaned),
            Self::Members(members) => members.open(&cleaned, path),
        }
    }

    /// The content of the member `path`, of at most `limit` bytes; `None` if
    /// there is none.
    ///
    /// # Errors
    /// As [`Archive::open`]; `Invalid` if it is longer.
    pub(super) fn read(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let Some((reader, _)) = self.open(path)? else { return Ok(None) };
        fs::read_limited(reader, limit, path).map(Some)
    }
}

fn open_in(dir: &Dir, path: &[u8]) -> Result<Option<Opened>> {
    let opened = dir.open_file(OsStr::from_bytes(path));
    let Some(file) = fs::absent_is_none(opened)? else { return Ok(None) };
    let metadata = fs::Metadata::of_file(&file, &dir.path_of(OsStr::from_bytes(path)))?;
    if metadata.kind != fs::FileKind::Regular {
        let path = String::from_utf8_lossy(path);
        return Err(Error::invalid(format!("{path:?} in the archive is no regular file")));
    }
    Ok(Some((Box::new(file), metadata.size)))
}

impl Members {
    fn filled(mut self, input: impl BufRead) -> Result<Self> {
        let position = Rc::new(Cell::new(0));
        let mut reader = TarReader::new(Positioned { input, position: Rc::clone(&position) });
        let mut room = PATHS_LIMIT;
        while let Some(entry) = reader.next_entry()? {
            let left = room.checked_sub(entry.path.len());
            let (Some(left), true) = (left, self.map.len() < MEMBER_LIMIT) else {
                return Err(Error::unsupported(format!(
                    "the archive has too many members for images, at last {:?}",
                    entry.display_path()
                ))
                .hint("a root filesystem becomes an image by: envbox import"));
            };
            room = left;
            self.add(entry, (&mut reader, position.get()))?;
        }
        Ok(self)
    }

    fn add<R: BufRead>(
        &mut self,
        entry: Entry,
        (reader, position): (&mut TarReader<R>, u64),
    ) -> Result<()> {
        let member = match &entry.kind {
            EntryKind::Regular { size, .. } if *size > self.options.limit => {
                let (path, limit) = (entry.display_path(), self.options.limit);
                let error = format!("the member {path:?} is larger than {limit} bytes");
                return Err(Error::unsupported(error)
                    .hint("allow more with --max-layer-size, if you trust who made it"));
            }
            EntryKind::Regular { size, sparse } => match &self.place {
                Place::File(_) if sparse.is_none() => Member::Data(position, *size),
                Place::File(_) => {
                    let path = entry.display_path();
                    return Err(Error::unsupported(format!("the member {path:?} is sparse"))
                        .hint("give it by a pipe: envbox load <FILE"));
                }
                Place::Folder(folder) => {
                    let number = self.map.len() as u64;
                    let path = folder.join(format!("member-{number}"));
                    spool_data(&path, *size, reader)?;
                    Member::Data(number, *size)
                }
            },
            EntryKind::Symlink { target } => {
                let folder = entry.path.rsplitn(2, |&byte| byte == b'/').nth(1).unwrap_or_default();
                Member::Link(cleaned(folder, target).ok_or_else(|| leaves(&entry, target))?)
            }
            EntryKind::HardLink { target } => Member::Link(target.clone()),
            EntryKind::Directory => return Ok(()),
            _ => {
                let path = entry.display_path();
                return Err(Error::invalid(format!("the member {path:?} is a device or a FIFO")));
            }
        };
        if self.map.insert(entry.path.clone(), member).is_some() {
            let path = entry.display_path();
            return Err(Error::invalid(format!("the archive has {path:?} twice")));
        }
        Ok(())
    }

    fn open(&self, path: &[u8], shown: &str) -> Result<Option<Opened>> {
        let mut path = path.to_vec();
        for _ in 0..LINK_LIMIT {
            match self.map.get(&path) {
                None => return Ok(None),
                Some(Member::Link(target)) => path.clone_from(target),
                Some(&Member::Data(at, size)) => return self.data(at, size).map(Some),
            }
        }
        Err(Error::invalid(format!("the links from {shown:?} in the archive lead in circles")))
    }

    fn data(&self, at: u64, size: u64) -> Result<Opened> {
        let reader: Box<dyn Read + Send> = match &self.place {
            Place::File(file) => {
                let slice = Slice { file: Arc::clone(file), offset: at, left: size };
                image::counted(Box::new(slice), &self.options.counters)
            }
            // Its bytes were counted as they came.
            Place::Folder(folder) => Box::new(fs::open(&folder.join(format!("member-{at}")))?),
        };
        Ok((reader, size))
    }
}

fn spool_data<R: BufRead>(path: &Path, size: u64, reader: &mut TarReader<R>) -> Result<()> {
    let file = fs::create_new(path)?;
    let fail = |error: io::Error| Error::io("write", path, error);
    reader.copy_data(&mut |offset, bytes| file.write_all_at(bytes, offset).map_err(fail))?;
    file.set_len(size).map_err(fail)
}

fn leaves(entry: &Entry, target: &[u8]) -> Error {
    let (path, target) = (entry.display_path(), String::from_utf8_lossy(target));
    Error::invalid(format!("the symbolic link {path:?} to {target:?} leads out of the archive"))
}

/// `path` from `folder`, without `.` and `..`; `None` where it leaves the
/// archive.
fn cleaned(folder: &[u8], path: &[u8]) -> Option<Vec<u8>> {
    if path.first() == Some(&b'/') {
        return None;
    }
    let mut names: Vec<&[u8]> = Vec::new();
    for name in folder.split(|&byte| byte == b'/').chain(path.split(|&byte| byte == b'/')) {
        match name {
            b"" | b"." => {}
            b".." => drop(names.pop()?),
            name => names.push(name),
        }
    }
    Some(names.join(&b'/'))
}

/// Counts what was taken from it.
struct Positioned<R> {
    input: R,
    position: Rc<Cell<u64>>,
}

impl<R: BufRead> BufRead for Positioned<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.input.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.position.set(self.position.get() + count as u64);
        self.input.consume(count);
    }
}

impl<R: BufRead> Read for Positioned<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

/// A part of a file.
struct Slice {
    file: Arc<File>,
    offset: u64,
    left: u64,
}

impl Read for Slice {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let count = self.file.read_at(&mut buffer[..wanted], self.offset)?;
        if count == 0 && wanted > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        (self.offset, self.left) = (self.offset + count as u64, self.left - count as u64);
        Ok(count)
    }
}

/// The error of an archive that lacks `path`.
pub(super) fn missing(path: &str) -> Error {
    Error::new(Kind::Invalid, format!("the archive has no {path}"))
        .hint("give the whole archive, as docker save or skopeo copy made it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_leaves_the_archive() {
        let clean = |folder: &str, path: &str| {
            let cleaned = cleaned(folder.as_bytes(), path.as_bytes());
            cleaned.map(|path| String::from_utf8(path).unwrap())
        };
        assert_eq!(clean("a", "../b/layer.tar").as_deref(), Some("b/layer.tar"));
        assert_eq!(clean("", "./a//b").as_deref(), Some("a/b"));
        assert_eq!(clean("a/b", "../../c").as_deref(), Some("c"));
        for (folder, path) in [("", ".."), ("a", "../../etc/passwd"), ("", "/etc/passwd")] {
            assert_eq!(clean(folder, path), None, "{folder} {path}");
        }
    }
}
