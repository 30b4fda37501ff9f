//! The directories of the extractor: how the stream enters, leaves and comes
//! back to them. It knows nothing of what else is in a member.

use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

use crate::error::{Error, Kind, Result};
use crate::fs::{self, Dir, FileKind, Metadata, Owner, Timestamp};
use crate::image::entry::{Attributes, Entry, display};
use crate::image::report::Topic;
use crate::image::settle::Place;
use crate::image::xattrs::{self, ACL_DEFAULT, Fate, fate};

use super::{Extractor, no_overwriting};

/// The most extended attributes that directories on the way down may have
/// together, in bytes: they wait in memory until the stream leaves them.
const PENDING_LIMIT: usize = 16 << 20;

/// What a directory gets when the stream leaves it.
pub(super) enum Finish {
    /// What its member says, or the default of one that has none; true if the
    /// directory may have attributes of an earlier member.
    Attributes(Attributes, bool),
    /// What it had when the stream came back to it.
    Restore { mode: u32, mtime: Timestamp, acl: Option<Vec<u8>> },
}

pub(super) fn implicit() -> Attributes {
    Attributes { mode: 0o755, ..Attributes::default() }
}

impl Extractor<'_> {
    /// Makes the directory `parent` the topmost one.
    pub(super) fn enter(&mut self, parent: &[u8], member: &[u8]) -> Result<()> {
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
        let found = fs::absent_is_none(self.chain.top()?.metadata(name))?;
        match found.map(|metadata| metadata.kind) {
            Some(FileKind::Directory) => {
                let below = self.chain.top()?.open_dir(name)?;
                self.come_back(below, name)
            }
            Some(FileKind::Symlink) => blocked("a symbolic link"),
            Some(_) if self.take_whiteout(name)? => {
                let below = self.chain.top()?.create_dir(name)?;
                self.hide_below(&below)?;
                self.descend(below, name, Finish::Attributes(implicit(), false))
            }
            Some(_) => blocked("which is no directory"),
            None if self.applied.overrides.has_node(&path) => blocked("which is no directory"),
            None => {
                let below = self.chain.top()?.create_dir(name)?;
                if let Some(looks) = self.looks_below(name)? {
                    return self.descend(below, name, Finish::Attributes(looks, false));
                }
                if let Some(upon) = self.upon {
                    let Owner { uid, gid } = upon.owner.unwrap_or(Owner { uid: 0, gid: 0 });
                    let mtime = Timestamp::now();
                    let attributes = Attributes { uid, gid, mtime, ..implicit() };
                    return self.descend(below, name, Finish::Attributes(attributes, false));
                }
                if !self.unlisted.add(&path) {
                    self.applied.report.note(Topic::ImplicitDirectory, &path);
                }
                self.descend(below, name, Finish::Attributes(implicit(), false))
            }
        }
    }

    /// Makes `below`, which is `name` in the topmost directory, the topmost one.
    fn descend(&mut self, below: Dir, name: &OsStr, finish: Finish) -> Result<()> {
        if let Some(diff) = &mut self.diff {
            diff.enter(&below, self.chain.path(), name)?;
        }
        self.chain.push(below, name, finish)
    }

    /// What the directory `name` in the topmost one looks like in the layers
    /// below, if it is in them.
    fn looks_below(&self, name: &OsStr) -> Result<Option<Attributes>> {
        match &self.diff {
            Some(diff) => diff.looks(self.chain.path(), name),
            None => Ok(None),
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
        self.descend(below, name, Finish::Restore { mode, mtime, acl })
    }

    pub(super) fn leave(&mut self) -> Result<()> {
        let path = self.chain.path().to_vec();
        let dir = self.chain.top()?;
        let this = OsStr::new(".");
        // `dir` borrows the chain, whose data is wanted as well.
        let dir = dir.duplicate()?;
        if let Some(diff) = &mut self.diff {
            diff.leave();
        }
        match self.chain.pop() {
            Some(Finish::Attributes(attributes, is_old)) => {
                self.pending_xattrs -= xattrs::size(&attributes.xattrs);
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

    pub(super) fn settle_directory(
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
        let kind = FileKind::Directory;
        let place = Place { dir, name: this, kind, open: Some(dir.as_fd()) };
        if self.caller.settle(&place, &attributes)? {
            return Ok(());
        }
        if self.upon.is_some() {
            self.applied.report.note(Topic::Lost, path);
            return Ok(());
        }
        self.applied.report.note(Topic::Overridden, path);
        self.applied.overrides.add_attributes(path, attributes)
    }

    pub(super) fn directory(&mut self, name: &OsStr, entry: Entry) -> Result<()> {
        self.pending_xattrs += xattrs::size(&entry.attributes.xattrs);
        if self.pending_xattrs > PENDING_LIMIT {
            let path = display(&entry.path);
            return Err(Error::unsupported(format!(
                "the directories down to {path:?} have more than {PENDING_LIMIT} bytes of \
                 extended attributes"
            )));
        }
        self.unlisted.remove(&entry.path);
        let dir = self.chain.top()?;
        match dir.create_dir(name) {
            Ok(below) => {
                // A device by that name is not in the tree.
                self.applied.overrides.forget_tree(&entry.path);
                self.descend(below, name, Finish::Attributes(entry.attributes, false))
            }
            Err(error) if error.kind() == Kind::AlreadyExists => {
                if dir.metadata(name)?.kind == FileKind::Directory {
                    let below = dir.open_dir(name)?;
                    self.come_back(below, name)?;
                } else if self.upon.is_some() {
                    return Err(no_overwriting(&entry.path, "no directory", "one"));
                } else {
                    let hides = self.take_whiteout(name)?;
                    if !hides {
                        self.replace(name, &entry.path)?;
                    }
                    let below = self.chain.top()?.create_dir(name)?;
                    if hides {
                        self.hide_below(&below)?;
                    }
                    self.descend(below, name, Finish::Attributes(implicit(), false))?;
                }
                if let Some(finish) = self.chain.data() {
                    *finish = Finish::Attributes(entry.attributes, self.upon.is_none());
                }
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

/// True if `path` is `dir` or below it.
pub(in crate::image) fn is_within(path: &[u8], dir: &[u8]) -> bool {
    dir.is_empty() || path.strip_prefix(dir).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}
