//! Files that were left out, of which a later name turned out to be new: their
//! names, and the layer that has them as well.

use std::collections::{HashSet, VecDeque};
use std::io::BufRead;

use crate::error::{Error, Result};
use crate::image::canonical::{self, END};
use crate::image::entry::{Entry, EntryKind, compare_paths, split};
use crate::image::import::LayerSummary;
use crate::image::layer::{LayerTarget, rewrite_layer};
use crate::image::pipeline::{self, ChunkSink, SinkWriter};
use crate::image::read::TarReader;
use crate::image::sparse;
use crate::image::walk::Sink;

use super::filter::{copy, put};
use super::parent::{Parent, ParentView};
use super::{DifferenceTarget, summary};

/// Names of files that the image has as well, but not all of them.
#[derive(Debug, Default)]
pub struct LateLinks {
    /// And the first name of each that is not the first.
    names: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    firsts: HashSet<Vec<u8>>,
}

impl LateLinks {
    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    pub(super) fn add(&mut self, path: Vec<u8>, first: Option<Vec<u8>>) {
        if first.is_none() {
            self.firsts.insert(path.clone());
        }
        self.names.push((path, first));
    }

    pub(super) fn has(&self, first: &[u8]) -> bool {
        self.firsts.contains(first)
    }

    /// In the order of members, and the directories on the way to them.
    fn sorted(self) -> VecDeque<(Vec<u8>, Option<Vec<u8>>)> {
        let mut above = HashSet::new();
        for (path, _) in &self.names {
            let mut path = path.as_slice();
            while !path.is_empty() {
                path = split(path).0;
                if !above.insert(path.to_vec()) {
                    break;
                }
            }
        }
        let mut names = self.names;
        names.extend(above.into_iter().map(|path| (path, None)));
        names.sort_by(|a, b| compare_paths(&a.0, &b.0));
        names.into()
    }
}

/// Makes the layer `first`, which [`import_difference`](super::import_difference)
/// made, together with `late`, the layer `target`.
///
/// # Errors
/// As [`import_difference`](super::import_difference).
pub fn amend_difference(
    (first, late): (&LayerTarget, LateLinks),
    view: &ParentView,
    target: &DifferenceTarget<'_>,
) -> Result<LayerSummary> {
    let parent = Parent::open(view)?;
    let produce = |sink: &mut ChunkSink| {
        let read = |sink: &mut ChunkSink| rewrite_layer(first, &mut SinkWriter::new(sink));
        pipeline::pass(read, |input| merge(TarReader::new(input), (late, &parent), sink))
    };
    let through = pipeline::run(produce, |input| target.keep(input))?;
    Ok(summary(through.diff_id, through.size, through.consumed))
}

fn merge<R: BufRead>(
    mut reader: TarReader<R>,
    (late, parent): (LateLinks, &Parent),
    sink: &mut dyn Sink,
) -> Result<()> {
    let mut late = late.sorted();
    while let Some(entry) = reader.next_entry()? {
        let place = unmarked(&entry.path);
        while late.front().is_some_and(|next| compare_paths(&next.0, &place).is_lt()) {
            late.pop_front().iter().try_for_each(|next| write(next, parent, sink))?;
        }
        // A directory that the layer has.
        if late.front().is_some_and(|next| next.0 == place) {
            late.pop_front();
        }
        put(&entry, sink)?;
        reader.copy_data(&mut |_, bytes| sink.put(bytes))?;
        sink.put(&END[..canonical::padding(canonical::data_size(&entry))])?;
    }
    late.iter().try_for_each(|next| write(next, parent, sink))?;
    sink.put(&END)
}

fn write(
    (path, first): &(Vec<u8>, Option<Vec<u8>>),
    parent: &Parent,
    sink: &mut dyn Sink,
) -> Result<()> {
    if let Some(target) = first {
        let attributes = parent.entry(target)?.0.attributes;
        let kind = EntryKind::HardLink { target: target.clone() };
        return put(&Entry { path: path.clone(), kind, attributes }, sink);
    }
    let (mut entry, file) = parent.entry(path)?;
    if let (EntryKind::Regular { size, sparse }, Some(file)) = (&mut entry.kind, &file) {
        *sparse = sparse::detect(file, *size)
            .map_err(|error| Error::io_named("cannot read a file of the image", error))?;
    }
    put(&entry, sink)?;
    if let Some(file) = &file {
        copy(file, (&entry, u64::MAX), sink)?;
    }
    sink.put(&END[..canonical::padding(canonical::data_size(&entry))])
}

/// The path that a member has its place by: that which a whiteout removes.
fn unmarked(path: &[u8]) -> Vec<u8> {
    let (dir, name) = split(path);
    match name.strip_prefix(b".wh.") {
        Some(name) if dir.is_empty() => name.to_vec(),
        Some(name) => [dir, b"/", name].concat(),
        None => path.to_vec(),
    }
}
