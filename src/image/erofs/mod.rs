//! The index of a layer that is stored as its tar: an EROFS image with inodes,
//! directories and extended attributes, whose file contents are extents of a
//! second device, the tar itself. The kernel mounts both together
//! (Documentation/filesystems/erofs: `device=`); nothing is extracted.
//!
//! - What the members come to is what `apply` makes of them, by the same
//!   rules: a later member replaces an earlier one, hostile ones are refused
//!   by name, unlisted directories are 0755 of 0:0 with time 0, a layer of
//!   several has overlayfs's whiteouts and opaque directories.
//! - The tar is read once, as a stream; nobody need have it as a file yet.
//! - The index is a function of the tar and of what is below it: no time, no
//!   UUID, nothing of the host.
//! - Blocks have 512 bytes, as in tar, where all data begins at one. What
//!   chunks of that cannot express (segments of a sparse file at odd places)
//!   and what lies in no tar of this layer (a hard link to a file below) is
//!   copied into the index.
//! - Not in the index, and told as overridden: extended attributes that no
//!   kernel would show, and character devices 0:0, which overlayfs takes for
//!   whiteouts. The tar has them still.
//! - All names and inodes are in memory until the end, some 90 bytes and the
//!   name for each member.
//!
//! `member`, `link` and `stack` say what members do to the `tree`; `extent`
//! where content lies; `write` lays the image out in the forms of `format`.
//! Mounting is another's work.

mod extent;
mod format;
mod link;
mod lower;
mod member;
mod stack;
mod tree;
mod write;
mod xattr;

use std::io::BufRead;
use std::path::Path;

use crate::error::Result;
use crate::fs::{self, Dir, Owner, Timestamp};

use super::apply::refuse_whiteout;
use super::overrides::Overrides;
use super::read::TarReader;
use super::report::{Counters, Report};
use super::sums::Sums;

use member::Indexer;

/// The number of the form of the indexes that are written here. It grows when
/// the same tar, upon the same layers, gets another index.
pub(super) const FORM: u32 = 2;

/// What is below a layer.
#[derive(Clone, Copy, Debug)]
pub enum Level<'a> {
    /// It is a whole filesystem: there is nothing to remove, so a whiteout is
    /// refused.
    Whole,
    /// It is the lowest layer of several: its whiteouts hide nothing.
    Lowest,
    /// It is a layer upon those that are seen here, merged as overlayfs does.
    Upon(&'a Dir),
}

/// How a tar is indexed.
#[derive(Clone, Copy, Debug)]
pub struct IndexOptions<'a> {
    /// What is below it.
    pub level: Level<'a>,
    /// Its files are counted up on the way; its bytes are not.
    pub counters: Option<&'a Counters>,
    /// The most bytes that are copied of files below which it links to.
    pub copy_limit: u64,
}

/// What was indexed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Indexed {
    /// How many members, whiteouts not counted.
    pub entries: u64,
    /// Of all regular files, holes included, in bytes.
    pub content_size: u64,
    /// The newest time of a member.
    pub newest_mtime: Option<Timestamp>,
    /// The permission bits of the root.
    pub root_mode: u32,
    /// Who owns the root.
    pub root_owner: Owner,
    /// True if the archive ended with its two blocks of zeros.
    pub has_end_marker: bool,
    /// True if the archive has a member for the root.
    pub has_root: bool,
    /// What the index does not hold.
    pub overrides: Overrides,
    /// What was noticed.
    pub report: Report,
    /// Of the tar, if the reader took them.
    pub(super) sums: Option<Sums>,
}

/// Reads all members of `reader`, which is at the first byte of a tar, and
/// writes its index to the new file `index`.
///
/// # Errors
/// `Invalid` with the member's name for members that leave the tree or do not
/// fit it; `Unsupported` for what is too large for an index; else those of
/// [`TarReader`] and of the file system. The file stays after an error.
pub fn write_index<R: BufRead>(
    mut reader: TarReader<R>,
    index: &Path,
    options: &IndexOptions<'_>,
) -> Result<Indexed> {
    let file = fs::create_new(index)?;
    let mut indexer = Indexer::new((&file, index), options)?;
    while let Some(entry) = reader.next_entry()? {
        match options.level {
            Level::Whole => refuse_whiteout(&entry)?,
            Level::Lowest | Level::Upon(_) if indexer.whiteout(&entry)? => continue,
            Level::Lowest | Level::Upon(_) => {}
        }
        indexer.count(&entry);
        if let Some(counters) = options.counters {
            counters.add_file();
        }
        indexer.member(entry, &mut reader)?;
    }
    let mut indexed = indexer.finish(reader.position())?;
    indexed.sums = reader.take_sums();
    indexed.has_end_marker = reader.note_end(&mut indexed.report);
    Ok(indexed)
}

#[cfg(test)]
#[path = "../tests/erofs/mod.rs"]
mod tests;
