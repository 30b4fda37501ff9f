//! What envbox itself makes in a container's root to mount something upon. It
//! is no change of the container's, as for `envbox diff`, so the directories
//! that hold nothing else are none either.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::engine::diff::{STUBS, differ, is_plain, open};
use crate::error::Result;
use crate::fs::{self, Dir, FileKind, Metadata};

/// The stubs in `upper` that are to be left out of a layer upon `image`.
///
/// # Errors
/// Those of looking at both.
pub(super) fn left_out(upper: &Dir, image: &Dir) -> Result<BTreeSet<Vec<u8>>> {
    let mut paths = STUBS;
    // A directory comes after what is in it.
    paths.sort_by_key(|path| Reverse(path.matches('/').count()));
    let mut left_out = BTreeSet::new();
    for path in paths.map(Path::new) {
        let Some(found) = look(upper, path)? else { continue };
        let below = look(image, path)?;
        let is_stub = match found.kind {
            FileKind::Regular => found.size == 0 && below.is_none(),
            FileKind::Directory => {
                let is_same = |below: Metadata| !differ(&below, &found);
                below.is_none_or(is_same)
                    && holds_stubs_alone((upper, path), below.is_some(), &left_out)?
            }
            _ => false,
        };
        if is_stub {
            left_out.insert(path.as_os_str().as_bytes().to_vec());
        }
    }
    Ok(left_out)
}

/// What is at `path` below `root`, no link followed.
///
/// # Errors
/// Those of openat2(2) and fstatat(2).
pub(super) fn look(root: &Dir, path: &Path) -> Result<Option<Metadata>> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(None) };
    match open(root, parent)? {
        Some(dir) => fs::absent_is_none(dir.metadata(name)),
        None => Ok(None),
    }
}

/// One that may hide something of the image's is more than what is in it.
fn holds_stubs_alone(
    (upper, path): (&Dir, &Path),
    is_in_image: bool,
    left_out: &BTreeSet<Vec<u8>>,
) -> Result<bool> {
    let Some(dir) = open(upper, path)? else { return Ok(false) };
    if is_in_image && !is_plain(&dir) {
        return Ok(false);
    }
    let is_left_out = |name: &OsStr| left_out.contains(path.join(name).as_os_str().as_bytes());
    let names = dir.names()?;
    Ok(names.iter().all(is_left_out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stubs_go_and_what_holds_more_stays() {
        let room = tempfile::tempdir().unwrap();
        let make = |path: &str| std::fs::create_dir_all(room.path().join(path)).unwrap();
        let write = |path: &str, text: &str| std::fs::write(room.path().join(path), text).unwrap();
        for path in ["upper/dev/pts", "upper/proc", "upper/sys", "upper/etc", "image/etc"] {
            make(path);
        }
        for path in ["upper/etc/hosts", "upper/etc/hostname", "image/etc/hostname"] {
            write(path, "");
        }
        write("upper/dev/own", "x");
        write("upper/.dockerenv", "");
        let dir = |name: &str| Dir::open(&room.path().join(name)).unwrap();
        let told = || {
            let left_out = left_out(&dir("upper"), &dir("image")).unwrap();
            let text = |path: Vec<u8>| String::from_utf8(path).unwrap();
            left_out.into_iter().map(text).collect::<Vec<_>>()
        };
        // The image has a host name, so an empty one is a change.
        assert_eq!(told(), [".dockerenv", "dev/pts", "etc/hosts", "proc", "sys"]);
        std::fs::remove_file(room.path().join("upper/etc/hostname")).unwrap();
        std::fs::remove_file(room.path().join("upper/dev/own")).unwrap();
        let expected = [".dockerenv", "dev", "dev/pts", "etc", "etc/hosts", "proc", "sys"];
        assert_eq!(told(), expected);
    }
}
