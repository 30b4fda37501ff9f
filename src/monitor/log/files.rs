//! The files of a log: their names, and how they move up. It knows nothing of
//! what is in them.

use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Result};
use crate::fs::{self, File, Metadata};

const NAME: &str = "log.json";

/// The path of the file that is `age` rotations old; 0 is the one written to.
pub(super) fn path(dir: &Path, age: u32) -> PathBuf {
    match age {
        0 => dir.join(NAME),
        age => dir.join(format!("{NAME}.{age}")),
    }
}

/// Moves every file one up, so that none is written to and, with the next one,
/// there are at most `count`. What is missing is no error.
///
/// # Errors
/// Those of unlink(2) and rename(2), with the paths.
pub(super) fn rotate(dir: &Path, count: u32) -> Result<()> {
    for (age, file) in list(dir)?.into_iter().rev() {
        if age + 1 >= count.max(1) {
            fs::remove_file(&file)?;
        } else {
            fs::absent_is_none(fs::rename(&file, &path(dir, age + 1)))?;
        }
    }
    Ok(())
}

/// The files that there are with their ages, the newest first.
///
/// # Errors
/// Those of opendir(3), with the path.
pub(super) fn list(dir: &Path) -> Result<Vec<(u32, PathBuf)>> {
    let names = fs::list(dir)?;
    let ages = names.iter().filter_map(|name| age_of(name.to_str()?));
    let mut files: Vec<(u32, PathBuf)> = ages.map(|age| (age, path(dir, age))).collect();
    files.sort_unstable();
    Ok(files)
}

/// A file of a log.
#[derive(Debug)]
pub(super) struct LogFile {
    /// Open for reading.
    pub file: File,
    /// Its path when it was opened: for messages.
    pub path: PathBuf,
    /// What it was then.
    pub metadata: Metadata,
}

/// How often files are looked for while they move.
const ATTEMPTS: usize = 100;

/// Opens all files, the oldest first, also while they are rotated.
///
/// # Errors
/// Those of opendir(3) and open(2), with the path; `Unavailable` if they never
/// stand still.
pub(super) fn open_all(dir: &Path) -> Result<Vec<LogFile>> {
    for _ in 0..ATTEMPTS {
        if let Some(files) = try_open_all(dir)? {
            return Ok(files);
        }
    }
    let message = format!("the log in {} is rotated faster than it can be read", dir.display());
    Err(Error::new(Kind::Unavailable, message).hint("give the container a larger max-size"))
}

/// As [`open_all`]; `None` if they moved meanwhile.
fn try_open_all(dir: &Path) -> Result<Option<Vec<LogFile>>> {
    let names = list(dir)?;
    let mut files = Vec::with_capacity(names.len());
    for (_, path) in names.iter().rev() {
        let Some((file, metadata)) = fs::open_regular(path)? else { return Ok(None) };
        files.push(LogFile { file, path: path.clone(), metadata });
    }
    // A rotation gives every name to another file.
    let mut inodes = files.iter().rev().map(|file| file.metadata.inode);
    for (_, path) in &list(dir)? {
        if fs::metadata(path)?.map(|metadata| metadata.inode) != inodes.next() {
            return Ok(None);
        }
    }
    Ok(inodes.next().is_none().then_some(files))
}

/// The age that the name of a file tells.
fn age_of(name: &str) -> Option<u32> {
    let rest = name.strip_prefix(NAME)?;
    if rest.is_empty() {
        return Some(0);
    }
    let digits = rest.strip_prefix('.')?;
    let age = digits.parse().ok().filter(|age| *age > 0 && *age < u32::MAX)?;
    // `+1` and `01` parse as well.
    (format!("{age}") == digits).then_some(age)
}
