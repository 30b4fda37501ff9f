//! Lays out a finished tree and writes it: superblock, what was copied into
//! the index, inodes, then the blocks of directories and long targets.
//!
//! The first pass gives every inode that a name reaches its place, a directory
//! before what is in it; the second one, in the same order, writes.

use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::error::{Error, Result};
use crate::fs::File;

use super::extent::{BLOCK, Place, block_of, single_bits};
use super::format::{self, CHUNK, Dirent, INODE, InodeFields, Layout, SLOT, Superblock};
use super::tree::{Inode, Node, ROOT, Tree};
use super::xattr;

/// How much is written at once.
const PIECE: usize = 256 * 1024;

/// Where things are.
pub(super) struct Image<'a> {
    /// An empty file, or one with what was copied.
    pub(super) file: &'a File,
    pub(super) path: &'a Path,
    /// The first block that is free.
    pub(super) next: u64,
    /// The size of the tar, in bytes.
    pub(super) tar_size: u64,
}

impl Image<'_> {
    /// Writes the index of `tree`.
    ///
    /// # Errors
    /// `Unsupported` for what is too large for the format; those of pwrite(2).
    pub(super) fn write(&self, tree: &mut Tree) -> Result<()> {
        let plan = Plan::new(tree)?;
        let inode_block = block(self.next)?;
        let tail_block = self.next + plan.inodes_end.div_ceil(BLOCK);
        let blocks = block(tail_block + plan.tail_blocks)?;
        let mut out = Out {
            inodes: Stream::new(self, self.next * BLOCK),
            tails: Stream::new(self, tail_block * BLOCK),
            body: Vec::new(),
        };
        for (number, &inode) in plan.order.iter().enumerate() {
            out.inode(tree, inode, number as u32 + 1)?;
        }
        out.inodes.flush()?;
        out.tails.pad_to(u64::from(blocks) * BLOCK)?;
        out.tails.flush()?;
        let head = format::encode_head(&Superblock {
            root: tree.inodes[ROOT as usize].place as u16,
            inodes: plan.order.len() as u64,
            blocks,
            inode_block,
            tar_blocks: u32::try_from(self.tar_size.div_ceil(BLOCK)).unwrap_or(u32::MAX),
        });
        self.write_at(&head, 0)?;
        let size = u64::from(blocks) * BLOCK;
        self.file.set_len(size).map_err(|error| Error::io("write", self.path, error))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.file.write_all_at(bytes, offset).map_err(|error| Error::io("write", self.path, error))
    }
}

fn block(number: u64) -> Result<u32> {
    let too_large = || Error::unsupported("the layer is too large for an index");
    block_of(number.saturating_mul(BLOCK), 0).ok_or_else(too_large)
}

/// What the first pass finds.
struct Plan {
    /// All inodes, in the order of their places.
    order: Vec<u32>,
    /// From the first inode's block on, in bytes.
    inodes_end: u64,
    /// How many blocks of directories and targets follow.
    tail_blocks: u64,
}

impl Plan {
    fn new(tree: &mut Tree) -> Result<Self> {
        // Place 0 stays free: it would be an inode number that means none.
        let mut plan = Self { order: Vec::new(), inodes_end: SLOT, tail_blocks: 0 };
        let mut pending = vec![(ROOT, ROOT)];
        let mut below = Vec::new();
        while let Some((directory, parent)) = pending.pop() {
            let names = sorted(tree, directory);
            let children = names.iter().map(|&name| tree.names[name as usize].inode);
            let is_directory = |&child: &u32| matches!(tree.node(child), Node::Directory { .. });
            below.extend(children.filter(is_directory));
            let lengths = with_dots(tree, &names).map(|(name, _)| name.len());
            let size = format::directory_size(lengths);
            tree.reorder(directory, &names);
            let inode = &mut tree.inodes[directory as usize];
            inode.links = 2 + below.len() as u32;
            inode.size = parent.into();
            plan.place(tree, directory, size)?;
            for &name in &names {
                let child = tree.names[name as usize].inode;
                let inode = &mut tree.inodes[child as usize];
                if matches!(inode.node, Node::Directory { .. }) {
                    continue;
                }
                inode.links += 1;
                if inode.place == 0 {
                    let size = inode.size;
                    plan.place(tree, child, size)?;
                }
            }
            pending.extend(below.drain(..).rev().map(|child| (child, directory)));
        }
        Ok(plan)
    }

    fn place(&mut self, tree: &mut Tree, number: u32, size: u64) -> Result<()> {
        let form = Form::of(tree, &tree.inodes[number as usize], size);
        let mut at = self.inodes_end.next_multiple_of(SLOT);
        // The inode itself, and all of one with a tail, is in one block.
        if at / BLOCK != (at + form.unbroken as u64 - 1) / BLOCK {
            at = at.next_multiple_of(BLOCK);
        }
        let place = u32::try_from(at / SLOT);
        tree.inodes[number as usize].place =
            place.map_err(|_| Error::unsupported("the layer has too many members for an index"))?;
        self.inodes_end = at + form.length;
        self.tail_blocks += form.blocks;
        self.order.push(number);
        Ok(())
    }
}

/// The names of a directory that are in the index, in the order of their bytes.
fn sorted(tree: &Tree, directory: u32) -> Vec<u32> {
    let is_there = |&name: &u32| tree.node(tree.names[name as usize].inode) != Node::Aside(false);
    let mut names: Vec<u32> = tree.children(directory).filter(is_there).collect();
    // One pass if they came in order.
    names.sort_by(|&a, &b| tree.bytes_of(a).cmp(tree.bytes_of(b)));
    names
}

/// The names with `.` and `..`, which some sort before; with their number, or
/// none.
fn with_dots<'a>(
    tree: &'a Tree,
    names: &'a [u32],
) -> impl Iterator<Item = (&'a [u8], Option<u32>)> {
    let split = names.partition_point(|&name| tree.bytes_of(name) < &b"."[..]);
    let middle = names[split..].partition_point(|&name| tree.bytes_of(name) < &b".."[..]) + split;
    let named = |range: &'a [u32]| range.iter().map(|&name| (tree.bytes_of(name), Some(name)));
    named(&names[..split])
        .chain([(&b"."[..], None)])
        .chain(named(&names[split..middle]))
        .chain([(&b".."[..], None)])
        .chain(named(&names[middle..]))
}

/// How an inode is written.
struct Form {
    /// With all that follows it, in bytes.
    length: u64,
    /// How much of that lies in one block.
    unbroken: usize,
    /// The blocks elsewhere that it takes.
    blocks: u64,
    /// The bytes that follow it.
    tail: usize,
    /// The attributes with their header, in bytes.
    xattrs: usize,
}

impl Form {
    fn of(tree: &Tree, inode: &Inode, size: u64) -> Self {
        let xattrs = xattrs(tree, inode).len();
        let head = INODE + xattrs;
        let with = |length: u64| Self { length, unbroken: INODE, blocks: 0, tail: 0, xattrs };
        match inode.node {
            Node::Directory { .. } | Node::Symlink { .. } => {
                let tail = (size % BLOCK) as usize;
                if tail == 0 || head + tail > BLOCK as usize {
                    return Self { blocks: size.div_ceil(BLOCK), ..with(head as u64) };
                }
                let length = head + tail;
                let form = with(length as u64);
                Self { blocks: size / BLOCK, unbroken: length, tail, ..form }
            }
            Node::Stored(_) => with((head.next_multiple_of(CHUNK) + CHUNK) as u64),
            Node::Mapped(map) => {
                let chunks = tree.maps[map as usize].chunks();
                with(head.next_multiple_of(CHUNK) as u64 + chunks * CHUNK as u64)
            }
            _ => with(head as u64),
        }
    }
}

/// The attributes as they follow the inode.
fn xattrs(tree: &Tree, inode: &Inode) -> Vec<u8> {
    let set = &tree.xattrs[inode.xattrs as usize];
    let mut out = Vec::new();
    if set.is_empty() && !inode.is_opaque {
        return out;
    }
    out.resize(xattr::HEADER, 0);
    out.extend_from_slice(set);
    if inode.is_opaque {
        xattr::add_opaque(&mut out);
    }
    out
}

/// Both streams of the second pass.
struct Out<'a> {
    inodes: Stream<'a>,
    tails: Stream<'a>,
    body: Vec<u8>,
}

impl Out<'_> {
    fn inode(&mut self, tree: &Tree, number: u32, serial: u32) -> Result<()> {
        let inode = &tree.inodes[number as usize];
        let content = match inode.node {
            Node::Directory { .. } => directory(tree, number),
            Node::Symlink { at } => tree.target(inode, at).to_vec(),
            _ => Vec::new(),
        };
        let size = match inode.node {
            Node::Directory { .. } => content.len() as u64,
            _ => inode.size,
        };
        let form = Form::of(tree, inode, size);
        let (in_blocks, tail) = content.split_at(content.len() - form.tail);
        let block = match form.blocks {
            0 => 0,
            _ => block(self.tails.position() / BLOCK)?,
        };
        let layout = match inode.node {
            Node::Directory { .. } | Node::Symlink { .. } if form.tail > 0 => Layout::Inline(block),
            Node::Stored(_) => Layout::Chunks(single_bits(size).unwrap_or_default()),
            Node::Mapped(map) => Layout::Chunks(tree.maps[map as usize].bits),
            Node::Char(major, minor) | Node::Block(major, minor) => {
                Layout::Plain(format::device_number(major, minor))
            }
            _ => Layout::Plain(block),
        };
        self.body.clear();
        let fields = InodeFields {
            layout,
            xattrs: form.xattrs,
            mode: file_type(inode.node) | inode.mode,
            size,
            number: serial,
            owner: (inode.uid, inode.gid),
            time: (inode.seconds, inode.nanoseconds),
            links: inode.links,
        };
        format::encode_inode(&fields, &mut self.body);
        self.body.extend(xattrs(tree, inode));
        self.body.extend_from_slice(tail);
        self.chunks(tree, inode.node);
        self.inodes.skip_to(u64::from(inode.place) * SLOT)?;
        self.inodes.push(&self.body)?;
        self.tails.push(in_blocks)?;
        self.tails.pad_to(self.tails.position().next_multiple_of(BLOCK))
    }

    fn chunks(&mut self, tree: &Tree, node: Node) {
        let aligned = self.body.len().next_multiple_of(CHUNK);
        match node {
            Node::Stored(block) => {
                self.body.resize(aligned, 0);
                format::encode_chunk(Place::Tar(block), &mut self.body);
            }
            Node::Mapped(map) => {
                self.body.resize(aligned, 0);
                let places = tree.maps[map as usize].each();
                places.for_each(|place| format::encode_chunk(place, &mut self.body));
            }
            _ => {}
        }
    }
}

fn directory(tree: &Tree, number: u32) -> Vec<u8> {
    let names: Vec<u32> = tree.children(number).collect();
    let parent = tree.inodes[number as usize].size as u32;
    let dirents: Vec<Dirent<'_>> = with_dots(tree, &names)
        .map(|(bytes, name)| {
            let inode = match name {
                Some(name) => tree.names[name as usize].inode,
                None if bytes == b"." => number,
                None => parent,
            };
            let inode = &tree.inodes[inode as usize];
            Dirent { name: bytes, place: inode.place.into(), sort: sort(inode.node) }
        })
        .collect();
    format::encode_directory(&dirents)
}

fn file_type(node: Node) -> u16 {
    match node {
        Node::Empty | Node::Stored(_) | Node::Mapped(_) => 0o100_000,
        Node::Directory { .. } => 0o040_000,
        Node::Symlink { .. } => 0o120_000,
        Node::Char(..) | Node::Whiteout | Node::Aside(_) => 0o020_000,
        Node::Block(..) => 0o060_000,
        Node::Fifo => 0o010_000,
    }
}

/// The kernel's `FT_*`.
fn sort(node: Node) -> u8 {
    match node {
        Node::Empty | Node::Stored(_) | Node::Mapped(_) => 1,
        Node::Directory { .. } => 2,
        Node::Char(..) | Node::Whiteout | Node::Aside(_) => 3,
        Node::Block(..) => 4,
        Node::Fifo => 5,
        Node::Symlink { .. } => 7,
    }
}

/// Bytes one after the other from somewhere in the image on.
struct Stream<'a> {
    image: &'a Image<'a>,
    start: u64,
    /// Where the buffer belongs.
    at: u64,
    buffer: Vec<u8>,
}

impl<'a> Stream<'a> {
    fn new(image: &'a Image<'a>, start: u64) -> Self {
        Self { image, start, at: start, buffer: Vec::with_capacity(PIECE) }
    }

    fn position(&self) -> u64 {
        self.at + self.buffer.len() as u64
    }

    fn push(&mut self, bytes: &[u8]) -> Result<()> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PIECE { self.flush() } else { Ok(()) }
    }

    /// Zeros, up to so many bytes from the stream's start.
    fn skip_to(&mut self, offset: u64) -> Result<()> {
        self.pad_to(self.start + offset)
    }

    fn pad_to(&mut self, position: u64) -> Result<()> {
        // Less than a block, always.
        let missing = position.saturating_sub(self.position()) as usize;
        self.buffer.resize(self.buffer.len() + missing, 0);
        if self.buffer.len() >= PIECE { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        self.image.write_at(&self.buffer, self.at)?;
        self.at += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}
