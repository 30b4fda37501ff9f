//! Which overlay a stack of layers makes (Documentation/filesystems/overlayfs).

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::error::{Kind, Result};
use crate::fs::{self, Dir, Owner};
use crate::mount::{Lower, Mount, Overlay, Upper};

use super::driver;
use super::snapshot::Scratch;

const UPPER: &str = "upper";
const WORK: &str = "work";

/// A read-only mount of `lower`, topmost first; of none it is the directory
/// `empty`.
pub(super) fn view(mut lower: Vec<Lower>, empty: PathBuf) -> Mount {
    // overlayfs refuses fewer than two layers without a writable one.
    if lower.len() > 1 {
        return Mount::Overlay(Overlay { lower, upper: None });
    }
    match lower.pop() {
        Some(Lower::Archive(archive)) => Mount::Archive(archive),
        Some(Lower::Directory(source)) => Mount::Bind { source, read_only: true },
        None => Mount::Bind { source: empty, read_only: true },
    }
}

/// A writable mount of `lower`, topmost first. All that is written lands in
/// `scratch`, an existing directory that is this snapshot's alone; calling it
/// again for the same `scratch` gives the same mount.
///
/// # Errors
/// Those of the disk.
pub(super) fn prepare(lower: Vec<Lower>, scratch: Scratch<'_>) -> Result<Mount> {
    let upper = scratch.path().join(UPPER);
    if !is_prepared(scratch.path())? {
        make_upper(scratch.path(), lower.first())?;
    }
    if lower.is_empty() {
        return Ok(Mount::Bind { source: upper, read_only: false });
    }
    let work = scratch.path().join(WORK);
    fs::ensure_dir(&work, 0o700)?;
    let volatile = matches!(scratch, Scratch::ThrowAway(_));
    Ok(Mount::Overlay(Overlay { lower, upper: Some(Upper { upper, work, volatile }) }))
}

/// True if [`prepare`] was called for `scratch` before.
///
/// # Errors
/// Those of stat(2).
pub(super) fn is_prepared(scratch: &Path) -> Result<bool> {
    Ok(fs::metadata(&scratch.join(UPPER))?.is_some())
}

/// The root of an overlay has the upper directory's owner and mode: they are
/// to be those of the directory that it lies upon.
fn make_upper(scratch: &Path, lower: Option<&Lower>) -> Result<()> {
    let name = OsStr::new(UPPER);
    let scratch = Dir::open(scratch)?;
    let upper = scratch.create_dir(name)?;
    let Some(lower) = lower else { return scratch.set_mode(name, 0o755) };
    let wanted = Dir::open(&driver::root(lower))?.own_metadata()?;
    let made = upper.own_metadata()?;
    if (made.uid, made.gid) != (wanted.uid, wanted.gid) {
        let owner = Owner { uid: wanted.uid, gid: wanted.gid };
        // An ordinary user cannot give a directory away. The foreign owner of
        // a directory that they only look into becomes themselves.
        match scratch.set_owner(name, owner) {
            Err(error) if error.kind() != Kind::Denied => return Err(error),
            _ => {}
        }
    }
    // After the owner: chown(2) clears the set-ID bits.
    scratch.set_mode(name, wanted.mode)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mount::LayerForm;

    fn layer(room: &Path, name: &str, form: LayerForm) -> Lower {
        let lower = driver::lower(&room.join(name), form);
        fs::ensure_dir(&driver::root(&lower), 0o755).unwrap();
        lower
    }

    #[test]
    fn a_view_of_fewer_than_two_layers_is_no_overlay() {
        let room = tempfile::tempdir().unwrap();
        let path = |path: &str| room.path().join(path);
        let bind = |source: &str| Mount::Bind { source: path(source), read_only: true };
        let tree = |name: &str| layer(room.path(), name, LayerForm::Tree);
        let archive = layer(room.path(), "c", LayerForm::Archive);
        let view = |lower: &[&Lower]| view(lower.iter().map(|&l| l.clone()).collect(), path("e"));
        assert_eq!(view(&[]), bind("e"));
        assert_eq!(view(&[&tree("a")]), bind("a/tree"));
        let Lower::Archive(files) = archive.clone() else { panic!("{archive:?}") };
        assert_eq!((&files.data, &files.index), (&path("c/tar"), &path("c/index")));
        assert_eq!(view(&[&archive]), Mount::Archive(files));
        let lower = vec![tree("b"), archive.clone(), tree("a")];
        let overlay = Overlay { lower, upper: None };
        assert_eq!(view(&[&tree("b"), &archive, &tree("a")]), Mount::Overlay(overlay));
    }

    #[test]
    fn the_root_of_a_snapshot_has_the_mode_of_its_layer() {
        for form in [LayerForm::Tree, LayerForm::Archive] {
            let room = tempfile::tempdir().unwrap();
            let lower = layer(room.path(), "a", form);
            let root = driver::root(&lower);
            let folder = Dir::open(root.parent().unwrap()).unwrap();
            folder.set_mode(root.file_name().unwrap(), 0o1777).unwrap();
            prepare(vec![lower], Scratch::ThrowAway(room.path())).unwrap();
            let upper = fs::metadata(&room.path().join(UPPER)).unwrap().unwrap();
            assert_eq!(upper.mode, 0o1777);
        }
    }

    #[test]
    fn preparing_again_gives_the_same_mount() {
        let room = tempfile::tempdir().unwrap();
        let lower = vec![layer(room.path(), "a", LayerForm::Tree)];
        let prepare = || prepare(lower.clone(), Scratch::Kept(room.path())).unwrap();
        let first = prepare();
        assert_eq!(prepare(), first);
        assert!(
            matches!(first, Mount::Overlay(Overlay { upper: Some(upper), .. }) if !upper.volatile)
        );
    }

    #[test]
    fn a_snapshot_of_nothing_is_a_directory() {
        let room = tempfile::tempdir().unwrap();
        let made = prepare(Vec::new(), Scratch::Kept(room.path())).unwrap();
        assert_eq!(made, Mount::Bind { source: room.path().join(UPPER), read_only: false });
    }
}
