//! The overlay driver: a layer is a directory `tree` in overlayfs's own
//! format of whiteouts, and a snapshot is a stack of them
//! (Documentation/filesystems/overlayfs).

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::fs::{self, Dir, Owner};
use crate::mount::{Mount, Overlay, Upper};

use super::layer::TREE;
use super::snapshot::{Driver, Lower, Scratch, Stack};

const UPPER: &str = "upper";
const WORK: &str = "work";

/// Layers as directories.
#[derive(Clone, Copy, Debug, Default)]
pub struct OverlayDriver;

impl Driver for OverlayDriver {
    fn name(&self) -> &'static str {
        "overlay"
    }

    fn view(&self, stack: &Stack) -> Result<Mount> {
        let mut lower = directories(stack);
        // overlayfs refuses fewer than two directories without an upper one.
        if lower.len() < 2 {
            let source = lower.pop().unwrap_or_else(|| stack.empty.clone());
            return Ok(Mount::Bind { source, read_only: true });
        }
        Ok(Mount::Overlay(Overlay { lower, upper: None }))
    }

    fn prepare(&self, stack: &Stack, scratch: Scratch<'_>) -> Result<Mount> {
        let lower = directories(stack);
        let upper = scratch.path().join(UPPER);
        if fs::metadata(&upper)?.is_none() {
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

    fn commit(&self, pending: &Path, target: &Path) -> Result<()> {
        fs::rename(pending, target)
    }

    fn remove(&self, target: &Path, trash: &Path) -> Result<()> {
        fs::absent_is_none(fs::rename(target, trash)).map(drop)
    }
}

fn directories(stack: &Stack) -> Vec<PathBuf> {
    let directory = |lower: &Lower| match lower {
        Lower::Layer(path) => path.join(TREE),
        Lower::Directory(path) => path.clone(),
    };
    stack.layers.iter().map(directory).collect()
}

/// The root of an overlay has the upper directory's owner and mode: they are
/// to be those of the directory that it lies upon.
fn make_upper(scratch: &Path, lower: Option<&PathBuf>) -> Result<()> {
    let name = OsStr::new(UPPER);
    let scratch = Dir::open(scratch)?;
    let upper = scratch.create_dir(name)?;
    let Some(lower) = lower else { return scratch.set_mode(name, 0o755) };
    let wanted = Dir::open(lower)?.own_metadata()?;
    let made = upper.own_metadata()?;
    if (made.uid, made.gid) != (wanted.uid, wanted.gid) {
        let owner = Owner { uid: wanted.uid, gid: wanted.gid };
        // An ordinary user cannot give a directory away. The foreign owner of
        // a directory that they only look into becomes themselves.
        match scratch.set_owner(name, owner) {
            Err(error) if error.kind() != crate::error::Kind::Denied => return Err(error),
            _ => {}
        }
    }
    // After the owner: chown(2) clears the set-ID bits.
    scratch.set_mode(name, wanted.mode)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(room: &Path, names: &[&str]) -> Stack {
        let layers = names
            .iter()
            .map(|name| {
                fs::ensure_dir(&room.join(name).join(TREE), 0o755).unwrap();
                Lower::Layer(room.join(name))
            })
            .collect();
        Stack { layers, empty: room.join("empty") }
    }

    #[test]
    fn a_view_of_fewer_than_two_layers_is_a_bind() {
        let room = tempfile::tempdir().unwrap();
        let view = |names: &[&str]| OverlayDriver.view(&stack(room.path(), names)).unwrap();
        let bind = |path: &str| Mount::Bind { source: room.path().join(path), read_only: true };
        assert_eq!(view(&[]), bind("empty"));
        assert_eq!(view(&["a"]), bind("a/tree"));
        let lower = vec![room.path().join("b/tree"), room.path().join("a/tree")];
        assert_eq!(view(&["b", "a"]), Mount::Overlay(Overlay { lower, upper: None }));
    }

    #[test]
    fn the_root_of_a_snapshot_has_the_mode_of_its_layer() {
        let room = tempfile::tempdir().unwrap();
        let stack = stack(room.path(), &["a"]);
        let layer = Dir::open(&room.path().join("a")).unwrap();
        layer.set_mode(OsStr::new(TREE), 0o1777).unwrap();
        OverlayDriver.prepare(&stack, Scratch::ThrowAway(room.path())).unwrap();
        let upper = fs::metadata(&room.path().join(UPPER)).unwrap().unwrap();
        assert_eq!(upper.mode, 0o1777);
    }

    #[test]
    fn preparing_again_gives_the_same_mount() {
        let room = tempfile::tempdir().unwrap();
        let stack = stack(room.path(), &["a"]);
        let prepare = || OverlayDriver.prepare(&stack, Scratch::Kept(room.path())).unwrap();
        let first = prepare();
        assert_eq!(prepare(), first);
        assert!(
            matches!(first, Mount::Overlay(Overlay { upper: Some(upper), .. }) if !upper.volatile)
        );
    }
}
