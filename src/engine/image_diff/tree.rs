//! Two trees side by side. It knows nothing of images: it is given the roots.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Result};
use crate::fs::{self, Dir, FileKind, Metadata, Owner};
use crate::image::compare_paths;

use super::content::Buffers;
use super::{Aspect, FileFound, PathChange, Times};

/// What differs between the trees `old` and `new`.
///
/// # Errors
/// Those of reading.
pub(super) fn compare(old: &Dir, new: &Dir, times: Times) -> Result<Vec<PathChange>> {
    let mut walk = Walk {
        roots: [old, new],
        comparison: Comparison { times, buffers: Buffers::new() },
        changes: Vec::new(),
        pending: vec![Pending { path: PathBuf::new(), is_in: [true, true] }],
    };
    walk.root()?;
    while let Some(next) = walk.pending.pop() {
        walk.directory(&next)?;
    }
    let key = |change: &PathChange| change.path.as_os_str().as_bytes().to_vec();
    walk.changes.sort_by(|a, b| compare_paths(&key(a), &key(b)));
    Ok(walk.changes)
}

struct Walk<'a> {
    /// The old one and the new one; so it is with all pairs here.
    roots: [&'a Dir; 2],
    comparison: Comparison,
    changes: Vec<PathChange>,
    pending: Vec<Pending>,
}

/// A directory that is to be compared, in the trees that have it.
struct Pending {
    path: PathBuf,
    is_in: [bool; 2],
}

impl Walk<'_> {
    fn root(&mut self) -> Result<()> {
        let [old, new] = self.roots;
        let pair = [old.own_metadata()?, new.own_metadata()?];
        let aspects = self.comparison.aspects(self.roots, OsStr::new("."), pair)?;
        self.note(Path::new(""), pair.map(Some), aspects)
    }

    fn directory(&mut self, here: &Pending) -> Result<()> {
        let open = |index: usize| match here.is_in[index] {
            true => open(self.roots[index], &here.path).map(Some),
            false => Ok(None),
        };
        let dirs = [open(0)?, open(1)?];
        for name in names_of(&dirs)? {
            let look = |dir: &Option<Dir>| match dir {
                Some(dir) => fs::absent_is_none(dir.metadata(&name)),
                None => Ok(None),
            };
            let pair = [look(&dirs[0])?, look(&dirs[1])?];
            let path = here.path.join(&name);
            let is_in = pair.map(|found| found.is_some_and(|found| is_dir(&found)));
            let aspects = match (&dirs, pair) {
                ([Some(old), Some(new)], [Some(before), Some(after)]) => {
                    self.comparison.aspects([old, new], &name, [before, after])?
                }
                _ => Vec::new(),
            };
            self.note(&path, pair, aspects)?;
            if pair[1].is_some() && is_in.contains(&true) {
                self.pending.push(Pending { path, is_in });
            }
        }
        Ok(())
    }

    /// Notes `path` if it is not the same in both trees.
    fn note(
        &mut self,
        path: &Path,
        pair: [Option<Metadata>; 2],
        aspects: Vec<Aspect>,
    ) -> Result<()> {
        let [old, new] = pair;
        if aspects.is_empty() && old.is_some() == new.is_some() {
            return Ok(());
        }
        let mut before = old.as_ref().map(found);
        if let Some(before) = &mut before
            && new.is_none()
            && before.kind == FileKind::Directory
        {
            before.size = total(self.roots[0], path)?;
        }
        self.changes.push(PathChange {
            path: Path::new("/").join(path),
            old: before,
            new: new.as_ref().map(found),
            aspects,
        });
        Ok(())
    }
}

fn is_dir(found: &Metadata) -> bool {
    found.kind == FileKind::Directory
}

fn found(metadata: &Metadata) -> FileFound {
    FileFound { kind: metadata.kind, size: size(metadata) }
}

fn size(metadata: &Metadata) -> u64 {
    if metadata.kind == FileKind::Regular { metadata.size } else { 0 }
}

/// The directory `path` below `root`.
fn open(root: &Dir, path: &Path) -> Result<Dir> {
    match path.as_os_str().is_empty() {
        true => root.duplicate(),
        false => root.open_dir(path.as_os_str()),
    }
}

fn names_of(dirs: &[Option<Dir>; 2]) -> Result<Vec<OsString>> {
    let mut all = Vec::new();
    for dir in dirs.iter().flatten() {
        all.extend(dir.names()?.iter().map(OsStr::to_owned));
    }
    all.sort();
    all.dedup();
    Ok(all)
}

/// The sum of the sizes of the files below `path`.
fn total(root: &Dir, path: &Path) -> Result<u64> {
    let mut sum: u64 = 0;
    let mut pending = vec![path.to_owned()];
    while let Some(path) = pending.pop() {
        let dir = open(root, &path)?;
        for name in dir.names()?.iter() {
            let metadata = dir.metadata(name)?;
            sum = sum.saturating_add(size(&metadata));
            if is_dir(&metadata) {
                pending.push(path.join(name));
            }
        }
    }
    Ok(sum)
}

/// How two files are compared.
struct Comparison {
    times: Times,
    buffers: Buffers,
}

impl Comparison {
    /// In what `name` of two directories differs.
    fn aspects(
        &mut self,
        dirs: [&Dir; 2],
        name: &OsStr,
        [old, new]: [Metadata; 2],
    ) -> Result<Vec<Aspect>> {
        let mut aspects = Vec::new();
        if old.kind == new.kind {
            aspects.extend(self.substance(dirs, name, [old, new])?);
        } else {
            aspects.push(Aspect::Kind(old.kind, new.kind));
        }
        // Linux gives every symbolic link the same (symlink(7)).
        let has_mode = ![old.kind, new.kind].contains(&FileKind::Symlink);
        if has_mode && old.mode != new.mode {
            aspects.push(Aspect::Mode(old.mode, new.mode));
        }
        let owner = |of: Metadata| Owner { uid: of.uid, gid: of.gid };
        if owner(old) != owner(new) {
            aspects.push(Aspect::Owner(owner(old), owner(new)));
        }
        aspects.extend(xattrs(dirs, name)?.into_iter().map(Aspect::Xattr));
        if self.times == Times::Compared && old.mtime != new.mtime {
            aspects.push(Aspect::Mtime);
        }
        Ok(aspects)
    }

    /// What makes two files of one type others, attributes aside.
    fn substance(
        &mut self,
        dirs: [&Dir; 2],
        name: &OsStr,
        [old, new]: [Metadata; 2],
    ) -> Result<Option<Aspect>> {
        match old.kind {
            FileKind::Regular if old.size != new.size => Ok(Some(Aspect::Content)),
            FileKind::Regular => {
                let files = (dirs[0].open_file(name)?, dirs[1].open_file(name)?);
                let equal = self.buffers.are_equal(&files.0, &files.1, old.size);
                let equal =
                    equal.map_err(|error| Error::io("compare", dirs[0].path_of(name), error))?;
                Ok((!equal).then_some(Aspect::Content))
            }
            FileKind::Symlink => {
                let (before, after) = (dirs[0].read_link(name)?, dirs[1].read_link(name)?);
                Ok((before != after).then_some(Aspect::Target(before, after)))
            }
            kind if kind.is_device() && old.rdev != new.rdev => {
                Ok(Some(Aspect::Device(old.rdev, new.rdev)))
            }
            _ => Ok(None),
        }
    }
}

/// The names of the attributes that are not the same on both sides, sorted.
fn xattrs([old, new]: [&Dir; 2], name: &OsStr) -> Result<Vec<OsString>> {
    let mut names = fs::list_xattrs(old, name)?;
    names.extend(fs::list_xattrs(new, name)?);
    names.retain(|attribute| is_of_the_file(attribute));
    names.sort();
    names.dedup();
    let mut differing = Vec::new();
    for attribute in names {
        if value(old, name, &attribute)? != value(new, name, &attribute)? {
            differing.push(attribute);
        }
    }
    Ok(differing)
}

fn value(dir: &Dir, name: &OsStr, attribute: &OsStr) -> Result<Option<Vec<u8>>> {
    match fs::read_xattr(dir, name, attribute) {
        // A file system without any has not this one.
        Err(error) if error.kind() == Kind::Unsupported => Ok(None),
        result => result,
    }
}

/// Whether a layer keeps the attribute: all others are the host's or overlayfs's
/// own.
fn is_of_the_file(attribute: &OsStr) -> bool {
    const WHOLE: [&str; 3] =
        ["security.capability", "system.posix_acl_access", "system.posix_acl_default"];
    let bytes = attribute.as_bytes();
    WHOLE.iter().any(|name| name.as_bytes() == bytes)
        || (bytes.starts_with(b"user.") && !bytes.starts_with(b"user.overlay."))
}
