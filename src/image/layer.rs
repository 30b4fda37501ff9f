//! A layer as it lies in a store, in one of two forms: its tar with an index,
//! or a tree, and beside it what its file system could not hold. Those together
//! give back the tar, byte for byte, so no copy of it need be kept.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::digest::{DiffId, Hasher};
use crate::error::{Error, Result};
use crate::fs::{self, Dir};
use crate::mount::LayerForm;

use super::frame;
use super::import::ImportOptions;
use super::overrides::Overrides;
use super::pipeline::WriterSink;
use super::report::Report;
use super::walk::{TreeSource, WalkOptions, write_tree};

/// Of what an archive is copied by, in bytes.
const PIECE: usize = 256 * 1024;

/// Where a layer lies, or is to lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerTarget {
    /// Which of the files below there are.
    pub form: LayerForm,
    /// An archive's tar, as it came.
    pub data: PathBuf,
    /// The EROFS image of an archive's tree.
    pub index: PathBuf,
    /// An empty directory, with the owner and the mode of an archive's root.
    pub root: PathBuf,
    /// The root of the tree.
    pub tree: PathBuf,
    /// The file of overrides; there is none if nothing was refused.
    pub overrides: PathBuf,
    /// The file of what the tree does not tell of the tar; there is none if the
    /// tar is canonical.
    pub frame: PathBuf,
    /// The folder of what later members of the tar replaced, if any did.
    pub replaced: PathBuf,
    /// A file that is there if the tree has marks which the kernel does not
    /// understand: see `marks`.
    pub marks: PathBuf,
    /// The checksums by which a damaged file is named; a layer that an older
    /// envbox made has none.
    pub sums: PathBuf,
}

impl LayerTarget {
    /// A layer in the folder `folder`, as a store has it.
    pub fn within(folder: &Path, form: LayerForm) -> Self {
        Self {
            form,
            data: folder.join("tar"),
            index: folder.join("index"),
            root: folder.join("root"),
            tree: folder.join("tree"),
            overrides: folder.join("overrides"),
            frame: folder.join("frame"),
            replaced: folder.join("replaced"),
            marks: folder.join("marks"),
            sums: folder.join("sums"),
        }
    }
}

impl LayerTarget {
    /// Opens the tree, which is made if it is not there.
    pub(super) fn open_tree(&self) -> Result<Dir> {
        fs::ensure_dir(&self.tree, 0o700)?;
        Dir::open(&self.tree)
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
    if layer.form == LayerForm::Archive {
        return copy_archive(&layer.data, output);
    }
    if frame::replay(layer, output)? {
        return Ok(());
    }
    let options = WalkOptions { is_layer: true, ..WalkOptions::default() };
    write((&Dir::open(&layer.tree)?, &layer.overrides), &options, output).map(drop)
}

fn copy_archive(path: &Path, output: &mut dyn Write) -> Result<()> {
    let mut data = fs::open(path)?;
    let mut buffer = vec![0; PIECE];
    loop {
        match data.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => output
                .write_all(&buffer[..count])
                .map_err(|error| Error::io_named("cannot write the layer", error))?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::io("read", path, error)),
        }
    }
}

/// Writes the canonical tar of a layer whose root is `dir`, beside which the file
/// `overrides` may lie, to `output`, but for what `options` leave out or clamp.
///
/// # Errors
/// As [`regenerate`].
pub fn write_layer(
    (dir, overrides): (&Dir, &Path),
    options: &ImportOptions,
    output: &mut dyn Write,
) -> Result<Report> {
    write((dir, overrides), &WalkOptions { is_layer: true, ..options.walk() }, output)
}

fn write(
    (dir, overrides): (&Dir, &Path),
    options: &WalkOptions<'_>,
    output: &mut dyn Write,
) -> Result<Report> {
    let source = TreeSource { dir, overrides: Overrides::load(overrides)? };
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
