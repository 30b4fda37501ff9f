//! Where a database goes that another one replaces: nowhere, but by another name.

use std::ffi::OsStr;
use std::path::Path;

use crate::error::{Kind, Result};
use crate::fs::{self, Dir, FileKind};

use super::super::layout;
use super::super::record::INDEX;

/// What SQLite puts beside a database, with the database itself first: without
/// it the rest is nobody's. The rest must not become a new one's
/// (sqlite.org/howtocorrupt.html, "Unlinking or renaming a database file").
const PARTS: [&str; 4] = ["", "-wal", "-shm", "-journal"];

/// Renames the database in the store `root`, with what belongs to it, to the
/// first name that is free, and returns that; `None` if there is nothing.
///
/// # Errors
/// Those of rename(2).
pub(super) fn set_aside(root: &Path) -> Result<Option<String>> {
    let current = layout::database(root);
    let name = current.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let place = |name: &str, part: &str| root.join(format!("{name}{part}"));
    let is_any = |name: &str| -> Result<bool> {
        for part in PARTS {
            if fs::link_metadata(&place(name, part))?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    };
    if !is_any(&name)? {
        return Ok(None);
    }
    let mut number = 1;
    let mut free = format!("{name}.damaged-{number}");
    while is_any(&free)? {
        number += 1;
        free = format!("{name}.damaged-{number}");
    }
    for part in PARTS {
        fs::absent_is_none(fs::rename(&place(&name, part), &place(&free, part)))?;
    }
    Ok(Some(free))
}

/// Gives `index.json` of the store `root` a second name, the first that is free: a
/// new one is about to be written, and may have fewer names.
///
/// # Errors
/// Those of link(2).
pub(super) fn keep_index(root: &Path) -> Result<()> {
    let root = Dir::open(root)?;
    let index = OsStr::new(INDEX);
    match fs::absent_is_none(root.metadata(index))? {
        Some(found) if found.kind == FileKind::Regular => {}
        _ => return Ok(()),
    }
    for number in 1.. {
        let name = format!("{INDEX}.before-{number}");
        match root.create_link(OsStr::new(&name), &root, index) {
            Err(error) if error.kind() == Kind::AlreadyExists => {}
            done => return done,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_overwritten_and_nothing_is_left() {
        let room = tempfile::tempdir().unwrap();
        assert_eq!(set_aside(room.path()).unwrap(), None);
        let put = |name: &str| fs::write_plain(&room.path().join(name), name.as_bytes()).unwrap();
        put("envbox.db.damaged-1-wal");
        put("envbox.db");
        put("envbox.db-wal");
        assert_eq!(set_aside(room.path()).unwrap().unwrap(), "envbox.db.damaged-2");
        // Who was killed after the first rename.
        put("envbox.db-shm");
        assert_eq!(set_aside(room.path()).unwrap().unwrap(), "envbox.db.damaged-3");
        assert_eq!(
            fs::list(room.path()).unwrap(),
            [
                "envbox.db.damaged-1-wal",
                "envbox.db.damaged-2",
                "envbox.db.damaged-2-wal",
                "envbox.db.damaged-3-shm"
            ]
        );
    }
}
