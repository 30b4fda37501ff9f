//! The tree of an index while its members come: inodes, names and what they
//! share, in flat tables that point to each other by number. A member takes
//! some 80 bytes and its name; what was replaced stays until the end, and only
//! cannot be reached any more.
//!
//! It knows nothing of tar and nothing of EROFS.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use crate::error::{Error, Result};
use crate::fs::Timestamp;
use crate::image::entry::Attributes;

use super::extent::Map;
use super::xattr;

/// The number of the root in [`Tree::inodes`].
pub(super) const ROOT: u32 = 0;
/// No inode, no name.
pub(super) const NONE: u32 = u32::MAX;

/// The most inodes, names, and different sets of attributes: a hostile tar
/// must not take all memory.
const COUNT_LIMIT: usize = 1 << 24;
/// The most bytes of all names, and of all targets of symbolic links.
const BYTES_LIMIT: usize = 1 << 30;
/// The most pieces of sparse files, of 12 bytes each here.
const RUNS_LIMIT: usize = 4 << 20;
/// The most bytes of all different sets of extended attributes.
const XATTRS_LIMIT: usize = 256 << 20;

/// What an inode is, with what only that sort has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// A regular file without content.
    Empty,
    /// A regular file whose content is one run of the tar, from this block on.
    Stored(u32),
    /// A regular file whose content is where [`Tree::maps`] says.
    Mapped(u32),
    /// A directory: its first and last name in [`Tree::names`].
    Directory { first: u32, last: u32 },
    /// A symbolic link: where its target begins.
    Symlink { at: u32 },
    /// A character device.
    Char(u32, u32),
    /// A block device.
    Block(u32, u32),
    /// A named pipe.
    Fifo,
    /// What hides a name of the layers below.
    Whiteout,
    /// A character device 0:0: to overlayfs it would be a whiteout, so it is
    /// not in the index. True if there is a whiteout in its place.
    Aside(bool),
}

/// An inode.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inode {
    pub(super) node: Node,
    /// Permission bits with setuid, setgid and sticky.
    pub(super) mode: u16,
    /// Of a directory: hides what is below.
    pub(super) is_opaque: bool,
    /// Of a directory: no member is for it.
    pub(super) is_unlisted: bool,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) nanoseconds: u32,
    /// In [`Tree::xattrs`].
    pub(super) xattrs: u32,
    /// Counted when the index is laid out.
    pub(super) links: u32,
    /// Its place in the index, in units of 32 bytes; 0 before it has one.
    pub(super) place: u32,
    pub(super) seconds: i64,
    /// Of a file or target in bytes; of a directory the inode of its parent,
    /// once the index is laid out.
    pub(super) size: u64,
}

/// A name in a directory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name {
    /// The inode of the directory.
    pub(super) parent: u32,
    /// [`NONE`] if there is nothing by this name any more.
    pub(super) inode: u32,
    /// The next in the directory.
    pub(super) next: u32,
    /// Where its bytes begin, after one that has their number.
    at: u32,
}

/// The tree.
#[derive(Default)]
pub(super) struct Tree {
    pub(super) inodes: Vec<Inode>,
    pub(super) names: Vec<Name>,
    pub(super) maps: Vec<Map>,
    /// Different sets, as EROFS has them; the first is empty.
    pub(super) xattrs: Vec<Box<[u8]>>,
    known_xattrs: HashMap<Box<[u8]>, u32>,
    bytes: Vec<u8>,
    targets: Vec<u8>,
    /// Names by parent and bytes: open addressing, a power of two.
    slots: Vec<u32>,
    hasher: RandomState,
    xattrs_size: usize,
    /// Of all maps.
    runs: usize,
}

impl Tree {
    /// A tree of one directory.
    pub(super) fn new(root: &Attributes) -> Result<Self> {
        let mut tree = Self { slots: vec![NONE; 64], ..Self::default() };
        tree.xattrs.push(Box::default());
        tree.known_xattrs.insert(Box::default(), 0);
        tree.add(Node::Directory { first: NONE, last: NONE }, root)?;
        Ok(tree)
    }

    /// A new inode.
    pub(super) fn add(&mut self, node: Node, attributes: &Attributes) -> Result<u32> {
        let number = number(self.inodes.len())?;
        self.inodes.push(Inode {
            node,
            mode: 0,
            is_opaque: false,
            is_unlisted: false,
            uid: 0,
            gid: 0,
            nanoseconds: 0,
            xattrs: 0,
            links: 0,
            place: 0,
            seconds: 0,
            size: 0,
        });
        self.set_attributes(number, attributes)?;
        Ok(number)
    }

    /// Gives an inode other attributes.
    pub(super) fn set_attributes(&mut self, inode: u32, attributes: &Attributes) -> Result<()> {
        let xattrs = self.intern(xattr::encode(&attributes.xattrs))?;
        let inode = &mut self.inodes[inode as usize];
        inode.mode = (attributes.mode & 0o7777) as u16;
        (inode.uid, inode.gid) = (attributes.uid, attributes.gid);
        let Timestamp { seconds, nanoseconds } = attributes.mtime;
        (inode.seconds, inode.nanoseconds) = (seconds, nanoseconds);
        inode.xattrs = xattrs;
        Ok(())
    }

    fn intern(&mut self, set: Vec<u8>) -> Result<u32> {
        if let Some(&known) = self.known_xattrs.get(set.as_slice()) {
            return Ok(known);
        }
        self.xattrs_size += set.len();
        if self.xattrs_size > XATTRS_LIMIT {
            return Err(too_large("extended attributes"));
        }
        let number = number(self.xattrs.len())?;
        let set = set.into_boxed_slice();
        self.xattrs.push(set.clone());
        self.known_xattrs.insert(set, number);
        Ok(number)
    }

    /// Takes in a symbolic link's target.
    pub(super) fn add_target(&mut self, target: &[u8]) -> Result<Node> {
        let at = offset(self.targets.len(), "symbolic links")?;
        self.targets.extend_from_slice(target);
        Ok(Node::Symlink { at })
    }

    /// The target of the symbolic link `inode`, which begins at `at`.
    pub(super) fn target(&self, inode: &Inode, at: u32) -> &[u8] {
        let rest = &self.targets[at as usize..];
        &rest[..rest.len().min(inode.size as usize)]
    }

    /// Takes in where a file's content is.
    pub(super) fn add_map(&mut self, map: Map) -> Result<Node> {
        let number = number(self.maps.len())?;
        self.runs += map.runs.len();
        if self.runs > RUNS_LIMIT {
            return Err(too_large("pieces of sparse files"));
        }
        self.maps.push(map);
        Ok(Node::Mapped(number))
    }

    /// The node of an inode.
    pub(super) fn node(&self, inode: u32) -> Node {
        self.inodes[inode as usize].node
    }

    /// The bytes of a name.
    pub(super) fn bytes_of(&self, name: u32) -> &[u8] {
        let at = self.names[name as usize].at as usize;
        let length = usize::from(self.bytes[at]);
        &self.bytes[at + 1..at + 1 + length]
    }

    /// The inode `name` in the directory `parent`.
    pub(super) fn find(&self, parent: u32, name: &[u8]) -> Option<u32> {
        let found = self.slots[self.slot(parent, name)];
        let inode = self.names.get(found as usize)?.inode;
        (inode != NONE).then_some(inode)
    }

    /// Puts `inode` at `name` in the directory `parent`, in place of whatever
    /// is there.
    pub(super) fn put(&mut self, parent: u32, name: &[u8], inode: u32) -> Result<()> {
        let slot = self.slot(parent, name);
        if let Some(found) = self.names.get_mut(self.slots[slot] as usize) {
            found.inode = inode;
            return Ok(());
        }
        let new = number(self.names.len())?;
        let at = offset(self.bytes.len(), "names")?;
        let length = u8::try_from(name.len())
            .map_err(|_| Error::internal("a name of more than 255 bytes passed the door"))?;
        self.bytes.push(length);
        self.bytes.extend_from_slice(name);
        self.names.push(Name { parent, inode, next: NONE, at });
        self.slots[slot] = new;
        self.append(parent, new);
        if self.names.len() * 4 > self.slots.len() * 3 {
            self.grow();
        }
        Ok(())
    }

    fn append(&mut self, parent: u32, new: u32) {
        let Node::Directory { first, last } = &mut self.inodes[parent as usize].node else {
            return;
        };
        let before = std::mem::replace(last, new);
        if before == NONE {
            *first = new;
        } else {
            self.names[before as usize].next = new;
        }
    }

    /// The names in a directory that there still are, in the order in which
    /// they came.
    pub(super) fn children(&self, directory: u32) -> impl Iterator<Item = u32> {
        let first = match self.node(directory) {
            Node::Directory { first, .. } => first,
            _ => NONE,
        };
        let next = |&name: &u32| Some(self.names[name as usize].next).filter(|&next| next != NONE);
        std::iter::successors(Some(first).filter(|&first| first != NONE), next)
            .filter(|&name| self.names[name as usize].inode != NONE)
    }

    /// Puts the names of a directory into another order and forgets those
    /// that are not among them.
    pub(super) fn reorder(&mut self, directory: u32, order: &[u32]) {
        for (index, &name) in order.iter().enumerate() {
            let next = order.get(index + 1).copied().unwrap_or(NONE);
            self.names[name as usize].next = next;
        }
        let first = order.first().copied().unwrap_or(NONE);
        let last = order.last().copied().unwrap_or(NONE);
        self.inodes[directory as usize].node = Node::Directory { first, last };
    }

    /// Tells the paths of the directories that no member is for, in the order
    /// of the tree.
    pub(super) fn each_unlisted(&self, tell: &mut dyn FnMut(&[u8])) {
        if !self.inodes.iter().any(|inode| inode.is_unlisted) {
            return;
        }
        let mut pending = vec![(ROOT, Vec::new())];
        while let Some((directory, path)) = pending.pop() {
            if self.inodes[directory as usize].is_unlisted {
                tell(&path);
            }
            let first = pending.len();
            for name in self.children(directory) {
                let inode = self.names[name as usize].inode;
                if matches!(self.node(inode), Node::Directory { .. }) {
                    let slash: &[u8] = if path.is_empty() { b"" } else { b"/" };
                    pending.push((inode, [&path, slash, self.bytes_of(name)].concat()));
                }
            }
            pending[first..].reverse();
        }
    }

    /// The slot that has the name, or the free one that it would get.
    fn slot(&self, parent: u32, name: &[u8]) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = self.hasher.hash_one((parent, name)) as usize & mask;
        loop {
            let found = self.slots[slot];
            if found == NONE
                || (self.names[found as usize].parent == parent && self.bytes_of(found) == name)
            {
                return slot;
            }
            slot = (slot + 1) & mask;
        }
    }

    fn grow(&mut self) {
        self.slots = vec![NONE; self.slots.len() * 2];
        for number in 0..self.names.len() as u32 {
            let slot = self.slot(self.names[number as usize].parent, self.bytes_of(number));
            self.slots[slot] = number;
        }
    }
}

fn number(length: usize) -> Result<u32> {
    if length < COUNT_LIMIT { Ok(length as u32) } else { Err(too_large("members")) }
}

fn offset(length: usize, what: &str) -> Result<u32> {
    if length < BYTES_LIMIT { Ok(length as u32) } else { Err(too_large(what)) }
}

fn too_large(what: &str) -> Error {
    Error::unsupported(format!("the layer has more {what} than an index holds"))
}
