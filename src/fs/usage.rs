//! How much the files of a tree hold.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::error::Result;

use super::{Dir, FileKind, Timestamp, absent_is_none};

/// The sum of the sizes of the regular files below `root`, hard links once,
/// in bytes. What disappears meanwhile does not count.
///
/// # Errors
/// Those of reading directories.
pub fn tree_size(root: &Path) -> Result<u64> {
    sum(root, |_, _| Ok(true))
}

/// The same of the files that anything was done to after `time`: written, given
/// another owner, mode or name (inode(7), "ctime").
///
/// # Errors
/// As [`tree_size`].
pub fn tree_size_since(root: &Path, time: Timestamp) -> Result<u64> {
    sum(root, |dir, name| {
        Ok(absent_is_none(dir.change_time(name))?.is_some_and(|changed| changed > time))
    })
}

fn sum(root: &Path, counts: impl Fn(&Dir, &OsStr) -> Result<bool>) -> Result<u64> {
    let root = Dir::open(root)?;
    let mut sum = 0;
    let mut linked = HashSet::new();
    let mut waiting = vec![PathBuf::from(".")];
    while let Some(path) = waiting.pop() {
        let Some(dir) = absent_is_none(root.open_dir(path.as_os_str()))? else {
            continue;
        };
        for name in dir.names()?.iter() {
            let Some(found) = absent_is_none(dir.metadata(name))? else {
                continue;
            };
            match found.kind {
                FileKind::Directory => waiting.push(path.join(name)),
                FileKind::Regular if found.links > 1 && !linked.insert(found.inode) => {}
                FileKind::Regular if counts(&dir, name)? => sum += found.size,
                _ => {}
            }
        }
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_files_once_and_follows_no_link() {
        let room = tempfile::tempdir().unwrap();
        let path = |name: &str| room.path().join(name);
        crate::fs::create_dir(&path("deep"), 0o755).unwrap();
        crate::fs::write_plain(&path("deep/ten"), &[0; 10]).unwrap();
        crate::fs::write_plain(&path("five"), &[0; 5]).unwrap();
        let dir = Dir::open(room.path()).unwrap();
        dir.create_link(OsStr::new("again"), &dir, OsStr::new("five")).unwrap();
        dir.create_symlink(OsStr::new("up"), OsStr::new("..")).unwrap();
        assert_eq!(tree_size(room.path()).unwrap(), 15);
    }

    #[test]
    fn counts_what_was_done_since() {
        let room = tempfile::tempdir().unwrap();
        let dir = Dir::open(room.path()).unwrap();
        let (old, new) = (OsStr::new("old"), OsStr::new("new"));
        crate::fs::write_plain(&room.path().join(old), &[0; 10]).unwrap();
        let last = dir.change_time(old).unwrap();
        assert_eq!(tree_size_since(room.path(), last).unwrap(), 0);
        // The clock of files stands still for some milliseconds.
        while dir.change_time(old).unwrap() == last {
            dir.set_mode(old, 0o600).unwrap();
        }
        assert_eq!(tree_size_since(room.path(), last).unwrap(), 10);
        let last = dir.change_time(old).unwrap();
        crate::fs::write_plain(&room.path().join(new), &[0; 5]).unwrap();
        while dir.change_time(new).unwrap() == last {
            dir.set_mode(new, 0o600).unwrap();
        }
        assert_eq!(tree_size_since(room.path(), last).unwrap(), 5);
    }
}
