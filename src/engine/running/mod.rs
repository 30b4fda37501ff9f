//! Which containers run: a few files each in the run directory.
//!
//! ```text
//! RUN/containers/lock         flock: who adds or removes files beside it
//! RUN/containers/<ID>.json    who it is; flock: held as long as the monitor
//!                             lives. A line each, of which the last counts
//! RUN/containers/<ID>.sock    where the monitor listens
//! RUN/containers/<ID>.health  what its checks say, if it is checked
//! ```
//!
//! - Who starts or removes a container waits for its turn, then claims it: the file without a
//!   process ID. One process at a time can, so that nobody starts what is being
//!   removed or started.
//! - It runs once its file names a process; by then the monitor listens.
//! - A file that is not locked is what a dead monitor left, and is put aside by
//!   whoever sees it ([`Dead`]), after every cgroup that has no file which is
//!   locked.

mod dead;
mod state;

use std::collections::BTreeSet;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags};

use crate::error::{Error, Kind, Result};
use crate::fs::{self, File};
use crate::id::{ContainerId, ContainerName};
use crate::monitor::{Control, Health};

use super::held::{self, Held};
use super::limits;

pub(super) use dead::Dead;
pub use state::{Activity, Running};

pub(super) const FOLDER: &str = "containers";

/// How many containers an error names.
const SHOWN: usize = 5;

/// No file of a container grows beyond it.
const MAX_SIZE: u64 = 16 << 20;

/// From this size on a new line replaces the old ones: a container that is
/// started again and again has no end of them.
const MANY_LINES: u64 = 256 << 10;

/// The file of a container that this process has claimed, locked. A process
/// that is forked holds the lock as well.
#[derive(Debug)]
pub(super) struct RunningFile {
    folder: PathBuf,
    id: ContainerId,
    turn: Option<Turn>,
    held: Option<Held>,
    _locked: File,
}

/// The turn of one process to start, update or remove a container: a lock on its
/// directory in the store, or on its cgroup if it is not kept. The next one waits
/// until that is done.
#[derive(Debug)]
pub(super) struct Turn(OwnedFd);

impl Turn {
    /// Waits for it.
    ///
    /// # Errors
    /// `NotFound` if the container has gone; those of flock(2).
    pub(super) fn take(directory: &Path) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(directory, flags, Mode::empty())
            .map_err(|error| Error::io("open", directory, error))?;
        rustix::io::retry_on_intr(|| rustix::fs::flock(&opened, FlockOperation::LockExclusive))
            .map_err(|error| Error::io("lock", directory, error))?;
        Ok(Self(opened))
    }

    /// Ends it for the processes as well that were forked meanwhile.
    fn end(&self) {
        // It ends with the last of them in any case.
        let _ = rustix::fs::flock(&self.0, FlockOperation::Unlock);
    }
}

impl RunningFile {
    /// Claims the container `claimed`.
    ///
    /// # Errors
    /// `InUse` if it runs, or somebody else has claimed it; `AlreadyExists` if
    /// another one that runs has its name.
    pub(super) fn claim(run: &Path, claimed: &Running) -> Result<Self> {
        fs::ensure_dir(run, 0o700)?;
        check_own(run)?;
        let folder = run.join(FOLDER);
        fs::ensure_dir(&folder, 0o700)?;
        let _guard = guard(&folder)?;
        for other in read_all(&folder, Stale::Remove)? {
            if other.id == claimed.id {
                return Err(in_use(&claimed.name, &other));
            }
            if other.name == claimed.name {
                return Err(name_taken(&other));
            }
        }
        let path = json_path(&folder, &claimed.id);
        let mut file = fs::create_new(&path)?;
        fs::lock(&file, fs::LockMode::Exclusive, &path)?;
        file.write_all(&line(claimed)?).map_err(|error| Error::io("write", &path, error))?;
        Ok(Self { folder, id: claimed.id.clone(), turn: None, held: None, _locked: file })
    }

    /// The same, which ends `turn` when the container runs, or is given up.
    pub(super) fn with_turn(mut self, turn: Turn) -> Self {
        self.turn = Some(turn);
        self
    }

    /// The same, which also holds the `directory` of a kept container.
    ///
    /// # Errors
    /// `InUse` if a monitor does; the claim is given up then.
    pub(super) fn holding(mut self, directory: &Path, name: &ContainerName) -> Result<Self> {
        match Held::take(directory) {
            Ok(Some(held)) => {
                self.held = Some(held);
                Ok(self)
            }
            Ok(None) => self.remove().and(Err(held::unreachable(name, directory))),
            Err(error) => self.remove().and(Err(error)),
        }
    }

    /// What the file says now: others may have renamed the container.
    ///
    /// # Errors
    /// Those of the file.
    pub(super) fn read(&self) -> Result<Option<Running>> {
        last_line(fs::open(&json_path(&self.folder, &self.id))?)
    }

    /// The socket on which the monitor listens.
    ///
    /// # Errors
    /// Those of bind(2).
    pub(super) fn listen(&self) -> Result<OwnedFd> {
        let folder = open_folder(&self.folder)?;
        crate::monitor::listen(folder.as_fd(), &socket_name(&self.id))
    }

    /// Makes the container run: from now on everybody sees it.
    ///
    /// # Errors
    /// Those of the file.
    pub(super) fn publish(&self, change: impl FnOnce(&mut Running)) -> Result<()> {
        amend(&self.folder, &self.id, change)?;
        if let Some(turn) = &self.turn {
            turn.end();
        }
        Ok(())
    }

    /// Lets everybody see the container's health.
    ///
    /// # Errors
    /// Those of the file.
    pub(super) fn write_health(&self, health: &Health) -> Result<()> {
        let json = serde_json::to_vec(health)
            .map_err(|error| Error::internal("a container's health is no JSON").because(error))?;
        let [path, new] = health_paths(&self.folder, &self.id);
        // Not `write_atomic`, whose file nobody would find after a kill.
        fs::write_plain(&new, &json)?;
        fs::rename(&new, &path)
    }

    /// Gives the claim up: the container has ended.
    ///
    /// # Errors
    /// Those of unlink(2).
    pub(super) fn remove(self) -> Result<()> {
        let _guard = guard(&self.folder)?;
        if let Some(held) = &self.held {
            held.release();
        }
        remove_files(&self.folder, &self.id)
    }
}

fn json_path(folder: &Path, id: &ContainerId) -> PathBuf {
    folder.join(format!("{id}.json"))
}

fn socket_name(id: &ContainerId) -> String {
    format!("{id}.sock")
}

/// The file of a container's health, and the next one while it is written.
fn health_paths(folder: &Path, id: &ContainerId) -> [PathBuf; 2] {
    ["health", "health.new"].map(|ending| folder.join(format!("{id}.{ending}")))
}

/// The health of the running container `id`; `None` of one that is not checked.
///
/// # Errors
/// Those of the file.
pub(super) fn health(run: &Path, id: &ContainerId) -> Result<Option<Health>> {
    let [path, _] = health_paths(&run.join(FOLDER), id);
    let bytes = fs::read_optional(&path)?;
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// The socket first: without it nobody looks for the other.
fn remove_files(folder: &Path, id: &ContainerId) -> Result<()> {
    fs::remove_file(&folder.join(socket_name(id)))?;
    for path in health_paths(folder, id) {
        fs::remove_file(&path)?;
    }
    fs::remove_file(&json_path(folder, id))
}

fn line(running: &Running) -> Result<Vec<u8>> {
    let mut json = crate::oci::to_canonical_json(running)?;
    json.push(b'\n');
    Ok(json)
}

fn in_use(name: &ContainerName, holder: &Running) -> Error {
    match holder.pid {
        _ if holder.activity == Activity::Restarts => {
            Error::new(Kind::InUse, format!("container {name} is restarting"))
                .hint(format!("stop it first: envbox stop {name}"))
        }
        Some(_) => Error::new(Kind::InUse, format!("container {name} is running")),
        None => Error::new(Kind::InUse, format!("container {name} is being started or removed"))
            .hint("try again when that is done"),
    }
}

pub(super) fn name_taken(holder: &Running) -> Error {
    Error::new(
        Kind::AlreadyExists,
        format!(
            "the container name \"{}\" is already in use by container \"{}\"",
            holder.name, holder.id
        ),
    )
    .hint("choose another name, or wait until that container has ended")
}

/// Keeps others from adding and removing files, until it is dropped.
fn guard(folder: &Path) -> Result<File> {
    let path = folder.join("lock");
    let file = fs::open_or_create(&path)?;
    fs::lock(&file, fs::LockMode::Exclusive, &path)?;
    Ok(file)
}

fn open_folder(folder: &Path) -> Result<OwnedFd> {
    rustix::fs::open(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| Error::io("open", folder, error))
}

/// Writes one more line, which counts from now on. Fails with `NotFound` if the
/// container does not run.
pub(super) fn amend(
    folder: &Path,
    id: &ContainerId,
    change: impl FnOnce(&mut Running),
) -> Result<()> {
    let _guard = guard(folder)?;
    let path = json_path(folder, id);
    let mut running = last_line(fs::open(&path)?)?
        .ok_or_else(|| Error::internal(format!("the state of container {id} cannot be read")))?;
    change(&mut running);
    let line = line(&running)?;
    let write = || {
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::open(&path, flags, Mode::empty())?);
        let (size, new) = (file.metadata()?.len(), line.len() as u64);
        if size < MANY_LINES || size < new {
            return file.write_all_at(&line, size);
        }
        // Over the oldest lines first: whoever reads meanwhile, or after a kill
        // of this process, still finds the newest of the others.
        file.write_all_at(&line, 0)?;
        file.set_len(new)
    };
    write().map_err(|error| Error::io("write", &path, error))
}

fn last_line(file: File) -> Result<Option<Running>> {
    let bytes = fs::read_limited(file, MAX_SIZE, "the state of a container")?;
    // One that is being written has no end yet.
    let whole = bytes.split_inclusive(|&byte| byte == b'\n').rfind(|line| line.ends_with(b"\n"));
    Ok(whole.and_then(|line| serde_json::from_slice(line).ok()))
}

/// Gives the running container `id` another name.
///
/// # Errors
/// `NotFound` if it does not run; `AlreadyExists` if another one that runs has
/// the name.
pub(super) fn rename(run: &Path, id: &ContainerId, name: &ContainerName) -> Result<()> {
    if let Some(other) = list_claimed(run)?.iter().find(|other| other.name == *name) {
        return if other.id == *id { Ok(()) } else { Err(name_taken(other)) };
    }
    amend(&run.join(FOLDER), id, |running| running.name.clone_from(name))
}

/// A connection to the monitor of the container `id`; `None` if there is none.
///
/// # Errors
/// Those of connect(2).
pub(super) fn connect(run: &Path, id: &ContainerId) -> Result<Option<Control>> {
    let Some(folder) = fs::absent_is_none(open_folder(&run.join(FOLDER)))? else {
        return Ok(None);
    };
    Control::connect(folder.as_fd(), &socket_name(id))
}

/// Waits until no monitor of the container `id` lives any more.
///
/// # Errors
/// Those of the file.
pub(super) fn wait_until_gone(run: &Path, id: &ContainerId) -> Result<()> {
    let path = json_path(&run.join(FOLDER), id);
    match fs::absent_is_none(fs::open(&path))? {
        Some(file) => fs::lock(&file, fs::LockMode::Shared, &path),
        None => Ok(()),
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
///
/// # Errors
/// `Denied` for a run directory of others; those of the files.
pub(super) fn list(run: &Path) -> Result<Vec<Running>> {
    let mut all = list_claimed(run)?;
    all.retain(Running::is_up);
    Ok(all)
}

/// As [`list`], with those that are being started or removed.
pub(super) fn list_claimed(run: &Path) -> Result<Vec<Running>> {
    check_own(run)?;
    let folder = run.join(FOLDER);
    let all = read_all(&folder, Stale::Tell);
    match all {
        Ok(all) => Ok(all),
        Err(error) if error.kind() == Kind::Mismatch => {
            let _guard = guard(&folder)?;
            read_all(&folder, Stale::Remove)
        }
        Err(error) => Err(error),
    }
}

/// The running container that `text` means: a name, an ID or its beginning.
///
/// # Errors
/// `Invalid` if it is the beginning of several IDs.
pub(super) fn named(running: Vec<Running>, text: &str) -> Result<Option<Running>> {
    if let Some(found) = running.iter().find(|running| running.name.as_str() == text) {
        return Ok(Some(found.clone()));
    }
    let begins = |running: &Running| !text.is_empty() && running.id.as_str().starts_with(text);
    let mut found: Vec<Running> = running.into_iter().filter(begins).collect();
    if found.len() > 1 {
        let shown: Vec<String> = found
            .iter()
            .take(SHOWN)
            .map(|running| format!("{} ({})", running.id.short(), running.name))
            .collect();
        return Err(Error::invalid(format!(
            "container ID {text:?} is ambiguous: {}",
            shown.join(", ")
        ))
        .hint("give more digits, or the name"));
    }
    Ok(found.pop())
}

/// What to do about what a dead monitor left.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stale {
    /// Fail: whoever removes it has to hold the guard.
    Tell,
    /// Remove it.
    Remove,
}

fn read_all(folder: &Path, stale: Stale) -> Result<Vec<Running>> {
    let (mut all, mut dead, mut claimed) = (Vec::new(), Vec::new(), BTreeSet::new());
    for name in fs::list(folder)? {
        let id = name.to_str().and_then(|name| name.strip_suffix(".json"));
        let Some(id) = id.and_then(|id| id.parse::<ContainerId>().ok()) else { continue };
        let path = folder.join(&name);
        let Some(file) = fs::absent_is_none(fs::open(&path))? else { continue };
        if is_locked(&file, &path)? {
            all.extend(last_line(file)?);
            claimed.insert(id);
        } else if stale == Stale::Remove {
            dead.push(id);
        } else {
            return Err(Error::mismatch("a dead monitor left its files"));
        }
    }
    if let (Some(run), false) = (folder.parent(), dead.is_empty()) {
        // One that cannot be killed must not keep the others from running; the
        // next sweep tries again.
        let _ = limits::sweep(run, &claimed);
        for id in &dead {
            // Where that fails nobody tells of its end.
            let _ = dead::put_aside(run, folder, id);
        }
    }
    dead.iter().try_for_each(|id| remove_files(folder, id))?;
    Ok(all)
}

/// Whether somebody holds the exclusive lock. Shared, so that those who look at
/// the same time are not taken for monitors.
fn is_locked(file: &File, path: &Path) -> Result<bool> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(false),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
        Err(error) => Err(Error::io("lock", path, error)),
    }
}

#[cfg(test)]
mod tests;
