//! A layer as an archive: its tar as it came, and an index by which the kernel
//! mounts it. Nothing is extracted.

use std::io::Cursor;

use crate::error::{Error, Result};
use crate::fs::{self, Dir};

use super::apply::Applied;
use super::canonical::END;
use super::erofs::{self, IndexOptions, Indexed, Level};
use super::layer::LayerTarget;
use super::pipeline::ChunkReader;
use super::read::TarReader;
use super::sparse_copy::SparseCopy;

/// Keeps the tar that `input` gives, of at most `limit` members, and an index
/// of it, as the layer `target`.
///
/// # Errors
/// Those of [`erofs::write_index`] and of writing.
pub(super) fn keep(
    (input, limit): (ChunkReader<'_>, u64),
    target: &LayerTarget,
    options: &IndexOptions<'_>,
) -> Result<Applied> {
    let mut data = SparseCopy::create(&target.data)?;
    let mut reader = TarReader::new(input.copied_to(&mut data)).at_most(limit);
    reader.keep_sums();
    let indexed = erofs::write_index(reader, &target.index, options);
    // What the index says of a failure to write is that it could not read.
    data.finish()?;
    let mut indexed = indexed?;
    settle_root(target, &indexed)?;
    std::mem::take(&mut indexed.overrides).save(&target.overrides)?;
    indexed.sums.take().unwrap_or_default().save(target)?;
    let Indexed { entries, content_size, newest_mtime, has_end_marker, has_root, report, .. } =
        indexed;
    Ok(Applied {
        entries,
        content_size,
        newest_mtime,
        has_end_marker,
        has_root,
        report,
        ..Applied::default()
    })
}

/// The directory that stands for the root where nothing is mounted: an
/// overlay's upper directory is made like it.
fn settle_root(target: &LayerTarget, indexed: &Indexed) -> Result<()> {
    let (Some(folder), Some(name)) = (target.root.parent(), target.root.file_name()) else {
        return Err(Error::internal("the root of a layer has no name"));
    };
    fs::ensure_dir(&target.root, 0o755)?;
    let folder = Dir::open(folder)?;
    folder.set_owner(name, indexed.root_owner)?;
    // After the owner: chown(2) clears the set-ID bits.
    folder.set_mode(name, indexed.root_mode)
}

/// Makes `target` an archive without members, to try whether it can be mounted.
///
/// # Errors
/// Those of writing.
pub fn write_empty_archive(target: &LayerTarget) -> Result<()> {
    fs::write_volatile(&target.data, &END)?;
    let reader = TarReader::new(Cursor::new(END));
    let options = IndexOptions { level: Level::Lowest, counters: None, copy_limit: 0 };
    erofs::write_index(reader, &target.index, &options).map(drop)
}
