//! What a root filesystem has that an image has not: one layer upon that
//! image's, in canonical form, made while the source is read.
//!
//! ```text
//! source -> canonical tar -> filter -> canonical tar of the layer -> hash, keep
//!                              |
//!              the image's filesystem, read beside it
//! ```
//!
//! - A member that the image has just so is left out: kind, attributes,
//!   content. A directory is there if something below it is: who unpacks a
//!   layer elsewhere gives an unlisted one attributes of their own.
//! - What the image has and the source has not becomes a whiteout, at the place
//!   of the name that it removes.
//! - All names of a file are there, or none: no layer links to a file that only
//!   a lower one has, and no file gets a second name behind a lower layer's
//!   back. That a file left out has one more name may show at its last one, long
//!   after its place: those are [`LateLinks`], and [`amend_difference`] puts
//!   them into a second layer, of the first one and the image.
//!
//! Memory holds the names of the directories on the way down, sixteen bytes for
//! each file written, and the names of linked files.
//!
//! It knows nothing of stores, images or mounts.

mod copied;
mod filter;
mod late;
mod parent;

use std::io::{BufReader, Read};

use crate::digest::DiffId;
use crate::error::Result;
use crate::fs::{Dir, Timestamp};

use super::apply::Applied;
use super::import::{BUFFER, ImportOptions, LayerSummary, extract};
use super::layer::LayerTarget;
use super::load::{self, Below, LayerLimits, LoadOptions};
use super::marks::MarkSpace;
use super::overrides::Overrides;
use super::pipeline::{self, ChunkReader, ChunkSink, Through};
use super::read::TarReader;
use super::report::{Counters, Report};
use super::unmapped::UnmappedOwners;
use super::walk::{TreeSource, WalkOptions, Walked, write_tree};

use filter::{Filtered, filter};
use parent::Parent;

pub use copied::{WrittenCopy, copied_difference};
pub use filter::Compared;
pub use late::{LateLinks, amend_difference};
pub use parent::ParentView;

/// What is compared with an image.
pub enum DifferenceSource<'a> {
    /// A tree that this process reads.
    Directory(&'a Dir),
    /// A canonical tar, of a tree that another process reads.
    Canonical(Box<dyn Read + Send>),
    /// Any archive, compressed or not, and where to apply it: a layer's place
    /// that is used for nothing else.
    Archive(Box<dyn Read + Send>, &'a LayerTarget),
}

/// Where the difference goes.
#[derive(Clone, Copy)]
pub struct DifferenceTarget<'a> {
    /// The layer, whose tree is an empty directory.
    pub layer: &'a LayerTarget,
    /// The layers below.
    pub below: &'a dyn Below,
    /// How overlayfs is told of opaque directories.
    pub marks: MarkSpace,
}

/// What was found.
#[derive(Debug)]
pub struct Difference {
    /// The layer; none if nothing differs.
    pub layer: Option<LayerSummary>,
    /// What the layer lacks still.
    pub late: LateLinks,
    /// The source, of which most may be left out.
    pub compared: Compared,
    /// True if the source says what its root is.
    pub has_root: bool,
    /// What was noticed.
    pub report: Report,
}

/// Makes what `source` has and `view` has not the layer `target`. Excludes, the
/// epoch and the counters are those of an import.
///
/// # Errors
/// Those of reading either and of writing the target.
pub fn import_difference(
    source: DifferenceSource<'_>,
    view: &ParentView,
    target: &DifferenceTarget<'_>,
    options: &ImportOptions,
) -> Result<Difference> {
    let parent = Parent::open(view)?;
    match source {
        DifferenceSource::Directory(dir) => {
            let walk =
                WalkOptions { unmapped: Some(UnmappedOwners::of_process()?), ..options.walk() };
            let tree = TreeSource { dir, overrides: Overrides::default() };
            of_tree((tree, &walk), &parent, (target, None))
        }
        DifferenceSource::Canonical(reader) => {
            let reader = BufReader::with_capacity(BUFFER, reader);
            let counters = Some(options.counters.as_ref());
            let produce = |sink: &mut ChunkSink| {
                filter((TarReader::new(reader), counters), &parent, (sink, None))
            };
            Ok(difference(pipeline::run(produce, |input| target.keep(input))?, Report::default()))
        }
        DifferenceSource::Archive(reader, scratch) => {
            let (dir, mut applied) = extract(reader, scratch, options)?;
            let tree = TreeSource { dir: &dir, overrides: std::mem::take(&mut applied.overrides) };
            let mut made = of_tree((tree, &WalkOptions::default()), &parent, (target, None))?;
            // What the target's file system refuses was refused by then.
            made.report = applied.report;
            made.has_root = applied.has_root;
            Ok(made)
        }
    }
}

fn of_tree(
    (tree, walk): (TreeSource<'_>, &WalkOptions<'_>),
    parent: &Parent,
    (target, epoch): (&DifferenceTarget<'_>, Option<Timestamp>),
) -> Result<Difference> {
    let produce = |sink: &mut ChunkSink| {
        let write = |sink: &mut ChunkSink| write_tree(tree, walk, sink);
        pipeline::pass(write, |input| filter((TarReader::new(input), None), parent, (sink, epoch)))
    };
    let Through { produced, diff_id, size, consumed } =
        pipeline::run(produce, |input| target.keep(input))?;
    let (Walked { report, .. }, produced) = produced;
    Ok(difference(Through { produced, diff_id, size, consumed }, report))
}

fn difference(through: Through<Filtered, Applied>, mut report: Report) -> Difference {
    let Filtered { compared, late } = through.produced;
    let layer = summary(through.diff_id, through.size, through.consumed);
    let layer = Some(layer).filter(|layer| layer.entries > 0);
    if let Some(layer) = &layer {
        report.merge(layer.report.clone());
    }
    Difference { layer, late, compared, has_root: true, report }
}

fn summary(diff_id: DiffId, tar_size: u64, applied: Applied) -> LayerSummary {
    LayerSummary {
        diff_id,
        tar_size,
        content_size: applied.content_size,
        entries: applied.entries,
        newest_mtime: applied.newest_mtime.unwrap_or_default(),
        report: applied.report,
        has_root: true,
    }
}

impl DifferenceTarget<'_> {
    fn keep(&self, input: ChunkReader<'_>) -> Result<Applied> {
        // The source's members are counted, not the layer's.
        let counters = &Counters::default();
        let options = LoadOptions {
            below: self.below,
            marks: self.marks,
            limits: LayerLimits::NONE,
            counters,
        };
        load::keep(input, self.layer, &options)
    }
}

#[cfg(test)]
mod tests;
