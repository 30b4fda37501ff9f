//! Which extended attributes a layer keeps. `xattr(7)` has four namespaces;
//! what a layer keeps is what belongs to the file and not to the host that it
//! happened to lie on.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::error::Result;
use crate::fs::{self, Dir, File};

use super::entry::Xattrs;

/// File capabilities (capabilities(7)).
pub(super) const CAPABILITY: &[u8] = b"security.capability";
/// The access ACL in the kernel's binary form (acl(5)).
pub(super) const ACL_ACCESS: &[u8] = b"system.posix_acl_access";
/// The default ACL of a directory.
pub(super) const ACL_DEFAULT: &[u8] = b"system.posix_acl_default";

/// How much one member may have of extended attributes, names and values
/// together, in bytes. A value has at most 64 KiB (xattr(7)); ext4 has room
/// for 4 KiB of all, and nobody was seen to need more than one large value.
pub(super) const LIMIT: usize = 128 * 1024;

/// How many bytes `xattrs` have, names and values together.
pub(super) fn size(xattrs: &Xattrs) -> usize {
    xattrs.iter().map(|(name, value)| name.len() + value.len()).sum()
}

/// True if the open `file` is known to have none at all: most have none, and
/// to ask by its name costs more than to read a small file.
pub(super) fn has_none(file: &File) -> bool {
    // No list of names fits one byte: any is an error (ERANGE).
    matches!(rustix::fs::flistxattr(file, &mut [0; 1]), Ok(0))
}

/// What becomes of an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is part of the layer.
    Kept,
    /// It is left out and reported.
    Dropped,
    /// It is the host's own policy about the file, and left out silently.
    HostPolicy,
}

/// What becomes of the attribute `name`.
pub(super) fn fate(name: &[u8]) -> Fate {
    const HOST: [&[u8]; 3] = [b"security.selinux", b"security.ima", b"security.evm"];
    match name {
        CAPABILITY | ACL_ACCESS | ACL_DEFAULT => Fate::Kept,
        // overlayfs with `userxattr` keeps its own marks there.
        _ if name.starts_with(b"user.overlay.") => Fate::Dropped,
        // A PAX key ends at its first `=`: the name would come back shorter.
        _ if name.contains(&b'=') => Fate::Dropped,
        _ if name.starts_with(b"user.") => Fate::Kept,
        _ if HOST.contains(&name) => Fate::HostPolicy,
        _ => Fate::Dropped,
    }
}

/// The attributes of `name` in `dir` that a layer keeps.
///
/// # Errors
/// Those of llistxattr(2) and lgetxattr(2).
pub(super) fn kept((dir, name): (&Dir, &OsStr)) -> Result<Xattrs> {
    let mut kept = Xattrs::new();
    for attribute in fs::list_xattrs(dir, name)? {
        if fate(attribute.as_bytes()) == Fate::Kept
            && let Some(value) = fs::read_xattr(dir, name, &attribute)?
        {
            kept.insert(attribute.into_encoded_bytes(), value);
        }
    }
    Ok(kept)
}
