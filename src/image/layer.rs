//! A layer as it lies in a store: a tree, and beside it what its file system
//! could not hold. Both together give back the canonical tar, byte for byte,
//! so no copy of the tar need be kept.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::digest::{DiffId, Hasher};
use crate::error::Result;
use crate::fs::Dir;

use super::frame;
use super::import::ImportOptions;
use super::overrides::Overrides;
use super::pipeline::WriterSink;
use super::report::Report;
use super::walk::{TreeSource, WalkOptions, write_tree};

/// Where a layer lies, or is to lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerTarget {
    /// The root of the tree.
    pub tree: PathBuf,
    /// The file of overrides; there is none if nothing was refused.
    pub overrides: PathBuf,
    /// The file of what the tree does not tell of the tar; there is none if the
    /// tar is canonical.
    pub frame: PathBuf,
    /// The folder of what later members of the tar replaced, if any did.
    pub replaced: PathBuf,
}

impl LayerTarget {
    /// A layer in the folder `folder`, as a store has it.
    pub fn within(folder: &Path) -> Self {
        Self {
            tree: folder.join("tree"),
            overrides: folder.join("overrides"),
            frame: folder.join("frame"),
            replaced: folder.join("replaced"),
        }
    }
}

/// Writes the layer's tar to `output`, as [`rewrite_layer`] does; returns its
/// digest and size, for the caller to compare.
///
/// # Errors
/// Those of reading the tree and of `output`.
pub fn regenerate(layer: &LayerTarget, output: &mut dyn Write) -> Result<(DiffId, u64)> {
    let mut hashing = Hashing { hasher: Hasher::new(), output };
    rewrite_layer(layer, &mut hashing)?;
    let size = hashing.hasher.size();
    Ok((DiffId(hashing.hasher.finish()), size))
}

/// Writes the layer's tar to `output`: as it came, or else the canonical one.
///
/// # Errors
/// Those of reading the tree and of `output`; `Mismatch` if files of the tree
/// are missing or cut short.
pub fn rewrite_layer(layer: &LayerTarget, output: &mut dyn Write) -> Result<()> {
    if frame::replay(layer, output)? {
        return Ok(());
    }
    write(layer, &WalkOptions { is_layer: true, ..WalkOptions::default() }, output).map(drop)
}

/// Writes the canonical tar of the layer's tree to `output`, but for what
/// `options` leave out or clamp.
///
/// # Errors
/// As [`regenerate`].
pub fn write_layer(
    layer: &LayerTarget,
    options: &ImportOptions,
    output: &mut dyn Write,
) -> Result<Report> {
    write(layer, &WalkOptions { is_layer: true, ..options.walk() }, output)
}

fn write(layer: &LayerTarget, options: &WalkOptions<'_>, output: &mut dyn Write) -> Result<Report> {
    let dir = Dir::open(&layer.tree)?;
    let source = TreeSource { dir: &dir, overrides: Overrides::load(&layer.overrides)? };
    let mut sink = WriterSink::new(output);
    let walked = write_tree(source, options, &mut sink)?;
    sink.flush()?;
    Ok(walked.report)
}

struct Hashing<'a> {
    hasher: Hasher,
    output: &'a mut dyn Write,
}

impl Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.write_all(bytes)?;
        self.hasher.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}
