//! Hard links in an index: one more name of an inode, which lives on if its
//! first name is replaced.

use std::io::{Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::fs::FileKind;
use crate::image::apply::{copies_too_much, is_within, refused_link as refused};
use crate::image::entry::{EntryKind, Segment, split};
use crate::image::report::Topic;
use crate::image::sparse;

use super::extent;
use super::lower::Found;
use super::member::Indexer;
use super::tree::{Node, ROOT};

const PIECE: usize = 64 * 1024;

impl Indexer<'_> {
    /// Gives what is at `target` the second name `path`, which is `name` in
    /// `directory`. Nothing is replaced before the target is known to be there.
    pub(super) fn hard_link(
        &mut self,
        (directory, name): (u32, &[u8]),
        (path, target): (&[u8], &[u8]),
    ) -> Result<()> {
        if path == target {
            // GNU tar takes it for done; what it names must be there.
            return match self.tree.find(directory, name).map(|inode| self.tree.node(inode)) {
                Some(Node::Directory { .. }) => Err(refused(path, target, "which is a directory")),
                Some(_) => Ok(()),
                None => Err(refused(path, target, "which is itself")),
            };
        }
        if is_within(target, path) {
            return Err(refused(path, target, "which would have to be in it"));
        }
        let missing = || {
            refused(path, target, "which no earlier member is")
                .hint("give the whole archive, in its own order")
        };
        let own = self.own(path, target)?;
        let found = match own {
            Some(inode) => inode,
            None => self.bring_up(path, target)?.ok_or_else(missing)?,
        };
        // To bring it up may have made directories.
        let directory = self.enter(split(path).0, path)?;
        match self.tree.node(found) {
            Node::Directory { .. } => Err(refused(path, target, "which is a directory")),
            Node::Whiteout => Err(missing()),
            Node::Aside(_) => self.set_aside((directory, name), path),
            _ => {
                self.replace((directory, name), path);
                self.tree.put(directory, name, found)
            }
        }
    }

    /// The inode at `target`, if this layer has one.
    fn own(&self, path: &[u8], target: &[u8]) -> Result<Option<u32>> {
        let mut inode = ROOT;
        for name in target.split(|&byte| byte == b'/').filter(|name| !name.is_empty()) {
            match self.tree.node(inode) {
                Node::Directory { .. } => {}
                Node::Whiteout => return Ok(None),
                _ => {
                    return Err(refused(path, target, "which passes through what is no directory"));
                }
            }
            match self.tree.find(inode, name) {
                Some(found) => inode = found,
                None => return Ok(None),
            }
        }
        Ok(Some(inode))
    }

    /// Brings `target` up from below, as one of the files of this layer, so
    /// that `path` can be a link to it; `None` if it is not below.
    fn bring_up(&mut self, path: &[u8], target: &[u8]) -> Result<Option<u32>> {
        let Some(found) = self.below(target)?.filter(|found| !found.is_directory()) else {
            return Ok(None);
        };
        let (parent, name) = split(target);
        let directory = self.enter(parent, path)?;
        let mut attributes = found.attributes()?;
        let kind = kind(&found)?;
        if self.keep_held(&kind, &mut attributes) {
            self.report.note(Topic::Overridden, target);
        }
        let node = match &kind {
            EntryKind::Regular { size, .. } => self.copy_up(&found, *size)?,
            EntryKind::Symlink { target } => self.tree.add_target(target)?,
            EntryKind::CharDevice(major, minor) => Node::Char(*major, *minor),
            EntryKind::BlockDevice(major, minor) => Node::Block(*major, *minor),
            _ => Node::Fifo,
        };
        let inode = self.tree.add(node, &attributes)?;
        self.tree.inodes[inode as usize].size = match &kind {
            EntryKind::Regular { size, .. } => *size,
            EntryKind::Symlink { target } => target.len() as u64,
            _ => 0,
        };
        self.tree.put(directory, name, inode)?;
        Ok(Some(inode))
    }

    /// Copies the content of a file below into the index.
    fn copy_up(&mut self, found: &Found, size: u64) -> Result<Node> {
        if size == 0 {
            return Ok(Node::Empty);
        }
        let mut file = found.dir.open_file(&found.name)?;
        let path: PathBuf = found.dir.path_of(&found.name);
        let fail = |error| Error::io("read", &path, error);
        // By content: where the file system has holes depends on what keeps it.
        let holes = sparse::detect(&file, size).map_err(fail)?;
        let segments = sparse::segments(size, holes.as_ref());
        self.copied = self.copied.saturating_add(size);
        if self.copied > self.copy_limit {
            return Err(copies_too_much(self.copy_limit));
        }
        let map = extent::map((size, &segments), None, &mut self.space)?;
        let mut buffer = vec![0; PIECE];
        for Segment { offset, length } in segments {
            file.seek(SeekFrom::Start(offset)).map_err(fail)?;
            let mut done = 0;
            while done < length {
                let most = (length - done).min(PIECE as u64) as usize;
                let count = file.read(&mut buffer[..most]).map_err(fail)?;
                if count == 0 {
                    let path = path.display();
                    return Err(Error::mismatch(format!("{path} became shorter")));
                }
                self.write_copy(&map, offset + done, &buffer[..count])?;
                done += count as u64;
            }
        }
        self.tree.add_map(map)
    }
}

fn kind(found: &Found) -> Result<EntryKind> {
    let (major, minor) = found.metadata.rdev;
    Ok(match found.metadata.kind {
        FileKind::Symlink => EntryKind::Symlink { target: found.dir.read_link(&found.name)? },
        FileKind::CharDevice => EntryKind::CharDevice(major, minor),
        FileKind::BlockDevice => EntryKind::BlockDevice(major, minor),
        FileKind::Fifo => EntryKind::Fifo,
        FileKind::Regular | FileKind::Directory => {
            EntryKind::Regular { size: found.metadata.size, sparse: None }
        }
        FileKind::Socket => {
            let name = found.name.as_bytes();
            let name = String::from_utf8_lossy(name);
            return Err(Error::unsupported(format!("{name:?} below is a socket")));
        }
    })
}
