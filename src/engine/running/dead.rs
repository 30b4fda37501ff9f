//! The files of containers whose monitor was killed, put aside until somebody
//! has written down that they ended.
//!
//! ```text
//! RUN/dead/<ID>.json    the container's file, as it was
//! ```

use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::fs;
use crate::id::ContainerId;

use super::{Running, guard, json_path, last_line};

const FOLDER: &str = "dead";

/// Containers that nobody has noted the end of.
pub(in crate::engine) struct Dead {
    run: PathBuf,
    names: Vec<std::ffi::OsString>,
}

impl Dead {
    /// Those of the run directory `run`; `None` if there are none.
    ///
    /// # Errors
    /// Those of readdir(3).
    pub(in crate::engine) fn find(run: &Path) -> Result<Option<Self>> {
        let names = fs::list(&run.join(FOLDER))?;
        Ok((!names.is_empty()).then(|| Self { run: run.to_owned(), names }))
    }

    /// Gives each to `note`, one process at a time, and forgets those of which
    /// it says so.
    ///
    /// # Errors
    /// Those of the files.
    pub(in crate::engine) fn take(self, note: impl Fn(&Running) -> bool) -> Result<()> {
        let _guard = guard(&self.run.join(super::FOLDER))?;
        for name in self.names {
            let path = self.run.join(FOLDER).join(name);
            // Another process may have taken it.
            let Some(file) = fs::absent_is_none(fs::open(&path))? else { continue };
            if last_line(file)?.is_none_or(|running| note(&running)) {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }
}

/// Puts the file of the container `id` in `folder` aside, if that came up.
///
/// # Errors
/// Those of rename(2).
pub(super) fn put_aside(run: &Path, folder: &Path, id: &ContainerId) -> Result<()> {
    let path = json_path(folder, id);
    let Some(file) = fs::absent_is_none(fs::open(&path))? else { return Ok(()) };
    if last_line(file)?.is_none_or(|running| running.pid.is_none()) {
        return Ok(());
    }
    let aside = run.join(FOLDER);
    fs::ensure_dir(&aside, 0o700)?;
    fs::rename(&path, &json_path(&aside, id))
}
