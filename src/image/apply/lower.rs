//! What lies below a layer that is being applied: the layers that it will be
//! stacked upon, seen as overlayfs will show them (Documentation/filesystems/
//! overlayfs, "Merging", "whiteouts and opaque directories").

use std::cell::OnceCell;
use std::ffi::OsStr;
use std::path::PathBuf;

use crate::error::Result;
use crate::fs::{self, Dir, FileKind, Metadata};
use crate::image::chain::open_long;
use crate::image::entry::Attributes;
use crate::image::overrides::Overrides;
use crate::image::xattrs::kept;

use super::super::marks::{MarkSpace, is_whiteout};

/// Layers by their number in [`Lower`], topmost first: those that have a
/// directory which overlayfs merges.
pub(super) type Merged = Vec<usize>;

/// What is seen by a name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing, or what a whiteout hides.
    Nothing,
    /// A directory.
    Directory(Merged),
    /// Something else, of this layer.
    Other(usize),
}

/// The layers below, topmost first.
pub(super) struct Lower<'a> {
    layers: Vec<Layer<'a>>,
    marks: MarkSpace,
}

struct Layer<'a> {
    opened: &'a LowerLayer,
    overrides: OnceCell<Overrides>,
}

/// A layer that is below another one.
#[derive(Debug)]
pub struct LowerLayer {
    /// Its root, in overlayfs's own form.
    pub dir: Dir,
    /// The file of what `dir` does not hold; there may be none.
    pub overrides: PathBuf,
}

impl<'a> Lower<'a> {
    /// The stack of `layers`, topmost first.
    pub(super) fn new(layers: &'a [LowerLayer], marks: MarkSpace) -> Self {
        let layer = |opened| Layer { opened, overrides: OnceCell::new() };
        Self { layers: layers.iter().map(layer).collect(), marks }
    }

    /// All layers: what the root merges.
    pub(super) fn all(&self) -> Merged {
        (0..self.layers.len()).collect()
    }

    /// What is seen as `name` in the directory `parent` that `within` merge.
    ///
    /// # Errors
    /// Those of openat2(2) and fstatat(2).
    pub(super) fn find(&self, within: &[usize], parent: &[u8], name: &OsStr) -> Result<Found> {
        let mut merged = Merged::new();
        for &number in within {
            let dir = open_long(&self.layers[number].opened.dir, parent)?;
            let Some(metadata) = fs::absent_is_none(dir.metadata(name))? else { continue };
            if metadata.kind == FileKind::Directory {
                merged.push(number);
                if self.marks.is_opaque(&dir.open_dir(name)?)? {
                    break;
                }
                continue;
            }
            if merged.is_empty() && !is_whiteout(&metadata) {
                return Ok(Found::Other(number));
            }
            break;
        }
        Ok(if merged.is_empty() { Found::Nothing } else { Found::Directory(merged) })
    }

    /// The names in all directories `path` that `within` merge, those that are
    /// hidden included.
    ///
    /// # Errors
    /// Those of openat2(2) and getdents(2).
    pub(super) fn names(&self, within: &[usize], path: &[u8]) -> Result<Vec<fs::Names>> {
        let names = |&number: &usize| open_long(&self.layers[number].opened.dir, path)?.names();
        within.iter().map(names).collect()
    }

    /// The directory `parent` of the layer `number`.
    ///
    /// # Errors
    /// Those of openat2(2).
    pub(super) fn open_dir(&self, number: usize, parent: &[u8]) -> Result<Dir> {
        open_long(&self.layers[number].opened.dir, parent)
    }

    /// What the layer `number` has of `path`, which is `name` in `dir`.
    ///
    /// # Errors
    /// Those of reading.
    pub(super) fn attributes(
        &self,
        number: usize,
        path: &[u8],
        (dir, name): (&Dir, &OsStr),
    ) -> Result<Attributes> {
        let Metadata { mode, uid, gid, mtime, .. } = dir.metadata(name)?;
        let xattrs = kept((dir, name))?;
        let layer = &self.layers[number];
        if layer.overrides.get().is_none() {
            let overrides = Overrides::load(&layer.opened.overrides)?;
            let _ = layer.overrides.set(overrides);
        }
        let overridden = layer.overrides.get().and_then(|overrides| overrides.attributes(path));
        Ok(overridden.cloned().unwrap_or(Attributes { mode, uid, gid, mtime, xattrs }))
    }
}
