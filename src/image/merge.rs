//! What a stack of layers shows, copied into a directory: for hosts that cannot
//! stack them by a mount.
//!
//! The rules are overlayfs's (Documentation/filesystems/overlayfs, "Merging",
//! "whiteouts and opaque directories"): a name is that of the topmost layer which
//! has it, directories are merged until one is opaque, and a directory looks as the
//! topmost one. What a layer's tree does not hold, its overlay does not show, and
//! neither does the copy.
//!
//! Memory holds the names of the directories on the way down, and the first names of
//! files that have more. Nothing is followed that a layer names: not its symbolic
//! links, nor devices or FIFOs.
//!
//! It knows nothing of stores, images or mounts.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

use crate::error::{Error, Kind, Result};
use crate::fs::{self, Dir, FileKind, Metadata, Names};

use super::chain::open_long;
use super::entry::{Attributes, Xattrs, split};
use super::marks;
use super::report::{Report, Topic};
use super::settle::{Caller, Place, inherits_nothing};
use super::xattrs;

/// What was copied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MergedCopy {
    /// Of all regular files, holes included, hard links once, in bytes.
    pub content_size: u64,
    /// What could not be copied.
    pub report: Report,
}

/// Copies what `layers`, topmost first, show together into the empty directory
/// `target`, which looks as the topmost root then. Blocks are shared where the file
/// system can, and holes stay holes. `progress` is told the bytes so far after each
/// file.
///
/// What the caller may not read is left out, and a device that it may not make; what
/// it may not give to a file it does not give, as in the layer itself.
///
/// # Errors
/// Those of reading and writing else.
pub fn copy_merged(
    layers: &[Dir],
    target: &Dir,
    progress: &mut dyn FnMut(u64),
) -> Result<MergedCopy> {
    let mut copier = Copier {
        layers,
        root: inherits_nothing(target)?,
        caller: Caller::of_process()?,
        links: HashMap::new(),
        copied: MergedCopy::default(),
        progress,
    };
    if !layers.is_empty() {
        copier.tree()?;
    }
    Ok(copier.copied)
}

/// A directory that is being copied.
struct Level {
    path: Vec<u8>,
    /// The layers that are merged in it, by their numbers.
    merged: Vec<usize>,
    names: Names,
    next: usize,
    attributes: Attributes,
}

/// The same, open.
struct Opened {
    /// In the order of the numbers.
    sources: Vec<Dir>,
    target: Dir,
}

/// What is seen by a name.
enum Found {
    Nothing,
    /// Directories by the numbers of their layers.
    Directory(Vec<(usize, Dir)>),
    /// A directory that may not be looked into.
    Closed(usize),
    /// Something else, of the directory with this place in the order.
    Other(usize, Metadata),
}

/// A file that has more names.
struct Link {
    first: Vec<u8>,
    unseen: u64,
}

struct Copier<'a> {
    /// Topmost first.
    layers: &'a [Dir],
    root: &'a Dir,
    caller: Caller,
    links: HashMap<(u64, u64), Link>,
    copied: MergedCopy,
    progress: &'a mut dyn FnMut(u64),
}

impl Copier<'_> {
    fn tree(&mut self) -> Result<()> {
        let roots = self.layers.iter().map(Dir::duplicate).enumerate();
        let roots = roots.map(|(number, dir)| Ok((number, dir?))).collect::<Result<Vec<_>>>()?;
        let this = OsStr::new(".");
        let looks = looks_of((&roots[0].1, this), &roots[0].1.own_metadata()?)?;
        let (mut level, mut here) =
            self.enter(Vec::new(), roots, (self.root.duplicate()?, looks))?;
        let mut above: Vec<Level> = Vec::new();
        loop {
            let Some(name) = level.names.get(level.next).map(OsStr::to_owned) else {
                self.settle((&here.target, this), FileKind::Directory, &level.attributes)?;
                let Some(parent) = above.pop() else { return Ok(()) };
                level = parent;
                here = self.open(&level)?;
                continue;
            };
            level.next += 1;
            let path = join(&level.path, &name);
            match self.find(&here, &level.merged, &name)? {
                Found::Nothing => {}
                Found::Other(place, found) => {
                    self.member((&here.sources[place], &here.target), &name, (&path, &found))?;
                }
                Found::Closed(place) => {
                    let attributes = self.closed(&here.sources[place], &name, &path)?;
                    here.target.create_dir(&name)?;
                    self.settle((&here.target, &name), FileKind::Directory, &attributes)?;
                }
                Found::Directory(merged) => {
                    let top = &merged[0].1;
                    let looks = looks_of((top, this), &top.own_metadata()?)?;
                    let target = here.target.create_dir(&name)?;
                    let (below, opened) = self.enter(path, merged, (target, looks))?;
                    above.push(std::mem::replace(&mut level, below));
                    here = opened;
                }
            }
        }
    }

    fn enter(
        &mut self,
        path: Vec<u8>,
        merged: Vec<(usize, Dir)>,
        (target, attributes): (Dir, Attributes),
    ) -> Result<(Level, Opened)> {
        let mut lists = Vec::with_capacity(merged.len());
        for (_, dir) in &merged {
            lists.push(dir.names()?);
        }
        let names = Names::union(lists);
        let (merged, sources) = merged.into_iter().unzip();
        Ok((Level { path, merged, names, next: 0, attributes }, Opened { sources, target }))
    }

    /// Opens the directories of `level` once more: of those above only the names
    /// are kept, however deep the tree.
    fn open(&self, level: &Level) -> Result<Opened> {
        let open = |&number: &usize| open_long(&self.layers[number], &level.path);
        Ok(Opened {
            sources: level.merged.iter().map(open).collect::<Result<_>>()?,
            target: open_long(self.root, &level.path)?,
        })
    }

    fn find(&self, here: &Opened, merged: &[usize], name: &OsStr) -> Result<Found> {
        let mut found = Vec::new();
        for (place, (dir, &number)) in here.sources.iter().zip(merged).enumerate() {
            let Some(metadata) = fs::absent_is_none(dir.metadata(name))? else { continue };
            if metadata.kind != FileKind::Directory {
                let hides = !found.is_empty() || marks::is_whiteout(&metadata);
                return Ok(match (hides, found.is_empty()) {
                    (false, _) => Found::Other(place, metadata),
                    (true, true) => Found::Nothing,
                    (true, false) => Found::Directory(found),
                });
            }
            match dir.open_dir(name) {
                Err(error) if error.kind() == Kind::Denied && found.is_empty() => {
                    return Ok(Found::Closed(place));
                }
                opened => found.push((number, opened?)),
            }
            if place + 1 < merged.len() && marks::is_opaque(dir, name)? {
                break;
            }
        }
        Ok(if found.is_empty() { Found::Nothing } else { Found::Directory(found) })
    }

    /// The attributes of a directory that may not be looked into.
    fn closed(&mut self, dir: &Dir, name: &OsStr, path: &[u8]) -> Result<Attributes> {
        self.copied.report.note(Topic::Unreadable, path);
        let Metadata { mode, uid, gid, mtime, .. } = dir.metadata(name)?;
        Ok(Attributes { mode, uid, gid, mtime, xattrs: Xattrs::new() })
    }

    /// Copies what is no directory.
    fn member(
        &mut self,
        (from, into): (&Dir, &Dir),
        name: &OsStr,
        (path, found): (&[u8], &Metadata),
    ) -> Result<()> {
        let is_linked = found.links > 1;
        if is_linked && self.link(into, name, found)? {
            return Ok(());
        }
        match found.kind {
            FileKind::Regular => {
                if !self.regular((from, into), name, path)? {
                    return Ok(());
                }
            }
            FileKind::Symlink => {
                into.create_symlink(name, OsStr::from_bytes(&from.read_link(name)?))?;
                self.settle((into, name), found.kind, &looks_of((from, name), found)?)?;
            }
            // Nobody listens at a copy.
            FileKind::Socket => return Ok(()),
            kind => {
                match into.create_node(name, kind, found.rdev) {
                    Err(error) if kind.is_device() && error.kind() == Kind::Denied => {
                        self.copied.report.note(Topic::Lost, path);
                        return Ok(());
                    }
                    made => made?,
                }
                self.settle((into, name), kind, &looks_of((from, name), found)?)?;
            }
        }
        if is_linked {
            let link = Link { first: path.to_vec(), unseen: found.links - 1 };
            self.links.insert(found.inode, link);
        }
        Ok(())
    }

    /// Makes one more name of a file that was copied; false if it was not.
    fn link(&mut self, into: &Dir, name: &OsStr, found: &Metadata) -> Result<bool> {
        let Some(link) = self.links.get_mut(&found.inode) else { return Ok(false) };
        let (parent, first) = split(&link.first);
        let from = open_long(self.root, parent)?;
        into.create_link(name, &from, OsStr::from_bytes(first))?;
        link.unseen -= 1;
        if link.unseen == 0 {
            self.links.remove(&found.inode);
        }
        Ok(true)
    }

    /// Copies a file; false if it may not be read.
    fn regular(&mut self, (from, into): (&Dir, &Dir), name: &OsStr, path: &[u8]) -> Result<bool> {
        let source = match from.open_file(name) {
            Err(error) if error.kind() == Kind::Denied => {
                self.copied.report.note(Topic::Unreadable, path);
                return Ok(false);
            }
            opened => opened?,
        };
        let whole = from.path_of(name);
        let found = Metadata::of_file(&source, &whole)?;
        let xattrs = match xattrs::has_none(&source) {
            true => Xattrs::new(),
            false => xattrs::kept((from, name))?,
        };
        let target = into.create_file(name)?;
        fs::copy_data(&source, &target).map_err(|error| Error::io("copy", &whole, error))?;
        let Metadata { mode, uid, gid, mtime, .. } = found;
        let place = Place { dir: into, name, kind: found.kind, open: Some(target.as_fd()) };
        self.caller.settle(&place, &Attributes { mode, uid, gid, mtime, xattrs })?;
        self.copied.content_size = self.copied.content_size.saturating_add(found.size);
        (self.progress)(self.copied.content_size);
        Ok(true)
    }

    /// What the file system refuses it has refused the layer as well, which looks
    /// the same.
    fn settle(
        &self,
        (dir, name): (&Dir, &OsStr),
        kind: FileKind,
        attributes: &Attributes,
    ) -> Result<()> {
        self.caller.settle(&Place { dir, name, kind, open: None }, attributes).map(drop)
    }
}

fn looks_of(place: (&Dir, &OsStr), found: &Metadata) -> Result<Attributes> {
    let Metadata { mode, uid, gid, mtime, .. } = *found;
    Ok(Attributes { mode, uid, gid, mtime, xattrs: xattrs::kept(place)? })
}

fn join(parent: &[u8], name: &OsString) -> Vec<u8> {
    let slash: &[u8] = if parent.is_empty() { b"" } else { b"/" };
    [parent, slash, name.as_bytes()].concat()
}

#[cfg(test)]
#[path = "tests/merge.rs"]
mod tests;
