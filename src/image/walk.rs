//! Writes a tree as a canonical tar. One pass, one member at a time: memory
//! holds the names of the directories on the way down and the hard links
//! whose other names have not come yet, however large the tree.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::error::{Error, Kind, Result};
use crate::fs::{self, Dir, File, FileKind, Metadata, Names, Timestamp};

use super::canonical::{self, END};
use super::chain::Chain;
use super::entry::{Attributes, Entry, EntryKind, Segment, Xattrs, display, is_whiteout};
use super::exclude::ExcludeSet;
use super::marks;
use super::overrides::Overrides;
use super::report::{Counters, Report, Topic};
use super::sparse;
use super::unmapped::UnmappedOwners;
use super::xattrs::{self, Fate, fate};

/// The longest path a layer may have: PATH_MAX, which also bounds readers.
pub(super) const PATH_LIMIT: usize = 4096;

/// Where a tar is written to. Lends its own memory, so that file content is
/// read straight into it.
pub trait Sink {
    /// Room for at least one byte.
    ///
    /// # Errors
    /// Where nobody takes the bytes any more.
    fn space(&mut self) -> Result<&mut [u8]>;

    /// Takes the first `count` bytes of what [`Sink::space`] lent.
    fn advance(&mut self, count: usize);

    /// Takes `bytes`.
    ///
    /// # Errors
    /// As [`Sink::space`].
    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let space = self.space()?;
            let count = rest.len().min(space.len());
            space[..count].copy_from_slice(&rest[..count]);
            self.advance(count);
            rest = &rest[count..];
        }
        Ok(())
    }
}

/// A tree and what its file system could not hold.
pub struct TreeSource<'a> {
    /// The root.
    pub dir: &'a Dir,
    /// What replaces or adds to what is found in it.
    pub overrides: Overrides,
}

/// One thing in a tree, which is to be copied and need not be a layer: it may
/// be empty, and its names may be any.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// Its name in the tree's root; `.` is the root itself.
    pub name: &'a OsStr,
    /// Its path as a member; empty for what is in it alone.
    pub renamed: &'a [u8],
}

impl Part<'_> {
    /// The path of the member that is `path` below it.
    fn path_of(&self, path: &[u8]) -> Vec<u8> {
        let slash: &[u8] = if self.renamed.is_empty() || path.is_empty() { b"" } else { b"/" };
        [self.renamed, slash, path].concat()
    }
}

/// How a tree is written.
#[derive(Default)]
pub struct WalkOptions<'a> {
    /// Left out, with all below.
    pub excludes: Option<&'a ExcludeSet>,
    /// Later times become this one (SOURCE_DATE_EPOCH).
    pub epoch: Option<Timestamp>,
    /// Its files are counted up on the way, and its bytes of file content.
    pub counters: Option<&'a Counters>,
    /// Told where they own what is found; not for a tree of our own making,
    /// whose owners are as they are meant.
    pub unmapped: Option<UnmappedOwners>,
    /// Written alone.
    pub part: Option<Part<'a>>,
    /// The tree is a layer's, in which overlayfs's marks are removals; it may
    /// have nothing but its root.
    pub is_layer: bool,
}

/// What was written.
#[derive(Clone, Debug, Default)]
pub struct Walked {
    /// How many members.
    pub entries: u64,
    /// Of all regular files, holes included, hard links once, in bytes.
    pub content_size: u64,
    /// The newest time of a member.
    pub newest_mtime: Option<Timestamp>,
    /// What was noticed.
    pub report: Report,
}

/// Writes the canonical tar of `source` to `sink`.
///
/// # Errors
/// `Invalid` if there is nothing in the tree or a name cannot be in a layer;
/// `Denied` with the path of what cannot be read; `Unavailable` if a file
/// became shorter while it was read; those of `sink`.
pub fn write_tree(
    source: TreeSource<'_>,
    options: &WalkOptions<'_>,
    sink: &mut dyn Sink,
) -> Result<Walked> {
    let mut walk = Walk {
        options,
        sink,
        overrides: source.overrides,
        links: HashMap::new(),
        walked: Walked::default(),
        header: Vec::new(),
    };
    match options.part {
        Some(part) => walk.part(source.dir, part)?,
        None => walk.tree(source.dir)?,
    }
    if options.part.is_none() && !options.is_layer && walk.walked.entries < 2 {
        return Err(Error::invalid(format!("{} is empty", source.dir.path().display()))
            .hint("give the directory that holds bin, etc, usr"));
    }
    walk.sink.put(&END)?;
    Ok(walk.walked)
}

struct Walk<'a> {
    options: &'a WalkOptions<'a>,
    sink: &'a mut dyn Sink,
    overrides: Overrides,
    links: HashMap<(u64, u64), Link>,
    walked: Walked,
    header: Vec<u8>,
}

/// A file with several names, of which the first has been written.
struct Link {
    first: Vec<u8>,
    attributes: Attributes,
    unseen: u64,
}

/// The names of a directory and how far they are done.
struct Progress {
    names: Names,
    next: usize,
}

impl Walk<'_> {
    fn part(&mut self, dir: &Dir, part: Part<'_>) -> Result<()> {
        match self.member(dir, part.name, Vec::new())? {
            true => self.below(&dir.open_dir(part.name).map_err(unreadable)?),
            false => Ok(()),
        }
    }

    fn tree(&mut self, root: &Dir) -> Result<()> {
        self.member(root, OsStr::new("."), Vec::new())?;
        self.below(root)
    }

    fn below(&mut self, root: &Dir) -> Result<()> {
        let mut chain = Chain::new(root)?;
        let mut progress = Progress { names: root.names()?, next: 0 };
        loop {
            let Some(name) = progress.names.get(progress.next) else {
                match chain.pop() {
                    Some(above) => progress = above,
                    None => break,
                }
                continue;
            };
            progress.next += 1;
            let path = chain.path_of(name);
            if self.is_excluded(&path) {
                continue;
            }
            if self.options.is_layer && name == marks::OPAQUE_NAME {
                continue;
            }
            if self.options.part.is_none() {
                refuse_whiteout(name, &path)?;
            }
            check_length(&path)?;
            let dir = chain.top()?;
            if self.member(dir, name, path)? {
                let below = dir.open_dir(name).map_err(unreadable)?;
                let names = below.names().map_err(unreadable)?;
                let name = name.to_owned();
                // What is kept with a directory is the state of the one above.
                let above = std::mem::replace(&mut progress, Progress { names, next: 0 });
                chain.push(below, &name, above)?;
            }
        }
        self.pending_nodes(None)
    }

    fn is_excluded(&self, path: &[u8]) -> bool {
        self.options.excludes.is_some_and(|excludes| excludes.excludes(path))
    }

    /// Writes one member; tells whether it is a directory.
    fn member(&mut self, dir: &Dir, name: &OsStr, path: Vec<u8>) -> Result<bool> {
        self.pending_nodes(Some(&path))?;
        let metadata = dir.metadata(name).map_err(unreadable)?;
        let overridden = self.overrides.take(&path);
        if self.options.is_layer && marks::is_whiteout(&metadata) {
            self.emit(&marks::whiteout(&path))?;
            return Ok(false);
        }
        if metadata.kind == FileKind::Socket {
            self.walked.report.note(Topic::Socket, &path);
            return Ok(false);
        }
        let is_linked =
            metadata.links > 1 && matches!(metadata.kind, FileKind::Regular | FileKind::Symlink);
        if is_linked && let Some((target, attributes)) = self.seen(&metadata) {
            let kind = EntryKind::HardLink { target };
            self.emit(&Entry { path, kind, attributes })?;
            return Ok(false);
        }
        if metadata.kind == FileKind::Regular {
            self.regular(dir, name, (path, overridden))?;
            return Ok(false);
        }
        let attributes = match overridden {
            Some(attributes) => self.clamped(attributes),
            None => self.attributes((dir, name, None), (&metadata, &path))?,
        };
        if is_linked {
            self.remember(&metadata, &path, &attributes);
        }
        let kind = match metadata.kind {
            FileKind::Symlink => EntryKind::Symlink { target: dir.read_link(name)? },
            FileKind::CharDevice => EntryKind::CharDevice(metadata.rdev.0, metadata.rdev.1),
            FileKind::BlockDevice => EntryKind::BlockDevice(metadata.rdev.0, metadata.rdev.1),
            FileKind::Fifo => EntryKind::Fifo,
            _ => EntryKind::Directory,
        };
        let is_dir = kind == EntryKind::Directory;
        let opaque = (is_dir && self.options.is_layer && marks::is_opaque(dir, name)?)
            .then(|| marks::opaque(&path));
        self.emit(&Entry { path, kind, attributes })?;
        opaque.map_or(Ok(()), |opaque| self.emit(&opaque))?;
        Ok(is_dir)
    }

    fn regular(
        &mut self,
        dir: &Dir,
        name: &OsStr,
        (path, overridden): (Vec<u8>, Option<Attributes>),
    ) -> Result<()> {
        let file = dir.open_file(name).map_err(unreadable)?;
        let whole = dir.path_of(name);
        let metadata = Metadata::of_file(&file, &whole)?;
        if metadata.kind != FileKind::Regular {
            return Err(changed(&whole));
        }
        let attributes = match overridden {
            Some(attributes) => self.clamped(attributes),
            None => self.attributes((dir, name, Some(&file)), (&metadata, &path))?,
        };
        if metadata.links > 1 {
            self.remember(&metadata, &path, &attributes);
        }
        let size = metadata.size;
        let map = sparse::detect(&file, size).map_err(|error| Error::io("read", &whole, error))?;
        let segments = sparse::segments(size, map.as_ref());
        let entry = Entry { path, kind: EntryKind::Regular { size, sparse: map }, attributes };
        self.emit(&entry)?;
        self.walked.content_size = self.walked.content_size.saturating_add(size);
        for segment in segments {
            self.copy(&file, segment, &whole)?;
        }
        let padding = canonical::padding(canonical::data_size(&entry));
        self.sink.put(&END[..padding])
    }

    fn copy(&mut self, file: &File, segment: Segment, path: &Path) -> Result<()> {
        let (mut offset, mut left) = (segment.offset, segment.length);
        while left > 0 {
            let space = self.sink.space()?;
            let length = usize::try_from(left).unwrap_or(usize::MAX).min(space.len());
            let count = match file.read_at(&mut space[..length], offset) {
                Ok(0) => return Err(changed(path)),
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(unreadable(Error::io("read", path, error))),
            };
            self.sink.advance(count);
            offset += count as u64;
            left -= count as u64;
            if let Some(counters) = self.options.counters {
                counters.add_bytes(count as u64);
            }
        }
        Ok(())
    }

    /// The members that are only beside the tree and come before `path`, or
    /// all that are left.
    fn pending_nodes(&mut self, path: Option<&[u8]>) -> Result<()> {
        while let Some(mut entry) = self.overrides.take_node_before(path) {
            if self.is_excluded(&entry.path) {
                continue;
            }
            entry.attributes = self.clamped(entry.attributes);
            self.emit(&entry)?;
        }
        Ok(())
    }

    fn emit(&mut self, entry: &Entry) -> Result<()> {
        let mtime = Some(entry.attributes.mtime);
        self.walked.newest_mtime = self.walked.newest_mtime.max(mtime);
        self.walked.entries += 1;
        if let Some(counters) = self.options.counters {
            counters.add_file();
        }
        self.header.clear();
        match self.options.part {
            Some(part) => canonical::encode(&renamed(entry, part), &mut self.header),
            None => canonical::encode(entry, &mut self.header),
        }
        self.sink.put(&self.header)
    }

    fn attributes(
        &mut self,
        (dir, name, file): (&Dir, &OsStr, Option<&File>),
        (metadata, path): (&Metadata, &[u8]),
    ) -> Result<Attributes> {
        let Metadata { mode, uid, gid, mtime, .. } = *metadata;
        if self.options.unmapped.is_some_and(|owners| owners.own(dir, name, metadata)) {
            self.walked.report.note(Topic::UnmappedOwner, path);
        }
        let xattrs = match file {
            Some(file) if xattrs::has_none(file) => Xattrs::new(),
            _ => self.xattrs(dir, name, path)?,
        };
        Ok(self.clamped(Attributes { mode, uid, gid, mtime, xattrs }))
    }

    fn clamped(&self, mut attributes: Attributes) -> Attributes {
        if let Some(epoch) = self.options.epoch {
            attributes.mtime = attributes.mtime.min(epoch);
        }
        attributes
    }

    fn xattrs(&mut self, dir: &Dir, name: &OsStr, path: &[u8]) -> Result<Xattrs> {
        let mut xattrs = Xattrs::new();
        for attribute in fs::list_xattrs(dir, name).map_err(unreadable)? {
            if self.options.is_layer && marks::is_mark(attribute.as_bytes()) {
                continue;
            }
            match fate(attribute.as_bytes()) {
                Fate::Kept => {
                    let value = fs::read_xattr(dir, name, &attribute).map_err(unreadable)?;
                    xattrs.extend(value.map(|value| (attribute.into_encoded_bytes(), value)));
                }
                Fate::Dropped => self.walked.report.note(Topic::DroppedXattr, path),
                Fate::HostPolicy => {}
            }
        }
        if xattrs::size(&xattrs) > xattrs::LIMIT {
            let path = dir.path_of(name);
            return Err(Error::unsupported(format!(
                "{} has more than {} bytes of extended attributes",
                path.display(),
                xattrs::LIMIT
            ))
            .hint("leave it out with --exclude"));
        }
        Ok(xattrs)
    }

    /// The first name of a file that came before, and its attributes.
    fn seen(&mut self, metadata: &Metadata) -> Option<(Vec<u8>, Attributes)> {
        let link = self.links.get_mut(&metadata.inode)?;
        link.unseen = link.unseen.saturating_sub(1);
        if link.unseen > 0 {
            return Some((link.first.clone(), link.attributes.clone()));
        }
        let link = self.links.remove(&metadata.inode)?;
        Some((link.first, link.attributes))
    }

    fn remember(&mut self, metadata: &Metadata, path: &[u8], attributes: &Attributes) {
        let link = Link {
            first: path.to_vec(),
            attributes: attributes.clone(),
            unseen: metadata.links - 1,
        };
        self.links.insert(metadata.inode, link);
    }
}

fn refuse_whiteout(name: &OsStr, path: &[u8]) -> Result<()> {
    let shown = || display(path);
    if is_whiteout(name.as_bytes()) {
        return Err(Error::invalid(format!(
            "{} cannot be in a layer: names that begin with .wh. mean a removal there",
            shown()
        ))
        .hint("rename it, or leave it out with --exclude"));
    }
    Ok(())
}

fn check_length(path: &[u8]) -> Result<()> {
    let shown = || display(path);
    if path.len() > PATH_LIMIT {
        return Err(Error::unsupported(format!("the path {} is longer than 4096 bytes", shown()))
            .hint("leave it out with --exclude"));
    }
    Ok(())
}

/// `entry` as it is called outside of `part`.
fn renamed(entry: &Entry, part: Part<'_>) -> Entry {
    let mut entry = entry.clone();
    entry.path = part.path_of(&entry.path);
    if let EntryKind::HardLink { target } = &mut entry.kind {
        *target = part.path_of(target);
    }
    entry
}

fn changed(path: &Path) -> Error {
    Error::new(Kind::Unavailable, format!("{} changed while it was read", path.display()))
        .hint("stop what writes to it and try again, or leave it out with --exclude")
}

fn unreadable(error: Error) -> Error {
    match error.kind() {
        Kind::Denied => error.hint("run as root, or leave it out with --exclude"),
        _ => error,
    }
}

#[cfg(test)]
#[path = "tests/walk.rs"]
mod tests;
