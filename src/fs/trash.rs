//! Removal of whole trees, by descriptor: a symbolic link in the tree is
//! removed, never followed.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::error::{Error, Kind, Result};

use super::{Dir, FileKind, Names, absent_is_none};

/// Removes `path` and all below it; its absence is success. Goes on after an
/// error and returns the first one at the end.
///
/// # Errors
/// Those of the system calls, with the path that could not be removed.
pub fn remove_tree(path: &Path) -> Result<()> {
    let Some(name) = path.file_name() else {
        return Err(Error::internal(format!("will not remove {}", path.display())));
    };
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let Some(parent) = absent_is_none(Dir::open(parent.unwrap_or(Path::new("."))))? else {
        return Ok(());
    };
    let mut first = None;
    remove_entry(&parent, name, &mut first);
    first.map_or(Ok(()), Err)
}

/// A directory that is being emptied.
struct Level {
    dir: Dir,
    name: OsString,
    entries: Names,
    /// How many of them are not removed yet, from the first on.
    left: usize,
}

impl Level {
    fn open(parent: &Dir, name: &OsStr) -> Result<Self> {
        // Without search permission the owner cannot look inside.
        let dir = match parent.open_dir(name) {
            Err(error) if error.kind() == Kind::Denied => {
                parent.set_mode(name, 0o700)?;
                parent.open_dir(name)?
            }
            other => other?,
        };
        let mode = dir.own_metadata()?.mode;
        if mode & 0o700 != 0o700 {
            parent.set_mode(name, 0o700)?;
        }
        let entries = dir.names()?;
        let left = entries.len();
        Ok(Self { dir, name: name.to_owned(), entries, left })
    }

    /// The name of one that is not removed yet.
    fn next(&mut self) -> Option<OsString> {
        self.left = self.left.checked_sub(1)?;
        self.entries.get(self.left).map(OsStr::to_owned)
    }
}

/// Removes `name` in `parent`; depth is bounded by the heap, not the stack.
fn remove_entry(parent: &Dir, name: &OsStr, first: &mut Option<Error>) {
    let mut levels: Vec<Level> = Vec::new();
    let mut next = Some(name.to_owned());
    loop {
        let top = levels.last().map_or(parent, |level| &level.dir);
        if let Some(name) = next.take() {
            match remove_leaf(top, &name) {
                Ok(None) => {}
                Ok(Some(level)) => levels.push(level),
                Err(error) => {
                    first.get_or_insert(error);
                }
            }
        }
        let Some(level) = levels.last_mut() else { return };
        next = level.next();
        if next.is_none() {
            let done = levels.pop();
            let above = levels.last().map_or(parent, |level| &level.dir);
            if let Some(done) = done
                && let Err(error) = absent_is_none(above.remove(&done.name, FileKind::Directory))
            {
                first.get_or_insert(error);
            }
            if levels.is_empty() {
                return;
            }
        }
    }
}

/// Removes `name` unless it is a directory that is not empty, which is opened.
fn remove_leaf(parent: &Dir, name: &OsStr) -> Result<Option<Level>> {
    let Some(metadata) = absent_is_none(parent.metadata(name))? else { return Ok(None) };
    if metadata.kind != FileKind::Directory {
        absent_is_none(parent.remove(name, metadata.kind))?;
        return Ok(None);
    }
    Level::open(parent, name).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn removes_deep_trees_and_never_follows_links() {
        let room = tempfile::tempdir().unwrap();
        let outside = room.path().join("outside");
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("kept"), "x").unwrap();
        let tree = room.path().join("tree");
        let mut deep = tree.clone();
        for _ in 0..300 {
            deep.push("d");
        }
        std::fs::create_dir_all(&deep).unwrap();
        std::os::unix::fs::symlink(&outside, deep.join("link")).unwrap();
        std::fs::write(tree.join("file"), "x").unwrap();
        std::fs::set_permissions(tree.join("d"), std::fs::Permissions::from_mode(0o0)).unwrap();
        remove_tree(&tree).unwrap();
        assert!(!tree.exists());
        assert!(outside.join("kept").exists());
        remove_tree(&tree).unwrap();
    }
}
