//! From the upper directory of an overlay to a layer: what was written on top
//! of an image, copied into the directory of a new layer in overlayfs's own
//! form, and the digest of that one's canonical tar.
//!
//! - The copy comes first and the digest after it: whoever writes to the upper
//!   directory need not stand still for longer than a copy takes, and the
//!   digest is that of what lies in the store.
//! - Whiteouts stay, and opaque directories where the image has a directory to
//!   hide: overlayfs marks new ones as well, to save itself a look.
//! - A directory that was renamed in place (redirect_dir), and a file of which
//!   only the metadata was copied up (metacopy), are copied whole from what the
//!   overlay shows. The old name has its whiteout already.
//! - What is overlayfs's own in extended attributes is not copied.
//!
//! It knows nothing of containers, mounts or stores.

mod copier;

use std::collections::BTreeSet;

use crate::error::Result;
use crate::fs::{self, Dir, Timestamp};
use crate::mount::LayerForm;

use super::archive;
use super::erofs::{IndexOptions, Level};
use super::import::LayerSummary;
use super::layer::LayerTarget;
use super::overrides::Overrides;
use super::pipeline::{self, ChunkSink};
use super::report::Report;
use super::sums::Sums;
use super::walk::{TreeSource, WalkOptions, write_tree};

pub use super::marks::MarkSpace;

/// What was written on top of an image.
#[derive(Clone, Copy)]
pub struct Changes<'a> {
    /// The upper directory; without an image all that there is.
    pub upper: &'a Dir,
    /// What lies below it, as it is seen; none if nothing does.
    pub image: Option<&'a Dir>,
    /// Opens what both show together; called only where the upper directory
    /// refers to lower ones.
    pub merged: &'a dyn Fn() -> Result<Dir>,
    /// Where the overlay has its marks.
    pub space: MarkSpace,
    /// Paths that are no change, with all below; relative, as in a layer.
    pub left_out: &'a BTreeSet<Vec<u8>>,
    /// Later times become this one (SOURCE_DATE_EPOCH).
    pub epoch: Option<Timestamp>,
}

/// What was copied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CopiedChanges {
    /// How many members, the root not counted.
    pub members: u64,
    /// What was noticed.
    pub report: Report,
}

/// Copies `changes` to `target`, whose tree is empty. What goes while it is
/// read is not there.
///
/// # Errors
/// `Invalid` for a name that a layer cannot have; those of reading and writing.
pub fn copy_changes(changes: &Changes<'_>, target: &LayerTarget) -> Result<CopiedChanges> {
    copier::copy(changes, target)
}

/// Hashes the canonical tar of what [`copy_changes`] copied to `layer`, and
/// makes an archive of it, if that is its form, in place of the tree. It lies
/// upon what is seen in `below`, if upon anything.
///
/// # Errors
/// Those of reading it; `Unsupported` for what no layer can hold.
pub fn finish_layer(layer: &LayerTarget, below: Option<&Dir>) -> Result<LayerSummary> {
    let dir = Dir::open(&layer.tree)?;
    let source = TreeSource { dir: &dir, overrides: Overrides::load(&layer.overrides)? };
    let options = WalkOptions { is_layer: true, ..WalkOptions::default() };
    let produce = |sink: &mut ChunkSink| write_tree(source, &options, sink);
    let (walked, diff_id, tar_size) = match layer.form {
        LayerForm::Tree => {
            let through = pipeline::run(produce, |input| Sums::of(input))?;
            through.consumed.save(layer)?;
            (through.produced, through.diff_id, through.size)
        }
        LayerForm::Archive => {
            // Those of the tree; the index has its own.
            fs::remove_file(&layer.overrides)?;
            let level = below.map_or(Level::Lowest, Level::Upon);
            let options = IndexOptions { counters: None, level, copy_limit: u64::MAX };
            let through =
                pipeline::run(produce, |input| archive::keep((input, u64::MAX), layer, &options))?;
            fs::remove_tree(&layer.tree)?;
            fs::remove_file(&layer.marks)?;
            (through.produced, through.diff_id, through.size)
        }
    };
    Ok(LayerSummary::of(walked, (diff_id, tar_size)))
}

#[cfg(test)]
mod tests;
