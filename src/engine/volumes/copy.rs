//! The first content of a volume: what the image has at its place, with
//! owners, modes, times, extended attributes and links.
//!
//! A child reads the image's directory and writes its canonical tar into a
//! pipe, and this process applies it to a directory beside the volume, which
//! is then put in whole. So every entry goes through the one extractor that
//! follows no link, and no thread is left when the container is forked.

use std::cell::Cell;
use std::io::{self, BufReader, PipeReader, PipeWriter, Write};
use std::path::Path;

use nix::sys::wait::{WaitStatus, waitpid};
use serde::{Deserialize, Serialize};

use crate::error::{Context, Error, Kind, Result};
use crate::fs::{self, Dir, FileKind, Rootfs};
use crate::id::{ContainerId, VolumeName};
use crate::image::{self, ApplyOptions, ImportOptions, TarReader};
use crate::store::Store;
use crate::sys::process;

/// Of what the tar is read by, in bytes.
const BUFFER: usize = 256 * 1024;

/// An error names a few paths, of 4 KiB each at most.
const MAX_TOLD: u64 = 1 << 20;

/// Fills the empty volume `name`, for its user `container`, with what
/// `rootfs` has at `target`, links resolved inside it; with nothing where that
/// is no directory. The database is closed meanwhile.
///
/// # Errors
/// Those of reading, of the volume's file system, and of the store.
pub(super) fn fill(
    store: &Store,
    (name, container): (&VolumeName, &ContainerId),
    (rootfs, target): (&Rootfs, &Path),
) -> Result<()> {
    let is_dir = rootfs.metadata(target)?.is_some_and(|found| found.kind == FileKind::Directory);
    if !is_dir {
        return Ok(());
    }
    let source = rootfs.open_dir(target)?;
    let pending = store.begin_volume_content(name)?;
    let directory = Dir::open(&pending.directory())?;
    if source.names()?.is_empty() {
        take_attributes(&source, &pending.directory())?;
    } else {
        // Its locks must not be shared with the child.
        store.close_database();
        copy(source, &directory)
            .context(|| format!("cannot fill volume {name} from {}", target.display()))?;
    }
    // If somebody else was faster, theirs is the first content.
    pending.commit(Some(container)).map(drop)
}

/// An empty directory is no tar; the volume has its owner and mode still.
fn take_attributes(source: &Dir, target: &Path) -> Result<()> {
    let wanted = source.own_metadata()?;
    let (Some(parent), Some(name)) = (target.parent(), target.file_name()) else { return Ok(()) };
    let parent = Dir::open(parent)?;
    parent.set_owner(name, fs::Owner { uid: wanted.uid, gid: wanted.gid })?;
    // After the owner: chown(2) clears the set-ID bits.
    parent.set_mode(name, wanted.mode)
}

fn copy(source: Dir, target: &Dir) -> Result<()> {
    let fail = |error| Error::io_named("cannot start a process to read the image", error);
    let (tar, write_tar) = io::pipe().map_err(fail)?;
    let (told, tell) = io::pipe().map_err(fail)?;
    let ends = Cell::new(Some((tar, told)));
    let parents = &ends;
    let child = process::fork(move || {
        // With a reading end of its own it would never notice that nobody
        // else reads.
        drop(parents.take());
        read(&source, (write_tar, tell))
    })
    .map_err(fail)?;
    let (tar, told) = ends.take().ok_or_else(|| Error::internal("the pipes are gone"))?;
    let applied = apply(tar, target);
    let unread = heard(told);
    let status = waitpid(child, None);
    match (unread, status) {
        // Without the rest nothing could be applied: this is the reason.
        (Some(error), _) => Err(error),
        (None, Ok(WaitStatus::Exited(_, 0))) => applied,
        (None, _) => applied.and(Err(Error::new(
            Kind::Unavailable,
            "the process that reads the image's files died",
        ))),
    }
}

/// Why the child could not read.
#[derive(Serialize, Deserialize)]
struct Unread {
    kind: Kind,
    message: String,
}

/// The child: writes the tar, and tells what it could not read. That nobody
/// takes the tar any more is the parent's own doing.
fn read(source: &Dir, (tar, mut tell): (PipeWriter, PipeWriter)) -> i32 {
    let mut tar = Watched { inner: tar, failed: false };
    let written = image::write_canonical(source, &ImportOptions::default(), &mut tar);
    let Err(error) = written else { return 0 };
    if tar.failed {
        return 0;
    }
    // The parent listens when the tar has ended.
    drop(tar);
    let unread = Unread { kind: error.kind(), message: error.chain() };
    let told = serde_json::to_vec(&unread).map(|bytes| tell.write_all(&bytes));
    i32::from(!matches!(told, Ok(Ok(()))))
}

/// Remembers whether the errors of a work came from its output.
struct Watched {
    inner: PipeWriter,
    failed: bool,
}

impl Write for Watched {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = self.inner.write(bytes);
        self.failed |= result.as_ref().is_err_and(|e| e.kind() != io::ErrorKind::Interrupted);
        result
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the child could not read, if it said so.
fn heard(told: PipeReader) -> Option<Error> {
    let bytes = fs::read_limited(told, MAX_TOLD, "the report of the reading process").ok()?;
    let Unread { kind, message } = serde_json::from_slice(&bytes).ok()?;
    Some(
        Error::new(kind, message)
            .hint("start the container with :nocopy, and look at the files there"),
    )
}

fn apply(reader: PipeReader, target: &Dir) -> Result<()> {
    let reader = TarReader::new(BufReader::with_capacity(BUFFER, reader));
    // What the file system does not take in a user namespace (devices, owners
    // beyond the map) a container could not use either.
    let applied = image::apply(reader, target, &ApplyOptions::default())?;
    if applied.has_end_marker {
        return Ok(());
    }
    Err(Error::new(Kind::Unavailable, "the image's files were not read to their end"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

    use super::*;

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        // Root reads everything otherwise; it is this thread's alone.
        let mut own = capabilities(None).unwrap();
        own.effective -= CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
        set_capabilities(None, own).unwrap();
        let room = tempfile::tempdir().unwrap();
        let read = |source: &Dir| {
            let (tar, write_tar) = io::pipe().unwrap();
            let (told, tell) = io::pipe().unwrap();
            let status = read(source, (write_tar, tell));
            drop(tar);
            (status, heard(told))
        };
        let source = Dir::open(room.path()).unwrap();
        std::fs::write(room.path().join("plain"), "x").unwrap();
        let (status, error) = read(&source);
        assert!(status == 0 && error.is_none());
        let secret = room.path().join("secret");
        std::fs::write(&secret, "x").unwrap();
        std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o0)).unwrap();
        let (status, error) = read(&source);
        let error = error.unwrap();
        assert_eq!((status, error.kind()), (0, Kind::Denied));
        assert!(error.chain().contains("secret"), "{}", error.chain());
    }

    #[test]
    fn a_parent_that_does_not_listen_is_told_nothing() {
        let room = tempfile::tempdir().unwrap();
        std::fs::write(room.path().join("file"), "x").unwrap();
        let (tar, write_tar) = io::pipe().unwrap();
        let (told, tell) = io::pipe().unwrap();
        drop(tar);
        assert_eq!(read(&Dir::open(room.path()).unwrap(), (write_tar, tell)), 0);
        assert!(heard(told).is_none());
    }
}
