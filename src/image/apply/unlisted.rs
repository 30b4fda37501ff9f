//! The directories that were made for what is in them and that the archive has
//! not listed yet: in an archive of any order most are listed later. At most
//! 8 MiB of them wait here, some 80,000 paths; a directory beyond that counts
//! as never listed at once.

use std::collections::BTreeSet;

/// Of all paths, with what the set itself takes, in bytes.
const LIMIT: usize = 8 << 20;
/// What the set takes for one path, in bytes.
const OVERHEAD: usize = 48;

/// A bounded set of paths.
#[derive(Default)]
pub(super) struct Unlisted {
    paths: BTreeSet<Vec<u8>>,
    size: usize,
}

impl Unlisted {
    /// Takes `path` in; false if there is no room.
    pub(super) fn add(&mut self, path: &[u8]) -> bool {
        let size = path.len() + OVERHEAD;
        if self.size + size > LIMIT {
            return false;
        }
        if self.paths.insert(path.to_vec()) {
            self.size += size;
        }
        true
    }

    /// Takes `path` out: it is listed.
    pub(super) fn remove(&mut self, path: &[u8]) {
        if self.paths.remove(path) {
            self.size -= path.len() + OVERHEAD;
        }
    }

    /// Takes out `path` and all below it: they are no more.
    pub(super) fn remove_tree(&mut self, path: &[u8]) {
        self.remove(path);
        // What begins with the path and a slash sorts before the next byte.
        let (first, end) = ([path, b"/"].concat(), [path, b"0"].concat());
        let below: Vec<Vec<u8>> = self.paths.range(first..end).cloned().collect();
        for path in below {
            self.remove(&path);
        }
    }

    /// Those that are left, in byte order.
    pub(super) fn into_paths(self) -> impl Iterator<Item = Vec<u8>> {
        self.paths.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_goes_with_its_root() {
        let mut unlisted = Unlisted::default();
        for path in ["a", "a-b", "a/b", "a/b/c", "a0", "ab"] {
            assert!(unlisted.add(path.as_bytes()));
        }
        unlisted.remove_tree(b"a");
        assert_eq!(unlisted.size, 3 * OVERHEAD + 7);
        assert_eq!(unlisted.into_paths().collect::<Vec<_>>(), [&b"a-b"[..], b"a0", b"ab"]);
    }

    #[test]
    fn only_so_many_wait() {
        let mut unlisted = Unlisted::default();
        let path = |index: usize| format!("{index:0100}").into_bytes();
        let room = (0..1_000_000).take_while(|&index| unlisted.add(&path(index))).count();
        assert_eq!(room, LIMIT / (100 + OVERHEAD));
        unlisted.remove(&path(0));
        assert!(unlisted.add(&path(room)));
    }
}
