//! Extended attributes as EROFS has them in an inode: a number for the
//! namespace, the rest of the name, the value (Documentation/filesystems/
//! erofs, "Extended attributes").

use crate::image::entry::{EntryKind, Xattrs};
use crate::image::xattrs::{ACL_ACCESS, ACL_DEFAULT, CAPABILITY};

use super::format::push;

/// What stands before the attributes of an inode, in bytes: which of them are
/// shared, and none is.
pub(super) const HEADER: usize = 12;

/// The namespaces, longest first.
const PREFIXES: [(u8, &[u8]); 5] =
    [(3, ACL_DEFAULT), (2, ACL_ACCESS), (6, b"security."), (4, b"trusted."), (1, b"user.")];
const OPAQUE: (&[u8], &[u8]) = (b"trusted.overlay.opaque", b"y");

/// The attributes without their header; each begins at a multiple of 4.
pub(super) fn encode(xattrs: &Xattrs) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in xattrs {
        add(name, value, &mut out);
    }
    out
}

/// Appends what makes a directory opaque to overlayfs.
pub(super) fn add_opaque(out: &mut Vec<u8>) {
    add(OPAQUE.0, OPAQUE.1, out);
}

fn add(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    let Some((index, rest)) = split(name) else { return };
    let (Ok(length), Ok(size)) = (u8::try_from(rest.len()), u16::try_from(value.len())) else {
        return;
    };
    out.extend([length, index]);
    push(out, size.to_le_bytes());
    out.extend_from_slice(rest);
    out.extend_from_slice(value);
    out.resize(out.len().next_multiple_of(4), 0);
}

fn split(name: &[u8]) -> Option<(u8, &[u8])> {
    PREFIXES.iter().find_map(|&(index, prefix)| name.strip_prefix(prefix).map(|rest| (index, rest)))
}

/// True if the kernel takes the attribute for a file of this kind, so that an
/// index may show it: it has a place for the name and the value, and what the
/// kernel itself reads has its form (capabilities(7), acl(5)).
pub(super) fn is_held(kind: &EntryKind, name: &[u8], value: &[u8]) -> bool {
    let Some((_, rest)) = split(name) else { return false };
    // XATTR_NAME_MAX is for the whole name.
    if name.len() > 255 || value.len() > usize::from(u16::MAX) {
        return false;
    }
    let is_directory = *kind == EntryKind::Directory;
    let is_symlink = matches!(kind, EntryKind::Symlink { .. });
    match name {
        ACL_DEFAULT => is_directory && is_acl(value),
        ACL_ACCESS => !is_symlink && is_acl(value),
        CAPABILITY => is_capability(value),
        _ => !rest.is_empty(),
    }
}

/// Version 2 and entries of 8 bytes.
fn is_acl(value: &[u8]) -> bool {
    value
        .strip_prefix(&[2, 0, 0, 0])
        .is_some_and(|entries| !entries.is_empty() && entries.len() % 8 == 0)
}

/// Version 2 has 20 bytes, version 3 with the user of a namespace 24.
fn is_capability(value: &[u8]) -> bool {
    matches!((value.get(3), value.len()), (Some(2), 20) | (Some(3), 24))
}
