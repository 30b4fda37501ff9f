//! Whether a layer is still what its digest says: its tar is written and
//! hashed again, and whatever is made of a tar is made anew and compared. A
//! layer that is not is told by the first files that differ.
//!
//! | form | the digest covers | compared beside it |
//! |---|---|---|
//! | archive | the tar | the index, byte for byte; owner and mode of the root |
//! | tree without a frame | files, owners, modes, times, attributes; `overrides` | – |
//! | tree with a frame | the data of files; what `frame` gives | a tree that is made anew; the names in `replaced` |
//!
//! It knows nothing of images and stores.

mod difference;

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::path::Path;

use crate::digest::DiffId;
use crate::error::{Error, Result};
use crate::fs::{self, Dir, FileKind};
use crate::mount::LayerForm;

use super::erofs::{self, IndexOptions, Indexed, Level};
use super::layer::{LayerTarget, rewrite_layer};
use super::load::{self, LoadOptions};
use super::overrides::Overrides;
use super::pipeline::{self, ChunkReader, ChunkSink, SinkWriter};
use super::read::TarReader;
use super::report::Counters;
use super::sums::{LayerSums, Sums};
use super::walk::{TreeSource, WalkOptions, write_tree};

use difference::Comparison;

/// Of what files are compared by, in bytes.
const PIECE: usize = 256 * 1024;

/// What a layer should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpectedLayer {
    /// The digest of its tar.
    pub diff_id: DiffId,
    /// The size of its tar, in bytes.
    pub tar_size: u64,
}

/// How a layer is verified.
pub struct VerifyOptions<'a> {
    /// A folder that is not there, on the file system of the layer: for what is
    /// made anew, and goes.
    pub folder: &'a Path,
    /// What is below; its counters have the bytes of the tar.
    pub load: LoadOptions<'a>,
    /// True if all that is below is what it should be. Where it is not, what is
    /// made of both is not compared.
    pub is_below_sound: bool,
}

/// Compares `layer` with what it should be.
///
/// # Errors
/// `Mismatch` with the first files that differ; those of reading, and of
/// writing to the folder.
pub fn verify_layer(
    layer: &LayerTarget,
    expected: ExpectedLayer,
    options: &VerifyOptions<'_>,
) -> Result<()> {
    check_folder(layer)?;
    let sums = LayerSums::load(layer)?;
    if let Some(sums) = &sums {
        sums.check_files(layer)?;
    }
    fs::create_dir(options.folder, 0o700)?;
    let verified = verify((layer, sums.as_ref()), expected, options);
    let removed = fs::remove_tree(options.folder);
    verified.and(removed)
}

/// What was made anew of a tar.
enum Made {
    Nothing,
    Index(Box<Indexed>),
    Tree,
}

fn verify(
    (layer, sums): (&LayerTarget, Option<&LayerSums>),
    expected: ExpectedLayer,
    options: &VerifyOptions<'_>,
) -> Result<()> {
    let anew = LayerTarget::within(options.folder, layer.form);
    let counters = options.load.counters;
    let produce = |sink: &mut ChunkSink| rewrite(layer, counters, sink);
    let made = pipeline::run(produce, |input| make(input, (layer, &anew), options));
    let made = match made {
        Ok(made) if (made.diff_id, made.size) == (expected.diff_id, expected.tar_size) => {
            made.consumed
        }
        made => {
            let named = sums.and_then(|sums| name_differences(layer, &sums.sums));
            let other = || match made {
                Ok(made) => Error::mismatch(format!("its tar is {} now", made.diff_id)),
                Err(error) => error,
            };
            return Err(named.map_or_else(other, Error::mismatch));
        }
    };
    match made {
        Made::Nothing => Ok(()),
        Made::Index(indexed) => {
            // The index of an envbox that made other ones is known by its sum.
            if sums.is_none_or(LayerSums::is_of_own_form) && !is_same(&layer.index, &anew.index)? {
                return Err(Error::mismatch("its index is not that of its tar"));
            }
            check_root(layer, &indexed)
        }
        Made::Tree => compare_trees(layer, &anew),
    }
}

/// Makes of the tar of `layer` what is to be compared.
fn make(
    input: ChunkReader<'_>,
    (layer, anew): (&LayerTarget, &LayerTarget),
    options: &VerifyOptions<'_>,
) -> Result<Made> {
    let has_frame = fs::metadata(&layer.frame)?.is_some();
    match layer.form {
        LayerForm::Archive if options.is_below_sound => {
            let merged = options.load.below.merged()?;
            // One that is a whole filesystem has no whiteouts: it has the same
            // index as the lowest of several.
            let level = merged.as_ref().map_or(Level::Lowest, Level::Upon);
            let counters = Some(options.load.counters);
            let index = IndexOptions { level, counters, copy_limit: u64::MAX };
            let indexed = erofs::write_index(TarReader::new(input), &anew.index, &index)?;
            Ok(Made::Index(Box::new(indexed)))
        }
        LayerForm::Tree if options.is_below_sound && has_frame => {
            fs::create_dir(&anew.tree, 0o755)?;
            load::keep(input, anew, &options.load)?;
            Ok(Made::Tree)
        }
        LayerForm::Archive | LayerForm::Tree => {
            drop_all(input)?;
            Ok(Made::Nothing)
        }
    }
}

fn rewrite(layer: &LayerTarget, counters: &Counters, sink: &mut ChunkSink) -> Result<()> {
    rewrite_layer(layer, &mut Counting { output: SinkWriter::new(sink), counters })
}

/// Counts the bytes that are written through it.
struct Counting<'a> {
    output: SinkWriter<'a>,
    counters: &'a Counters,
}

impl Write for Counting<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.output.write(bytes)?;
        self.counters.add_bytes(count as u64);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

/// Names the members of the tar of `layer` that are not as `expected`; none if
/// none of those that can be read is.
fn name_differences(layer: &LayerTarget, expected: &Sums) -> Option<String> {
    let mut comparison = Comparison::new(expected);
    let produce = |sink: &mut ChunkSink| rewrite_layer(layer, &mut SinkWriter::new(sink));
    // Why it cannot be read to its end has been told.
    if pipeline::run(produce, |input| comparison.read(input)).is_ok() {
        comparison.finish();
    }
    comparison.describe()
}

/// Fails if the folder of `layer` has other things than a layer has.
fn check_folder(layer: &LayerTarget) -> Result<()> {
    let LayerTarget { overrides, frame, replaced, marks, sums, .. } = layer;
    let (needed, optional): (&[&Path], &[&Path]) = match layer.form {
        LayerForm::Archive => (&[&layer.data, &layer.index, &layer.root], &[overrides, sums]),
        LayerForm::Tree => (&[&layer.tree], &[overrides, frame, replaced, marks, sums]),
    };
    for path in needed.iter().chain(optional) {
        let is_directory = [&layer.root, &layer.tree, &layer.replaced].iter().any(|d| d == path);
        let wanted = if is_directory { FileKind::Directory } else { FileKind::Regular };
        match fs::link_metadata(path)? {
            Some(found) if found.kind == wanted => {}
            None if optional.contains(path) => {}
            Some(_) => {
                let what = if is_directory { "a directory" } else { "a file" };
                return Err(Error::mismatch(format!("its {} is not {what}", name_of(path))));
            }
            None => return Err(Error::mismatch(format!("its {} is missing", name_of(path)))),
        }
    }
    let Some(folder) = layer.tree.parent() else { return Ok(()) };
    for name in fs::list(folder)? {
        let path = folder.join(name);
        if !needed.iter().chain(optional).any(|known| **known == path) {
            let name = name_of(&path);
            return Err(Error::mismatch(format!("its folder has {name}, which is no part of it")));
        }
    }
    Ok(())
}

fn name_of(path: &Path) -> String {
    super::entry::display(path.file_name().unwrap_or_default().as_encoded_bytes())
}

fn check_root(layer: &LayerTarget, indexed: &Indexed) -> Result<()> {
    let root = Dir::open(&layer.root)?.own_metadata()?;
    let mut what = String::new();
    if root.mode != indexed.root_mode {
        let _ = write!(what, "mode {:04o}, not {:04o}", root.mode, indexed.root_mode);
    } else if (root.uid, root.gid) != (indexed.root_owner.uid, indexed.root_owner.gid) {
        let (is, was) = ((root.uid, root.gid), indexed.root_owner);
        let _ = write!(what, "owner {}:{}, not {}:{}", is.0, is.1, was.uid, was.gid);
    } else if !fs::list(&layer.root)?.is_empty() {
        what.push_str("something in it");
    }
    if what.is_empty() { Ok(()) } else { Err(Error::mismatch(format!("its root has {what}"))) }
}

/// Compares the tree of `layer` with one that was made anew.
fn compare_trees(layer: &LayerTarget, anew: &LayerTarget) -> Result<()> {
    let wanted = pipeline::run(|sink| walk(anew, sink), |input| Sums::of(input))?;
    let found = pipeline::run(|sink| walk(layer, sink), drop_all)?;
    if found.diff_id != wanted.diff_id {
        let mut comparison = Comparison::new(&wanted.consumed);
        pipeline::run(|sink| walk(layer, sink), |input| comparison.read(input))?;
        comparison.finish();
        let named = comparison.describe();
        return Err(Error::mismatch(named.unwrap_or_else(|| "its tree differs".to_owned())));
    }
    let names = |layer: &LayerTarget| match fs::metadata(&layer.replaced)? {
        Some(_) => fs::list(&layer.replaced).map(|mut names| {
            names.sort();
            names
        }),
        None => Ok(Vec::new()),
    };
    if names(layer)? != names(anew)? {
        return Err(Error::mismatch("its folder replaced has other files than it had"));
    }
    Ok(())
}

fn walk(layer: &LayerTarget, sink: &mut ChunkSink) -> Result<()> {
    let dir = Dir::open(&layer.tree)?;
    let source = TreeSource { dir: &dir, overrides: Overrides::load(&layer.overrides)? };
    let options = WalkOptions { is_layer: true, ..WalkOptions::default() };
    write_tree(source, &options, sink).map(drop)
}

fn drop_all(mut input: ChunkReader<'_>) -> Result<()> {
    let copied = io::copy(&mut input, &mut io::sink());
    copied.map(drop).map_err(|error| Error::io_named("cannot read the layer", error))
}

/// True if both files have the same bytes.
fn is_same(a: &Path, b: &Path) -> Result<bool> {
    let (mut left, mut right) = (fs::open(a)?, fs::open(b)?);
    let mut buffers = (Vec::new(), Vec::new());
    loop {
        buffers.0.clear();
        buffers.1.clear();
        for (file, buffer, path) in
            [(&mut left, &mut buffers.0, a), (&mut right, &mut buffers.1, b)]
        {
            file.take(PIECE as u64)
                .read_to_end(buffer)
                .map_err(|error| Error::io("read", path, error))?;
        }
        if buffers.0 != buffers.1 {
            return Ok(false);
        }
        if buffers.0.is_empty() {
            return Ok(true);
        }
    }
}

#[cfg(test)]
#[path = "../tests/verify.rs"]
mod tests;
