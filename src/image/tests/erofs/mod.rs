//! The contract of an index: mounted with its tar, it is the tree that `apply`
//! extracts. One function states it; each test gives it a tar.

mod contract;
mod layers;
mod reader;
mod structure;

use std::path::Path;

use super::*;
use crate::error::Result;
use crate::image::canonical::END;

/// Writes the index of `bytes` to `path`.
fn index(bytes: &[u8], path: &Path, level: Level<'_>) -> Result<Indexed> {
    write_index(
        TarReader::new(bytes),
        path,
        &IndexOptions { level, counters: None, copy_limit: u64::MAX },
    )
}

/// True if index and tar can be mounted here; says so if not.
fn can_mount(test: &str) -> bool {
    let room = tempfile::tempdir().unwrap();
    let (image, tar) = (room.path().join("index"), room.path().join("tar"));
    std::fs::write(&tar, END).unwrap();
    index(&END, &image, Level::Lowest).unwrap();
    let mounted = mount(&image, &tar);
    if let Err(error) = &mounted {
        skipped(test, &format!("EROFS cannot be mounted here: {error}"));
    }
    mounted.is_ok()
}

fn skipped(test: &str, why: &str) {
    let line = format!("\nskipped: {test}: {why}\n");
    std::io::Write::write_all(&mut std::io::stdout(), line.as_bytes()).unwrap();
}

/// Mounts an index upon its tar; the mount is nowhere in the file system.
fn mount(index: &Path, tar: &Path) -> rustix::io::Result<std::os::fd::OwnedFd> {
    use rustix::mount::*;
    let context = fsopen("erofs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, "source", index)?;
    fsconfig_set_string(&context, "device", tar)?;
    fsconfig_create(&context)?;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::MOUNT_ATTR_RDONLY)
}

/// One tar and what belongs to it, on a disk file system.
fn room() -> tempfile::TempDir {
    tempfile::tempdir_in("/var/tmp").unwrap()
}
