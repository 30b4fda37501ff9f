//! A layer of an image as overlayfs stacks it, by the rules of `apply`'s
//! `diff`: a whiteout hides what is below the layer, never what is in it, and
//! stands in no directory that is merged with none below.

use std::os::unix::ffi::OsStrExt;

use crate::error::Result;
use crate::image::apply::Whiteout;
use crate::image::entry::{Attributes, Entry, split};

use super::lower::{self, Found};
use super::member::{Indexer, implicit};
use super::tree::{Node, ROOT};

impl Indexer<'_> {
    /// Does what `entry` asks for, if its name is a whiteout's; tells whether
    /// it is.
    pub(super) fn whiteout(&mut self, entry: &Entry) -> Result<bool> {
        let Some(whiteout) = Whiteout::parse(entry)? else { return Ok(false) };
        let (parent, _) = split(&entry.path);
        match whiteout {
            Whiteout::Of(name) => self.hide(parent, name, &entry.path)?,
            Whiteout::Opaque => self.make_opaque(parent, &entry.path)?,
            Whiteout::Meta => {}
        }
        Ok(true)
    }

    /// Hides `name` of the directory `parent` that is below, as `member` asks.
    fn hide(&mut self, parent: &[u8], name: &[u8], member: &[u8]) -> Result<()> {
        let path = join(parent, name);
        if self.below(&path)?.is_none() {
            return Ok(());
        }
        let directory = self.enter(parent, member)?;
        match self.tree.find(directory, name).map(|inode| self.tree.node(inode)) {
            None => {
                let inode = self.tree.add(Node::Whiteout, &Attributes::default())?;
                self.tree.put(directory, name, inode)
            }
            Some(Node::Directory { .. }) => self.make_opaque(&path, member),
            // What is there hides as well.
            Some(_) => Ok(()),
        }
    }

    fn make_opaque(&mut self, path: &[u8], member: &[u8]) -> Result<()> {
        if path.is_empty() {
            // overlayfs has no opaque root. What was hidden once stays hidden.
            if std::mem::replace(&mut self.root_is_hidden, true) {
                return Ok(());
            }
            if let Some(names) = lower::root_names(self.level)? {
                for name in names.iter() {
                    self.hide(b"", name.as_bytes(), member)?;
                }
            }
            return Ok(());
        }
        if !self.below(path)?.is_some_and(|found| found.is_directory()) {
            return Ok(());
        }
        let directory = self.enter(path, member)?;
        let inode = &mut self.tree.inodes[directory as usize];
        if !std::mem::replace(&mut inode.is_opaque, true) {
            self.drop_whiteouts(directory);
        }
        Ok(())
    }

    /// Removes the whiteouts in `directory` and below: it hides everything by
    /// itself.
    fn drop_whiteouts(&mut self, directory: u32) {
        let mut pending = vec![directory];
        while let Some(directory) = pending.pop() {
            let names: Vec<u32> = self.tree.children(directory).collect();
            for name in names {
                let inode = self.tree.names[name as usize].inode;
                match &mut self.tree.inodes[inode as usize].node {
                    Node::Whiteout => self.tree.names[name as usize].inode = super::tree::NONE,
                    Node::Aside(hides) => *hides = false,
                    Node::Directory { .. } => pending.push(inode),
                    _ => {}
                }
            }
        }
    }

    /// What is seen of `path` below this layer, by who sees through the layer
    /// as it is now; what the layer itself has at `path` hides nothing but as
    /// a whiteout.
    pub(super) fn below(&self, path: &[u8]) -> Result<Option<Found>> {
        let mut own = Some(ROOT);
        let mut names = path.split(|&byte| byte == b'/').peekable();
        while let (Some(directory), Some(name)) = (own, names.next()) {
            let is_last = names.peek().is_none();
            own = self.tree.find(directory, name);
            let Some(inode) = own.map(|inode| self.tree.inodes[inode as usize]) else { break };
            let shows = match inode.node {
                Node::Directory { .. } => is_last || !inode.is_opaque,
                Node::Whiteout | Node::Aside(true) => false,
                _ => is_last,
            };
            if !shows {
                return Ok(None);
            }
        }
        lower::find(self.level, path)
    }

    /// What the root looks like if no member says it.
    pub(super) fn root_looks(&self) -> Result<Attributes> {
        match lower::find(self.level, b"")? {
            Some(root) => root.attributes(),
            None => Ok(implicit()),
        }
    }
}

fn join(parent: &[u8], name: &[u8]) -> Vec<u8> {
    let slash: &[u8] = if parent.is_empty() { b"" } else { b"/" };
    [parent, slash, name].concat()
}
