//! The files of a log: their names, and how they move up. It knows nothing of
//! what is in them.

use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::fs;

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
