//! Fence 1: files. The only place that touches `std::fs`; every error names
//! its path.
//!
//! - this file: paths of our own (store, settings), which nobody else writes
//! - [`Dir`]: names below an open directory, never through a symbolic link:
//!   for trees that come from elsewhere
//! - [`Rootfs`]: paths as a container sees them, symbolic links resolved
//!   inside the root only: for what an image or its config names

mod copy_data;
mod dir;
mod metadata;
mod rootfs;
mod trash;
mod usage;
mod xattr;

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::error::{Error, Kind, Result};

pub use std::fs::File;

pub use copy_data::copy_data;
pub use dir::{Dir, Names, Owner};
pub use metadata::{FileKind, Metadata, Timestamp};
pub use rootfs::{Rootfs, clean};
pub use trash::remove_tree;
pub use usage::{tree_size, tree_size_since};
pub use xattr::{list_xattrs, offer_xattr, read_xattr, remove_xattr, write_xattr};

/// The whole content of the file at `path`.
///
/// # Errors
/// Those of open(2) and read(2), with the path.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| Error::io("read", path, error))
}

/// Opens the existing file at `path` for writing, without truncating it.
///
/// # Errors
/// Those of open(2), with the path.
pub fn open_for_writing(path: &Path) -> Result<File> {
    OpenOptions::new().write(true).open(path).map_err(|error| Error::io("open", path, error))
}

/// The whole content of the file at `path`, which must be UTF-8.
///
/// # Errors
/// As [`read`]; `Invalid` if it is not UTF-8.
pub fn read_to_string(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| Error::io("read", path, error))
}

/// As [`read`], with `None` where there is no such file.
///
/// # Errors
/// As [`read`].
pub fn read_optional(path: &Path) -> Result<Option<Vec<u8>>> {
    absent_is_none(read(path))
}

/// Turns `NotFound` into `None`.
///
/// # Errors
/// Every other error of `result`.
pub fn absent_is_none<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == Kind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// True if `error` says that a path passes through what is no directory: a
/// file (`ENOTDIR`), or a symbolic link that is not followed (`ELOOP`).
pub fn is_no_directory(error: &Error) -> bool {
    let source = std::error::Error::source(error);
    let errno = source.and_then(|source| source.downcast_ref::<io::Error>()?.raw_os_error());
    matches!(errno, Some(libc::ENOTDIR | libc::ELOOP))
}

/// True if `error` says that a file system is full, or its user's part of it.
pub fn is_full(error: &Error) -> bool {
    let source = std::error::Error::source(error);
    let errno = source.and_then(|source| source.downcast_ref::<io::Error>()?.raw_os_error());
    matches!(errno, Some(libc::ENOSPC | libc::EDQUOT))
}

/// Opens the file at `path` for reading.
///
/// # Errors
/// Those of open(2), with the path.
pub fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|error| Error::io("open", path, error))
}

/// Creates the file at `path`, which must not exist, readable by the owner
/// alone, open for reading and writing.
///
/// # Errors
/// Those of open(2), with the path.
pub fn create_new(path: &Path) -> Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| Error::io("create", path, error))
}

/// Creates the file at `path`, which must not exist, for writing; everybody
/// may read it whom the umask lets.
///
/// # Errors
/// Those of open(2), with the path.
pub fn create_public(path: &Path) -> Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(path)
        .map_err(|error| Error::io("create", path, error))
}

/// A file without a name in the directory `folder`: gone with its descriptor.
///
/// # Errors
/// Those of open(2), with the folder.
pub fn anonymous_file(folder: &Path) -> Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_TMPFILE)
        .mode(0o600)
        .open(folder)
        .map_err(|error| Error::io("create a file in", folder, error))
}

/// Opens `path` for reading and writing, creating it (mode 0600) if missing.
///
/// # Errors
/// Those of open(2), with the path.
pub fn open_or_create(path: &Path) -> Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|error| Error::io("open", path, error))
}

/// Writes `bytes` to `path` so that a reader sees the old content or the new
/// one, whole: temporary file in the same directory, fsync, rename.
///
/// # Errors
/// Those of the system calls, with the path.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    replace(path, bytes, true)
}

/// Writes a small file of this process's own, readable by all, which nobody
/// reads before it is whole.
///
/// # Errors
/// Those of open(2) and write(2), with the path.
pub fn write_plain(path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o644);
        options.open(path)?.write_all(bytes)
    };
    write().map_err(|error| Error::io("write", path, error))
}

/// Replaces the content of the file at `path`, which must exist, and leaves the
/// file itself, with the locks that are on it. Who reads meanwhile may see parts
/// of both.
///
/// # Errors
/// Those of open(2), write(2) and ftruncate(2), with the path.
pub fn overwrite(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = open_for_writing(path)?;
    file.write_all(bytes)
        .and_then(|()| file.set_len(bytes.len() as u64))
        .map_err(|error| Error::io("write", path, error))
}

/// As [`write_atomic`] without fsync: for volatile state that need not
/// survive a crash of the host.
///
/// # Errors
/// Those of the system calls, with the path.
pub fn write_volatile(path: &Path, bytes: &[u8]) -> Result<()> {
    replace(path, bytes, false)
}

fn replace(path: &Path, bytes: &[u8], durable: bool) -> Result<()> {
    let fail = |error: io::Error| Error::io("write", path, error);
    let mut name: OsString = path.file_name().unwrap_or_default().into();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    let result = (|| {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o644)
            .open(&temporary)?;
        file.write_all(bytes)?;
        if durable {
            file.sync_all()?;
        }
        std::fs::rename(&temporary, path)
    })();
    result.map_err(|error| {
        // The temporary file is ours and useless now; its own failure to go
        // would hide the reason.
        let _ = std::fs::remove_file(&temporary);
        fail(error)
    })
}

/// Creates the directory `path` (mode 0700 if `private`, else 0755) and its
/// parents. It may exist.
///
/// # Errors
/// Those of mkdir(2), with the path.
pub fn ensure_dir(path: &Path, mode: u32) -> Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        .map_err(|error| Error::io("create the directory", path, error))
}

/// Creates the directory `path`, which must not exist.
///
/// # Errors
/// Those of mkdir(2), with the path.
pub fn create_dir(path: &Path, mode: u32) -> Result<()> {
    std::fs::DirBuilder::new()
        .mode(mode)
        .create(path)
        .map_err(|error| Error::io("create the directory", path, error))
}

/// Renames `from` to `to`, replacing a file there.
///
/// # Errors
/// Those of rename(2), with both paths.
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    std::fs::rename(from, to).map_err(|error| {
        Error::io_named(format!("cannot rename {} to {}", from.display(), to.display()), error)
    })
}

/// Writes to the disk all that the file system of the directory `path` has in
/// memory.
///
/// # Errors
/// Those of syncfs(2), with the path.
pub fn sync(path: &Path) -> Result<()> {
    rustix::fs::syncfs(Dir::open(path)?).map_err(|error| Error::io("write out", path, error))
}

/// Exchanges `a` and `b`, both of which are there, in one step.
///
/// # Errors
/// `Unsupported` where the file system cannot; those of renameat2(2), with both
/// paths.
pub fn exchange(a: &Path, b: &Path) -> Result<()> {
    renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE).map_err(|error| {
        let (a, b) = (a.display(), b.display());
        let failed = Error::io_named(format!("cannot exchange {a} and {b}"), error);
        match error {
            Errno::INVAL => {
                Error::unsupported("the file system cannot exchange directories").because(failed)
            }
            _ => failed,
        }
    })
}

/// Removes the file at `path`; its absence is success.
///
/// # Errors
/// Those of unlink(2), with the path.
pub fn remove_file(path: &Path) -> Result<()> {
    absent_is_none(std::fs::remove_file(path).map_err(|error| Error::io("remove", path, error)))
        .map(drop)
}

/// Removes the empty directory at `path`; its absence is success.
///
/// # Errors
/// Those of rmdir(2), with the path.
pub fn remove_dir(path: &Path) -> Result<()> {
    absent_is_none(std::fs::remove_dir(path).map_err(|error| Error::io("remove", path, error)))
        .map(drop)
}

/// The names in the directory `path`, sorted; none if it does not exist.
///
/// # Errors
/// Those of opendir(3), with the path.
pub fn list(path: &Path) -> Result<Vec<OsString>> {
    let fail = |error| Error::io("list", path, error);
    let Some(entries) = absent_is_none(std::fs::read_dir(path).map_err(fail))? else {
        return Ok(Vec::new());
    };
    let names: io::Result<Vec<OsString>> =
        entries.map(|entry| entry.map(|entry| entry.file_name())).collect();
    let mut names = names.map_err(fail)?;
    names.sort();
    Ok(names)
}

/// What lies at `path`, symbolic links followed; `None` if nothing does.
///
/// # Errors
/// Those of stat(2), with the path.
pub fn metadata(path: &Path) -> Result<Option<Metadata>> {
    let result = rustix::fs::stat(path).map_err(|error| Error::io("look at", path, error));
    Ok(absent_is_none(result)?.map(|stat| Metadata::from(&stat)))
}

/// What lies at `path`, itself if it is a symbolic link; `None` if nothing
/// does.
///
/// # Errors
/// Those of lstat(2), with the path.
pub fn link_metadata(path: &Path) -> Result<Option<Metadata>> {
    let result = rustix::fs::lstat(path).map_err(|error| Error::io("look at", path, error));
    Ok(absent_is_none(result)?.map(|stat| Metadata::from(&stat)))
}

/// Opens the regular file at `path` for reading, and tells what was opened;
/// `None` if nothing lies there, or something else. Does not block on a FIFO.
///
/// # Errors
/// Those of open(2), with the path.
pub fn open_regular(path: &Path) -> Result<Option<(File, Metadata)>> {
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let opened = opened.map_err(|error| Error::io("open", path, error));
    let Some(file) = absent_is_none(opened)? else { return Ok(None) };
    let stat = rustix::fs::fstat(&file).map_err(|error| Error::io("look at", path, error))?;
    let metadata = Metadata::from(&stat);
    Ok((metadata.kind == FileKind::Regular).then_some((file, metadata)))
}

/// `path` made absolute, symbolic links resolved; it must exist.
///
/// # Errors
/// Those of realpath(3), with the path.
pub fn canonical(path: &Path) -> Result<PathBuf> {
    std::fs::canonicalize(path).map_err(|error| Error::io("open", path, error))
}

/// How a lock is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockMode {
    /// Many at a time.
    Shared,
    /// One at a time.
    Exclusive,
}

/// Takes a flock(2) on `file`, waiting for it.
///
/// # Errors
/// Those of flock(2), with the path.
pub fn lock(file: &File, mode: LockMode, path: &Path) -> Result<()> {
    let operation = match mode {
        LockMode::Shared => FlockOperation::LockShared,
        LockMode::Exclusive => FlockOperation::LockExclusive,
    };
    rustix::io::retry_on_intr(|| rustix::fs::flock(file, operation))
        .map_err(|error| Error::io("lock", path, error))
}

/// Takes an exclusive flock(2) on `file` if nobody holds one; tells whether
/// it did.
///
/// # Errors
/// Those of flock(2) except `EWOULDBLOCK`, with the path.
pub fn try_lock(file: &File, path: &Path) -> Result<bool> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(Error::io("lock", path, error)),
    }
}

/// Reads at most `limit` bytes; more is an error that names `what`.
///
/// # Errors
/// `Invalid` if there is more; else those of the reader.
pub fn read_limited(reader: impl Read, limit: u64, what: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader
        .take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Error::io("read", what, error))?;
    if bytes.len() as u64 > limit {
        return Err(Error::invalid(format!("{what} is larger than {limit} bytes")));
    }
    Ok(bytes)
}
