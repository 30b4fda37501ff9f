//! The first content of a volume: what the image has at its place, with
//! owners, modes, times, extended attributes and links.
//!
//! A child reads the image's directory and writes its canonical tar into a
//! pipe, and this process applies it to a directory beside the volume, which
//! is then put in whole. So every entry goes through the one extractor that
//! follows no link, and no thread is left when the container is forked.

use std::io::{BufReader, PipeReader};
use std::path::Path;

use crate::engine::reader;
use crate::error::{Context, Error, Kind, Result};
use crate::fs::{self, Dir, FileKind, Rootfs};
use crate::id::{ContainerId, VolumeName};
use crate::image::{self, ApplyOptions, ImportOptions, TarReader};
use crate::store::Store;

/// Of what the tar is read by, in bytes.
const BUFFER: usize = 256 * 1024;

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
    let reader = reader::read(source, &ImportOptions::default())?;
    let copied = reader.finish(|tar| apply(tar, target)).map(drop);
    copied.map_err(|error| match error.kind() {
        Kind::Denied => error.hint("start the container with :nocopy, and look at the files there"),
        _ => error,
    })
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
