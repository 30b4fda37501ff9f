//! The files of one cgroup directory, read and written by name. It knows
//! their formats, not their meaning.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::super::Version;
use crate::error::{Error, Kind, Result};
use crate::fs;

/// A cgroup directory.
#[derive(Clone, Copy, Debug)]
pub(in crate::runtime::cgroup) struct Files<'a> {
    /// Which files are in it.
    pub version: Version,
    /// Where it is.
    pub directory: &'a Path,
}

impl Files<'_> {
    /// The path of `file`.
    pub fn path(&self, file: &str) -> PathBuf {
        self.directory.join(file)
    }

    /// True if there is such a file.
    ///
    /// # Errors
    /// Those of stat(2).
    pub fn has(&self, file: &str) -> Result<bool> {
        Ok(fs::metadata(&self.path(file))?.is_some())
    }

    /// The content of `file`; `None` if the kernel has no such file, or the
    /// cgroup went meanwhile.
    ///
    /// # Errors
    /// Those of open(2) and read(2).
    pub fn text(&self, file: &str) -> Result<Option<String>> {
        let path = self.path(file);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == Kind::NotFound || is_gone(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The number in `file`; `None` also for `max`.
    ///
    /// # Errors
    /// As [`Files::text`]; `Invalid` for anything else.
    pub fn number(&self, file: &str) -> Result<Option<u64>> {
        let Some(text) = self.text(file)? else { return Ok(None) };
        match text.trim() {
            "max" => Ok(None),
            text => text.parse().map(Some).map_err(|_| {
                Error::invalid(format!("{} holds {text:?}, no number", self.path(file).display()))
            }),
        }
    }

    /// The number behind `key` in a file of lines `KEY NUMBER`.
    ///
    /// # Errors
    /// As [`Files::text`].
    pub fn keyed(&self, file: &str, key: &str) -> Result<Option<u64>> {
        Ok(self.text(file)?.and_then(|text| keyed(&text, key)))
    }

    /// Writes `value` into the existing `file` by one write(2).
    ///
    /// # Errors
    /// Those of open(2) and write(2).
    pub fn write(&self, file: &str, value: &str) -> Result<()> {
        let path = self.path(file);
        fs::open_for_writing(&path)?
            .write_all(value.as_bytes())
            .map_err(|error| Error::io("write", &path, error))
    }
}

/// True if `error` says that the cgroup of an open file was removed.
fn is_gone(error: &Error) -> bool {
    errno(error) == Some(libc::ENODEV)
}

/// The errno at the root of `error`.
pub(in crate::runtime::cgroup) fn errno(error: &Error) -> Option<i32> {
    let source = std::error::Error::source(error);
    source.and_then(|source| source.downcast_ref::<std::io::Error>()?.raw_os_error())
}

/// The number behind `key` in lines `KEY NUMBER`.
pub(super) fn keyed(text: &str, key: &str) -> Option<u64> {
    let find = |line: &str| {
        let (name, value) = line.split_once(' ')?;
        (name == key).then(|| value.trim().parse().ok())?
    };
    text.lines().find_map(find)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_key_as_a_whole_word() {
        let text = "oom 3\noom_kill 2\nempty\noom_group_kill x\n";
        assert_eq!(keyed(text, "oom_kill"), Some(2));
        assert_eq!(keyed(text, "oom"), Some(3));
        assert_eq!(keyed(text, "empty"), None);
        assert_eq!(keyed(text, "oom_group_kill"), None);
    }
}
