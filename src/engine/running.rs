//! Which containers run: one small JSON file each in the run directory, on
//! which the monitor holds a lock for as long as it lives. A file that is not
//! locked is what a dead monitor left, and is removed by whoever sees it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::digest::ImageId;
use crate::error::{Error, Kind, Result};
use crate::fs::{self, File};
use crate::id::{ContainerId, ContainerName};

const FOLDER: &str = "containers";

/// A container that runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Running {
    /// Its ID.
    pub id: ContainerId,
    /// Its name.
    pub name: ContainerName,
    /// Its image, if it stands on one.
    pub image: Option<ImageId>,
    /// What `ps` shows as its image.
    pub image_name: String,
    /// The command with its arguments.
    pub command: Vec<String>,
    /// Seconds since 1970.
    pub started: i64,
}

/// The file of a running container, locked.
#[derive(Debug)]
pub(super) struct RunningFile {
    path: PathBuf,
    _locked: File,
}

impl RunningFile {
    /// Writes and locks the file of `running` below the directory `run`.
    pub(super) fn create(run: &Path, running: &Running) -> Result<Self> {
        fs::ensure_dir(run, 0o700)?;
        check_own(run)?;
        let folder = run.join(FOLDER);
        fs::ensure_dir(&folder, 0o700)?;
        let path = folder.join(format!("{}.json", running.id));
        let mut file = fs::create_new(&path)?;
        fs::lock(&file, fs::LockMode::Exclusive, &path)?;
        let json = crate::oci::to_canonical_json(running)?;
        std::io::Write::write_all(&mut file, &json)
            .map_err(|error| crate::error::Error::io("write", &path, error))?;
        Ok(Self { path, _locked: file })
    }

    /// Removes the file: the container has ended.
    pub(super) fn remove(self) -> Result<()> {
        fs::remove_file(&self.path)
    }
}

/// Refuses a run directory that others can write to: where `/tmp` has to do
/// they may have made it, with a link in it to files that would be removed as
/// what a dead monitor left.
fn check_own(run: &Path) -> Result<()> {
    let user = rustix::process::geteuid().as_raw();
    let (Some(entry), Some(found)) = (fs::link_metadata(run)?, fs::metadata(run)?) else {
        return Ok(());
    };
    if entry.uid == user && found.uid == user && found.mode & 0o022 == 0 {
        return Ok(());
    }
    let message = format!("others can write to the run directory {}", run.display());
    Err(Error::new(Kind::Denied, message)
        .hint("choose another one: set XDG_RUNTIME_DIR or ENVBOX_RUN to a directory of your own"))
}

/// All containers that run, in the order of their IDs.
pub(super) fn list(run: &Path) -> Result<Vec<Running>> {
    check_own(run)?;
    let folder = run.join(FOLDER);
    let mut all = Vec::new();
    for name in fs::list(&folder)? {
        let path = folder.join(name);
        let Some(file) = fs::absent_is_none(fs::open(&path))? else { continue };
        if fs::try_lock(&file, &path)? {
            // Between creation and lock the file is empty; its owner is alive
            // and writes it next.
            if fs::metadata(&path)?.is_some_and(|metadata| metadata.size > 0) {
                fs::remove_file(&path)?;
            }
            continue;
        }
        let bytes = fs::read_limited(file, 1 << 20, "the state of a container")?;
        // Half-written means just being started: the next look sees it.
        if let Ok(running) = serde_json::from_slice(&bytes) {
            all.push(running);
        }
    }
    Ok(all)
}
