//! What a root filesystem was built for, told by its own programs.

use std::path::Path;

use crate::compat::elf;
use crate::error::Result;
use crate::fs::{Dir, Rootfs};
use crate::platform::Platform;

/// The platform of the tree at `root`: of its shell or its C library, looked
/// up inside it. `None` if it has neither, or of no architecture that has a
/// name.
///
/// # Errors
/// Those of reading.
pub(super) fn platform(root: &Dir) -> Result<Option<Platform>> {
    let rootfs = Rootfs::new(root.duplicate()?);
    for candidate in elf::CANDIDATES {
        let path = Path::new("/").join(candidate);
        let head = rootfs.read_head(&path, elf::HEAD_BYTES as u64);
        // What cannot be read tells nothing; the next one may.
        let Ok(Some(head)) = head else { continue };
        let Ok(Some(identity)) = elf::parse_identity(&head) else { continue };
        if let Some(found) = identity.platform() {
            return Ok(Some(Platform {
                os: found.os.into(),
                architecture: found.architecture.into(),
                variant: found.variant.filter(|_| found.architecture == "arm").map(Into::into),
            }));
        }
    }
    Ok(None)
}
