//! A layer as an archive: its tar as it came, and an index by which the kernel
//! mounts it. Nothing is extracted.

use std::ffi::OsStr;
use std::io::BufWriter;

use crate::error::{Error, Result};
use crate::fs::{self, Dir, Owner};

use super::apply::{Applied, LowerLayer};
use super::layer::LayerTarget;
use super::marks::MarkSpace;
use super::pipeline::ChunkReader;
use super::read::TarReader;
use super::report::Counters;

/// How to open the layers below, topmost first, and where they have their
/// marks.
pub type OpenLower<'a> = (&'a dyn Fn() -> Result<Vec<LowerLayer>>, MarkSpace);

/// How an archive is indexed.
pub(super) struct ArchiveOptions<'a> {
    /// Its members are counted up on the way.
    pub(super) counters: Option<&'a Counters>,
    /// What is below; none of a whole filesystem.
    pub(super) lower: Option<OpenLower<'a>>,
}

/// Keeps the tar that `input` gives, and an index of it, as the layer
/// `target`.
///
/// # Errors
/// Those of [`TarReader`] and of writing; `Invalid` with the member's name for
/// members that leave the tree or do not fit it.
pub(super) fn keep(
    input: ChunkReader<'_>,
    target: &LayerTarget,
    options: &ArchiveOptions<'_>,
) -> Result<Applied> {
    let _ = (input, target, options);
    Err(Error::unsupported("archives come later"))
}

/// Makes `target` an archive without members, to try whether it can be mounted.
///
/// # Errors
/// Those of writing.
pub fn write_empty_archive(target: &LayerTarget) -> Result<()> {
    let _ = target;
    Err(Error::unsupported("archives come later"))
}
