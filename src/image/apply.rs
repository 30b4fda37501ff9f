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
//!   kept in [`Overrides`].
//! - Blocks of zeros become holes.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use crate::error::{Error, Kind, Result};
use crate::fs::{self, Dir, FileKind, Metadata, Owner, Timestamp};

use super::chain::{Chain, open_long};
use super::entry::{Attributes, Entry, EntryKind, display};
use super::exclude::ExcludeSet;
use super::overrides::Overrides;
use super::read::TarReader;
use super::report::{Counters, Report, Topic};
use super::settle::{inherits_nothing, own_ids, settle};
use super::sparse::data_runs;
use super::xattrs::{ACL_DEFAULT, Fate, fate};

/// How an archive is applied.
#[derive(Default)]
pub struct ApplyOptions<'a> {
    /// Left out, with all below.
    pub excludes: Option<&'a ExcludeSet>,
    /// Later times become this one (SOURCE_DATE_EPOCH).
    pub epoch: Option<Timestamp>,
    /// Counted up on the way.
    pub counters: Option<&'a Counters>,
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
}

/// Applies all members of `reader` to the directory `target`, which is empty
/// or holds what earlier members made.
///
/// # Errors
/// `Invalid` with the member's name for members that leave the tree or do not
/// fit it; else those of [`TarReader`] and of the file system.
pub fn apply<R: std::io::BufRead>(
    mut reader: TarReader<R>,
    target: &Dir,
    options: &ApplyOptions<'_>,
) -> Result<Applied> {
    let mut extractor = Extractor::new(target)?;
    while let Some(mut entry) = reader.next_entry()? {
        if options.excludes.is_some_and(|excludes| excludes.excludes_with_parents(&entry.path)) {
            continue;
        }
        if let Some(epoch) = options.epoch {
            entry.attributes.mtime = entry.attributes.mtime.min(epoch);
        }
        extractor.count(&entry);
        if let Some(counters) = options.counters {
            counters.add_file();
        }
        extractor.member(entry, &mut reader)?;
    }
    let mut applied = extractor.finish()?;
    applied.has_end_marker = reader.has_end_marker();
    Ok(applied)
}

/// What a directory gets when the stream leaves it.
enum Finish {
    /// What its member says, or the default of one that has none; true if the
    /// directory may have attributes of an earlier member.
    Attributes(Attributes, bool),
    /// What it had when the stream came back to it.
    Restore { mode: u32, mtime: Timestamp, acl: Option<Vec<u8>> },
}

struct Extractor {
    chain: Chain<Finish>,
    root: Dir,
    root_finish: Attributes,
    /// What a new file gets without asking.
    own: Owner,
    applied: Applied,
}

fn implicit() -> Attributes {
    Attributes { mode: 0o755, ..Attributes::default() }
}

impl Extractor {
    fn new(target: &Dir) -> Result<Self> {
        Ok(Self {
            chain: Chain::new(inherits_nothing(target)?)?,
            root: target.duplicate()?,
            root_finish: implicit(),
            own: own_ids(),
            applied: Applied::default(),
        })
    }

    fn count(&mut self, entry: &Entry) {
        self.applied.entries += 1;
        self.applied.has_root |= entry.path.is_empty();
        let mtime = Some(entry.attributes.mtime);
        self.applied.newest_mtime = self.applied.newest_mtime.max(mtime);
        if let EntryKind::Regular { size, .. } = entry.kind {
            self.applied.content_size += size;
        }
    }

    fn member<R: std::io::BufRead>(
        &mut self,
        mut entry: Entry,
        reader: &mut TarReader<R>,
    ) -> Result<()> {
        self.filter_xattrs(&mut entry);
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
        match self.create(&name, &entry, reader) {
            Err(error) if error.kind() == Kind::AlreadyExists => {
                self.replace(&name, &entry.path)?;
                self.create(&name, &entry, reader)?;
            }
            result => result?,
        }
        Ok(())
    }

    fn filter_xattrs(&mut self, entry: &mut Entry) {
        // The kernel allows `user.*` on files and directories only (xattr(7)).
        let holds_user = matches!(entry.kind, EntryKind::Regular { .. } | EntryKind::Directory);
        let report = &mut self.applied.report;
        entry.attributes.xattrs.retain(|name, _| match fate(name) {
            Fate::Kept if holds_user || !name.starts_with(b"user.") => true,
            Fate::HostPolicy => false,
            _ => {
                report.note(Topic::DroppedXattr, &entry.path);
                false
            }
        });
    }

    /// Makes the directory `parent` the topmost one.
    fn enter(&mut self, parent: &[u8], member: &[u8]) -> Result<()> {
        if self.chain.path() == parent {
            return Ok(());
        }
        while !is_within(parent, self.chain.path()) {
            self.leave()?;
        }
        let present = self.chain.path();
        let skip = if present.is_empty() { 0 } else { present.len() + 1 };
        let missing: Vec<OsString> = parent
            .get(skip..)
            .unwrap_or_default()
            .split(|&byte| byte == b'/')
            .filter(|name| !name.is_empty())
            .map(|name| OsStr::from_bytes(name).to_owned())
            .collect();
        for name in missing {
            self.step(&name, member)?;
        }
        Ok(())
    }

    fn step(&mut self, name: &OsStr, member: &[u8]) -> Result<()> {
        let path = self.chain.path_of(name);
        let blocked = |what: &str| {
            let (member, path) = (display(member), display(&path));
            Err(Error::invalid(format!("the member {member:?} passes through {path:?}, {what}")))
        };
        let dir = self.chain.top()?;
        match fs::absent_is_none(dir.metadata(name))?.map(|metadata| metadata.kind) {
            Some(FileKind::Directory) => {
                let below = dir.open_dir(name)?;
                self.come_back(below, name)
            }
            Some(FileKind::Symlink) => blocked("a symbolic link"),
            Some(_) => blocked("which is no directory"),
            None if self.applied.overrides.has_node(&path) => blocked("which is no directory"),
            None => {
                let below = dir.create_dir(name)?;
                self.applied.report.note(Topic::ImplicitDirectory, &path);
                self.chain.push(below, name, Finish::Attributes(implicit(), false))
            }
        }
    }

    /// Opens a finished directory for more members.
    fn come_back(&mut self, below: Dir, name: &OsStr) -> Result<()> {
        let Metadata { mode, mtime, .. } = below.own_metadata()?;
        let acl_name = OsStr::from_bytes(ACL_DEFAULT);
        let this = OsStr::new(".");
        // New members would inherit the ACL and, with setgid, the group.
        let acl = match fs::read_xattr(&below, this, acl_name) {
            Ok(acl) => acl,
            Err(error) if error.kind() == Kind::Unsupported => None,
            Err(error) => return Err(error),
        };
        if acl.is_some() {
            fs::remove_xattr(&below, this, acl_name)?;
        }
        if mode & 0o2700 != 0o700 {
            below.set_mode(this, (mode | 0o700) & !0o2000)?;
        }
        self.chain.push(below, name, Finish::Restore { mode, mtime, acl })
    }

    fn leave(&mut self) -> Result<()> {
        let path = self.chain.path().to_vec();
        let dir = self.chain.top()?;
        let this = OsStr::new(".");
        // `dir` borrows the chain, whose data is wanted as well.
        let dir = dir.duplicate()?;
        match self.chain.pop() {
            Some(Finish::Attributes(attributes, is_old)) => {
                self.settle_directory(&dir, &path, (attributes, is_old))
            }
            Some(Finish::Restore { mode, mtime, acl }) => {
                if let Some(acl) = acl {
                    fs::write_xattr(&dir, this, (OsStr::from_bytes(ACL_DEFAULT), &acl))?;
                }
                if mode & 0o2700 != 0o700 {
                    dir.set_mode(this, mode)?;
                }
                dir.set_mtime(this, mtime)
            }
            None => Ok(()),
        }
    }

    fn settle_directory(
        &mut self,
        dir: &Dir,
        path: &[u8],
        (attributes, is_old): (Attributes, bool),
    ) -> Result<()> {
        let this = OsStr::new(".");
        if is_old {
            for name in fs::list_xattrs(dir, this)? {
                let is_kept = fate(name.as_bytes()) == Fate::Kept;
                if is_kept && !attributes.xattrs.contains_key(name.as_bytes()) {
                    fs::remove_xattr(dir, this, &name)?;
                }
            }
        }
        self.applied.overrides.forget(path);
        self.settle(dir, this, (path, FileKind::Directory, attributes))
    }

    fn directory(&mut self, name: &OsStr, entry: Entry) -> Result<()> {
        let dir = self.chain.top()?;
        match dir.create_dir(name) {
            Ok(below) => {
                // A device by that name is not in the tree.
                self.applied.overrides.forget_tree(&entry.path);
                self.chain.push(below, name, Finish::Attributes(entry.attributes, false))
            }
            Err(error) if error.kind() == Kind::AlreadyExists => {
                if dir.metadata(name)?.kind == FileKind::Directory {
                    let below = dir.open_dir(name)?;
                    self.come_back(below, name)?;
                } else {
                    self.replace(name, &entry.path)?;
                    let below = self.chain.top()?.create_dir(name)?;
                    self.chain.push(below, name, Finish::Attributes(implicit(), false))?;
                }
                if let Some(finish) = self.chain.data() {
                    *finish = Finish::Attributes(entry.attributes, true);
                }
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn hard_link(&mut self, name: &OsStr, (path, target): (&[u8], &[u8])) -> Result<()> {
        let refuse = |why: &str| {
            Error::invalid(format!(
                "the hard link {:?} points to {:?}, {why}",
                display(path),
                display(target)
            ))
        };
        if path == target {
            // GNU tar takes it for done; what it names must be there.
            return match fs::absent_is_none(self.chain.top()?.metadata(name))? {
                Some(_) => Ok(()),
                None => Err(refuse("which is itself")),
            };
        }
        if self.applied.overrides.has_node(target) {
            if fs::absent_is_none(self.chain.top()?.metadata(name))?.is_some() {
                self.replace(name, path)?;
            }
            self.applied.overrides.link(path, target);
            return Ok(());
        }
        let (parent, target_name) = split(target);
        let missing = || {
            refuse("which is not in the tree").hint("exclude both names, or give the whole archive")
        };
        let from = open_long(&self.root, &parent).map_err(|error| match error.kind() {
            Kind::NotFound => missing(),
            _ => refuse("which passes through what is no directory"),
        })?;
        let Some(found) = fs::absent_is_none(from.metadata(&target_name))? else {
            return Err(missing());
        };
        if found.kind == FileKind::Directory {
            return Err(refuse("which is a directory"));
        }
        match self.chain.top()?.create_link(name, &from, &target_name) {
            Err(error) if error.kind() == Kind::AlreadyExists => {
                self.replace(name, path)?;
                self.chain.top()?.create_link(name, &from, &target_name)?;
            }
            result => result?,
        }
        self.applied.overrides.forget(path);
        self.applied.overrides.link(path, target);
        Ok(())
    }

    /// Removes what stands at `name`.
    fn replace(&mut self, name: &OsStr, path: &[u8]) -> Result<()> {
        use std::os::fd::{AsFd, AsRawFd};
        let dir = self.chain.top()?;
        let kind = dir.metadata(name)?.kind;
        if kind == FileKind::Directory {
            // By descriptor: the path itself may be longer than PATH_MAX.
            let parent = PathBuf::from(format!("/proc/self/fd/{}", dir.as_fd().as_raw_fd()));
            fs::remove_tree(&parent.join(name))?;
        } else {
            dir.remove(name, kind)?;
        }
        self.applied.overrides.forget_tree(path);
        self.applied.report.note(Topic::Replaced, path);
        Ok(())
    }

    fn create<R: std::io::BufRead>(
        &mut self,
        name: &OsStr,
        entry: &Entry,
        reader: &mut TarReader<R>,
    ) -> Result<()> {
        let dir = self.chain.top()?;
        let kind = match &entry.kind {
            EntryKind::Regular { size, .. } => {
                write_file(dir, name, (*size, reader))?;
                FileKind::Regular
            }
            EntryKind::Symlink { target } => {
                dir.create_symlink(name, OsStr::from_bytes(target))?;
                FileKind::Symlink
            }
            EntryKind::CharDevice(major, minor) => {
                return self.node(name, entry, (FileKind::CharDevice, *major, *minor));
            }
            EntryKind::BlockDevice(major, minor) => {
                return self.node(name, entry, (FileKind::BlockDevice, *major, *minor));
            }
            EntryKind::Fifo => {
                dir.create_node(name, FileKind::Fifo, (0, 0))?;
                FileKind::Fifo
            }
            EntryKind::Directory | EntryKind::HardLink { .. } => return Ok(()),
        };
        let dir = dir.duplicate()?;
        self.settle(&dir, name, (&entry.path, kind, entry.attributes.clone()))
    }

    fn node(
        &mut self,
        name: &OsStr,
        entry: &Entry,
        (kind, major, minor): (FileKind, u32, u32),
    ) -> Result<()> {
        let dir = self.chain.top()?;
        match dir.create_node(name, kind, (major, minor)) {
            Ok(()) => {
                let dir = dir.duplicate()?;
                self.settle(&dir, name, (&entry.path, kind, entry.attributes.clone()))
            }
            Err(error) if error.kind() == Kind::Denied => {
                if fs::absent_is_none(dir.metadata(name))?.is_some() {
                    self.replace(name, &entry.path)?;
                }
                self.applied.report.note(Topic::Overridden, &entry.path);
                self.applied.overrides.add_node(entry.clone());
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Gives `name` its attributes and keeps those that it did not take.
    fn settle(
        &mut self,
        dir: &Dir,
        name: &OsStr,
        (path, kind, attributes): (&[u8], FileKind, Attributes),
    ) -> Result<()> {
        let taken = settle(dir, name, (kind, &attributes), self.own)?;
        if !taken {
            self.applied.report.note(Topic::Overridden, path);
            self.applied.overrides.add_attributes(path, attributes);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Applied> {
        while self.chain.depth() > 0 {
            self.leave()?;
        }
        let root = self.root.duplicate()?;
        let attributes = std::mem::take(&mut self.root_finish);
        self.settle_directory(&root, b"", (attributes, true))?;
        Ok(self.applied)
    }
}

fn write_file<R: std::io::BufRead>(
    dir: &Dir,
    name: &OsStr,
    (size, reader): (u64, &mut TarReader<R>),
) -> Result<()> {
    let file = dir.create_file(name)?;
    let fail = |error| Error::io("write", dir.path_of(name), error);
    let mut written = 0;
    reader.copy_data(&mut |start, bytes| {
        for (offset, run) in data_runs(start, bytes) {
            file.write_all_at(run, offset).map_err(fail)?;
            written = offset + run.len() as u64;
        }
        Ok(())
    })?;
    // A hole at the end is written by the length alone.
    if written != size { file.set_len(size).map_err(fail) } else { Ok(()) }
}

/// The path of the parent, and the last name.
fn split(path: &[u8]) -> (Vec<u8>, OsString) {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(slash) => (path[..slash].to_vec(), OsString::from_vec(path[slash + 1..].to_vec())),
        None => (Vec::new(), OsString::from_vec(path.to_vec())),
    }
}

/// True if `path` is `dir` or below it.
fn is_within(path: &[u8], dir: &[u8]) -> bool {
    dir.is_empty() || path.strip_prefix(dir).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

#[cfg(test)]
#[path = "tests/apply.rs"]
mod tests;
