//! Which containers run: one small JSON file each in the run directory, on
//! which the monitor holds a lock for as long as it lives. A file that is not
//! locked is what a dead monitor left, and is removed by whoever sees it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::digest::ImageId;
use crate::error::{Error, Kind, Result};
use crate::fs::{self, File};
use crate::id::{ContainerId, ContainerName};
use crate::runtime::join::ProcessId;
use crate::runtime::spec::ProcessSpec;

const FOLDER: &str = "containers";

/// The kernel takes 6 MiB of arguments and variables at most (execve(2)); JSON
/// may write a byte as six.
const MAX_FILE: u64 = 64 << 20;

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
    /// The first process, as the host numbers it; none until it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// When that process started: see [`ProcessId`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid_start: Option<u64>,
    /// The program and what it may do, by which another one is run beside it.
    #[serde(default)]
    pub process: Option<ProcessSpec>,
}

impl Running {
    /// The first process; none until it runs.
    pub fn first_process(&self) -> Option<ProcessId> {
        Some(ProcessId { pid: self.pid?, start: self.pid_start? })
    }
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

    /// Where the monitor notes the first process, which it alone knows.
    pub(super) fn note(&self) -> Result<ProcessNote> {
        let file = self._locked.try_clone();
        let file = file.map_err(|error| Error::io("open", &self.path, error))?;
        Ok(ProcessNote { path: self.path.clone(), file })
    }

    /// Removes the file: the container has ended.
    pub(super) fn remove(self) -> Result<()> {
        fs::remove_file(&self.path)
    }
}

/// Where the first process is noted.
#[derive(Debug)]
pub(super) struct ProcessNote {
    path: PathBuf,
    file: File,
}

impl ProcessNote {
    /// Adds the process `pid` to the file. A reader that sees half of it takes
    /// it for one that is just being written.
    pub(super) fn write(mut self, pid: u32) -> Result<()> {
        let Some(id) = ProcessId::of(pid)? else { return Ok(()) };
        let fields = format!(",\"pid\":{},\"pid_start\":{}}}", id.pid, id.start);
        // In the place of the closing brace.
        std::io::Seek::seek(&mut self.file, std::io::SeekFrom::End(-1))
            .and_then(|_| std::io::Write::write_all(&mut self.file, fields.as_bytes()))
            .map_err(|error| Error::io("write", &self.path, error))
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
        let bytes = fs::read_limited(file, MAX_FILE, "the state of a container")?;
        // Half-written means just being started: the next look sees it.
        if let Ok(running) = serde_json::from_slice(&bytes) {
            all.push(running);
        }
    }
    Ok(all)
}
