//! A stream that is written to a new file as it is read by somebody else, with
//! holes where it has long runs of zeros.

use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::fs::{self, File};

use super::sparse;

/// The file, and how far it is.
pub(super) struct SparseCopy {
    file: File,
    path: PathBuf,
    position: u64,
    failed: Option<io::Error>,
}

impl SparseCopy {
    /// Creates the file `path`, which must not exist.
    ///
    /// # Errors
    /// Those of open(2).
    pub(super) fn create(path: &Path) -> Result<Self> {
        let file = fs::create_new(path)?;
        Ok(Self { file, path: path.to_owned(), position: 0, failed: None })
    }

    /// Appends `bytes`.
    ///
    /// # Errors
    /// One that says that the copy failed; why is told by [`Self::finish`].
    pub(super) fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        for (offset, run) in sparse::data_runs(self.position, bytes) {
            if let Err(error) = self.file.write_all_at(run, offset) {
                self.failed = Some(error);
                return Err(io::Error::other("its copy cannot be written"));
            }
        }
        self.position += bytes.len() as u64;
        Ok(())
    }

    /// Ends the file where the stream did.
    ///
    /// # Errors
    /// Why the first failed [`Self::put`] did; those of ftruncate(2).
    pub(super) fn finish(self) -> Result<()> {
        let ended = match self.failed {
            Some(error) => Err(error),
            // A hole at the end is there once the file is that long.
            None => self.file.set_len(self.position),
        };
        ended.map_err(|error| Error::io("write", &self.path, error))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_copy_has_the_bytes_and_the_holes() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("copy");
        let mut copy = SparseCopy::create(&path).unwrap();
        let pieces = [vec![1; 5000], vec![0; 3 << 20], vec![2; 100_000], vec![0; 1 << 20]];
        for piece in &pieces {
            copy.put(piece).unwrap();
        }
        copy.finish().unwrap();
        assert!(std::fs::read(&path).unwrap() == pieces.concat());
        assert!(path.metadata().unwrap().blocks() * 512 < 1 << 20);
    }

    #[test]
    fn a_failure_is_told_at_the_end() {
        let file = std::fs::File::open("/dev/null").unwrap();
        let path = PathBuf::from("/dev/null");
        let mut copy = SparseCopy { file, path, position: 0, failed: None };
        assert!(copy.put(b"x").is_err());
        let error = copy.finish().unwrap_err();
        assert!(error.chain().starts_with("cannot write /dev/null: "), "{}", error.chain());
    }
}
