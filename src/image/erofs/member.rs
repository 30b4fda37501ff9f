//! What a member does to the tree of an index: the rules of `apply`, without a
//! file system.

use std::io::BufRead;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::error::{Error, Result};
use crate::fs::{File, Owner};
use crate::image::apply::take_xattrs;
use crate::image::entry::{Attributes, Entry, EntryKind, SparseMap, display, split};
use crate::image::overrides::Overrides;
use crate::image::read::TarReader;
use crate::image::report::{Report, Topic};
use crate::image::sparse;

use super::extent::{self, Map};
use super::format::FIRST_BLOCK;
use super::tree::{Node, ROOT, Tree};
use super::write::Image;
use super::{IndexOptions, Indexed, Level, xattr};

/// Takes in members and writes the index.
pub(super) struct Indexer<'a> {
    pub(super) tree: Tree,
    pub(super) level: Level<'a>,
    pub(super) report: Report,
    /// Where content that is copied goes.
    pub(super) space: extent::Space,
    /// The bytes of files below that were copied, and how many these may be.
    pub(super) copied: u64,
    pub(super) copy_limit: u64,
    /// What is below was hidden in the root.
    pub(super) root_is_hidden: bool,
    /// What is not in the index.
    pub(super) overrides: Overrides,
    file: &'a File,
    path: &'a Path,
    /// The directory of the last member, and its path.
    last: Option<(u32, Vec<u8>)>,
    indexed: Indexed,
}

/// What a directory without a member of its own looks like.
pub(super) fn implicit() -> Attributes {
    Attributes { mode: 0o755, ..Attributes::default() }
}

impl<'a> Indexer<'a> {
    pub(super) fn new(
        (file, path): (&'a File, &'a Path),
        options: &IndexOptions<'a>,
    ) -> Result<Self> {
        Ok(Self {
            tree: Tree::new(&implicit())?,
            level: options.level,
            report: Report::default(),
            space: extent::Space::from(FIRST_BLOCK),
            copied: 0,
            copy_limit: options.copy_limit,
            root_is_hidden: false,
            overrides: Overrides::default(),
            file,
            path,
            last: None,
            indexed: Indexed::default(),
        })
    }

    pub(super) fn count(&mut self, entry: &Entry) {
        let indexed = &mut self.indexed;
        // One root, however often the archive says what it is.
        let is_root = entry.path.is_empty();
        indexed.entries += u64::from(!(is_root && indexed.has_root));
        indexed.has_root |= is_root;
        indexed.newest_mtime = indexed.newest_mtime.max(Some(entry.attributes.mtime));
        if let EntryKind::Regular { size, .. } = entry.kind {
            indexed.content_size = indexed.content_size.saturating_add(size);
        }
    }

    /// Takes in `entry`, whose data `reader` has next.
    ///
    /// # Errors
    /// `Invalid` if it does not fit the tree; those of the archive.
    pub(super) fn member<R: BufRead>(
        &mut self,
        mut entry: Entry,
        reader: &mut TarReader<R>,
    ) -> Result<()> {
        for _ in 0..take_xattrs(&mut entry) {
            self.report.note(Topic::DroppedXattr, &entry.path);
        }
        let is_link = matches!(entry.kind, EntryKind::HardLink { .. });
        if !is_link {
            self.overrides.forget(&entry.path);
            let whole = (!entry.attributes.xattrs.is_empty()).then(|| entry.attributes.clone());
            if let (true, Some(whole)) = (self.keep_held(&entry.kind, &mut entry.attributes), whole)
            {
                self.report.note(Topic::Overridden, &entry.path);
                self.overrides.add_attributes(&entry.path, whole)?;
            }
        }
        if entry.path.is_empty() {
            return self.tree.set_attributes(ROOT, &entry.attributes);
        }
        let (parent, name) = split(&entry.path);
        let directory = self.enter(parent, &entry.path)?;
        let place = (directory, name);
        let (node, size) = match &entry.kind {
            EntryKind::Directory => return self.directory(place, &entry),
            EntryKind::HardLink { target } => {
                self.hard_link(place, (&entry.path, target))?;
                if entry.path == *target {
                    return Ok(());
                }
                self.overrides.forget(&entry.path);
                return self.overrides.link(&entry.path, target);
            }
            EntryKind::CharDevice(0, 0) => {
                self.report.note(Topic::Overridden, &entry.path);
                self.set_aside(place, &entry.path)?;
                return self.overrides.add_node(entry.clone());
            }
            EntryKind::Regular { size, sparse } => {
                let content = self.content((*size, sparse.as_ref()), reader);
                (content?, *size)
            }
            EntryKind::Symlink { target } => (self.tree.add_target(target)?, target.len() as u64),
            EntryKind::CharDevice(major, minor) => (Node::Char(*major, *minor), 0),
            EntryKind::BlockDevice(major, minor) => (Node::Block(*major, *minor), 0),
            EntryKind::Fifo => (Node::Fifo, 0),
        };
        if matches!(node, Node::Symlink { .. }) {
            entry.attributes.mode = 0o777;
        }
        let inode = self.tree.add(node, &entry.attributes)?;
        self.tree.inodes[inode as usize].size = size;
        self.replace(place, &entry.path);
        self.tree.put(directory, name, inode)
    }

    /// Takes the attributes that no kernel would show out; tells whether there
    /// are any.
    pub(super) fn keep_held(&self, kind: &EntryKind, attributes: &mut Attributes) -> bool {
        let before = attributes.xattrs.len();
        attributes.xattrs.retain(|name, value| xattr::is_held(kind, name, value));
        attributes.xattrs.len() < before
    }

    /// Where the content of the present regular file is, copied if it has to be.
    fn content<R: BufRead>(
        &mut self,
        (size, sparse): (u64, Option<&SparseMap>),
        reader: &mut TarReader<R>,
    ) -> Result<Node> {
        if size == 0 {
            return Ok(Node::Empty);
        }
        let start = reader.data_start();
        if sparse.is_none()
            && extent::single_bits(size).is_some()
            && let Some(block) = extent::block_of(start, size)
        {
            return Ok(Node::Stored(block));
        }
        let segments = sparse::segments(size, sparse);
        let map = extent::map((size, &segments), Some(start), &mut self.space)?;
        if map.has_copies() {
            reader.copy_data(&mut |offset, bytes| self.write_copy(&map, offset, bytes))?;
        }
        self.tree.add_map(map)
    }

    /// Writes `bytes`, which are at `offset` of a file, where `map` has them in
    /// the index, if it has.
    pub(super) fn write_copy(&self, map: &Map, mut offset: u64, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let (place, length) = map.own_place(offset);
            let count = bytes.len().min(usize::try_from(length).unwrap_or(usize::MAX));
            let (now, rest) = bytes.split_at(count);
            if let Some(place) = place {
                self.file
                    .write_all_at(now, place)
                    .map_err(|error| Error::io("write", self.path, error))?;
            }
            (bytes, offset) = (rest, offset + count as u64);
        }
        Ok(())
    }

    /// The inode of the directory `path`, made as `member` needs it.
    ///
    /// # Errors
    /// `Invalid` if something on the way is no directory.
    pub(super) fn enter(&mut self, path: &[u8], member: &[u8]) -> Result<u32> {
        if let Some((directory, last)) = &self.last
            && last == path
        {
            return Ok(*directory);
        }
        let mut directory = ROOT;
        let mut end = 0;
        while end < path.len() {
            let start = if end == 0 { 0 } else { end + 1 };
            let rest = &path[start..];
            end = start + rest.iter().position(|&byte| byte == b'/').unwrap_or(rest.len());
            directory = self.step((directory, &path[start..end]), &path[..end], member)?;
        }
        self.last = Some((directory, path.to_vec()));
        Ok(directory)
    }

    fn step(&mut self, (directory, name): (u32, &[u8]), path: &[u8], member: &[u8]) -> Result<u32> {
        let blocked = |what: &str| {
            let (member, path) = (display(member), display(path));
            Err(Error::invalid(format!("the member {member:?} passes through {path:?}, {what}")))
        };
        let found = self.tree.find(directory, name);
        let (looks, is_opaque) = match found.map(|inode| (inode, self.tree.node(inode))) {
            Some((inode, Node::Directory { .. })) => return Ok(inode),
            Some((_, Node::Symlink { .. })) => return blocked("a symbolic link"),
            Some((_, Node::Whiteout)) => (Some(implicit()), true),
            Some(_) => return blocked("which is no directory"),
            None => {
                let below = self.below(path)?.filter(|found| found.is_directory());
                (below.map(|found| found.attributes()).transpose()?, false)
            }
        };
        let is_unlisted = looks.is_none();
        let inode = self.new_directory((directory, name), &looks.unwrap_or_else(implicit))?;
        let new = &mut self.tree.inodes[inode as usize];
        (new.is_opaque, new.is_unlisted) = (is_opaque, is_unlisted);
        Ok(inode)
    }

    fn new_directory(&mut self, place: (u32, &[u8]), attributes: &Attributes) -> Result<u32> {
        let node = Node::Directory { first: super::tree::NONE, last: super::tree::NONE };
        let inode = self.tree.add(node, attributes)?;
        self.tree.put(place.0, place.1, inode)?;
        Ok(inode)
    }

    fn directory(&mut self, place: (u32, &[u8]), entry: &Entry) -> Result<()> {
        let found = self.tree.find(place.0, place.1).map(|inode| (inode, self.tree.node(inode)));
        if let Some((inode, Node::Directory { .. })) = found {
            self.tree.inodes[inode as usize].is_unlisted = false;
            return self.tree.set_attributes(inode, &entry.attributes);
        }
        // In place of a whiteout it hides what that hid.
        let hides = matches!(found, Some((_, Node::Whiteout | Node::Aside(true))));
        self.replace(place, &entry.path);
        let inode = self.new_directory(place, &entry.attributes)?;
        self.tree.inodes[inode as usize].is_opaque = hides;
        self.last = Some((inode, entry.path.clone()));
        Ok(())
    }

    /// Tells of what stands at a name that is about to be another's.
    pub(super) fn replace(&mut self, (directory, name): (u32, &[u8]), path: &[u8]) {
        let Some(found) = self.tree.find(directory, name) else { return };
        match self.tree.node(found) {
            Node::Whiteout | Node::Aside(_) => {}
            node => {
                self.report.note(Topic::Replaced, path);
                if matches!(node, Node::Directory { .. }) {
                    self.overrides.forget_tree(path);
                    self.last = None;
                }
            }
        }
    }

    /// Keeps a character device 0:0 out of the index, and what is below out of
    /// sight.
    pub(super) fn set_aside(&mut self, place: (u32, &[u8]), path: &[u8]) -> Result<()> {
        self.replace(place, path);
        let found = self.tree.find(place.0, place.1).map(|inode| self.tree.node(inode));
        let is_hidden = matches!(found, Some(Node::Whiteout | Node::Aside(true)));
        let hides = is_hidden || self.below(path)?.is_some();
        let inode = self.tree.add(Node::Aside(hides), &Attributes::default())?;
        self.tree.put(place.0, place.1, inode)
    }

    /// Writes the index of a tar of so many bytes.
    ///
    /// # Errors
    /// Those of [`Image::write`].
    pub(super) fn finish(mut self, tar_size: u64) -> Result<Indexed> {
        if !self.indexed.has_root {
            let looks = self.root_looks()?;
            self.tree.set_attributes(ROOT, &looks)?;
        }
        let image = Image { file: self.file, path: self.path, next: self.space.next, tar_size };
        image.write(&mut self.tree)?;
        let mut report = self.report;
        self.tree.each_unlisted(&mut |path| report.note(Topic::ImplicitDirectory, path));
        let root = self.tree.inodes[ROOT as usize];
        Ok(Indexed {
            root_mode: u32::from(root.mode),
            root_owner: Owner { uid: root.uid, gid: root.gid },
            overrides: self.overrides,
            report,
            ..self.indexed
        })
    }
}
