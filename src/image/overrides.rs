//! What the file system could not hold of a layer: devices that a user
//! namespace may not create, owners outside the id map, attributes and times
//! that were refused. Kept beside the tree, it makes the tree whole again.
//!
//! On disk it is a canonical tar of headers without data, in canonical order:
//! a device or FIFO stands for itself and is not in the tree; any other member
//! replaces the attributes of what is in the tree by that path. No file at all
//! means that nothing was refused.

use std::collections::BTreeMap;
use std::io::BufReader;
use std::path::Path;

use crate::error::{Context, Error, Result};
use crate::fs;

use super::canonical::{self, END};
use super::entry::{Attributes, Entry, EntryKind, compare_paths, display};
use super::read::TarReader;
use super::xattrs;

/// How much they may keep of extended attributes, in bytes: they are held in
/// memory, and a small archive can claim any number of large ones.
const XATTR_LIMIT: usize = 64 << 20;

/// A path that sorts in canonical order.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Key(Vec<u8>);

impl Ord for Key {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        compare_paths(&self.0, &other.0)
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Override {
    /// The device that is not in the tree; else only attributes are replaced.
    node: Option<EntryKind>,
    attributes: Attributes,
}

/// The overrides of one tree; about 150 bytes of memory each, and as much as
/// the extended attributes have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    map: BTreeMap<Key, Override>,
    /// Of all that ever came in, in bytes.
    xattr_bytes: usize,
}

impl Overrides {
    /// Reads the file at `path`; without one there are none.
    ///
    /// # Errors
    /// Those of reading, with the path.
    pub fn load(path: &Path) -> Result<Self> {
        let mut overrides = Self::default();
        let Some(file) = fs::absent_is_none(fs::open(path))? else { return Ok(overrides) };
        let mut reader = TarReader::new(BufReader::new(file));
        let context = || format!("cannot read {}", path.display());
        while let Some(entry) = reader.next_entry().context(context)? {
            overrides.insert(entry).context(context)?;
        }
        Ok(overrides)
    }

    fn insert(&mut self, entry: Entry) -> Result<()> {
        match entry.kind {
            EntryKind::CharDevice(..) | EntryKind::BlockDevice(..) | EntryKind::Fifo => {
                self.add_node(entry)
            }
            _ => self.add_attributes(&entry.path, entry.attributes),
        }
    }

    /// Writes them to the new file `path`; nothing if there are none.
    ///
    /// # Errors
    /// Those of writing, with the path.
    pub fn save(mut self, path: &Path) -> Result<()> {
        if self.map.is_empty() {
            return Ok(());
        }
        let mut bytes = Vec::new();
        while let Some((key, value)) = self.map.pop_first() {
            let kind = match value.node {
                Some(node) => node,
                // The root has no name but as a directory.
                None if key.0.is_empty() => EntryKind::Directory,
                None => EntryKind::Regular { size: 0, sparse: None },
            };
            let entry = Entry { path: key.0, kind, attributes: value.attributes };
            canonical::encode(&entry, &mut bytes);
        }
        bytes.extend(END);
        fs::write_atomic(path, &bytes)
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// Keeps the device or FIFO `entry`, which is not in the tree.
    ///
    /// # Errors
    /// `Unsupported` if there is too much to keep.
    pub(super) fn add_node(&mut self, entry: Entry) -> Result<()> {
        let value = Override { node: Some(entry.kind), attributes: entry.attributes };
        self.keep(Key(entry.path), value)
    }

    /// Keeps the attributes of `path`.
    ///
    /// # Errors
    /// As [`Self::add_node`].
    pub(super) fn add_attributes(&mut self, path: &[u8], attributes: Attributes) -> Result<()> {
        self.keep(Key(path.to_vec()), Override { node: None, attributes })
    }

    /// Gives the new name `path` what `target` has.
    ///
    /// # Errors
    /// As [`Self::add_node`].
    pub(super) fn link(&mut self, path: &[u8], target: &[u8]) -> Result<()> {
        match self.map.get(&Key(target.to_vec())).cloned() {
            Some(value) => self.keep(Key(path.to_vec()), value),
            None => Ok(()),
        }
    }

    fn keep(&mut self, key: Key, value: Override) -> Result<()> {
        self.xattr_bytes += xattrs::size(&value.attributes.xattrs);
        if self.xattr_bytes > XATTR_LIMIT {
            let path = display(&key.0);
            return Err(Error::unsupported(format!(
                "the file system refuses too many extended attributes, at last those of {path}"
            ))
            .hint("put the store on a file system that keeps them, such as ext4 or xfs"));
        }
        self.map.insert(key, value);
        Ok(())
    }

    /// True if `path` is a device that is not in the tree.
    pub(super) fn has_node(&self, path: &[u8]) -> bool {
        !self.map.is_empty()
            && self.map.get(&Key(path.to_vec())).is_some_and(|value| value.node.is_some())
    }

    /// The names in the directory `dir` of devices that are not in the tree.
    pub(super) fn nodes_in(&self, dir: &[u8]) -> Vec<Vec<u8>> {
        let below = |key: &Key| match dir {
            b"" => Some(key.0.clone()),
            _ => key.0.strip_prefix(dir)?.strip_prefix(b"/").map(<[u8]>::to_vec),
        };
        let within = |key: &Key| {
            key.0
                .strip_prefix(dir)
                .is_some_and(|rest| dir.is_empty() || rest.is_empty() || rest.starts_with(b"/"))
        };
        self.map
            .range(Key(dir.to_vec())..)
            .take_while(|(key, _)| within(key))
            .filter(|(_, value)| value.node.is_some())
            .filter_map(|(key, _)| below(key))
            .filter(|name| !name.contains(&b'/'))
            .collect()
    }

    /// True if `entry` is a device that is not in the tree, just so.
    pub(super) fn holds(&self, entry: &Entry) -> bool {
        self.map.get(&Key(entry.path.clone())).is_some_and(|value| {
            value.node.as_ref() == Some(&entry.kind) && value.attributes == entry.attributes
        })
    }

    /// True if something is kept for `path`.
    pub(super) fn has(&self, path: &[u8]) -> bool {
        !self.map.is_empty() && self.map.contains_key(&Key(path.to_vec()))
    }

    /// What is kept for `path` in place of what is in the tree, if anything is.
    pub(super) fn attributes(&self, path: &[u8]) -> Option<&Attributes> {
        self.map.get(&Key(path.to_vec())).map(|value| &value.attributes)
    }

    /// Forgets all paths that are not `wanted`.
    pub(super) fn retain(&mut self, wanted: impl Fn(&[u8]) -> bool) {
        self.map.retain(|key, _| wanted(&key.0));
    }

    /// Forgets `path` alone.
    pub(super) fn forget(&mut self, path: &[u8]) {
        if !self.map.is_empty() {
            self.map.remove(&Key(path.to_vec()));
        }
    }

    /// Forgets `path` and all below it.
    pub(super) fn forget_tree(&mut self, path: &[u8]) {
        if self.map.is_empty() {
            return;
        }
        let below = |key: &Key| {
            key.0.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
        };
        let start = Key(path.to_vec());
        let gone: Vec<Key> = self
            .map
            .range(start..)
            .map(|(key, _)| key)
            .take_while(|key| below(key))
            .cloned()
            .collect();
        for key in gone {
            self.map.remove(&key);
        }
    }

    /// Takes the attributes that `path`, which is in the tree, is to have.
    /// For a walk in canonical order: all before `path` are gone by now.
    pub(super) fn take(&mut self, path: &[u8]) -> Option<Attributes> {
        if self.map.is_empty() {
            return None;
        }
        self.map.remove(&Key(path.to_vec())).map(|value| value.attributes)
    }

    /// Takes the first device that comes before `path`, or the first of all;
    /// attributes without a file on the way are dropped.
    pub(super) fn take_node_before(&mut self, path: Option<&[u8]>) -> Option<Entry> {
        loop {
            let first = self.map.first_entry()?;
            if path.is_some_and(|path| compare_paths(&first.key().0, path).is_ge()) {
                return None;
            }
            let (key, value) = first.remove_entry();
            if let Some(kind) = value.node {
                return Some(Entry { path: key.0, kind, attributes: value.attributes });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn large_attributes_are_bounded_however_they_come_in() {
        let mut attributes = Attributes::default();
        attributes.xattrs.insert(b"user.a".to_vec(), vec![1; 64 * 1024]);
        let mut overrides = Overrides::default();
        overrides.add_attributes(b"0", attributes).unwrap();
        let refused = (1..2000)
            .find_map(|index: u32| overrides.link(index.to_string().as_bytes(), b"0").err())
            .unwrap();
        assert_eq!(refused.kind(), Kind::Unsupported);
        assert!(refused.hint_text().is_some());
        assert!((1000..1100).contains(&overrides.map.len()), "{}", overrides.map.len());
    }
}
