//! A layer as an archive has it: applied upon the layers below, and hashed on
//! the way.
//!
//! It knows nothing of manifests: what the layer should be is compared by who
//! called.

use std::io::{self, Read};

use crate::digest::DiffId;
use crate::error::{Error, Result};
use crate::fs::Dir;

use super::apply::{ApplyOptions, Diff};
use super::compress::open_compressed;
use super::layer::LayerTarget;
use super::marks::MarkSpace;
use super::pipeline::{self, ChunkSink};
use super::report::Counters;
use super::walk::Sink;

/// How a layer is loaded.
pub struct LoadOptions<'a> {
    /// The layers below, topmost first.
    pub lower: &'a [LayerTarget],
    /// How overlayfs is told of opaque directories.
    pub marks: MarkSpace,
    /// The most bytes that its tar may have.
    pub limit: u64,
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
/// `Unsupported` beyond the limit; those of [`open_compressed`], of `reader`
/// and of [`apply`](super::apply()).
pub fn load_layer(
    reader: Box<dyn Read + Send>,
    target: &LayerTarget,
    options: &LoadOptions<'_>,
) -> Result<LoadedLayer> {
    let mut reader = open_compressed(reader)?;
    let produce = |sink: &mut ChunkSink| decode(&mut reader, sink, options.limit);
    let tree = Dir::open(&target.tree)?;
    let apply_options = ApplyOptions {
        counters: Some(options.counters),
        diff: Some(Diff { lower: options.lower, target, marks: options.marks }),
        ..ApplyOptions::default()
    };
    let through = pipeline::run(produce, &tree, &apply_options)?;
    through.applied.overrides.save(&target.overrides)?;
    Ok(LoadedLayer {
        diff_id: through.diff_id,
        tar_size: through.size,
        content_size: through.applied.content_size,
    })
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
