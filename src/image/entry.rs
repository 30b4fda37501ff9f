//! One member of a layer, as a value: what a tar header says and what stat(2)
//! says, in one form. It knows neither tar's encoding nor the file system.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::fs::Timestamp;

/// Extended attributes by full name (`user.x`), values as raw bytes.
pub type Xattrs = BTreeMap<Vec<u8>, Vec<u8>>;

/// A member of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Relative to the root, without leading or trailing slash; the root
    /// itself is the empty path.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
    /// Owner, mode, time and extended attributes.
    pub attributes: Attributes,
}

/// What a member is, with what only that kind has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file; its data follows in the stream.
    Regular {
        /// Of the content, holes included, in bytes.
        size: u64,
        /// Where the data lies if the file has holes.
        sparse: Option<SparseMap>,
    },
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink {
        /// As readlink(2) gives it.
        target: Vec<u8>,
    },
    /// One more name of a member that came before.
    HardLink {
        /// The path of that member, in the form of [`Entry::path`].
        target: Vec<u8>,
    },
    /// A character device: major and minor number.
    CharDevice(u32, u32),
    /// A block device: major and minor number.
    BlockDevice(u32, u32),
    /// A named pipe.
    Fifo,
}

/// What every member has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Permission bits with setuid, setgid and sticky: `0o7777` at most.
    pub mode: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Last change of the content.
    pub mtime: Timestamp,
    /// Those that a layer keeps.
    pub xattrs: Xattrs,
}

/// The data of a sparse file; everything else in it is zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SparseMap {
    /// In ascending order, not overlapping, each within the file. A segment
    /// of length 0 at the file's end says that the file ends with a hole.
    pub segments: Vec<Segment>,
}

/// A run of data in a sparse file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// In the file, in bytes.
    pub offset: u64,
    /// In bytes.
    pub length: u64,
}

impl SparseMap {
    /// How many bytes of data there are.
    pub fn data_size(&self) -> u64 {
        self.segments.iter().map(|segment| segment.length).sum()
    }
}

impl Entry {
    /// The path for messages: the root is `./`, bytes that are no UTF-8 are
    /// replaced, control characters escaped.
    pub fn display_path(&self) -> String {
        display(&self.path)
    }
}

/// A member's path for messages. Control characters are escaped: a name in an
/// archive must not speak to the terminal.
pub(super) fn display(path: &[u8]) -> String {
    if path.is_empty() {
        return "./".into();
    }
    let mut text = String::with_capacity(path.len());
    for character in String::from_utf8_lossy(path).chars() {
        if character.is_control() {
            text.extend(character.escape_default());
        } else {
            text.push(character);
        }
    }
    text
}

/// The path of the parent, and the last name.
pub(super) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

/// True if `name` means a removal in a layer (image spec, layer.md,
/// "Whiteouts"), so that no file can have it there.
pub(super) fn is_whiteout(name: &[u8]) -> bool {
    name.starts_with(b".wh.")
}

/// The order of members in a canonical layer: depth first, a directory before
/// what is in it, the names of a directory in byte order.
pub fn compare_paths(a: &[u8], b: &[u8]) -> Ordering {
    // The slash sorts below every byte a name can have.
    let rank = |byte: &u8| if *byte == b'/' { 0 } else { u16::from(*byte) + 1 };
    a.iter().map(rank).cmp(b.iter().map(rank))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_speak_to_the_terminal() {
        assert_eq!(display(b"a\x1b[2J\n\xff\xc3\xbc"), "a\\u{1b}[2J\\n\u{fffd}\u{fc}");
        assert_eq!(display(b""), "./");
    }

    #[test]
    fn orders_depth_first() {
        let sorted: [&[u8]; 7] = [b"", b"a", b"a/b", b"a/b/c", b"a/c", b"a-b", b"a\x01"];
        for (i, a) in sorted.iter().enumerate() {
            for (j, b) in sorted.iter().enumerate() {
                if i < 5 && j < 5 {
                    assert_eq!(compare_paths(a, b), i.cmp(&j));
                }
            }
        }
        assert_eq!(compare_paths(b"a/z", b"a-b"), Ordering::Less);
        assert_eq!(compare_paths(b"a/z", b"a\x01"), Ordering::Less);
    }
}
