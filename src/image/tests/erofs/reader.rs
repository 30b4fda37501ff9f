//! A small reader of the image, for what holds of any tar and needs no mount:
//! it finds everything again as the kernel would, and strictly.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::contract::archive;
use super::*;
use crate::image::{Attributes, Entry, EntryKind, Segment, SparseMap};

struct Image {
    index: Vec<u8>,
    tar: Vec<u8>,
}

struct Inode {
    at: usize,
    layout: u16,
    xattrs: usize,
    mode: u16,
    size: usize,
    union: u32,
    links: u32,
}

fn number(bytes: &[u8], at: usize, length: usize) -> u64 {
    bytes[at..at + length].iter().rev().fold(0, |sum, &byte| (sum << 8) | u64::from(byte))
}

impl Image {
    fn of(tar: Vec<u8>) -> Self {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("index");
        index(&tar, &path, Level::Whole).unwrap();
        let image = Self { index: std::fs::read(path).unwrap(), tar };
        assert_eq!(image.at(1024, 4), 0xe0f5_e1e2);
        // The number of blocks, and the tar's.
        assert_eq!(image.at(1024 + 36, 4) as usize * 512, image.index.len());
        assert_eq!(image.at(1024 + 192, 4) as usize * 512, image.tar.len());
        image
    }

    fn at(&self, at: usize, length: usize) -> u64 {
        number(&self.index, at, length)
    }

    fn inode(&self, place: u64) -> Inode {
        let at = self.at(1024 + 40, 4) as usize * 512 + place as usize * 32;
        let format = self.at(at, 2) as u16;
        assert_eq!(format & 1, 1, "not extended");
        assert_eq!(at / 512, (at + 63) / 512, "an inode is cut");
        let units = self.at(at + 2, 2) as usize;
        Inode {
            at,
            layout: format >> 1,
            xattrs: if units == 0 { 0 } else { 12 + 4 * (units - 1) },
            mode: self.at(at + 4, 2) as u16,
            size: self.at(at + 8, 8) as usize,
            union: self.at(at + 16, 4) as u32,
            links: self.at(at + 44, 4) as u32,
        }
    }

    fn content(&self, inode: &Inode) -> Vec<u8> {
        let behind = inode.at + 64 + inode.xattrs;
        let block = inode.union as usize * 512;
        match inode.layout {
            0 => self.index[block..block + inode.size].to_vec(),
            2 => {
                let whole = inode.size / 512 * 512;
                let tail = behind..behind + inode.size - whole;
                assert_eq!(tail.start / 512, (tail.end - 1) / 512, "a tail is cut");
                [&self.index[block..block + whole], &self.index[tail]].concat()
            }
            4 => self.chunks(inode, behind.next_multiple_of(8)),
            other => panic!("layout {other}"),
        }
    }

    fn chunks(&self, inode: &Inode, table: usize) -> Vec<u8> {
        let length = 512 << (inode.union & 0x1f);
        let mut content = Vec::new();
        for chunk in 0..inode.size.div_ceil(length) {
            let (device, block) =
                (self.at(table + chunk * 8 + 2, 2), self.at(table + chunk * 8 + 4, 4));
            let end = inode.size.min(content.len() + length);
            let count = end - content.len();
            if block != u64::from(u32::MAX) {
                let source = if device == 1 { &self.tar } else { &self.index };
                content.extend_from_slice(&source[block as usize * 512..][..count]);
            }
            content.resize(end, 0);
        }
        content
    }

    /// All paths, and what is there.
    fn walk(&self) -> BTreeMap<Vec<u8>, (u64, Inode)> {
        let root = self.at(1024 + 14, 2);
        let mut found = BTreeMap::new();
        let mut pending = vec![(Vec::new(), root, root)];
        while let Some((path, place, parent)) = pending.pop() {
            let inode = self.inode(place);
            if inode.mode & 0o170_000 == 0o040_000 {
                let names = names(&self.content(&inode));
                assert!(names.is_sorted_by(|a, b| a.0 < b.0), "names are not in order");
                for (name, below, sort) in names {
                    match &name[..] {
                        b"." => assert_eq!((below, sort), (place, 2)),
                        b".." => assert_eq!((below, sort), (parent, 2)),
                        _ if path.is_empty() => pending.push((name, below, place)),
                        _ => pending.push(([&path, &b"/"[..], &name].concat(), below, place)),
                    }
                }
            }
            found.insert(path, (place, inode));
        }
        found
    }
}

/// The names in a directory with their places and sorts.
fn names(content: &[u8]) -> Vec<(Vec<u8>, u64, u8)> {
    let mut names = Vec::new();
    for block in content.chunks(512) {
        let count = number(block, 8, 2) as usize / 12;
        for index in 0..count {
            let start = number(block, index * 12 + 8, 2) as usize;
            let end = match index + 1 < count {
                true => number(block, (index + 1) * 12 + 8, 2) as usize,
                false => {
                    let rest = &block[start..];
                    start + rest.iter().position(|&byte| byte == 0).unwrap_or(rest.len())
                }
            };
            names.push((
                block[start..end].to_vec(),
                number(block, index * 12, 8),
                block[index * 12 + 10],
            ));
        }
    }
    names
}

fn member(path: String, kind: EntryKind) -> Entry {
    Entry {
        path: path.into_bytes(),
        kind,
        attributes: Attributes { mode: 0o640, ..Attributes::default() },
    }
}

/// Sparse maps of at most 200,000 bytes.
fn maps() -> impl Strategy<Value = (u64, Vec<(u64, u64)>)> {
    let unit = prop::sample::select(vec![1_u64, 512, 4096]);
    let steps = prop::collection::vec((0_u64..20, 1_u64..20), 0..6);
    (unit, steps, 0_u64..5000).prop_map(|(unit, steps, rest)| {
        let mut at = 0;
        let mut segments = Vec::new();
        for (skip, length) in steps {
            segments.push((at + skip * unit, length * unit));
            at += (skip + length) * unit;
        }
        (at + rest, segments)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn content_is_found_wherever_it_lies(maps in prop::collection::vec(maps(), 1..5)) {
        let members: Vec<Entry> = maps.iter().enumerate().map(|(number, (size, segments))| {
            let segments = segments
                .iter()
                .map(|&(offset, length)| Segment { offset, length })
                .collect();
            let sparse = Some(SparseMap { segments });
            member(format!("f{number}"), EntryKind::Regular { size: *size, sparse })
        }).collect();
        let tar = archive(&members);
        let mut expected = BTreeMap::new();
        let mut reader = TarReader::new(tar.as_slice());
        while let Some(entry) = reader.next_entry().unwrap() {
            let EntryKind::Regular { size, .. } = entry.kind else { unreachable!() };
            let mut content = vec![0; size as usize];
            reader.copy_data(&mut |offset, bytes| {
                content[offset as usize..][..bytes.len()].copy_from_slice(bytes);
                Ok(())
            }).unwrap();
            expected.insert(entry.path, content);
        }
        let image = Image::of(tar);
        let found = image.walk();
        prop_assert_eq!(found.len(), expected.len() + 1);
        for (path, content) in expected {
            prop_assert!(image.content(&found[&path].1) == content);
        }
    }

    #[test]
    fn names_of_any_length_are_found(
        names in prop::collection::btree_set("[!-.0-~]{1,255}", 0..60),
        reverse: bool,
    ) {
        let names: Vec<String> = names
            .into_iter()
            .filter(|name| name != "." && name != ".." && !name.starts_with(".wh."))
            .collect();
        let mut members: Vec<Entry> = names
            .iter()
            .map(|name| member(format!("dir/{name}"), EntryKind::Directory))
            .collect();
        if reverse {
            members.reverse();
        }
        let found = Image::of(archive(&members)).walk();
        let expected = if names.is_empty() { 1 } else { names.len() + 2 };
        prop_assert_eq!(found.len(), expected);
        for name in &names {
            let (_, inode) = &found[format!("dir/{name}").as_bytes()];
            prop_assert_eq!((inode.links, inode.mode), (2, 0o040_640));
        }
        if !names.is_empty() {
            prop_assert_eq!(found[&b"dir"[..]].1.links as usize, 2 + names.len());
        }
    }
}

#[test]
fn links_share_an_inode_that_outlives_its_first_name() {
    let link = |path: &str, target: &str| {
        member(path.into(), EntryKind::HardLink { target: target.into() })
    };
    let file = |path: &str, size| member(path.into(), EntryKind::Regular { size, sparse: None });
    let members =
        [file("a", 700), link("b", "a"), file("a", 3), link("d/c", "b"), link("b", "d/c")];
    let image = Image::of(archive(&members));
    let found = image.walk();
    let (b, c) = (&found[&b"b"[..]], &found[&b"d/c"[..]]);
    assert_eq!((b.0, b.1.links, b.1.size), (c.0, 2, 700));
    assert_eq!((found[&b"a"[..]].1.links, found[&b"a"[..]].1.size), (1, 3));
    assert_eq!(image.content(&b.1), image.tar[512..1212]);
}
