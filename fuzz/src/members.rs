//! Any members become a canonical tar, and come back from it.

use envbox::fs::Timestamp;
use envbox::image::{
    Attributes, Entry, EntryKind, Segment, SparseMap, TarReader, Xattrs, write_members,
};

/// The most members of one input, so that a short one does not make a long tar.
const MEMBERS: usize = 64;

/// What is written of any members is read as the same members.
pub fn canonical(input: &[u8]) {
    let mut bytes = Bytes(input);
    let mut members = Vec::new();
    while !bytes.0.is_empty() && members.len() < MEMBERS {
        members.push(member(&mut bytes));
    }
    let written = write_members(&members);
    let mut reader = TarReader::new(&written[..]);
    for (entry, data) in &members {
        let found = reader.next_entry().expect("a canonical tar").expect("one more member");
        assert_eq!(found, *entry);
        let mut read = Vec::new();
        let mut take = |_, piece: &[u8]| {
            read.extend_from_slice(piece);
            Ok(())
        };
        reader.copy_data(&mut take).expect("data");
        assert_eq!(read, *data);
    }
    assert_eq!(reader.next_entry().expect("an end"), None);
    assert!(reader.has_end_marker() && !reader.has_more());
}

/// A tar of plain files.
pub fn tar_of(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let member = |(path, data): &(String, Vec<u8>)| {
        let kind = EntryKind::Regular { size: data.len() as u64, sparse: None };
        let attributes = Attributes { mode: 0o644, ..Attributes::default() };
        (Entry { path: path.clone().into(), kind, attributes }, data.clone())
    };
    write_members(&files.iter().map(member).collect::<Vec<_>>())
}

/// An input as a source of values; at its end all of them are zero.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    /// A number of up to eight bytes; a first byte says how many, so that small
    /// ones are common.
    fn number(&mut self) -> u64 {
        let length = self.byte() % 9;
        (0..length).fold(0, |sum, _| (sum << 8) | u64::from(self.byte()))
    }

    /// At most `limit` bytes.
    fn bytes(&mut self, limit: u64) -> Vec<u8> {
        let length = (self.number() % (limit + 1)).min(self.0.len() as u64);
        let (bytes, rest) = self.0.split_at(length as usize);
        self.0 = rest;
        bytes.to_vec()
    }

    /// A name, and as many times as `repeated` says: the input need not be as
    /// long as the longest path.
    fn path(&mut self, limit: usize) -> Vec<u8> {
        let mut name = self.bytes(255);
        name.retain(|&byte| byte != 0 && byte != b'/');
        if matches!(name[..], [] | [b'.'] | [b'.', b'.']) {
            name = b"n".to_vec();
        }
        let repeated = (usize::from(self.byte()) + 1).min((limit + 1) / (name.len() + 1));
        vec![name; repeated.max(1)].join(&b'/')
    }
}

fn member(bytes: &mut Bytes<'_>) -> (Entry, Vec<u8>) {
    let choice = bytes.byte();
    let mut path = bytes.path(4096);
    let (kind, data) = match choice % 8 {
        0 => {
            let data = bytes.bytes(4096);
            (EntryKind::Regular { size: data.len() as u64, sparse: None }, data)
        }
        1 => sparse(bytes),
        2 => (EntryKind::Symlink { target: bytes.path(4095) }, Vec::new()),
        3 => (EntryKind::HardLink { target: bytes.path(4096) }, Vec::new()),
        4 => (device(bytes, EntryKind::CharDevice), Vec::new()),
        5 => (device(bytes, EntryKind::BlockDevice), Vec::new()),
        6 => (EntryKind::Fifo, Vec::new()),
        _ => (EntryKind::Directory, Vec::new()),
    };
    if kind == EntryKind::Directory && choice & 0x80 != 0 {
        path.clear();
    }
    let mut attributes = attributes(bytes);
    if matches!(kind, EntryKind::Symlink { .. }) {
        attributes.mode = 0o777;
    }
    (Entry { path, kind, attributes }, data)
}

fn device(bytes: &mut Bytes<'_>, kind: impl Fn(u32, u32) -> EntryKind) -> EntryKind {
    kind((bytes.number() & 0xfff) as u32, (bytes.number() & 0xf_ffff) as u32)
}

/// A file with holes, and what is between them.
fn sparse(bytes: &mut Bytes<'_>) -> (EntryKind, Vec<u8>) {
    let (mut segments, mut size, mut all) = (Vec::new(), 0, Vec::new());
    for _ in 0..bytes.byte() % 16 {
        let offset = size + (bytes.number() >> 8);
        if offset > i64::MAX as u64 / 2 {
            break;
        }
        let data = bytes.bytes(600);
        segments.push(Segment { offset, length: data.len() as u64 });
        size = offset + data.len() as u64;
        all.extend(data);
    }
    (EntryKind::Regular { size, sparse: Some(SparseMap { segments }) }, all)
}

fn attributes(bytes: &mut Bytes<'_>) -> Attributes {
    let id = |number: u64| (number as u32).min(u32::MAX - 1);
    let mut xattrs = Xattrs::new();
    for _ in 0..bytes.byte() % 4 {
        let mut name = [b"user.".to_vec(), bytes.bytes(250)].concat();
        name.retain(|&byte| byte != 0 && byte != b'=');
        xattrs.insert(name, bytes.bytes(4096));
    }
    let seconds = bytes.number().cast_signed();
    let nanoseconds = (bytes.number() % 1_000_000_000) as u32;
    Attributes {
        mode: (bytes.number() & 0o7777) as u32,
        uid: id(bytes.number()),
        gid: id(bytes.number()),
        mtime: Timestamp { seconds, nanoseconds },
        xattrs,
    }
}
