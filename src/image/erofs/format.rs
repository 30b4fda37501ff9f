//! The bytes of an EROFS image (Documentation/filesystems/erofs,
//! fs/erofs/erofs_fs.h): all numbers are little-endian, blocks have 512 bytes.
//!
//! It knows the forms of single things, not where they lie.

use super::extent::{BLOCK, Place};

/// Where the superblock is, in bytes.
pub(super) const SUPERBLOCK: u64 = 1024;
/// Where the blocks begin that are neither superblock nor table of devices.
pub(super) const FIRST_BLOCK: u64 = 3;
/// What an inode is a multiple of: places are counted in it.
pub(super) const SLOT: u64 = 32;
/// An inode in its extended form, in bytes.
pub(super) const INODE: usize = 64;
/// One chunk in an inode, in bytes.
pub(super) const CHUNK: usize = 8;

const MAGIC: u32 = 0xe0f5_e1e2;
const BLOCK_BITS: u8 = 9;
/// A checksum in the superblock; inodes with a time of their own.
const COMPATIBLE: u32 = 1 | 2;
/// Files in chunks; a table of devices.
const INCOMPATIBLE: u32 = 4 | 8;
/// In units of 128 bytes: right behind the superblock.
const DEVICE_TABLE: u16 = 9;
/// Chunks are told with their device.
const CHUNK_INDEXES: u16 = 0x20;
/// The tar, in the table of devices; the index itself is 0.
const TAR: u16 = 1;
const DIRENT: usize = 12;

/// How an inode says where its content is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// In whole blocks from this one on; of a device, its number.
    Plain(u32),
    /// As that, but what fills no block follows the inode.
    Inline(u32),
    /// In chunks, whose size is 2 to this power.
    Chunks(u32),
}

/// What the superblock has to say.
pub(super) struct Superblock {
    /// The place of the root.
    pub(super) root: u16,
    /// The number of inodes.
    pub(super) inodes: u64,
    /// All blocks of the index.
    pub(super) blocks: u32,
    /// The block from which the places of inodes count.
    pub(super) inode_block: u32,
    /// All blocks of the tar.
    pub(super) tar_blocks: u32,
}

/// The first blocks of the image: nothing, superblock, devices.
pub(super) fn encode_head(superblock: &Superblock) -> Vec<u8> {
    let mut out = vec![0; SUPERBLOCK as usize];
    push(&mut out, MAGIC.to_le_bytes());
    push(&mut out, [0; 4]);
    push(&mut out, COMPATIBLE.to_le_bytes());
    out.extend([BLOCK_BITS, 0]);
    push(&mut out, superblock.root.to_le_bytes());
    push(&mut out, superblock.inodes.to_le_bytes());
    // The time of inodes that have none, and there is no such.
    push(&mut out, [0; 12]);
    push(&mut out, superblock.blocks.to_le_bytes());
    push(&mut out, superblock.inode_block.to_le_bytes());
    // Shared attributes, of which there are none; UUID and name of the volume.
    push(&mut out, [0; 4 + 16 + 16]);
    push(&mut out, INCOMPATIBLE.to_le_bytes());
    push(&mut out, [0; 2]);
    push(&mut out, 1_u16.to_le_bytes());
    push(&mut out, DEVICE_TABLE.to_le_bytes());
    // The rest of the superblock, and the tag of the device.
    out.resize(SUPERBLOCK as usize + 128 + 64, 0);
    push(&mut out, superblock.tar_blocks.to_le_bytes());
    out.resize((FIRST_BLOCK * BLOCK) as usize, 0);
    let checksum = crc32c(&out[SUPERBLOCK as usize..]);
    out[SUPERBLOCK as usize + 4..][..4].copy_from_slice(&checksum.to_le_bytes());
    out
}

/// The inode of a file of any sort.
pub(super) struct InodeFields {
    pub(super) layout: Layout,
    /// The attributes that follow it, header included, in bytes.
    pub(super) xattrs: usize,
    /// With the type of the file.
    pub(super) mode: u16,
    pub(super) size: u64,
    /// Its serial number.
    pub(super) number: u32,
    pub(super) owner: (u32, u32),
    pub(super) time: (i64, u32),
    pub(super) links: u32,
}

/// Appends an inode.
pub(super) fn encode_inode(inode: &InodeFields, out: &mut Vec<u8>) {
    let (layout, union) = match inode.layout {
        Layout::Plain(value) => (0, value),
        Layout::Inline(block) => (2, block),
        Layout::Chunks(bits) => {
            let bits = bits as u16 - u16::from(BLOCK_BITS);
            (4, u32::from(bits | CHUNK_INDEXES))
        }
    };
    // The lowest bit says that it is the extended form.
    push(out, (layout << 1 | 1_u16).to_le_bytes());
    let xattrs = match inode.xattrs {
        0 => 0,
        // In units of 4 bytes, the header of 12 counting as one.
        size => ((size - super::xattr::HEADER) / 4 + 1) as u16,
    };
    push(out, xattrs.to_le_bytes());
    push(out, inode.mode.to_le_bytes());
    push(out, [0; 2]);
    push(out, inode.size.to_le_bytes());
    push(out, union.to_le_bytes());
    push(out, inode.number.to_le_bytes());
    push(out, inode.owner.0.to_le_bytes());
    push(out, inode.owner.1.to_le_bytes());
    push(out, inode.time.0.to_le_bytes());
    push(out, inode.time.1.to_le_bytes());
    push(out, inode.links.to_le_bytes());
    push(out, [0; 16]);
}

/// Appends the place of one chunk.
pub(super) fn encode_chunk(place: Place, out: &mut Vec<u8>) {
    let (device, block) = match place {
        Place::Hole => (0, u32::MAX),
        Place::Index(block) => (0, block),
        Place::Tar(block) => (TAR, block),
    };
    push(out, [0; 2]);
    push(out, device.to_le_bytes());
    push(out, block.to_le_bytes());
}

/// A device number as the kernel's `new_encode_dev` has it.
pub(super) fn device_number(major: u32, minor: u32) -> u32 {
    (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12)
}

/// A name in a directory.
pub(super) struct Dirent<'a> {
    pub(super) name: &'a [u8],
    pub(super) place: u64,
    /// As in `FT_*` of the kernel.
    pub(super) sort: u8,
}

/// The size of a directory whose names have these lengths.
pub(super) fn directory_size(lengths: impl Iterator<Item = usize>) -> u64 {
    let (mut blocks, mut used) = (0, 0);
    for length in lengths {
        if used + DIRENT + length > BLOCK as usize {
            (blocks, used) = (blocks + 1, 0);
        }
        used += DIRENT + length;
    }
    blocks * BLOCK + used as u64
}

/// The content of a directory: `names` are in the order of their bytes, with
/// `.` and `..`. No block cuts a name; each begins with its numbers.
pub(super) fn encode_directory(names: &[Dirent<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = names;
    while !rest.is_empty() {
        let mut used = 0;
        let fits = |dirent: &&Dirent<'_>| {
            used += DIRENT + dirent.name.len();
            used <= BLOCK as usize
        };
        let count = rest.iter().take_while(fits).count();
        let (block, others) = rest.split_at(count);
        let mut at = count * DIRENT;
        for dirent in block {
            push(&mut out, dirent.place.to_le_bytes());
            push(&mut out, (at as u16).to_le_bytes());
            out.extend([dirent.sort, 0]);
            at += dirent.name.len();
        }
        block.iter().for_each(|dirent| out.extend_from_slice(dirent.name));
        if !others.is_empty() {
            out.resize(out.len().next_multiple_of(BLOCK as usize), 0);
        }
        rest = others;
    }
    out
}

pub(super) fn push<const N: usize>(out: &mut Vec<u8>, bytes: [u8; N]) {
    out.extend_from_slice(&bytes);
}

/// CRC-32C as the kernel's `crc32c(~0, ...)` gives it: not inverted at the end.
fn crc32c(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg())
        })
    })
}
