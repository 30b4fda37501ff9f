//! Applies a tar to a directory: the extractor. Every member goes through an
//! open directory (openat2, never through a symbolic link, never out of the
//! target), so a hostile archive is refused by the name of the member that
//! tried.
//!
//! - A later member replaces an earlier one of the same path; a directory
//!   over a directory only changes its attributes.
//! - Directories that the archive does not list are 0755, owned by 0:0, with
//!   time 0: a function of the archive and of nothing else. That is true of
//!   the root as well.
//! - A directory gets mode, time and ACL when the stream leaves it. If it
//!   comes back later, they are read, lifted, and put back: the file system
//!   is the memory, so any order of members takes no more of ours than the
//!   depth of the tree.
//! - Each member is looked at after it was made; whatever the file system did
//!   not take (devices and owners in a user namespace, attributes, times) is
//!   kept in [`Overrides`]. So is the mode of what the caller could not read
//!   again: without CAP_DAC_OVERRIDE a directory stays enterable and a file
//!   readable for its owner.
//! - A name that means a removal in a layer (`.wh.`, image spec, layer.md) is
//!   refused: a whole filesystem has nothing to remove from. A character
//!   device 0:0, which is overlayfs's removal, is kept beside the tree.
//! - Blocks of zeros become holes.
//!
//! This file is the stream; what its members become is told in `make`,
//! `directory` and `hard_link`, what becomes of others in `aside`, and what is
//! different for one layer of several in `diff`.

mod aside;
mod diff;
mod directory;
mod hard_link;
mod lower;
mod make;
mod unlisted;

use std::ffi::{OsStr, OsString};
use std::io::BufRead;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use crate::error::{Error, Kind, Result};
use crate::fs::{self, Dir, FileKind, Owner, Timestamp};

use super::chain::Chain;
use super::entry::{Attributes, Entry, EntryKind, display, is_whiteout};
use super::frame::FrameWriter;
use super::overrides::Overrides;
use super::read::TarReader;
use super::report::{Counters, Report, Topic};
use super::settle::{Caller, inherits_nothing};
use super::sums::Sums;
use super::xattrs::{Fate, fate};

use aside::Aside;
use diff::DiffState;
use directory::{Finish, implicit};
use make::{Made, make};
use unlisted::Unlisted;

pub use aside::LeftOut;
pub use diff::Diff;
pub(super) use diff::{Whiteout, copies_too_much};
pub(super) use directory::is_within;
pub(super) use hard_link::refused as refused_link;
pub use lower::LowerLayer;

/// How an archive is applied.
#[derive(Default)]
pub struct ApplyOptions<'a> {
    /// What is left out.
    pub left_out: Option<LeftOut<'a>>,
    /// Later times become this one (SOURCE_DATE_EPOCH).
    pub epoch: Option<Timestamp>,
    /// Its files are counted up on the way. Its bytes are not: whoever reads
    /// the archive counts them, as it comes, before it is decompressed.
    pub counters: Option<&'a Counters>,
    /// The target is not a tree of our own making.
    pub upon: Option<Upon>,
    /// It is one layer of several.
    pub diff: Option<Diff<'a>>,
}

/// How an archive is applied upon a directory that others use: the directory
/// itself stays as it is, a directory is not replaced by anything else nor
/// anything else by a directory, any name is taken, and what the file system
/// refuses is lost, and told.
#[derive(Clone, Copy, Debug)]
pub struct Upon {
    /// Owns all that is made; else who the members say.
    pub owner: Option<Owner>,
}

/// What was applied.
#[derive(Debug, Default)]
pub struct Applied {
    /// What the file system did not take.
    pub overrides: Overrides,
    /// How many members.
    pub entries: u64,
    /// Of all regular files, holes included, in bytes.
    pub content_size: u64,
    /// The newest time of a member.
    pub newest_mtime: Option<Timestamp>,
    /// True if the archive ended with its two blocks of zeros.
    pub has_end_marker: bool,
    /// True if the archive has a member for the root.
    pub has_root: bool,
    /// What was noticed.
    pub report: Report,
    /// Of the archive, if the reader took them.
    pub(super) sums: Option<Sums>,
}

/// Applies all members of `reader` to the directory `target`, which is empty
/// or holds what earlier members made.
///
/// # Errors
/// `Invalid` with the member's name for members that leave the tree or do not
/// fit it; `Unsupported` if more was refused than [`Overrides`] keep; else
/// those of [`TarReader`] and of the file system.
pub fn apply<R: BufRead>(
    mut reader: TarReader<R>,
    target: &Dir,
    options: &ApplyOptions<'_>,
) -> Result<Applied> {
    let mut extractor = Extractor::new(target, options)?;
    if let Some(diff) = options.diff {
        reader.keep_frame(FrameWriter::create(&diff.target.frame)?);
    }
    while let Some(mut entry) = reader.next_entry()? {
        if let Some(epoch) = options.epoch {
            entry.attributes.mtime = entry.attributes.mtime.min(epoch);
        }
        if extractor.aside.has(&entry.path) {
            extractor.set_aside(entry, &mut reader)?;
            continue;
        }
        match (options.upon, options.diff) {
            (Some(upon), _) => upon.give(&mut entry),
            (None, Some(_)) if extractor.whiteout(&entry)? => continue,
            (None, Some(_)) => {}
            (None, None) => refuse_whiteout(&entry)?,
        }
        extractor.count(&entry);
        if let Some(counters) = options.counters {
            counters.add_file();
        }
        extractor.member(entry, &mut reader)?;
        extractor.tell_moved(&mut reader)?;
    }
    reader.finish_frame()?;
    let mut applied = extractor.finish()?;
    applied.sums = reader.take_sums();
    applied.has_end_marker = reader.note_end(&mut applied.report);
    Ok(applied)
}

impl Upon {
    fn give(self, entry: &mut Entry) {
        if let Some(Owner { uid, gid }) = self.owner {
            (entry.attributes.uid, entry.attributes.gid) = (uid, gid);
        }
    }
}

struct Extractor<'a> {
    chain: Chain<Finish>,
    root: Dir,
    root_finish: Attributes,
    caller: Caller,
    /// Of the directories in `chain`, in bytes.
    pending_xattrs: usize,
    unlisted: Unlisted,
    aside: Aside<'a>,
    upon: Option<Upon>,
    diff: Option<DiffState<'a>>,
    applied: Applied,
}

impl<'a> Extractor<'a> {
    fn new(target: &Dir, options: &ApplyOptions<'a>) -> Result<Self> {
        let caller = Caller::of_process()?;
        let (root, caller) = match options.upon {
            Some(_) => (target, caller.among_others()),
            None => (inherits_nothing(target)?, caller),
        };
        Ok(Self {
            chain: Chain::new(root)?,
            root: target.duplicate()?,
            root_finish: implicit(),
            caller,
            pending_xattrs: 0,
            unlisted: Unlisted::default(),
            aside: Aside::new(options.left_out),
            upon: options.upon,
            diff: options.diff.map(DiffState::new).transpose()?,
            applied: Applied::default(),
        })
    }

    fn count(&mut self, entry: &Entry) {
        // One root, however often the archive says what it is.
        let is_root = entry.path.is_empty();
        self.applied.entries += u64::from(!(is_root && self.applied.has_root));
        self.applied.has_root |= is_root;
        let mtime = Some(entry.attributes.mtime);
        self.applied.newest_mtime = self.applied.newest_mtime.max(mtime);
        if let EntryKind::Regular { size, .. } = entry.kind {
            self.applied.content_size = self.applied.content_size.saturating_add(size);
        }
    }

    fn member<R: BufRead>(&mut self, mut entry: Entry, reader: &mut TarReader<R>) -> Result<()> {
        for _ in 0..take_xattrs(&mut entry) {
            self.applied.report.note(Topic::DroppedXattr, &entry.path);
        }
        if entry.path.is_empty() {
            self.root_finish = entry.attributes;
            return Ok(());
        }
        let (parent, name) = split(&entry.path);
        self.enter(&parent, &entry.path)?;
        if entry.kind == EntryKind::Directory {
            return self.directory(&name, entry);
        }
        if let EntryKind::HardLink { target } = &entry.kind {
            return self.hard_link(&name, (&entry.path, target));
        }
        self.applied.overrides.forget(&entry.path);
        let made = match self.make(&name, &entry, reader) {
            Err(error) if error.kind() == Kind::AlreadyExists => {
                self.replace(&name, &entry.path)?;
                // Before the data of the new one.
                self.tell_moved(reader)?;
                self.make(&name, &entry, reader)?
            }
            result => result?,
        };
        self.keep(&name, entry, made)
    }

    /// Removes what stands at `name`.
    fn replace(&mut self, name: &OsStr, path: &[u8]) -> Result<()> {
        use std::os::fd::{AsFd, AsRawFd};
        let kind = self.chain.top()?.metadata(name)?.kind;
        if kind == FileKind::Directory && self.upon.is_some() {
            return Err(no_overwriting(path, "a directory", "what is none"));
        }
        if self.take_whiteout(name)? {
            return Ok(());
        }
        if self.move_away(name, path, kind)? {
            self.unlisted.remove_tree(path);
        } else if kind == FileKind::Directory {
            // By descriptor: the path itself may be longer than PATH_MAX.
            let fd = self.chain.top()?.as_fd().as_raw_fd();
            let parent = PathBuf::from(format!("/proc/self/fd/{fd}"));
            fs::remove_tree(&parent.join(name))?;
            self.unlisted.remove_tree(path);
        } else {
            self.chain.top()?.remove(name, kind)?;
        }
        self.applied.overrides.forget_tree(path);
        if self.upon.is_none() {
            self.applied.report.note(Topic::Replaced, path);
        }
        Ok(())
    }

    /// Tells the frame what was moved away.
    fn tell_moved<R: BufRead>(&mut self, reader: &mut TarReader<R>) -> Result<()> {
        let (Some(diff), Some(frame)) = (&mut self.diff, reader.frame()) else { return Ok(()) };
        diff.take_moved().iter().try_for_each(|path| frame.add_moved(path))
    }

    fn make<R: BufRead>(
        &mut self,
        name: &OsStr,
        entry: &Entry,
        reader: &mut TarReader<R>,
    ) -> Result<Made> {
        make(self.caller, (self.chain.top()?, name), entry, reader)
    }

    /// Keeps of `entry`, which was `made`, what the file system did not take.
    fn keep(&mut self, name: &OsStr, entry: Entry, made: Made) -> Result<()> {
        if made == Made::Whole {
            return Ok(());
        }
        if self.upon.is_some() {
            self.applied.report.note(Topic::Lost, &entry.path);
            return Ok(());
        }
        self.applied.report.note(Topic::Overridden, &entry.path);
        if made == Made::Partly {
            return self.applied.overrides.add_attributes(&entry.path, entry.attributes);
        }
        if fs::absent_is_none(self.chain.top()?.metadata(name))?.is_some() {
            self.replace(name, &entry.path)?;
        }
        if self.diff.is_some() {
            self.hide_behind_node(&entry.path)?;
        }
        self.applied.overrides.add_node(entry)
    }

    fn finish(mut self) -> Result<Applied> {
        while self.chain.depth() > 0 {
            self.leave()?;
        }
        if self.upon.is_some() {
            return Ok(self.applied);
        }
        let root = self.root.duplicate()?;
        let mut attributes = std::mem::take(&mut self.root_finish);
        if let (Some(diff), false) = (&self.diff, self.applied.has_root)
            && let Some(looks) = diff.root_looks()?
        {
            attributes = looks;
        }
        self.settle_directory(&root, b"", (attributes, true))?;
        for path in self.unlisted.into_paths() {
            self.applied.report.note(Topic::ImplicitDirectory, &path);
        }
        self.applied.overrides.retain(|path| !self.aside.has(path));
        self.aside.clear()?;
        Ok(self.applied)
    }
}

fn no_overwriting(path: &[u8], old: &str, new: &str) -> Error {
    let path = display(path);
    Error::new(Kind::AlreadyExists, format!("cannot overwrite {path:?}, {old}, with {new}"))
        .hint("remove it first, or give another destination")
}

pub(super) fn refuse_whiteout(entry: &Entry) -> Result<()> {
    let mut names = entry.path.split(|&byte| byte == b'/');
    if !names.any(is_whiteout) {
        return Ok(());
    }
    let path = display(&entry.path);
    Err(Error::invalid(format!("the member {path:?} means a removal, by its name with .wh."))
        .hint("give a whole filesystem, not one layer of an image; or leave it out by --exclude"))
}

/// Takes the extended attributes from `entry` that a layer does not have; tells
/// how many of them are worth a word.
pub(super) fn take_xattrs(entry: &mut Entry) -> usize {
    // The kernel allows `user.*` on files and directories only (xattr(7)).
    // What a hard link has is the file's, which has it already.
    let holds_user = matches!(
        entry.kind,
        EntryKind::Regular { .. } | EntryKind::Directory | EntryKind::HardLink { .. }
    );
    let mut dropped = 0;
    entry.attributes.xattrs.retain(|name, _| match fate(name) {
        Fate::Kept if holds_user || !name.starts_with(b"user.") => true,
        Fate::HostPolicy => false,
        _ => {
            dropped += 1;
            false
        }
    });
    dropped
}

/// The path of the parent, and the last name.
fn split(path: &[u8]) -> (Vec<u8>, OsString) {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(slash) => (path[..slash].to_vec(), OsString::from_vec(path[slash + 1..].to_vec())),
        None => (Vec::new(), OsString::from_vec(path.to_vec())),
    }
}

#[cfg(test)]
#[path = "../tests/apply.rs"]
mod tests;
