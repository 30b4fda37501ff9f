//! What was written to a copy of an image's filesystem: the layer that an overlay
//! would have collected, found by comparison.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::error::Result;
use crate::fs::{self, Dir, Metadata, Timestamp};
use crate::image::chain::open_long;
use crate::image::entry::{Attributes, split};
use crate::image::exclude::ExcludeSet;
use crate::image::overrides::Overrides;
use crate::image::walk::{TreeSource, WalkOptions};
use crate::image::xattrs;

use super::parent::Parent;
use super::{Difference, DifferenceTarget, ParentView, of_tree};

/// A copy that was written to.
#[derive(Clone, Copy)]
pub struct WrittenCopy<'a> {
    /// Its root.
    pub root: &'a Dir,
    /// Paths that are no change, with all below, and that the image does not have;
    /// relative, as in a layer.
    pub left_out: &'a BTreeSet<Vec<u8>>,
    /// What is written is not later (SOURCE_DATE_EPOCH).
    pub epoch: Option<Timestamp>,
}

/// Makes what `copy` has and `view`, of which it was made, has not the layer
/// `target`. The view is to be that of trees alone: what lies beside them the copy
/// never had.
///
/// # Errors
/// As for [`super::import_difference`].
pub fn copied_difference(
    copy: WrittenCopy<'_>,
    view: &ParentView,
    target: &DifferenceTarget<'_>,
) -> Result<Difference> {
    let patterns = copy.left_out.iter().map(|path| [b"/", path.as_slice()].concat());
    let patterns: Vec<Vec<u8>> = patterns.collect();
    let excludes = ExcludeSet::parse(patterns.iter().map(Vec::as_slice))?;
    let overrides = untouched(copy, &view.root)?;
    // The copy has the image's times, whatever they are.
    let walk = WalkOptions { excludes: Some(&excludes), ..WalkOptions::default() };
    let tree = TreeSource { dir: copy.root, overrides };
    of_tree((tree, &walk), &Parent::open(view)?, (target, copy.epoch))
}

/// The looks of directories that changed in nothing but that something was made in
/// them which is left out: they have a new time for that, and are no change.
fn untouched(copy: WrittenCopy<'_>, image: &Dir) -> Result<Overrides> {
    let mut overrides = Overrides::default();
    let parents: BTreeSet<&[u8]> = copy.left_out.iter().map(|path| split(path).0).collect();
    for path in parents {
        let Some(old) = fs::absent_is_none(open_long(image, path))? else { continue };
        let Some(new) = fs::absent_is_none(open_long(copy.root, path))? else { continue };
        let is_left_out = |name: &OsStr| {
            let slash: &[u8] = if path.is_empty() { b"" } else { b"/" };
            copy.left_out.contains(&[path, slash, name.as_bytes()].concat())
        };
        let (before, now) = (old.names()?, new.names()?);
        let looks = looks(&old)?;
        let is_same = before.iter().eq(now.iter().filter(|name| !is_left_out(name)))
            && Attributes { mtime: looks.mtime, ..self::looks(&new)? } == looks;
        if is_same {
            overrides.add_attributes(path, looks)?;
        }
    }
    Ok(overrides)
}

fn looks(dir: &Dir) -> Result<Attributes> {
    let Metadata { mode, uid, gid, mtime, .. } = dir.own_metadata()?;
    Ok(Attributes { mode, uid, gid, mtime, xattrs: xattrs::kept((dir, OsStr::new(".")))? })
}

#[cfg(test)]
#[path = "tests/copied.rs"]
mod tests;
