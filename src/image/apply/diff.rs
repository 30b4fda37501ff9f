//! A layer of an image as overlayfs stacks it: its whiteouts become character
//! devices 0:0 and opaque directories an attribute, and what it does not say
//! comes from the layers below.
//!
//! - A whiteout hides what is below the layer, never what is in it (image
//!   spec, layer.md, "Whiteouts"): one of nothing is nothing, and one of a
//!   directory that the layer has makes that opaque.
//! - No whiteout stands in a directory that is merged with none below:
//!   overlayfs would list it there.
//! - A directory that the layer does not list looks as the one below.
//! - A hard link to a file below brings that file up, under both names.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::error::{Error, Kind, Result};
use crate::fs::{self, Dir, FileKind};
use crate::image::chain::open_long;
use crate::image::entry::{Attributes, Entry, display};
use crate::image::frame::REPLACED_LIMIT;
use crate::image::layer::LayerTarget;
use crate::image::settle::Place;

use super::super::marks::{self, MarkSpace, is_whiteout};
use super::directory::is_within;
use super::lower::{Found, Lower, LowerLayer, Merged};
use super::{Extractor, split};

/// How an archive is applied as one layer of several.
#[derive(Clone, Copy, Debug)]
pub struct Diff<'a> {
    /// The layers below, topmost first.
    pub lower: &'a [LowerLayer],
    /// The layer itself: its frame is written, and what later members replace
    /// is kept in its folder.
    pub target: &'a LayerTarget,
    /// How overlayfs is told of opaque directories.
    pub marks: MarkSpace,
    /// The most bytes that are copied of files below which it links to.
    pub copy_limit: u64,
}

/// The part of the extractor that knows of other layers.
pub(super) struct DiffState<'a> {
    lower: Lower<'a>,
    marks: MarkSpace,
    folder: &'a Path,
    /// The file that tells of marks of our own.
    own_marks: &'a Path,
    /// For the root and each directory of the chain.
    merged: Vec<Merged>,
    replaced: usize,
    root_is_hidden: bool,
    /// The most bytes that copies of files below may have, and what they have.
    copies: (u64, u64),
    /// What was moved away and the frame does not know of yet.
    moved: Vec<Vec<u8>>,
}

impl<'a> DiffState<'a> {
    pub(super) fn new(diff: Diff<'a>) -> Result<Self> {
        let lower = Lower::new(diff.lower, diff.marks);
        let merged = vec![lower.all()];
        Ok(Self {
            lower,
            marks: diff.marks,
            folder: &diff.target.replaced,
            own_marks: &diff.target.marks,
            merged,
            replaced: 0,
            root_is_hidden: false,
            copies: (diff.copy_limit, 0),
            moved: Vec::new(),
        })
    }

    /// Goes down into `dir`, which is `name` in `parent`, the topmost one.
    pub(super) fn enter(&mut self, dir: &Dir, parent: &[u8], name: &OsStr) -> Result<()> {
        let within = self.top();
        let merged = match within.is_empty() || self.marks.is_opaque(dir)? {
            true => Merged::new(),
            false => match self.lower.find(within, parent, name)? {
                Found::Directory(merged) => merged,
                Found::Nothing | Found::Other(_) => Merged::new(),
            },
        };
        self.merged.push(merged);
        Ok(())
    }

    pub(super) fn leave(&mut self) {
        self.merged.pop();
    }

    fn top(&self) -> &[usize] {
        self.merged.last().map_or(&[], Vec::as_slice)
    }

    /// What the directory `name` in `parent`, the topmost one, looks like
    /// below; none if there is none.
    pub(super) fn looks(&self, parent: &[u8], name: &OsStr) -> Result<Option<Attributes>> {
        let Found::Directory(merged) = self.lower.find(self.top(), parent, name)? else {
            return Ok(None);
        };
        let number = merged[0];
        let dir = self.lower.open_dir(number, parent)?;
        self.lower.attributes(number, &join(parent, name.as_bytes()), (&dir, name)).map(Some)
    }

    /// What the root looks like below; none if nothing is below.
    pub(super) fn root_looks(&self) -> Result<Option<Attributes>> {
        let Some(&number) = self.merged.first().and_then(|all| all.first()) else {
            return Ok(None);
        };
        let dir = self.lower.open_dir(number, b"")?;
        self.lower.attributes(number, b"", (&dir, OsStr::new("."))).map(Some)
    }

    /// What is moved away next, in the directory for that.
    fn room(&mut self, path: &[u8]) -> Result<OsString> {
        if self.replaced == REPLACED_LIMIT {
            let path = display(path);
            return Err(Error::unsupported(format!(
                "more than {REPLACED_LIMIT} members of the layer are replaced by later ones, at \
                 last {path:?}"
            )));
        }
        if self.replaced == 0 {
            fs::create_dir(self.folder, 0o700)?;
        }
        self.replaced += 1;
        self.moved.push(path.to_vec());
        Ok((self.replaced - 1).to_string().into())
    }

    fn count_copy(&mut self, size: u64) -> Result<()> {
        let (limit, copied) = &mut self.copies;
        *copied = copied.saturating_add(size);
        if copied > limit { Err(copies_too_much(*limit)) } else { Ok(()) }
    }

    /// What was moved away since the last call.
    pub(super) fn take_moved(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.moved)
    }
}

/// What a member's name asks for.
pub(in crate::image) enum Whiteout<'a> {
    /// To hide what is below by this name.
    Of(&'a [u8]),
    /// To hide all that is below in the directory.
    Opaque,
    /// Nothing: a matter of aufs.
    Meta,
}

impl Whiteout<'_> {
    /// What the name of `entry` asks for; `None` if it is no whiteout's.
    ///
    /// # Errors
    /// `Invalid` for one that removes no name and for what is below one.
    pub(in crate::image) fn parse(entry: &Entry) -> Result<Option<Whiteout<'_>>> {
        let mut names = entry.path.split(|&byte| byte == b'/');
        let Some(marked) = names.find_map(|name| name.strip_prefix(b".wh.")) else {
            return Ok(None);
        };
        let is_last = names.next().is_none();
        match marked {
            b".wh..opq" if is_last => Ok(Some(Whiteout::Opaque)),
            _ if marked.starts_with(b".wh.") => Ok(Some(Whiteout::Meta)),
            b"" | b"." | b".." => Err(refused(&entry.path, "removes no name")),
            _ if is_last => Ok(Some(Whiteout::Of(marked))),
            _ => Err(refused(&entry.path, "is in what another one removes")),
        }
    }
}

fn refused(path: &[u8], why: &str) -> Error {
    Error::invalid(format!("the whiteout {:?} {why}", display(path)))
}

impl Extractor<'_> {
    /// Does what `entry` asks for, if its name is a whiteout's; tells whether
    /// it is.
    pub(super) fn whiteout(&mut self, entry: &Entry) -> Result<bool> {
        let Some(whiteout) = Whiteout::parse(entry)? else { return Ok(false) };
        let (parent, _) = split(&entry.path);
        match whiteout {
            Whiteout::Of(name) => self.hide(&parent, OsStr::from_bytes(name), &entry.path)?,
            Whiteout::Opaque => self.make_opaque(&parent, &entry.path)?,
            Whiteout::Meta => {}
        }
        Ok(true)
    }

    /// Hides `name` of the directory `parent` that is below.
    fn hide(&mut self, parent: &[u8], name: &OsStr, member: &[u8]) -> Result<()> {
        if self.below(&join(parent, name.as_bytes()))? == Found::Nothing {
            return Ok(());
        }
        self.enter(parent, member)?;
        let Some(diff) = &self.diff else { return Ok(()) };
        let dir = self.chain.top()?;
        match fs::absent_is_none(dir.metadata(name))? {
            None => marks::make_whiteout((dir, name), diff.own_marks),
            Some(found) if found.kind == FileKind::Directory => {
                self.make_opaque(&join(parent, name.as_bytes()), member)
            }
            // What is there hides as well.
            Some(_) => Ok(()),
        }
    }

    fn make_opaque(&mut self, path: &[u8], member: &[u8]) -> Result<()> {
        let Some(diff) = &mut self.diff else { return Ok(()) };
        if path.is_empty() {
            // overlayfs has no opaque root. What was hidden once stays hidden.
            if std::mem::replace(&mut diff.root_is_hidden, true) {
                return Ok(());
            }
            let all = diff.lower.all();
            for names in diff.lower.names(&all, b"")? {
                for name in names.iter() {
                    self.hide(b"", name, member)?;
                }
            }
            return Ok(());
        }
        if !matches!(self.below(path)?, Found::Directory(_)) {
            return Ok(());
        }
        self.enter(path, member)?;
        let dir = self.chain.top()?.duplicate()?;
        let Some(diff) = &mut self.diff else { return Ok(()) };
        let Some(merged) = diff.merged.last_mut().filter(|merged| !merged.is_empty()) else {
            return Ok(());
        };
        merged.clear();
        diff.marks.make_opaque(&dir, diff.own_marks)?;
        drop_whiteouts(&dir)
    }

    /// What is seen of `path` below this layer, by who sees through the layer
    /// as it is now; what the layer itself has at `path` hides nothing but as
    /// a whiteout.
    fn below(&self, path: &[u8]) -> Result<Found> {
        let Some(diff) = &self.diff else { return Ok(Found::Nothing) };
        let mut own = Some(self.root.duplicate()?);
        let mut within = diff.lower.all();
        let (mut start, mut found) = (0, Found::Nothing);
        while start <= path.len() && !within.is_empty() {
            let rest = &path[start..];
            let end = start + rest.iter().position(|&byte| byte == b'/').unwrap_or(rest.len());
            let (parent, name) = (&path[..start.saturating_sub(1)], &path[start..end]);
            let (name, is_last) = (OsStr::from_bytes(name), end == path.len());
            let here = match &own {
                Some(dir) => fs::absent_is_none(dir.metadata(name))?,
                None => None,
            };
            match here {
                Some(here) if here.kind == FileKind::Directory && !is_last => {
                    let dir = own.take().map(|dir| dir.open_dir(name)).transpose()?;
                    if dir.as_ref().is_some_and(|dir| diff.marks.is_opaque(dir).unwrap_or(true)) {
                        return Ok(Found::Nothing);
                    }
                    own = dir;
                }
                Some(here) if !is_last || is_whiteout(&here) => return Ok(Found::Nothing),
                _ if !is_last => own = None,
                _ => {}
            }
            found = diff.lower.find(&within, parent, name)?;
            if is_last {
                return Ok(found);
            }
            within = match found {
                Found::Directory(merged) => merged,
                Found::Nothing | Found::Other(_) => return Ok(Found::Nothing),
            };
            (start, found) = (end + 1, Found::Nothing);
        }
        Ok(found)
    }

    /// Removes the whiteout at `name` in the topmost directory, for a directory
    /// that is to be opaque in its place; tells whether there is one.
    pub(super) fn take_whiteout(&mut self, name: &OsStr) -> Result<bool> {
        if self.diff.is_none() {
            return Ok(false);
        }
        let dir = self.chain.top()?;
        match fs::absent_is_none(dir.metadata(name))? {
            Some(found) if is_whiteout(&found) => {
                dir.remove(name, found.kind)?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Marks the new directory `dir` as one that hides what is below.
    pub(super) fn hide_below(&self, dir: &Dir) -> Result<()> {
        let Some(diff) = &self.diff else { return Ok(()) };
        diff.marks.make_opaque(dir, diff.own_marks)
    }

    /// Puts a whiteout where a device is kept beside the tree, if something
    /// below would be seen there.
    pub(super) fn hide_behind_node(&mut self, path: &[u8]) -> Result<()> {
        let (parent, name) = split(path);
        self.hide(&parent, &name, path)
    }

    /// Moves what is at `name` in the topmost directory to where the frame
    /// finds it; false if nothing in it has data.
    pub(super) fn move_away(&mut self, name: &OsStr, path: &[u8], kind: FileKind) -> Result<bool> {
        use std::os::fd::{AsFd, AsRawFd};
        let Some(diff) = &mut self.diff else { return Ok(false) };
        if !matches!(kind, FileKind::Regular | FileKind::Directory) {
            return Ok(false);
        }
        let room = diff.folder.join(diff.room(path)?);
        // By descriptor: the path itself may be longer than PATH_MAX.
        let fd = self.chain.top()?.as_fd().as_raw_fd();
        fs::rename(&Path::new(&format!("/proc/self/fd/{fd}")).join(name), &room)?;
        Ok(true)
    }

    /// Brings `target` up, if only a layer below has it: `path` is to be a hard
    /// link to it, and its directory the topmost one again.
    pub(super) fn bring_up(&mut self, path: &[u8], target: &[u8]) -> Result<()> {
        if self.diff.is_none() || is_within(target, path) {
            return Ok(());
        }
        let (parent, name) = split(target);
        match self.place_of(target) {
            Ok((dir, name)) if fs::absent_is_none(dir.metadata(&name))?.is_some() => {
                return Ok(());
            }
            Err(error) if error.kind() != Kind::NotFound => return Ok(()),
            _ => {}
        }
        let Found::Other(number) = self.below(target)? else { return Ok(()) };
        self.enter(&parent, path)?;
        self.copy_up(number, (&parent, &name), target)?;
        self.enter(&split(path).0, path)
    }

    fn copy_up(
        &mut self,
        number: usize,
        (parent, name): (&[u8], &OsStr),
        path: &[u8],
    ) -> Result<()> {
        let Some(diff) = &mut self.diff else { return Ok(()) };
        let from = diff.lower.open_dir(number, parent)?;
        let attributes = diff.lower.attributes(number, path, (&from, name))?;
        let found = from.metadata(name)?;
        if found.kind == FileKind::Regular {
            diff.count_copy(found.size)?;
        }
        let dir = self.chain.top()?;
        match found.kind {
            FileKind::Regular => {
                let mut copy = dir.create_file(name)?;
                std::io::copy(&mut from.open_file(name)?, &mut copy)
                    .map_err(|error| Error::io("write", dir.path_of(name), error))?;
            }
            FileKind::Symlink => {
                dir.create_symlink(name, OsStr::from_bytes(&from.read_link(name)?))?;
            }
            kind => dir.create_node(name, kind, found.rdev)?,
        }
        let place = Place { dir, name, kind: found.kind, open: None };
        if self.caller.settle(&place, &attributes)? {
            return Ok(());
        }
        self.applied.overrides.add_attributes(path, attributes)
    }
}

/// The error of a layer that links to more of what is below than it may have.
pub(in crate::image) fn copies_too_much(limit: u64) -> Error {
    Error::unsupported(format!(
        "the files below that it links to, which have to be copied, are larger than {limit} bytes"
    ))
    .hint("allow more with --max-layer-size, if you trust who made it")
}

/// Removes the whiteouts in `dir` and below: it hides everything by itself.
fn drop_whiteouts(dir: &Dir) -> Result<()> {
    let mut pending = vec![Vec::new()];
    while let Some(path) = pending.pop() {
        let below = open_long(dir, &path)?;
        for name in below.names()?.iter() {
            let found = below.metadata(name)?;
            if is_whiteout(&found) {
                if name != marks::OPAQUE_NAME {
                    below.remove(name, found.kind)?;
                }
            } else if found.kind == FileKind::Directory {
                pending.push(join(&path, name.as_bytes()));
            }
        }
    }
    Ok(())
}

fn join(parent: &[u8], name: &[u8]) -> Vec<u8> {
    let slash: &[u8] = if parent.is_empty() { b"" } else { b"/" };
    [parent, slash, name].concat()
}

#[cfg(test)]
#[path = "../tests/diff.rs"]
mod tests;
