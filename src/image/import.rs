//! The whole way of an import: a directory or an archive becomes a layer in a
//! store's folder, with its diff ID. One pass over the source.

use std::io::{self, BufReader, Read, Write};
use std::sync::Arc;

use crate::digest::{DiffId, Digest};
use crate::error::{Error, Result};
use crate::fs::{self, Dir, Timestamp};
use crate::mount::LayerForm;

use super::apply::{Applied, ApplyOptions, LeftOut, apply};
use super::archive;
use super::compress::open_compressed;
use super::entry::EntryKind;
use super::erofs::{IndexOptions, Level};
use super::exclude::ExcludeSet;
use super::layer::LayerTarget;
use super::overrides::Overrides;
use super::pipeline::{self, ChunkReader, ChunkSink, Through, WriterSink};
use super::read::TarReader;
use super::report::{Counters, Report};
use super::sums::Sums;
use super::unmapped::UnmappedOwners;
use super::walk::{Sink, TreeSource, WalkOptions, Walked, write_tree};

/// Of what a foreign archive is read by, in bytes.
pub(super) const BUFFER: usize = 256 * 1024;

/// How a source is imported.
#[derive(Default)]
pub struct ImportOptions {
    /// Left out, with all below.
    pub excludes: ExcludeSet,
    /// Later times become this one (SOURCE_DATE_EPOCH).
    pub epoch: Option<Timestamp>,
    /// The most members of an archive; a directory may have any number.
    pub max_entries: Option<u64>,
    /// Counted up on the way, for whoever shows how far it is: members, and
    /// bytes of the source (see [`Counters::bytes`]).
    pub counters: Arc<Counters>,
}

impl ImportOptions {
    pub(super) fn walk(&self) -> WalkOptions<'_> {
        WalkOptions {
            excludes: Some(&self.excludes),
            epoch: self.epoch,
            counters: Some(&self.counters),
            unmapped: None,
            part: None,
            is_layer: false,
        }
    }
}

/// A layer that was imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerSummary {
    /// Of the canonical tar.
    pub diff_id: DiffId,
    /// Of the canonical tar, in bytes.
    pub tar_size: u64,
    /// Of all regular files, holes included, hard links once, in bytes.
    pub content_size: u64,
    /// How many members.
    pub entries: u64,
    /// The newest time of a member.
    pub newest_mtime: Timestamp,
    /// What was noticed.
    pub report: Report,
    /// True if the source says what its root is; a directory does, an archive
    /// may not.
    pub has_root: bool,
}

impl LayerSummary {
    /// Of a tree whose root was walked, and of the tar that came of it.
    pub(super) fn of(walked: Walked, (diff_id, tar_size): (DiffId, u64)) -> Self {
        Self {
            diff_id,
            tar_size,
            content_size: walked.content_size,
            entries: walked.entries,
            newest_mtime: walked.newest_mtime.unwrap_or_default(),
            report: walked.report,
            has_root: true,
        }
    }
}

/// Makes the directory `source` the layer `target`.
///
/// # Errors
/// Those of [`write_tree`] and of writing the target.
pub fn import_directory(
    source: &Dir,
    target: &LayerTarget,
    options: &ImportOptions,
) -> Result<LayerSummary> {
    let source = source.duplicate()?;
    let walk = WalkOptions { unmapped: Some(UnmappedOwners::of_process()?), ..options.walk() };
    let produce = |sink: &mut ChunkSink| {
        let source = TreeSource { dir: &source, overrides: Overrides::default() };
        write_tree(source, &walk, sink)
    };
    let keep = |input: ChunkReader<'_>| target.keep(input, None);
    let mut through = pipeline::run(produce, keep)?;
    let report = std::mem::take(&mut through.produced.report);
    summary(through, target, report)
}

/// Makes the canonical tar that `reader` gives the layer `target`. For a tree
/// that another process reads, by [`write_canonical`].
///
/// # Errors
/// `Invalid` if the stream ends without its end marker; else those of reading
/// and of writing the target.
pub fn ingest_canonical(
    reader: impl Read + Send,
    target: &LayerTarget,
    options: &ImportOptions,
) -> Result<LayerSummary> {
    let counters = &options.counters;
    let produce = |sink: &mut ChunkSink| fill(reader, sink, Some(counters));
    let keep = |input: ChunkReader<'_>| target.keep(input, Some(counters));
    let through = pipeline::run(produce, keep)?;
    summary(through, target, Report::default())
}

/// What [`import_directory`] would return for `source`: it is read and hashed,
/// and nothing is written.
///
/// # Errors
/// Those of [`write_tree`].
pub fn measure_directory(source: &Dir, options: &ImportOptions) -> Result<LayerSummary> {
    let walk = WalkOptions { unmapped: Some(UnmappedOwners::of_process()?), ..options.walk() };
    let source = TreeSource { dir: source, overrides: Overrides::default() };
    let (walked, diff_id, tar_size) = pipeline::digest(|sink| write_tree(source, &walk, sink))?;
    Ok(LayerSummary::of(walked, (diff_id, tar_size)))
}

/// What [`ingest_canonical`] would return for `reader`.
///
/// # Errors
/// As [`ingest_canonical`].
pub fn measure_canonical(reader: impl Read + Send) -> Result<LayerSummary> {
    let through = pipeline::run(|sink| fill(reader, sink, None), measure)?;
    let (diff_id, tar_size) = (through.diff_id, through.size);
    Ok(LayerSummary { diff_id, tar_size, ..through.consumed })
}

fn measure(input: ChunkReader<'_>) -> Result<LayerSummary> {
    let mut reader = TarReader::new(input);
    let mut summary = LayerSummary {
        diff_id: DiffId(Digest::of(b"")),
        tar_size: 0,
        content_size: 0,
        entries: 0,
        newest_mtime: Timestamp::default(),
        report: Report::default(),
        has_root: true,
    };
    while let Some(entry) = reader.next_entry()? {
        summary.entries += 1;
        summary.newest_mtime = match summary.entries {
            1 => entry.attributes.mtime,
            _ => summary.newest_mtime.max(entry.attributes.mtime),
        };
        if let EntryKind::Regular { size, .. } = entry.kind {
            summary.content_size += size;
        }
    }
    match reader.has_end_marker() {
        true => Ok(summary),
        false => Err(ended_early()),
    }
}

/// Passes all of `reader` on.
fn fill(mut reader: impl Read, sink: &mut ChunkSink, counters: Option<&Counters>) -> Result<()> {
    loop {
        let space = sink.space()?;
        match reader.read(space) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                sink.advance(count);
                if let Some(counters) = counters {
                    counters.add_bytes(count as u64);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::io_named("cannot read the layer", error)),
        }
    }
}

/// The error of a canonical tar without its end.
pub(super) fn ended_early() -> Error {
    Error::invalid("the layer's stream ended early")
        .hint("see what the process that writes it says")
}

/// Writes the directory `source` as a canonical tar to `output`.
///
/// # Errors
/// Those of [`write_tree`] and of `output`.
pub fn write_canonical(
    source: &Dir,
    options: &ImportOptions,
    output: &mut dyn Write,
) -> Result<Report> {
    let source = TreeSource { dir: source, overrides: Overrides::default() };
    let mut sink = WriterSink::new(output);
    let walk = WalkOptions { unmapped: Some(UnmappedOwners::of_process()?), ..options.walk() };
    let walked = write_tree(source, &walk, &mut sink)?;
    sink.flush()?;
    Ok(walked.report)
}

/// Makes the archive that `reader` gives, compressed or not, the layer
/// `target`: applies it, and hashes the canonical tar of the tree that came
/// out, while its pages are still in memory. Counts the bytes of the archive
/// as it is given: compressed ones, if it is compressed.
///
/// # Errors
/// Those of [`open_compressed`], [`apply`] and [`write_tree`].
pub fn import_tar(
    reader: Box<dyn Read + Send>,
    target: &LayerTarget,
    options: &ImportOptions,
) -> Result<LayerSummary> {
    let (tree, mut applied) = extract(reader, target, options)?;
    let overrides = std::mem::take(&mut applied.overrides);
    let source = TreeSource { dir: &tree, overrides: overrides.clone() };
    let produce = |sink: &mut ChunkSink| write_tree(source, &WalkOptions::default(), sink);
    let (walked, diff_id, tar_size) = match target.form {
        LayerForm::Tree => {
            overrides.save(&target.overrides)?;
            let through = pipeline::run(produce, |input| Sums::of(input))?;
            through.consumed.save(target)?;
            (through.produced, through.diff_id, through.size)
        }
        LayerForm::Archive => {
            let through = pipeline::run(produce, |input| target.keep(input, None))?;
            fs::remove_tree(&target.tree)?;
            (through.produced, through.diff_id, through.size)
        }
    };
    let mut walked = LayerSummary::of(walked, (diff_id, tar_size));
    walked.has_root = applied.has_root;
    applied.report.merge(std::mem::take(&mut walked.report));
    Ok(LayerSummary { report: applied.report, ..walked })
}

/// Applies the archive that `reader` gives, compressed or not, to the tree of
/// `target`, whatever its form: the filesystem that an import is of.
///
/// # Errors
/// Those of [`open_compressed`] and [`apply`]; `Invalid` if there is nothing in
/// the archive.
pub(super) fn extract(
    reader: Box<dyn Read + Send>,
    target: &LayerTarget,
    options: &ImportOptions,
) -> Result<(Dir, Applied)> {
    let reader = open_compressed(counted(reader, &options.counters))?;
    let reader = BufReader::with_capacity(BUFFER, reader);
    let tree = target.open_tree()?;
    // It must not outlive this: the store takes the whole folder.
    let folder = target.tree.with_extension("left-out");
    let left_out = LeftOut { set: &options.excludes, folder: &folder };
    let apply_options = ApplyOptions {
        left_out: (!options.excludes.is_empty()).then_some(left_out),
        epoch: options.epoch,
        counters: Some(&options.counters),
        ..ApplyOptions::default()
    };
    let reader = TarReader::new(reader).at_most(options.max_entries.unwrap_or(u64::MAX));
    let applied = apply(reader, &tree, &apply_options)?;
    // The root alone is no filesystem either; its path would say nothing.
    if applied.entries <= u64::from(applied.has_root) {
        return Err(Error::invalid("the archive is empty")
            .hint("give a tar of a root filesystem, as tar -C DIR -c . makes it"));
    }
    Ok((tree, applied))
}

/// A reader of `reader` that counts its bytes in `counters`.
pub fn counted(reader: Box<dyn Read + Send>, counters: &Arc<Counters>) -> Box<dyn Read + Send> {
    Box::new(Counted { inner: reader, counters: Arc::clone(counters) })
}

/// Counts what is read through it.
struct Counted {
    inner: Box<dyn Read + Send>,
    counters: Arc<Counters>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.counters.add_bytes(count as u64);
        Ok(count)
    }
}

impl LayerTarget {
    /// Makes the canonical tar of a whole filesystem this layer.
    fn keep(&self, input: ChunkReader<'_>, counters: Option<&Counters>) -> Result<Applied> {
        match self.form {
            LayerForm::Tree => {
                let options = ApplyOptions { counters, ..ApplyOptions::default() };
                let mut reader = TarReader::new(input);
                reader.keep_sums();
                apply(reader, &self.open_tree()?, &options)
            }
            LayerForm::Archive => {
                let options = IndexOptions { counters, level: Level::Whole, copy_limit: 0 };
                archive::keep((input, u64::MAX), self, &options)
            }
        }
    }
}

fn summary<T>(
    through: Through<T, Applied>,
    target: &LayerTarget,
    walked: Report,
) -> Result<LayerSummary> {
    let applied = through.consumed;
    let Applied {
        overrides, entries, content_size, newest_mtime, has_root, mut report, sums, ..
    } = applied;
    if !applied.has_end_marker || entries == 0 {
        return Err(ended_early());
    }
    overrides.save(&target.overrides)?;
    // An archive has written its own.
    if let Some(sums) = sums {
        sums.save(target)?;
    }
    report.merge(walked);
    Ok(LayerSummary {
        diff_id: through.diff_id,
        tar_size: through.size,
        content_size,
        entries,
        newest_mtime: newest_mtime.unwrap_or_default(),
        report,
        has_root,
    })
}

#[cfg(test)]
#[path = "tests/import.rs"]
mod tests;

#[cfg(test)]
#[path = "tests/archives.rs"]
mod archive_tests;
