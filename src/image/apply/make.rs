//! How one member that is no directory and no hard link comes to be at a name
//! in an open directory, whatever that directory is.

use std::ffi::OsStr;
use std::io::BufRead;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;

use crate::error::{Error, Kind, Result};
use crate::fs::{Dir, File, FileKind};
use crate::image::entry::{Entry, EntryKind};
use crate::image::read::TarReader;
use crate::image::settle::{Caller, Place};
use crate::image::sparse::data_runs;

/// What the file system made of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Made {
    /// All that it is.
    Whole,
    /// A file that has not all of its attributes.
    Partly,
    /// Nothing: it may not hold such a device.
    Nothing,
}

/// Makes `entry` at `name` in `dir`.
///
/// # Errors
/// `AlreadyExists` if something is at `name`; else those of the archive and of
/// the file system.
pub(super) fn make<R: BufRead>(
    caller: Caller,
    (dir, name): (&Dir, &OsStr),
    entry: &Entry,
    reader: &mut TarReader<R>,
) -> Result<Made> {
    let place = |kind| Place { dir, name, kind, open: None };
    let settle = |place: Place<'_>| {
        let is_whole = caller.settle(&place, &entry.attributes)?;
        Ok(if is_whole { Made::Whole } else { Made::Partly })
    };
    let (kind, numbers) = match &entry.kind {
        EntryKind::Regular { size, .. } => {
            let file = dir.create_file(name)?;
            write_data((&file, *size), (dir, name), reader)?;
            return settle(Place { open: Some(file.as_fd()), ..place(FileKind::Regular) });
        }
        EntryKind::Symlink { target } => {
            dir.create_symlink(name, OsStr::from_bytes(target))?;
            return settle(place(FileKind::Symlink));
        }
        // To overlayfs it is a removal.
        EntryKind::CharDevice(0, 0) => return Ok(Made::Nothing),
        EntryKind::CharDevice(major, minor) => (FileKind::CharDevice, (*major, *minor)),
        EntryKind::BlockDevice(major, minor) => (FileKind::BlockDevice, (*major, *minor)),
        EntryKind::Fifo => (FileKind::Fifo, (0, 0)),
        EntryKind::Directory | EntryKind::HardLink { .. } => {
            return Err(Error::internal("a directory or hard link is made by itself"));
        }
    };
    match dir.create_node(name, kind, numbers) {
        Err(error) if kind.is_device() && error.kind() == Kind::Denied => Ok(Made::Nothing),
        Err(error) => Err(error),
        Ok(()) => settle(place(kind)),
    }
}

fn write_data<R: BufRead>(
    (file, size): (&File, u64),
    (dir, name): (&Dir, &OsStr),
    reader: &mut TarReader<R>,
) -> Result<()> {
    let fail = |error| Error::io("write", dir.path_of(name), error);
    let mut written = 0;
    reader.copy_data(&mut |start, bytes| {
        for (offset, run) in data_runs(start, bytes) {
            file.write_all_at(run, offset).map_err(fail)?;
            written = offset + run.len() as u64;
        }
        Ok(())
    })?;
    // A hole at the end is written by the length alone.
    if written != size { file.set_len(size).map_err(fail) } else { Ok(()) }
}
