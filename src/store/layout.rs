//! The directories of a store: how they come to be, and which number they
//! go by. It knows no record.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use crate::error::{Context, Error, Kind, Result};
use crate::fs::{self, LockMode};

use super::database::Database;

/// The layout's number. It grows when an older envbox would misread a store.
const FORMAT: usize = 1;

const VERSION: &str = "version";
const LOCK: &str = "lock";
const DATABASE: &str = "envbox.db";
pub(super) const TMP: &str = "tmp";
pub(super) const EMPTY: &str = "empty";
pub(super) const BLOBS: &str = "blobs/sha256";
pub(super) const LAYERS: &str = "layers";
pub(super) const CONTAINERS: &str = "containers";
pub(super) const VOLUMES: &str = "volumes";

/// Room on the disk that is given up by whoever removes something, so that a
/// full disk can be made emptier: to write down what goes takes some, too.
const RESERVE: &str = "reserve";
const RESERVED: u64 = 512 * 1024;

/// Only the owner may look in. Were layers reachable, any user of the host
/// could run the old setuid programs in them (CVE-2021-41091).
const MODE: u32 = 0o700;

/// The path of the database.
pub(super) fn database(root: &Path) -> PathBuf {
    root.join(DATABASE)
}

/// True if a store that this program understands is at `root`, false if none
/// is there.
///
/// # Errors
/// `Unsupported` if it is newer, `Invalid` if `version` holds no number.
pub(super) fn check_version(root: &Path) -> Result<bool> {
    let path = root.join(VERSION);
    let read = fs::read_optional(&path);
    let Some(bytes) = read.map_err(|error| advise(root, error))? else { return Ok(false) };
    let text = String::from_utf8_lossy(&bytes);
    match text.trim().parse() {
        Ok(FORMAT) => Ok(true),
        Ok(format) if format > FORMAT => Err(newer(root, format)),
        _ => Err(Error::invalid(format!(
            "{} holds {:?}, not a version",
            path.display(),
            text.trim()
        ))
        .hint("restore it from a backup, or move the store away to start a new one")),
    }
}

/// The error of a store, or database, of a number that we do not know.
pub(super) fn newer(root: &Path, format: usize) -> Error {
    let root = root.display();
    Error::unsupported(format!("the store at {root} was made by a newer envbox (format {format})"))
        .hint("use that envbox, or another store with --root or ENVBOX_ROOT")
}

/// Makes a store at `root`. Several processes may at once.
///
/// # Errors
/// Those of the system calls, with the path.
pub(super) fn create(root: &Path) -> Result<()> {
    make(root)
        .context(|| format!("cannot create the store at {}", root.display()))
        .map_err(|error| advise(root, error))
}

fn make(root: &Path) -> Result<()> {
    fs::ensure_dir(root, MODE)?;
    let _exclusive = lock(root, LockMode::Exclusive)?;
    if check_version(root)? {
        return Ok(());
    }
    ensure_folders(root)?;
    spread(&root.join(TMP));
    Database::open(&database(root), true)?.migrate()?;
    // Last: it says that all the rest is there.
    fs::write_atomic(&root.join(VERSION), format!("{FORMAT}\n").as_bytes())
}

/// Makes those of the folders that are not there.
///
/// # Errors
/// Those of mkdir(2), with the path.
pub(super) fn ensure_folders(root: &Path) -> Result<()> {
    [BLOBS, LAYERS, CONTAINERS, VOLUMES, EMPTY, TMP]
        .iter()
        .try_for_each(|name| fs::ensure_dir(&root.join(name), MODE))
}

/// Tells ext4 that the trees in `path` have nothing to do with one another
/// (chattr(1), `T`): each gets a part of the disk of its own, instead of all
/// looking for room where the last ones were removed, which without a journal
/// costs up to a millisecond a file. Other file systems know no such thing.
fn spread(path: &Path) {
    if let Ok(dir) = fs::Dir::open(path)
        && let Ok(flags) = rustix::fs::ioctl_getflags(&dir)
    {
        let _ = rustix::fs::ioctl_setflags(&dir, flags | rustix::fs::IFlags::TOPDIR);
    }
}

/// Lays the reserve by, if it was given up and there is room.
pub(super) fn ensure_reserve(root: &Path) {
    let path = root.join(RESERVE);
    let Ok(file) = fs::create_new(&path) else { return };
    let flags = rustix::fs::FallocateFlags::empty();
    if rustix::fs::fallocate(&file, flags, 0, RESERVED).is_err() {
        // No room, or a file system that can promise none.
        let _ = fs::remove_file(&path);
    }
}

/// Gives the reserve up.
pub(super) fn release_reserve(root: &Path) {
    // Without it the removal fails where the disk is full, and tells why.
    let _ = fs::remove_file(&root.join(RESERVE));
}

/// The file of the store's lock.
pub(super) fn lock_path(root: &Path) -> PathBuf {
    root.join(LOCK)
}

/// Takes the store's lock, waiting for it; it goes with the descriptor.
///
/// # Errors
/// `Denied` where the store cannot be written.
pub(super) fn lock(root: &Path, mode: LockMode) -> Result<OwnedFd> {
    let path = lock_path(root);
    let file = fs::open_or_create(&path).map_err(|error| advise(root, error))?;
    fs::lock(&file, mode, &path)?;
    Ok(file.into())
}

/// The same, exclusively, if nobody holds it; `None` if somebody does.
///
/// # Errors
/// As [`lock`].
pub(super) fn try_lock(root: &Path) -> Result<Option<OwnedFd>> {
    let path = lock_path(root);
    let file = fs::open_or_create(&path).map_err(|error| advise(root, error))?;
    Ok(fs::try_lock(&file, &path)?.then(|| file.into()))
}

/// Says what to do where the system denies the store.
pub(super) fn advise(root: &Path, error: Error) -> Error {
    if error.kind() != Kind::Denied || error.hint_text().is_some() {
        return error;
    }
    error.hint(format!(
        "{} is not yours to use or is read-only; choose another store with --root or ENVBOX_ROOT",
        root.display()
    ))
}
