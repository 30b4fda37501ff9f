//! The comparison: a canonical tar in, that of the layer out, one member at a
//! time, and the image's tree walked beside it in the same order.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::hash::{BuildHasher, RandomState};
use std::io::BufRead;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;

use crate::error::{Error, Result};
use crate::fs::{File, FileKind, Metadata, Timestamp};
use crate::image::canonical::{self, END};
use crate::image::chain::Chain;
use crate::image::entry::{Entry, EntryKind, display, split};
use crate::image::import::ended_early;
use crate::image::marks;
use crate::image::read::TarReader;
use crate::image::report::Counters;
use crate::image::sparse;
use crate::image::walk::Sink;

use super::late::LateLinks;
use super::parent::Parent;

mod level;

use level::Level;

/// What was read of a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// How many members.
    pub entries: u64,
    /// Of all regular files, holes included, hard links once, in bytes.
    pub content_size: u64,
    /// The newest time of a member.
    pub newest_mtime: Timestamp,
}

/// What the filter made.
pub(super) struct Filtered {
    pub(super) compared: Compared,
    pub(super) late: LateLinks,
}

/// Writes what `reader`, which gives a canonical tar, has and `parent` has not; what
/// is written is not later than `epoch`.
///
/// # Errors
/// Those of reading either and of `sink`.
pub(super) fn filter<R: BufRead>(
    (mut reader, counters): (TarReader<R>, Option<&Counters>),
    parent: &Parent,
    (sink, epoch): (&mut dyn Sink, Option<Timestamp>),
) -> Result<Filtered> {
    let mut filter = Filter::new(parent, (sink, counters))?;
    filter.epoch = epoch;
    while let Some(entry) = reader.next_entry()? {
        filter.count(&entry);
        filter.member(entry, &mut reader)?;
    }
    if !reader.has_end_marker() {
        return Err(ended_early());
    }
    while !filter.levels.is_empty() {
        filter.leave()?;
    }
    filter.sink.put(&END)?;
    Ok(Filtered { compared: filter.compared, late: filter.late })
}

/// What the image has by a name.
enum Below {
    Nothing,
    /// A device that is in no tree.
    Node,
    Found(Metadata),
}

struct Filter<'a> {
    parent: &'a Parent,
    /// The image's directories on the way down, as far as it has them.
    chain: Chain<()>,
    /// The root and the directories on the way down.
    levels: Vec<Level>,
    sink: &'a mut dyn Sink,
    counters: Option<&'a Counters>,
    epoch: Option<Timestamp>,
    compared: Compared,
    late: LateLinks,
    /// The files that are written and may get more names.
    written: Paths,
    /// Files of the image that one left out stands for, if they have several
    /// names: another file of the source is not the same one.
    taken: HashSet<(u64, u64)>,
    /// The further names of files left out, by the first.
    left_out: HashMap<Vec<u8>, Vec<Vec<u8>>>,
    buffer: Vec<u8>,
}

impl<'a> Filter<'a> {
    fn new(
        parent: &'a Parent,
        (sink, counters): (&'a mut dyn Sink, Option<&'a Counters>),
    ) -> Result<Self> {
        Ok(Self {
            parent,
            chain: Chain::new(parent.root())?,
            levels: Vec::new(),
            sink,
            counters,
            epoch: None,
            compared: Compared::default(),
            late: LateLinks::default(),
            written: Paths::default(),
            taken: HashSet::new(),
            left_out: HashMap::new(),
            buffer: Vec::new(),
        })
    }

    fn count(&mut self, entry: &Entry) {
        let Compared { entries, content_size, newest_mtime } = &mut self.compared;
        let mtime = entry.attributes.mtime;
        *newest_mtime = if *entries == 0 { mtime } else { mtime.max(*newest_mtime) };
        *entries += 1;
        let size = match entry.kind {
            EntryKind::Regular { size, .. } => size,
            _ => 0,
        };
        *content_size = content_size.saturating_add(size);
        if let Some(counters) = self.counters {
            counters.add_file();
            counters.add_bytes(canonical::data_size(entry));
        }
    }

    fn member<R: BufRead>(&mut self, entry: Entry, reader: &mut TarReader<R>) -> Result<()> {
        if entry.path.is_empty() {
            return self.root(entry);
        }
        let path = entry.path.clone();
        let (parent, name) = split(&path);
        self.climb(parent, &path)?;
        self.remove_until(Some(name))?;
        let below = self.below(name)?;
        match &entry.kind {
            EntryKind::Directory => self.directory(entry, &below),
            EntryKind::Regular { .. } => self.regular(entry, &below, reader),
            EntryKind::HardLink { target } => {
                let target = target.clone();
                self.link(entry, target, &below)
            }
            _ => self.short(&entry, &below),
        }
    }

    fn root(&mut self, entry: Entry) -> Result<()> {
        let root = self.parent.root();
        let place = (root, OsStr::new("."));
        let is_same = self.parent.is_same((place, None), &root.own_metadata()?, &entry)?;
        self.levels.push(Level::merged(entry, root.names()?, self.parent.nodes_in(b"")));
        if is_same { Ok(()) } else { self.write_levels() }
    }

    /// Leaves directories until `parent` is the last.
    fn climb(&mut self, parent: &[u8], member: &[u8]) -> Result<()> {
        loop {
            match self.levels.last() {
                Some(level) if level.path() == parent => return Ok(()),
                Some(_) => self.leave()?,
                None => {
                    let member = display(member);
                    return Err(Error::internal(format!("{member} comes before its directory")));
                }
            }
        }
    }

    fn leave(&mut self) -> Result<()> {
        self.remove_until(None)?;
        if self.levels.pop().is_some_and(|level| level.is_merged()) {
            self.chain.pop();
        }
        Ok(())
    }

    /// Removes what the image has in the last directory before `name`, or all
    /// the rest.
    fn remove_until(&mut self, name: Option<&[u8]>) -> Result<()> {
        while let Some(path) = self.levels.last_mut().and_then(|level| level.next_before(name)) {
            self.write(&marks::whiteout(&path))?;
        }
        Ok(())
    }

    /// What the image has as `name` in the last directory.
    fn below(&mut self, name: &[u8]) -> Result<Below> {
        let Some(level) = self.levels.last_mut() else { return Ok(Below::Nothing) };
        Ok(match level.take(name) {
            level::Has::Nothing => Below::Nothing,
            level::Has::Node => Below::Node,
            level::Has::Name => Below::Found(self.chain.top()?.metadata(OsStr::from_bytes(name))?),
        })
    }

    fn directory(&mut self, entry: Entry, below: &Below) -> Result<()> {
        let found = match below {
            Below::Found(found) if found.kind == FileKind::Directory => found,
            _ => {
                self.levels.push(Level::new(entry));
                return self.write_levels();
            }
        };
        let name = OsStr::from_bytes(split(&entry.path).1).to_owned();
        let above = self.chain.top()?;
        let is_same = self.parent.is_same(((above, &name), None), found, &entry)?;
        let dir = above.open_dir(&name)?;
        let nodes = self.parent.nodes_in(&entry.path);
        self.levels.push(Level::merged(entry, dir.names()?, nodes));
        self.chain.push(dir, &name, ())?;
        if is_same { Ok(()) } else { self.write_levels() }
    }

    /// A member that has all its content in its header.
    fn short(&mut self, entry: &Entry, below: &Below) -> Result<()> {
        let name = OsStr::from_bytes(split(&entry.path).1);
        let is_same = match below {
            Below::Nothing => false,
            Below::Node => self.parent.has_node(entry),
            Below::Found(found) => {
                let place = (self.chain.top()?, name);
                self.parent.is_same((place, None), found, entry)? && !self.is_taken(found)
            }
        };
        match (is_same, below) {
            (true, Below::Found(found)) => self.take(found),
            (true, _) => {}
            (false, _) => self.write_first(entry)?,
        }
        Ok(())
    }

    fn regular<R: BufRead>(
        &mut self,
        entry: Entry,
        below: &Below,
        reader: &mut TarReader<R>,
    ) -> Result<()> {
        let is_left_out = match below {
            Below::Found(found) if found.kind == FileKind::Regular && !self.is_taken(found) => {
                match self.open_same(&entry, found)? {
                    Some(file) if self.compare(&entry, &file, reader)? => {
                        self.take(found);
                        true
                    }
                    // It is written.
                    Some(_) => true,
                    None => false,
                }
            }
            _ => false,
        };
        if is_left_out {
            return Ok(());
        }
        self.write_first(&entry)?;
        reader.copy_data(&mut |_, bytes| self.sink.put(bytes))?;
        self.pad(&entry)
    }

    /// The image's file, if it is `entry` but perhaps for its data.
    fn open_same(&mut self, entry: &Entry, found: &Metadata) -> Result<Option<File>> {
        let EntryKind::Regular { size, sparse } = &entry.kind else { return Ok(None) };
        if !self.parent.may_be(found, entry) {
            return Ok(None);
        }
        let name = OsStr::from_bytes(split(&entry.path).1);
        let dir = self.chain.top()?;
        let file = dir.open_file(name)?;
        if !self.parent.is_same(((dir, name), Some(&file)), found, entry)? {
            return Ok(None);
        }
        let map = sparse::detect(&file, *size).map_err(|error| unreadable(entry, error))?;
        Ok((map == *sparse).then_some(file))
    }

    /// Compares the data of `entry` with `file`, and writes it from where it
    /// differs, what came before from `file`; tells whether it is the same.
    fn compare<R: BufRead>(
        &mut self,
        entry: &Entry,
        file: &File,
        reader: &mut TarReader<R>,
    ) -> Result<bool> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut is_same = true;
        let result = reader.copy_data(&mut |offset, bytes| {
            if is_same {
                buffer.resize(bytes.len().max(buffer.len()), 0);
                let own = &mut buffer[..bytes.len()];
                file.read_exact_at(own, offset).map_err(|error| unreadable(entry, error))?;
                if own == bytes {
                    return Ok(());
                }
                is_same = false;
                self.write_first(entry)?;
                copy(file, (entry, offset), self.sink)?;
            }
            self.sink.put(bytes)
        });
        self.buffer = buffer;
        result?;
        if !is_same {
            self.pad(entry)?;
        }
        Ok(is_same)
    }

    fn link(&mut self, entry: Entry, target: Vec<u8>, below: &Below) -> Result<()> {
        if self.late.has(&target) {
            self.late.add(entry.path, Some(target));
            return Ok(());
        }
        if self.written.has(&target) {
            return self.write(&entry);
        }
        let is_same = match below {
            Below::Found(found) if !self.parent.is_doubtful(&entry.path) => {
                // It was left out, so that the image has it.
                self.parent.metadata(&target)?.inode == found.inode
            }
            _ => false,
        };
        if is_same {
            self.left_out.entry(target).or_default().push(entry.path);
            return Ok(());
        }
        let others = self.left_out.remove(&target).unwrap_or_default();
        for path in others.into_iter().chain([entry.path]) {
            self.late.add(path, Some(target.clone()));
        }
        self.late.add(target, None);
        Ok(())
    }

    fn is_taken(&self, found: &Metadata) -> bool {
        found.links > 1 && self.taken.contains(&found.inode)
    }

    fn take(&mut self, found: &Metadata) {
        if found.links > 1 {
            self.taken.insert(found.inode);
        }
    }

    /// Writes `entry`, whose data is to follow, and remembers it for its links.
    fn write_first(&mut self, entry: &Entry) -> Result<()> {
        if matches!(entry.kind, EntryKind::Regular { .. } | EntryKind::Symlink { .. }) {
            self.written.add(&entry.path);
        }
        self.write(entry)
    }

    fn write(&mut self, entry: &Entry) -> Result<()> {
        self.write_levels()?;
        put_until(self.epoch, entry, self.sink)
    }

    /// Writes the directories down to here that are not written yet.
    fn write_levels(&mut self) -> Result<()> {
        for level in &mut self.levels {
            if let Some(entry) = level.write() {
                put_until(self.epoch, entry, self.sink)?;
            }
        }
        Ok(())
    }

    fn pad(&mut self, entry: &Entry) -> Result<()> {
        self.sink.put(&END[..canonical::padding(canonical::data_size(entry))])
    }
}

/// Writes `entry` as [`put`] does, with no time after `epoch`.
fn put_until(epoch: Option<Timestamp>, entry: &Entry, sink: &mut dyn Sink) -> Result<()> {
    match epoch {
        Some(epoch) if entry.attributes.mtime > epoch => {
            let mut entry = entry.clone();
            entry.attributes.mtime = epoch;
            put(&entry, sink)
        }
        _ => put(entry, sink),
    }
}

/// Writes all of `entry` that stands before its data.
pub(super) fn put(entry: &Entry, sink: &mut dyn Sink) -> Result<()> {
    let mut header = Vec::new();
    canonical::encode(entry, &mut header);
    sink.put(&header)
}

/// Writes the data of `entry` before `end`, as `file` has it.
pub(super) fn copy(file: &File, (entry, end): (&Entry, u64), sink: &mut dyn Sink) -> Result<()> {
    let EntryKind::Regular { size, sparse } = &entry.kind else { return Ok(()) };
    for segment in sparse::segments(*size, sparse.as_ref()) {
        let mut offset = segment.offset;
        let end = (segment.offset + segment.length).min(end);
        while offset < end {
            let space = sink.space()?;
            let length = usize::try_from(end - offset).unwrap_or(usize::MAX).min(space.len());
            match file.read_at(&mut space[..length], offset) {
                Ok(0) => return Err(unreadable(entry, std::io::ErrorKind::UnexpectedEof.into())),
                Ok(count) => {
                    sink.advance(count);
                    offset += count as u64;
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(unreadable(entry, error)),
            }
        }
    }
    Ok(())
}

fn unreadable(entry: &Entry, error: std::io::Error) -> Error {
    Error::io_named(format!("cannot read the image's {}", entry.display_path()), error)
}

/// Paths, as 128 bits each of a keyed hash: two that differ are taken for one
/// once in 10^38 times.
#[derive(Default)]
struct Paths {
    keys: (RandomState, RandomState),
    hashes: HashSet<(u64, u64)>,
}

impl Paths {
    fn hash(&self, path: &[u8]) -> (u64, u64) {
        (self.keys.0.hash_one(path), self.keys.1.hash_one(path))
    }

    fn add(&mut self, path: &[u8]) {
        self.hashes.insert(self.hash(path));
    }

    fn has(&self, path: &[u8]) -> bool {
        self.hashes.contains(&self.hash(path))
    }
}
