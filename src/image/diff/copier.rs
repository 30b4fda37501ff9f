//! The copy of an upper directory.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::error::{Error, Kind, Result};
use crate::fs::{self, Dir, File, FileKind, Metadata, Names};
use crate::image::chain::{Chain, open_long};
use crate::image::entry::{Attributes, Entry, EntryKind, Xattrs, display, is_whiteout};
use crate::image::layer::LayerTarget;
use crate::image::marks::{self, Marks};
use crate::image::overrides::Overrides;
use crate::image::report::Topic;
use crate::image::settle::{Caller, Place, inherits_nothing};
use crate::image::xattrs::{self, Fate, fate};

use super::{Changes, CopiedChanges};

/// See [`super::copy_changes`].
pub(super) fn copy(changes: &Changes<'_>, target: &LayerTarget) -> Result<CopiedChanges> {
    let root = target.open_tree()?;
    let mut copier = Copier {
        changes,
        caller: Caller::of_process()?,
        root: inherits_nothing(&root)?.duplicate()?,
        own_marks: &target.marks,
        merged: None,
        links: HashMap::new(),
        overrides: Overrides::default(),
        copied: CopiedChanges::default(),
    };
    let this = OsStr::new(".");
    let metadata = changes.upper.own_metadata()?;
    let (attributes, marks) = copier.attributes((changes.upper, this), (&metadata, b""))?;
    let upper = Tree { dir: changes.upper, base: b"", form: Form::Upper };
    copier.tree(&upper, &root)?;
    // Nothing is below the root of a whole tree.
    if marks.is_opaque && changes.image.is_some() {
        changes.space.make_opaque(&root, &target.marks)?;
    }
    copier.settle_directory(&root, b"", attributes)?;
    copier.overrides.save(&target.overrides)?;
    Ok(copier.copied)
}

/// How a directory that is copied is to be read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As overlayfs writes it.
    Upper,
    /// As the overlay shows it.
    Merged,
}

/// What is copied.
struct Tree<'a> {
    dir: &'a Dir,
    /// Its path in the layer.
    base: &'a [u8],
    form: Form,
}

/// The names of a directory and how far they are done.
struct Progress {
    names: Names,
    next: usize,
}

/// A directory that is being filled, and where it stands.
struct Level {
    above: Progress,
    path: Vec<u8>,
    attributes: Attributes,
}

/// Something that is to be copied.
struct Member<'a> {
    dir: &'a Dir,
    name: &'a OsStr,
    path: &'a [u8],
    found: Metadata,
    form: Form,
}

struct Copier<'a> {
    changes: &'a Changes<'a>,
    caller: Caller,
    root: Dir,
    /// The file that tells of marks of our own.
    own_marks: &'a Path,
    /// Opened when it is wanted first.
    merged: Option<Dir>,
    /// The path of the first name of each file that has several.
    links: HashMap<(u64, u64), Vec<u8>>,
    overrides: Overrides,
    copied: CopiedChanges,
}

impl Copier<'_> {
    /// Copies what is in `tree` into the directory `target`.
    fn tree(&mut self, tree: &Tree<'_>, target: &Dir) -> Result<()> {
        let mut from = Chain::<Level>::new(tree.dir)?;
        let mut to = Chain::<()>::new(target)?;
        let mut progress = Progress { names: tree.dir.names()?, next: 0 };
        loop {
            let Some(name) = progress.names.get(progress.next).map(OsStr::to_owned) else {
                let Some(level) = from.pop() else { return Ok(()) };
                self.settle_directory(to.top()?, &level.path, level.attributes)?;
                to.pop();
                progress = level.above;
                continue;
            };
            progress.next += 1;
            let path = below(tree.base, &from.path_of(&name));
            if self.changes.left_out.contains(&path) {
                continue;
            }
            refuse_whiteout(&name, &path)?;
            let dir = from.top()?;
            let Some(found) = fs::absent_is_none(dir.metadata(&name))? else { continue };
            let member = Member { dir, name: &name, path: &path, found, form: tree.form };
            if found.kind != FileKind::Directory {
                self.member(&member, to.top()?)?;
                continue;
            }
            let Some(opened) = self.directory(&member, to.top()?)? else { continue };
            let Opened { source, target, attributes } = opened;
            let names = source.names()?;
            let above = std::mem::replace(&mut progress, Progress { names, next: 0 });
            from.push(source, &name, Level { above, path, attributes })?;
            to.push(target, &name, ())?;
        }
    }

    /// Makes a directory; what is to be filled, unless it is whole already or
    /// has gone.
    fn directory(&mut self, member: &Member<'_>, into: &Dir) -> Result<Option<Opened>> {
        let Some(source) = gone_is_none(member.dir.open_dir(member.name))? else {
            return Ok(None);
        };
        let (attributes, marks) =
            self.attributes((member.dir, member.name), (&member.found, member.path))?;
        let target = into.create_dir(member.name)?;
        self.copied.members += 1;
        let is_upper = member.form == Form::Upper;
        let hides = is_upper && (marks.is_opaque || marks.is_redirected);
        if hides && self.image_has_directory(member.path)? {
            self.changes.space.make_opaque(&target, self.own_marks)?;
        }
        if !(is_upper && marks.is_redirected) {
            return Ok(Some(Opened { source, target, attributes }));
        }
        let merged = open_long(self.merged()?, member.path)?;
        let whole = Tree { dir: &merged, base: member.path, form: Form::Merged };
        self.tree(&whole, &target)?;
        self.settle_directory(&target, member.path, attributes)?;
        Ok(None)
    }

    /// Copies what is no directory.
    fn member(&mut self, member: &Member<'_>, into: &Dir) -> Result<()> {
        let Member { dir, name, path, found, form } = *member;
        if form == Form::Upper && marks::is_overlays_whiteout(&found) {
            self.copied.members += 1;
            return marks::make_whiteout((into, name), self.own_marks);
        }
        if found.kind == FileKind::Socket {
            self.copied.report.note(Topic::Socket, path);
            return Ok(());
        }
        let is_linked =
            found.links > 1 && matches!(found.kind, FileKind::Regular | FileKind::Symlink);
        if is_linked && self.link(member, into)? {
            return Ok(());
        }
        let Some((attributes, marks)) = gone_is_none(self.attributes((dir, name), (&found, path)))?
        else {
            return Ok(());
        };
        let made = match found.kind {
            FileKind::Regular => self.regular(member, into, marks)?,
            FileKind::Symlink => {
                let Some(to) = gone_is_none(dir.read_link(name))? else { return Ok(()) };
                into.create_symlink(name, OsStr::from_bytes(&to))?;
                Made::Node
            }
            _ => self.node(member, into, &attributes)?,
        };
        if made == Made::Nothing {
            return Ok(());
        }
        self.copied.members += 1;
        if is_linked {
            self.links.insert(found.inode, path.to_vec());
        }
        if made == Made::Node {
            let place = Place { dir: into, name, kind: found.kind, open: None };
            let is_whole = self.caller.settle(&place, &attributes)?;
            self.keep_refused(is_whole, path, attributes)?;
        }
        Ok(())
    }

    /// Makes one more name of a file that was copied; false if it was not.
    fn link(&mut self, member: &Member<'_>, into: &Dir) -> Result<bool> {
        let Some(first) = self.links.get(&member.found.inode) else { return Ok(false) };
        let slash = first.iter().rposition(|&byte| byte == b'/');
        let (parent, name) = match slash {
            Some(slash) => (&first[..slash], &first[slash + 1..]),
            None => (&first[..0], first.as_slice()),
        };
        let from = open_long(&self.root, parent)?;
        into.create_link(member.name, &from, OsStr::from_bytes(name))?;
        self.overrides.link(member.path, first)?;
        self.copied.members += 1;
        Ok(true)
    }

    fn regular(&mut self, member: &Member<'_>, into: &Dir, marks: Marks) -> Result<Made> {
        let Some(source) = self.open(member, marks)? else { return Ok(Made::Nothing) };
        let target = into.create_file(member.name)?;
        fs::copy_data(&source, &target)
            .map_err(|error| Error::io("copy", member.dir.path_of(member.name), error))?;
        Ok(Made::Node)
    }

    /// The file with the data of `member`; none if it has gone.
    fn open(&mut self, member: &Member<'_>, marks: Marks) -> Result<Option<File>> {
        if !(member.form == Form::Upper && marks.is_metacopy) {
            return gone_is_none(member.dir.open_file(member.name));
        }
        let slash = member.path.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
        let parent = open_long(self.merged()?, &member.path[..slash])?;
        gone_is_none(parent.open_file(member.name))
    }

    /// Makes a device or FIFO.
    fn node(&mut self, member: &Member<'_>, into: &Dir, attributes: &Attributes) -> Result<Made> {
        let Member { name, path, found, .. } = *member;
        match into.create_node(name, found.kind, found.rdev) {
            Ok(()) => Ok(Made::Node),
            Err(error) if found.kind.is_device() && error.kind() == Kind::Denied => {
                let (major, minor) = found.rdev;
                let kind = match found.kind {
                    FileKind::BlockDevice => EntryKind::BlockDevice(major, minor),
                    _ => EntryKind::CharDevice(major, minor),
                };
                let attributes = attributes.clone();
                self.copied.report.note(Topic::Overridden, path);
                self.copied.members += 1;
                self.overrides.add_node(Entry { path: path.to_vec(), kind, attributes })?;
                Ok(Made::Nothing)
            }
            Err(error) => Err(error),
        }
    }

    fn settle_directory(&mut self, dir: &Dir, path: &[u8], attributes: Attributes) -> Result<()> {
        let (name, kind) = (OsStr::new("."), FileKind::Directory);
        let place = Place { dir, name, kind, open: Some(dir.as_fd()) };
        let is_whole = self.caller.settle(&place, &attributes)?;
        self.keep_refused(is_whole, path, attributes)
    }

    fn keep_refused(&mut self, is_whole: bool, path: &[u8], attributes: Attributes) -> Result<()> {
        if is_whole {
            return Ok(());
        }
        self.copied.report.note(Topic::Overridden, path);
        self.overrides.add_attributes(path, attributes)
    }

    /// What `name` has as a member of a layer, and what overlayfs says of it.
    fn attributes(
        &mut self,
        (dir, name): (&Dir, &OsStr),
        (found, path): (&Metadata, &[u8]),
    ) -> Result<(Attributes, Marks)> {
        let names = fs::list_xattrs(dir, name)?;
        let marks = Marks::read((dir, name), &names, self.changes.space)?;
        let xattrs = self.xattrs((dir, name), &names, path)?;
        let mtime = match self.changes.epoch {
            Some(epoch) => found.mtime.min(epoch),
            None => found.mtime,
        };
        let Metadata { mode, uid, gid, .. } = *found;
        Ok((Attributes { mode, uid, gid, mtime, xattrs }, marks))
    }

    fn xattrs(
        &mut self,
        (dir, name): (&Dir, &OsStr),
        names: &[OsString],
        path: &[u8],
    ) -> Result<Xattrs> {
        let mut kept = Xattrs::new();
        let own = |attribute: &&OsString| !self.changes.space.has(attribute.as_bytes());
        for attribute in names.iter().filter(own) {
            match fate(attribute.as_bytes()) {
                Fate::Kept => {
                    let value = fs::read_xattr(dir, name, attribute)?;
                    kept.extend(value.map(|value| (attribute.as_bytes().to_vec(), value)));
                }
                Fate::Dropped => self.copied.report.note(Topic::DroppedXattr, path),
                Fate::HostPolicy => {}
            }
        }
        if xattrs::size(&kept) > xattrs::LIMIT {
            let limit = xattrs::LIMIT;
            return Err(Error::unsupported(format!(
                "{} has more than {limit} bytes of extended attributes",
                display(path)
            ))
            .hint("remove some of them in the container"));
        }
        Ok(kept)
    }

    fn image_has_directory(&self, path: &[u8]) -> Result<bool> {
        let Some(image) = self.changes.image else { return Ok(false) };
        match open_long(image, path) {
            Ok(_) => Ok(true),
            Err(error) if is_absent(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn merged(&mut self) -> Result<&Dir> {
        let merged = match self.merged.take() {
            Some(merged) => merged,
            None => (self.changes.merged)()?,
        };
        Ok(self.merged.insert(merged))
    }
}

/// A directory that is to be filled.
struct Opened {
    source: Dir,
    target: Dir,
    attributes: Attributes,
}

/// What became of a member.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Made {
    /// Something that gets attributes.
    Node,
    /// Nothing in the tree.
    Nothing,
}

fn below(base: &[u8], path: &[u8]) -> Vec<u8> {
    let slash: &[u8] = if base.is_empty() { b"" } else { b"/" };
    [base, slash, path].concat()
}

/// True where a path leads to no directory.
fn is_absent(error: &Error) -> bool {
    error.kind() == Kind::NotFound || fs::is_no_directory(error)
}

/// What goes, or becomes something else, while it is looked at.
fn gone_is_none<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Err(error) if is_absent(&error) => Ok(None),
        result => result.map(Some),
    }
}

fn refuse_whiteout(name: &OsStr, path: &[u8]) -> Result<()> {
    if !is_whiteout(name.as_bytes()) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{} cannot be in a layer: names that begin with .wh. mean a removal there",
        display(path)
    ))
    .hint("rename or remove it in the container"))
}
