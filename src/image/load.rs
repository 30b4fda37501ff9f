//! A layer as an archive has it: applied upon the layers below, and hashed on
//! the way.
//!
//! It knows nothing of manifests: what the layer should be is compared by who
//! called.

use std::io::{self, Read};

use crate::digest::DiffId;
use crate::error::{Error, Result};
use crate::fs::Dir;
use crate::mount::LayerForm;

use super::apply::{Applied, ApplyOptions, Diff, LowerLayer, apply};
use super::archive;
use super::compress::open_compressed;
use super::erofs::{IndexOptions, Level};
use super::layer::{LayerTarget, rewrite_layer};
use super::marks::MarkSpace;
use super::pipeline::{self, ChunkReader, ChunkSink, SinkWriter};
use super::read::TarReader;
use super::report::Counters;
use super::walk::Sink;

/// The layers below one, opened as its form needs them.
pub trait Below {
    /// Each by itself, topmost first.
    ///
    /// # Errors
    /// Those of opening or mounting.
    fn layers(&self) -> Result<Vec<LowerLayer>>;

    /// What they show together; `None` if there is none.
    ///
    /// # Errors
    /// Those of opening or mounting.
    fn merged(&self) -> Result<Option<Dir>>;
}

/// How large a layer may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerLimits {
    /// The most bytes that its tar may have.
    pub bytes: u64,
    /// The most members.
    pub entries: u64,
}

impl LayerLimits {
    /// Any size.
    pub const NONE: Self = Self { bytes: u64::MAX, entries: u64::MAX };
}

/// How a layer is loaded.
pub struct LoadOptions<'a> {
    /// What is below.
    pub below: &'a dyn Below,
    /// How overlayfs is told of opaque directories.
    pub marks: MarkSpace,
    /// How large it may be.
    pub limits: LayerLimits,
    /// Its members are counted up on the way.
    pub counters: &'a Counters,
}

/// A layer that was loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadedLayer {
    /// Of its tar.
    pub diff_id: DiffId,
    /// Of its tar, in bytes.
    pub tar_size: u64,
    /// Of all its regular files, holes included, in bytes.
    pub content_size: u64,
}

/// Makes the tar that `reader` gives, compressed or not, the layer `target`,
/// whose tree is an empty directory.
///
/// # Errors
/// `Unsupported` beyond the limits; those of [`open_compressed`], of `reader`
/// and of [`apply`](super::apply()).
pub fn load_layer(
    reader: Box<dyn Read + Send>,
    target: &LayerTarget,
    options: &LoadOptions<'_>,
) -> Result<LoadedLayer> {
    let mut reader = open_compressed(reader)?;
    let limit = options.limits.bytes;
    let produce = |sink: &mut ChunkSink| decode(&mut reader, sink, limit);
    let through = pipeline::run(produce, |input| keep(input, target, options))?;
    Ok(LoadedLayer {
        diff_id: through.diff_id,
        tar_size: through.size,
        content_size: through.consumed.content_size,
    })
}

/// Makes `to` the layer that `from` is, whatever the forms of both.
///
/// # Errors
/// `Mismatch` if files of `from` are missing or cut short; those of
/// [`load_layer`].
pub fn convert_layer(
    from: &LayerTarget,
    to: &LayerTarget,
    options: &LoadOptions<'_>,
) -> Result<LoadedLayer> {
    let produce = |sink: &mut ChunkSink| rewrite_layer(from, &mut SinkWriter::new(sink));
    let through = pipeline::run(produce, |input| keep(input, to, options))?;
    Ok(LoadedLayer {
        diff_id: through.diff_id,
        tar_size: through.size,
        content_size: through.consumed.content_size,
    })
}

/// Makes the tar that `input` gives the layer `target`.
///
/// # Errors
/// Those of [`apply`] and of writing an index.
pub(super) fn keep(
    input: ChunkReader<'_>,
    target: &LayerTarget,
    options: &LoadOptions<'_>,
) -> Result<Applied> {
    let counters = Some(options.counters);
    if target.form == LayerForm::Archive {
        let merged = options.below.merged()?;
        let level = merged.as_ref().map_or(Level::Lowest, Level::Upon);
        let reader = (input, options.limits.entries);
        return archive::keep(
            reader,
            target,
            &IndexOptions { counters, level, copy_limit: options.limits.bytes },
        );
    }
    let tree = Dir::open(&target.tree)?;
    let lower = options.below.layers()?;
    let diff = Some(Diff {
        lower: &lower,
        target,
        marks: options.marks,
        copy_limit: options.limits.bytes,
    });
    let mut reader = TarReader::new(input).at_most(options.limits.entries);
    let options = ApplyOptions { counters, diff, ..ApplyOptions::default() };
    reader.keep_sums();
    let mut applied = apply(reader, &tree, &options)?;
    std::mem::take(&mut applied.overrides).save(&target.overrides)?;
    applied.sums.take().unwrap_or_default().save(target)?;
    Ok(applied)
}

fn decode(reader: &mut dyn Read, sink: &mut ChunkSink, limit: u64) -> Result<()> {
    let mut size = 0;
    loop {
        match reader.read(sink.space()?) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                sink.advance(count);
                size += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::io_named("cannot read the layer", error)),
        }
        if size > limit {
            return Err(Error::unsupported(format!("its tar is larger than {limit} bytes"))
                .hint("allow more with --max-layer-size, if you trust who made it"));
        }
    }
}

#[cfg(test)]
#[path = "tests/below.rs"]
pub(super) mod below;
