//! `envbox diff`: how the files of a kept container differ from its image's.
//!
//! What the container sees is compared with what the image has, both as the
//! kernel puts them together, so that whiteouts, opaque and redirected
//! directories mean what they mean to overlayfs. Its upper directory only tells
//! where nothing can differ.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::fs::{self, Dir, FileKind, Metadata};
use crate::image::compare_paths;
use crate::mount::Mount;
use crate::store::{ContainerRecord, Store};

use super::{Engine, export};

/// How a path differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// The image does not have it.
    Added,
    /// It, or something below it, is another one than the image's.
    Changed,
    /// The image has it and the container has not.
    Deleted,
}

/// A path that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Absolute in the container; what is in it need not be UTF-8.
    pub path: PathBuf,
    /// How.
    pub kind: ChangeKind,
}

/// What is made in every root for something to be mounted upon. docker has
/// these in a layer of their own below the container's.
pub(super) const STUBS: [&str; 13] = [
    ".dockerenv",
    "dev",
    "dev/console",
    "dev/mqueue",
    "dev/pts",
    "dev/shm",
    "etc",
    "etc/hostname",
    "etc/hosts",
    "etc/mtab",
    "etc/resolv.conf",
    "proc",
    "sys",
];

impl Engine {
    /// What differs in the kept container `name`, parents first, the names of a
    /// directory in byte order. docker's rules: mode, owner, device numbers,
    /// size, time of a file, and file capabilities count; of a directory the
    /// time does not; a deleted directory stands for all that was in it.
    ///
    /// # Errors
    /// `NotFound`; those of mounting and reading.
    pub fn diff(&self, name: &str) -> Result<Vec<Change>> {
        // Files may belong to IDs that only the user namespace may read.
        self.host()?;
        let store = self.store_with("container", name)?;
        let container = store.container(name)?;
        // Nobody converts the layers while they are read.
        store.while_held(&store.stack(container.chain)?, || self.changes_of(store, &container))
    }

    fn changes_of(&self, store: &Store, container: &ContainerRecord) -> Result<Vec<Change>> {
        let mount = store.container_mount(&container.id)?;
        let upper = match &mount {
            // All that is there was written, or may have been.
            Mount::Bind { .. } | Mount::Archive(_) | Mount::Copy(_) => None,
            Mount::Overlay(overlay) => {
                overlay.upper.as_ref().map(|written| Dir::open(&written.upper)).transpose()?
            }
        };
        let image = self.view(container.chain)?;
        let merged = self.open_root(&export::read_only(mount))?;
        compare(&Trees { image: image.root().duplicate()?, merged, upper })
    }
}

/// Three views of one tree.
struct Trees {
    /// As it was.
    image: Dir,
    /// As it is.
    merged: Dir,
    /// What was written, in overlayfs's own form, if that can be told.
    upper: Option<Dir>,
}

/// A directory that is to be compared.
struct Pending {
    path: PathBuf,
    in_image: bool,
    in_merged: bool,
    /// Only what is in the upper directory can differ.
    by_upper: bool,
}

fn compare(trees: &Trees) -> Result<Vec<Change>> {
    let mut changes = Changes::default();
    let mut pending = vec![Pending {
        path: PathBuf::new(),
        in_image: true,
        in_merged: true,
        by_upper: trees.upper.is_some(),
    }];
    while let Some(next) = pending.pop() {
        directory(trees, &next, (&mut changes, &mut pending))?;
    }
    Ok(changes.into_list())
}

fn directory(
    trees: &Trees,
    here: &Pending,
    (changes, pending): (&mut Changes, &mut Vec<Pending>),
) -> Result<()> {
    let open = |tree: &Dir, is_there: bool| match is_there {
        true => open(tree, &here.path),
        false => Ok(None),
    };
    let image = open(&trees.image, here.in_image)?;
    let merged = open(&trees.merged, here.in_merged)?;
    let upper = match &trees.upper {
        Some(upper) if here.by_upper => open(upper, true)?,
        _ => None,
    };
    let upper = upper.filter(is_plain);
    let names = match &upper {
        Some(upper) => names_of([Some(upper), None])?,
        None => names_of([image.as_ref(), merged.as_ref()])?,
    };
    let look = |dir: &Option<Dir>, name: &OsStr| match dir {
        Some(dir) => fs::absent_is_none(dir.metadata(name)),
        None => Ok(None),
    };
    for name in names {
        let path = here.path.join(&name);
        let (old, new) = (look(&image, &name)?, look(&merged, &name)?);
        let kind = match (&old, &new) {
            (None, None) => continue,
            (None, Some(new)) if is_stub(&path, new) => None,
            (None, Some(_)) => Some(ChangeKind::Added),
            (Some(_), None) => Some(ChangeKind::Deleted),
            (Some(old), Some(new)) => {
                let differs =
                    differ(old, new) || capability(&image, &name)? != capability(&merged, &name)?;
                differs.then_some(ChangeKind::Changed)
            }
        };
        if let Some(kind) = kind {
            changes.note(&path, kind);
        }
        let is_dir = |found: &Option<Metadata>| {
            found.as_ref().is_some_and(|found| found.kind == FileKind::Directory)
        };
        let (in_image, in_merged) = (is_dir(&old), is_dir(&new));
        let is_gone = new.is_none();
        if !is_gone && (in_image || in_merged) {
            pending.push(Pending { path, in_image, in_merged, by_upper: upper.is_some() });
        }
    }
    Ok(())
}

/// The directory `path` below `root`; none if it went meanwhile.
pub(super) fn open(root: &Dir, path: &Path) -> Result<Option<Dir>> {
    if path.as_os_str().is_empty() {
        return root.duplicate().map(Some);
    }
    match root.open_dir(path.as_os_str()) {
        Err(error) if fs::is_no_directory(&error) => Ok(None),
        result => fs::absent_is_none(result),
    }
}

/// Whether a directory of the upper ones says no more than what is in it: it
/// hides nothing of the image's, and lies where the image's does (overlayfs,
/// "whiteouts and opaque directories", "redirect_dir").
pub(super) fn is_plain(upper: &Dir) -> bool {
    const SPACES: [&str; 2] = ["trusted.overlay.", "user.overlay."];
    let Ok(attributes) = fs::list_xattrs(upper, OsStr::new(".")) else { return false };
    !attributes.iter().any(|name| {
        let mark = SPACES.iter().find_map(|space| name.to_str()?.strip_prefix(space));
        mark.is_some_and(|mark| ["opaque", "redirect"].contains(&mark))
    })
}

fn names_of(dirs: [Option<&Dir>; 2]) -> Result<Vec<OsString>> {
    let mut all = Vec::new();
    for dir in dirs.into_iter().flatten() {
        all.extend(dir.names()?.iter().map(OsStr::to_owned));
    }
    all.sort();
    all.dedup();
    Ok(all)
}

fn is_stub(path: &Path, found: &Metadata) -> bool {
    let is_empty = match found.kind {
        FileKind::Directory => true,
        FileKind::Regular => found.size == 0,
        _ => false,
    };
    is_empty && STUBS.iter().any(|stub| Path::new(stub) == path)
}

pub(super) fn differ(old: &Metadata, new: &Metadata) -> bool {
    let shared = |found: &Metadata| (found.kind, found.mode, found.uid, found.gid, found.rdev);
    shared(old) != shared(new)
        || (new.kind != FileKind::Directory && (old.size, old.mtime) != (new.size, new.mtime))
}

fn capability(dir: &Option<Dir>, name: &OsStr) -> Result<Option<Vec<u8>>> {
    let Some(dir) = dir else { return Ok(None) };
    match fs::read_xattr(dir, name, OsStr::new("security.capability")) {
        // Of what went meanwhile, or of a file system without them, nothing.
        Err(error) if is_without(&error) => Ok(None),
        result => result,
    }
}

fn is_without(error: &Error) -> bool {
    use crate::error::Kind;
    matches!(error.kind(), Kind::NotFound | Kind::Unsupported)
}

/// The changes by path, in the order of a walk.
#[derive(Default)]
struct Changes(BTreeMap<Key, ChangeKind>);

#[derive(PartialEq, Eq)]
struct Key(PathBuf);

impl Ord for Key {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        compare_paths(self.0.as_os_str().as_bytes(), other.0.as_os_str().as_bytes())
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Changes {
    /// Notes a change, and that the directories above it changed: those that
    /// changed in another way are noted already, or will be.
    fn note(&mut self, path: &Path, kind: ChangeKind) {
        for above in path.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty()) {
            self.0.entry(Key(above.to_owned())).or_insert(ChangeKind::Changed);
        }
        self.0.insert(Key(path.to_owned()), kind);
    }

    fn into_list(self) -> Vec<Change> {
        let whole = |path: PathBuf| Path::new("/").join(path);
        self.0.into_iter().map(|(key, kind)| Change { path: whole(key.0), kind }).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn room() -> (tempfile::TempDir, Trees) {
        let room = tempfile::tempdir().unwrap();
        for tree in ["image", "merged"] {
            std::fs::create_dir(room.path().join(tree)).unwrap();
        }
        let open = |name: &str| Dir::open(&room.path().join(name)).unwrap();
        let trees = Trees { image: open("image"), merged: open("merged"), upper: None };
        (room, trees)
    }

    fn told(trees: &Trees) -> Vec<String> {
        let line = |change: Change| format!("{:?} {}", change.kind, change.path.display());
        compare(trees).unwrap().into_iter().map(line).collect()
    }

    #[test]
    fn a_file_in_place_of_a_directory_and_back() {
        let (room, trees) = room();
        let make = |path: &str| std::fs::create_dir_all(room.path().join(path)).unwrap();
        let write = |path: &str| std::fs::write(room.path().join(path), "x").unwrap();
        make("image/a/deep");
        write("image/b");
        write("merged/a");
        make("merged/b/new");
        let expected = ["Changed /a", "Deleted /a/deep", "Changed /b", "Added /b/new"];
        assert_eq!(told(&trees), expected);
    }

    #[test]
    fn parents_of_what_changed_changed_and_links_are_not_followed() {
        let (room, trees) = room();
        for tree in ["image", "merged"] {
            std::fs::create_dir_all(room.path().join(tree).join("a/b")).unwrap();
            symlink("/", room.path().join(tree).join("a/root")).unwrap();
        }
        let link = |tree: &str| room.path().join(tree).join("a/root");
        let times = std::fs::symlink_metadata(link("image")).unwrap();
        let mtime = crate::fs::Timestamp {
            seconds: std::os::unix::fs::MetadataExt::mtime(&times),
            nanoseconds: std::os::unix::fs::MetadataExt::mtime_nsec(&times) as u32,
        };
        let merged = Dir::open(&room.path().join("merged/a")).unwrap();
        merged.set_mtime(OsStr::new("root"), mtime).unwrap();
        assert_eq!(told(&trees), [""; 0]);
        let mode = PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(room.path().join("merged/a/b"), mode).unwrap();
        assert_eq!(told(&trees), ["Changed /a", "Changed /a/b"]);
    }

    #[test]
    fn mount_points_are_no_change_but_what_is_in_them_is() {
        let (room, trees) = room();
        std::fs::create_dir_all(room.path().join("merged/etc")).unwrap();
        std::fs::write(room.path().join("merged/etc/hosts"), "").unwrap();
        assert_eq!(told(&trees), [""; 0]);
        std::fs::write(room.path().join("merged/etc/passwd"), "").unwrap();
        assert_eq!(told(&trees), ["Changed /etc", "Added /etc/passwd"]);
    }
}
