//! Small trees at random, as values, so that they can be changed and written.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::Path;

use crate::fs::{Dir, FileKind, Timestamp, offer_xattr};

/// xorshift64*.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) % limit
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Looks {
    mode: u32,
    mtime: Timestamp,
    xattr: Option<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Directory(Looks),
    /// One of the tree's files, by number.
    File(u64),
    Symlink(u8, Looks),
    Fifo(Looks),
}

/// A tree: paths without the root, and the content of its files.
#[derive(Clone, Debug)]
pub(super) struct Spec {
    nodes: BTreeMap<String, Node>,
    files: BTreeMap<u64, (u8, Looks)>,
}

impl Spec {
    pub(super) fn any(random: &mut Random) -> Self {
        let mut spec = Self { nodes: BTreeMap::new(), files: BTreeMap::new() };
        // A tree must not be empty.
        spec.add("keep".into(), random);
        for _ in 0..random.below(24) {
            let path = spec.path(random);
            spec.add(path, random);
        }
        for _ in 0..2 {
            let path = spec.path(random);
            spec.copy(&path);
        }
        spec
    }

    /// Changes one thing.
    pub(super) fn change(&mut self, random: &mut Random) {
        let path = self.path(random);
        match random.below(6) {
            0 => self.remove(&path),
            1 => self.look(&path, random),
            2 => self.copy(&path),
            3 => self.join(),
            _ => self.add(path, random),
        }
    }

    /// Makes a name of a file a file of its own, with all that the other has.
    fn copy(&mut self, path: &str) {
        if let Some(Node::File(number)) = self.nodes.get_mut(path) {
            let next = self.files.len() as u64;
            self.files.insert(next, self.files[number].clone());
            *number = next;
        }
    }

    /// Makes files that are alike names of one.
    fn join(&mut self) {
        for node in self.nodes.values_mut() {
            let Node::File(number) = node else { continue };
            let file = &self.files[number];
            let first = self.files.iter().find(|(_, other)| *other == file);
            *number = first.map_or(*number, |(first, _)| *first);
        }
    }

    /// A name in the root or in some directory of the tree, there or not.
    fn path(&self, random: &mut Random) -> String {
        let directories: Vec<&String> = self
            .nodes
            .iter()
            .filter(|(_, node)| matches!(node, Node::Directory(_)))
            .map(|(path, _)| path)
            .collect();
        // Names whose order is not that of the bytes of their paths.
        let name = ["a", "b", "b-", "c", "c.d"][random.below(5) as usize];
        match random.below(directories.len() as u64 + 1) {
            0 => name.into(),
            at => format!("{}/{name}", directories[at as usize - 1]),
        }
    }

    fn remove(&mut self, path: &str) {
        let below = format!("{path}/");
        self.nodes.retain(|other, _| other != path && !other.starts_with(&below));
    }

    fn add(&mut self, path: String, random: &mut Random) {
        self.remove(&path);
        let others: Vec<u64> = self.files.keys().copied().collect();
        let node = match random.below(8) {
            0..=2 => Node::Directory(looks(random)),
            3 => Node::Symlink(random.below(3) as u8, looks(random)),
            4 if random.below(3) == 0 => Node::Fifo(looks(random)),
            5 | 6 if !others.is_empty() => {
                Node::File(others[random.below(others.len() as u64) as usize])
            }
            _ => {
                let number = others.last().map_or(0, |last| last + 1);
                self.files.insert(number, (content(random), looks(random)));
                Node::File(number)
            }
        };
        self.nodes.insert(path, node);
    }

    fn look(&mut self, path: &str, random: &mut Random) {
        match self.nodes.get_mut(path) {
            Some(Node::Directory(old) | Node::Symlink(_, old) | Node::Fifo(old)) => {
                *old = looks(random);
            }
            Some(Node::File(number)) => {
                if let Some(file) = self.files.get_mut(number) {
                    *file = (content(random), looks(random));
                }
            }
            None => {}
        }
    }

    pub(super) fn write(&self, root: &Path) {
        std::fs::create_dir(root).unwrap();
        let mut first: BTreeMap<u64, &String> = BTreeMap::new();
        for (path, node) in &self.nodes {
            let full = root.join(path);
            let dir = Dir::open(full.parent().unwrap()).unwrap();
            let name = full.file_name().unwrap();
            match node {
                Node::Directory(_) => std::fs::create_dir(&full).unwrap(),
                Node::Symlink(target, _) => symlink(format!("to{target}"), &full).unwrap(),
                Node::Fifo(_) => dir.create_node(name, FileKind::Fifo, (0, 0)).unwrap(),
                Node::File(number) => match first.get(number) {
                    Some(first) => std::fs::hard_link(root.join(first), &full).unwrap(),
                    None => {
                        fill(&full, self.files[number].0);
                        first.insert(*number, path);
                    }
                },
            }
        }
        for (path, node) in self.nodes.iter().rev() {
            let looks = match node {
                Node::Directory(looks) | Node::Symlink(_, looks) | Node::Fifo(looks) => looks,
                Node::File(number) => &self.files[number].1,
            };
            look(&root.join(path), node, looks);
        }
        let above = Dir::open(root.parent().unwrap()).unwrap();
        above.set_mtime(root.file_name().unwrap(), Timestamp::from_seconds(5)).unwrap();
    }
}

/// Those with holes are large, and so rare.
fn content(random: &mut Random) -> u8 {
    match random.below(24) as u8 {
        large @ 5..=6 => large,
        any => any % 5,
    }
}

fn looks(random: &mut Random) -> Looks {
    let mode = [0o755, 0o700, 0o1777][random.below(3) as usize];
    let nanoseconds = [0, 0, 1][random.below(3) as usize];
    let mtime = Timestamp { seconds: random.below(2) as i64, nanoseconds };
    Looks { mode, mtime, xattr: (random.below(5) == 0).then(|| random.below(2) as u8) }
}

/// Content that is alike in size, and differs at its start or its end or in
/// where its holes are.
fn fill(path: &Path, content: u8) {
    let file = std::fs::File::create_new(path).unwrap();
    let put = |offset, bytes: &[u8]| file.write_all_at(bytes, offset).unwrap();
    match content {
        0 => {}
        1 => put(0, b"short"),
        2 => put(0, b"sh0rt"),
        3 | 4 => {
            put(0, &[b'x'; 300_000]);
            put(299_999, &[content]);
        }
        _ => {
            put(2 << 20, b"end");
            put(if content == 5 { 0 } else { 1 << 20 }, &[content.max(6)]);
        }
    }
}

fn look(path: &Path, node: &Node, looks: &Looks) {
    let dir = Dir::open(path.parent().unwrap()).unwrap();
    let name = path.file_name().unwrap();
    if let (Some(value), Node::Directory(_) | Node::File(_)) = (looks.xattr, node) {
        // Not all file systems take it.
        let _ = offer_xattr(&dir, name, (OsStr::new("user.x"), &[value])).unwrap();
    }
    if !matches!(node, Node::Symlink(..)) {
        std::fs::set_permissions(path, PermissionsExt::from_mode(looks.mode)).unwrap();
    }
    dir.set_mtime(name, looks.mtime).unwrap();
}
