//! Where a tar is written to for the caller: a file that appears whole or not
//! at all, or a stream.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Result};
use crate::fs::{self, Dir, FileKind};

use super::Settings;

/// Where a tar is written to.
pub enum TarOutput<'a> {
    /// A file, which is replaced once the tar is whole.
    File(&'a Path),
    /// A stream.
    Stream(&'a mut dyn Write),
}

impl TarOutput<'_> {
    /// Has `produce` write the tar.
    ///
    /// # Errors
    /// `AlreadyExists` if something else than a regular file is where the file
    /// is to be; those of `produce` and of the system calls. The file is then
    /// as it was.
    pub(super) fn fill<T>(
        self,
        settings: &Settings,
        produce: impl FnOnce(&mut dyn Write) -> Result<T>,
    ) -> Result<T> {
        let file = match self {
            Self::Stream(output) => return produce(output),
            Self::File(file) => settings.absolute(file),
        };
        let temporary = beside(&file)?;
        let mut output = fs::create_public(&temporary)?;
        let result = produce(&mut output)
            .and_then(|produced| fs::rename(&temporary, &file).map(|()| produced));
        if result.is_err() {
            // The half-made file is ours; its own failure to go would hide the
            // reason.
            let _ = fs::remove_file(&temporary);
        }
        result
    }
}

/// A name beside `file`, which must be none or that of a regular file.
fn beside(file: &Path) -> Result<PathBuf> {
    let (Some(parent), Some(name)) = (file.parent(), file.file_name()) else {
        return Err(Error::invalid(format!("{} is no name for a file", file.display()))
            .hint("give the name of a new file"));
    };
    let found = fs::absent_is_none(Dir::open(parent)?.metadata(OsStr::new(name)))?;
    if found.is_some_and(|found| found.kind != FileKind::Regular) {
        return Err(Error::new(
            Kind::AlreadyExists,
            format!("{} exists and is not a regular file", file.display()),
        )
        .hint("give another name, or redirect standard output there"));
    }
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}.tmp", std::process::id()));
    Ok(file.with_file_name(hidden))
}
