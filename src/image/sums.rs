//! Checksums beside a layer: of each member of its tar, in their order, and of
//! the files that the digest does not cover. They prove nothing, the digest
//! does; they tell which file it is where that is another one.
//!
//! The file `sums`, all numbers little-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `sums`, and the number of this format |
//! | 8 for each member | CRC-32 of its path, and of all its bytes: headers, data, padding |
//! | 4 | CRC-32 of what follows the last member |
//! | 4, 4, 4 | CRC-32 of `overrides`, `frame` and `index`; 0 where there is none |
//! | 4 | the number of the index's form ([`erofs::FORM`]) |
//! | 4 | CRC-32 of all before |

use std::io::{BufRead, Read};
use std::path::Path;

use crc32fast::Hasher;

use crate::error::{Error, Result};
use crate::fs;

use super::erofs;
use super::layer::LayerTarget;
use super::read::TarReader;

const MAGIC: &[u8; 8] = b"sums\x01\0\0\0";
/// Of a member's record, and of all that follows these, in bytes.
const MEMBER: usize = 8;
const TRAILER: usize = 24;
/// Of what a file is read by, in bytes.
const PIECE: usize = 256 * 1024;

/// Of one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sum {
    /// Of its path.
    pub(super) path: u32,
    /// Of its bytes.
    pub(super) bytes: u32,
}

/// Of a whole tar; 8 bytes a member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    /// In the order of the tar.
    pub(super) members: Vec<Sum>,
    /// Of what follows the last one.
    pub(super) rest: u32,
}

/// Sums that are being taken while a tar passes.
#[derive(Default)]
pub(super) struct Summing {
    sums: Sums,
    /// Of the path of the member that passes.
    path: Option<u32>,
    hasher: Hasher,
}

impl Summing {
    /// Takes in `bytes`.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
    }

    /// Says that what passes is the member `path`.
    pub(super) fn begin(&mut self, path: &[u8]) {
        self.path = Some(crc32fast::hash(path));
    }

    /// Says that the member has passed, if there was one.
    pub(super) fn end(&mut self) {
        if let Some(path) = self.path.take() {
            let bytes = std::mem::take(&mut self.hasher).finalize();
            self.sums.members.push(Sum { path, bytes });
        }
    }

    /// Says that all has passed.
    pub(super) fn finish(&mut self) {
        self.sums.rest = std::mem::take(&mut self.hasher).finalize();
    }

    /// What was taken so far.
    pub(super) fn sums(&self) -> &Sums {
        &self.sums
    }

    /// What was taken.
    pub(super) fn into_sums(self) -> Sums {
        self.sums
    }
}

impl Sums {
    /// The sums of the tar that `input` gives.
    ///
    /// # Errors
    /// Those of [`TarReader`].
    pub(super) fn of(input: impl BufRead) -> Result<Self> {
        let mut reader = TarReader::new(input);
        reader.keep_sums();
        while reader.next_entry()?.is_some() {}
        Ok(reader.take_sums().unwrap_or_default())
    }

    /// Writes them as the file of `layer`, all of whose other files are whole.
    ///
    /// # Errors
    /// Those of reading and writing, with the path.
    pub(super) fn save(&self, layer: &LayerTarget) -> Result<()> {
        let files = FileSums::of(layer)?;
        let mut bytes = Vec::with_capacity(MAGIC.len() + self.members.len() * MEMBER + TRAILER);
        bytes.extend(MAGIC);
        for sum in &self.members {
            bytes.extend(sum.path.to_le_bytes());
            bytes.extend(sum.bytes.to_le_bytes());
        }
        let FileSums { overrides, frame, index } = files;
        for number in [self.rest, overrides, frame, index, erofs::FORM] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        fs::write_volatile(&layer.sums, &bytes)
    }
}

/// Of the files that the digest does not cover, or not to the byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileSums {
    overrides: u32,
    frame: u32,
    index: u32,
}

impl FileSums {
    fn of(layer: &LayerTarget) -> Result<Self> {
        Ok(Self {
            overrides: of_file(&layer.overrides)?,
            frame: of_file(&layer.frame)?,
            index: of_file(&layer.index)?,
        })
    }
}

/// Of the content of `path`; 0, that of nothing, if there is no such file.
fn of_file(path: &Path) -> Result<u32> {
    let Some(mut file) = fs::absent_is_none(fs::open(path))? else { return Ok(0) };
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; PIECE];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finalize()),
            Ok(count) => hasher.update(&buffer[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::io("read", path, error)),
        }
    }
}

/// What the file of a layer says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LayerSums {
    /// Of its tar.
    pub(super) sums: Sums,
    files: FileSums,
    /// Of the index.
    form: u32,
}

impl LayerSums {
    /// Reads the file of `layer`; none if it has none, as an older envbox made
    /// layers.
    ///
    /// # Errors
    /// `Mismatch` if it is damaged; those of reading.
    pub(super) fn load(layer: &LayerTarget) -> Result<Option<Self>> {
        let Some(bytes) = fs::read_optional(&layer.sums)? else { return Ok(None) };
        Self::parse(&bytes).map(Some).ok_or_else(|| damaged("sums"))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (rest, own) = bytes.split_last_chunk::<4>()?;
        if crc32fast::hash(rest) != u32::from_le_bytes(*own) {
            return None;
        }
        let rest = rest.strip_prefix(MAGIC)?;
        let (members, trailer) = rest.split_at_checked(rest.len().checked_sub(TRAILER - 4)?)?;
        let members = numbers(members);
        let members = members.chunks_exact(2).map(|pair| Sum { path: pair[0], bytes: pair[1] });
        let [rest, overrides, frame, index, form] = numbers(trailer).try_into().ok()?;
        Some(Self {
            sums: Sums { members: members.collect(), rest },
            files: FileSums { overrides, frame, index },
            form,
        })
    }

    /// Compares the files of `layer` of which it speaks.
    ///
    /// # Errors
    /// `Mismatch` with the name of the first that differs; those of reading.
    pub(super) fn check_files(&self, layer: &LayerTarget) -> Result<()> {
        let FileSums { overrides, frame, index } = FileSums::of(layer)?;
        let pairs = [
            ("overrides", overrides, self.files.overrides),
            ("frame", frame, self.files.frame),
            ("index", index, self.files.index),
        ];
        match pairs.iter().find(|(_, found, wanted)| found != wanted) {
            Some((name, _, _)) => Err(damaged(name)),
            None => Ok(()),
        }
    }

    /// True if this envbox would make the index to the byte as it is.
    pub(super) fn is_of_own_form(&self) -> bool {
        self.form == erofs::FORM
    }
}

fn numbers(bytes: &[u8]) -> Vec<u32> {
    let (numbers, _) = bytes.as_chunks::<4>();
    numbers.iter().map(|&number| u32::from_le_bytes(number)).collect()
}

fn damaged(name: &str) -> Error {
    Error::mismatch(format!("its file {name} is not as it was written"))
}

#[cfg(test)]
#[path = "tests/sums.rs"]
mod tests;
