//! How much the files of a tree hold.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::error::Result;

use super::{Dir, FileKind, absent_is_none};

/// The sum of the sizes of the regular files below `root`, hard links once,
/// in bytes. What disappears meanwhile does not count.
///
/// # Errors
/// Those of reading directories.
pub fn tree_size(root: &Path) -> Result<u64> {
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
                FileKind::Regular => sum += found.size,
                _ => {}
            }
        }
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

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
}
