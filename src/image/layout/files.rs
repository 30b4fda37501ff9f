//! Where the files of a layout go: a directory, or a tar.

use std::io::{BufWriter, Write};
use std::path::Path;

use crate::error::{Error, Result};
use crate::fs;
use crate::image::canonical;
use crate::image::entry::{Attributes, Entry, EntryKind};

use super::{FOLDER_MODE, put, unwritable};

const FILE_MODE: u32 = 0o644;
/// Files are written in pieces of this size, in bytes.
pub(super) const BUFFER: usize = 256 * 1024;

/// What writes the content of a file.
pub(super) type Content<'a> = &'a mut dyn FnMut(&mut dyn Write) -> Result<()>;

/// Where the files of a layout go.
pub(super) trait Files {
    /// Adds the file `name` of `size` bytes, which `content` writes.
    fn add(&mut self, name: &str, size: u64, content: Content<'_>) -> Result<()>;
}

/// A directory that nobody looks into before it is whole.
pub(super) struct Folder<'a> {
    pub(super) path: &'a Path,
}

impl Files for Folder<'_> {
    fn add(&mut self, name: &str, _size: u64, content: Content<'_>) -> Result<()> {
        let path = self.path.join(name);
        let mut file = BufWriter::with_capacity(BUFFER, fs::create_public(&path)?);
        content(&mut file)?;
        file.flush().map_err(|error| Error::io("write", &path, error))
    }
}

/// A tar. Its directories are members: skopeo, as an ordinary user, fails to
/// make those that are not. No member has a time.
pub(super) struct Archive<'a> {
    output: BufWriter<&'a mut dyn Write>,
}

impl<'a> Archive<'a> {
    pub(super) fn new(output: &'a mut dyn Write) -> Self {
        Self { output: BufWriter::with_capacity(BUFFER, output) }
    }

    pub(super) fn add_folder(&mut self, name: &str) -> Result<()> {
        self.header(name, EntryKind::Directory, FOLDER_MODE)
    }

    pub(super) fn finish(mut self) -> Result<()> {
        put(&mut self.output, &canonical::END)?;
        self.output.flush().map_err(unwritable)
    }

    fn header(&mut self, name: &str, kind: EntryKind, mode: u32) -> Result<()> {
        let attributes = Attributes { mode, ..Attributes::default() };
        let mut header = Vec::new();
        canonical::encode(&Entry { path: name.into(), kind, attributes }, &mut header);
        put(&mut self.output, &header)
    }
}

impl Files for Archive<'_> {
    fn add(&mut self, name: &str, size: u64, content: Content<'_>) -> Result<()> {
        self.header(name, EntryKind::Regular { size, sparse: None }, FILE_MODE)?;
        content(&mut self.output)?;
        put(&mut self.output, &canonical::END[..canonical::padding(size)])
    }
}
