//! A directory on the way down: the member that it is, and how far the names
//! are done that the image has in it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::fs::Names;
use crate::image::entry::Entry;

/// A directory of the source.
pub(super) struct Level {
    entry: Entry,
    is_written: bool,
    /// The image has a directory by this name.
    is_merged: bool,
    names: Names,
    next_name: usize,
    /// Devices that are in no tree, in byte order.
    nodes: Vec<Vec<u8>>,
    next_node: usize,
}

/// What the image has by a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Has {
    Nothing,
    Node,
    Name,
}

impl Level {
    /// A directory that the image has not.
    pub(super) fn new(entry: Entry) -> Self {
        Self { is_merged: false, ..Self::merged(entry, Names::default(), Vec::new()) }
    }

    /// A directory in which the image has `names` and `nodes`.
    pub(super) fn merged(entry: Entry, names: Names, nodes: Vec<Vec<u8>>) -> Self {
        Self { entry, is_written: false, is_merged: true, names, next_name: 0, nodes, next_node: 0 }
    }

    pub(super) fn path(&self) -> &[u8] {
        &self.entry.path
    }

    pub(super) fn is_merged(&self) -> bool {
        self.is_merged
    }

    /// The member, the first time.
    pub(super) fn write(&mut self) -> Option<&Entry> {
        let is_first = !std::mem::replace(&mut self.is_written, true);
        is_first.then_some(&self.entry)
    }

    /// The path of the next thing that the image has here, if that comes before
    /// `limit`; it is done then.
    pub(super) fn next_before(&mut self, limit: Option<&[u8]>) -> Option<Vec<u8>> {
        let name = self.names.get(self.next_name).map(OsStr::as_bytes);
        let node = self.nodes.get(self.next_node).map(Vec::as_slice);
        let next = match (name, node) {
            (Some(name), Some(node)) => name.min(node),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => return None,
        };
        if limit.is_some_and(|limit| next >= limit) {
            return None;
        }
        let path = match self.entry.path.as_slice() {
            b"" => next.to_vec(),
            dir => [dir, b"/", next].concat(),
        };
        let (is_name, is_node) = (name == Some(next), node == Some(next));
        self.next_name += usize::from(is_name);
        self.next_node += usize::from(is_node);
        Some(path)
    }

    /// What the image has as `name`, which is done then; all before it is.
    pub(super) fn take(&mut self, name: &[u8]) -> Has {
        let has_node = self.nodes.get(self.next_node).is_some_and(|node| node == name);
        let has_name = self.names.get(self.next_name).is_some_and(|found| found.as_bytes() == name);
        self.next_node += usize::from(has_node);
        self.next_name += usize::from(has_name);
        match (has_name, has_node) {
            (_, true) => Has::Node,
            (true, false) => Has::Name,
            (false, false) => Has::Nothing,
        }
    }
}
