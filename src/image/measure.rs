//! What is known of a layer that lies there without a word of what it is: all of
//! it is read.

use crate::error::Result;

use super::entry::EntryKind;
use super::layer::{LayerTarget, rewrite_layer};
use super::load::LoadedLayer;
use super::pipeline::{self, ChunkSink, SinkWriter};
use super::read::TarReader;

/// What the layer `layer` is: the digest and size of its tar, and what the files
/// in it hold. Starts threads, which end with it.
///
/// # Errors
/// Those of [`rewrite_layer`]; `Invalid` if its tar is none.
pub fn measure_layer(layer: &LayerTarget) -> Result<LoadedLayer> {
    let produce = |sink: &mut ChunkSink| rewrite_layer(layer, &mut SinkWriter::new(sink));
    let through = pipeline::run(produce, |input| {
        let mut reader = TarReader::new(input);
        let mut sum = 0u64;
        while let Some(entry) = reader.next_entry()? {
            if let EntryKind::Regular { size, .. } = entry.kind {
                sum = sum.saturating_add(size);
            }
        }
        Ok(sum)
    })?;
    Ok(LoadedLayer {
        diff_id: through.diff_id,
        tar_size: through.size,
        content_size: through.consumed,
    })
}
