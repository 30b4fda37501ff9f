//! `blobs/sha256/`: bytes by their digest. Only verified bytes get in, and
//! they are verified again on the way out.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use crate::digest::{Digest, Hasher, VerifyingReader};
use crate::error::{Context, Error, Result};
use crate::fs;

use super::Store;
use super::workspace::{Item, Workspace};

const CHUNK: usize = 128 * 1024;

impl Store {
    /// Stores what `reader` yields, which must have the digest `expected`. A
    /// blob that no image names is gone after the next collection.
    ///
    /// # Errors
    /// `Mismatch` if the digest is another; those of `reader` and the disk.
    pub fn put_blob(&self, expected: Digest, reader: impl Read) -> Result<()> {
        let workspace = self.begin(&[])?;
        stage(&workspace, expected, reader)?;
        place(&workspace, expected, &self.path_of(&Item::Blob(expected)))?;
        workspace.remove()
    }

    /// The bytes of `digest`, verified.
    ///
    /// # Errors
    /// `NotFound`; `Mismatch` if the file was damaged.
    pub fn blob(&self, digest: Digest) -> Result<Vec<u8>> {
        let path = self.path_of(&Item::Blob(digest));
        let bytes = fs::read(&path).context(|| format!("the store has no blob {digest}"))?;
        if Digest::of(&bytes) != digest {
            return Err(Error::mismatch(format!("blob {digest} at {} is damaged", path.display()))
                .hint("remove and import its image again, or restore it from a backup"));
        }
        Ok(bytes)
    }

    /// A reader of the blob `digest` of `size` bytes, which fails at the end
    /// if the bytes are others.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn open_blob(&self, digest: Digest, size: u64) -> Result<impl Read> {
        let path = self.path_of(&Item::Blob(digest));
        let file = fs::open(&path).context(|| format!("the store has no blob {digest}"))?;
        Ok(VerifyingReader::new(file, digest, size))
    }

    /// Removes the blob `digest`; its absence is success.
    ///
    /// # Errors
    /// `InUse` if an image names it.
    pub fn remove_blob(&self, digest: Digest) -> Result<()> {
        let item = Item::Blob(digest);
        let workspace = self.begin(&[])?;
        if self.read("look into", |connection| super::is_recorded(connection, &item))? {
            return Err(Error::new(
                crate::error::Kind::InUse,
                format!("blob {digest} belongs to an image"),
            ));
        }
        self.discard_unrecorded(&[item], &workspace)?;
        workspace.remove()
    }
}

/// Writes what `reader` yields into `workspace`, verified and on the disk; not
/// twice.
pub(super) fn stage(workspace: &Workspace, expected: Digest, mut reader: impl Read) -> Result<()> {
    let path = staged(workspace, expected);
    if fs::metadata(&path)?.is_some() {
        return Ok(());
    }
    let mut file = fs::create_new(&path)?;
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; CHUNK];
    loop {
        let count = match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => {
                return Err(Error::io_named(format!("cannot read blob {expected}"), error));
            }
        };
        hasher.update(&buffer[..count]);
        file.write_all(&buffer[..count]).map_err(|error| Error::io("write", &path, error))?;
    }
    let (size, found) = (hasher.size(), hasher.finish());
    if found != expected {
        return Err(Error::mismatch(format!(
            "content is {found} ({size} bytes), expected {expected}"
        )));
    }
    file.sync_all().map_err(|error| Error::io("write", &path, error))
}

/// Puts what was staged at `target`. Equal content that is there already is
/// replaced by itself.
pub(super) fn place(workspace: &Workspace, digest: Digest, target: &Path) -> Result<()> {
    fs::rename(&staged(workspace, digest), target)
}

fn staged(workspace: &Workspace, digest: Digest) -> PathBuf {
    workspace.path().join(digest.encoded())
}
