//! The canonical form of a layer: the one sequence of bytes that a tree has as
//! a tar. `docs/layers.md` states it for people; this file and `walk` are it.
//!
//! - Members come depth first, a directory before what is in it, the names of
//!   a directory in byte order; the first is the root, `./`. Other paths have
//!   no leading `./`, directories end in a slash.
//! - Headers are ustar: numeric owners only (`uname`, `gname` empty), device
//!   numbers for devices and 0 for all others, the mode's `07777` bits,
//!   typeflags 0 to 6. Symbolic links have mode 0777. The `prefix` field is
//!   never used.
//! - A PAX header (`x`, named `PaxHeaders/0`, mode 0644, owner and time 0)
//!   stands before a member only if a value does not fit: `path` and
//!   `linkpath` longer than 100 bytes, `uid` and `gid` above 2,097,151, `size`
//!   above 8 GiB - 1, `mtime` with nanoseconds, before 1970 or past 33 bits.
//!   Records are sorted by key. Names that fit stay raw whatever their bytes.
//!   What does not fit its ustar field is cut (names) or 0 (numbers) there.
//! - Extended attributes are `SCHILY.xattr.NAME` records with raw values.
//! - The first name of a regular file or symbolic link in this order carries
//!   its data; later ones are hard links (`1`) to it with the same attributes
//!   and size 0. Devices and FIFOs have nothing to share: each name of one
//!   stands for itself, as GNU tar has it.
//! - A file with holes (see `sparse` for what a hole is) has the PAX 1.0 sparse
//!   form: `GNU.sparse.major`, `.minor`, `.name`, `.realsize`; its ustar name
//!   is `GNUSparseFile.0/` and its path; the map is the start of the data,
//!   padded to 512 bytes. The map ends with a segment of length 0 at the
//!   file's end if the file ends with a hole.
//! - Two blocks of zeros end the archive, and nothing follows.
//!
//! It knows nothing of files: it encodes an [`Entry`].

use tar::{EntryType, Header};

use crate::fs::Timestamp;

use super::entry::{Attributes, Entry, EntryKind, SparseMap};
use super::pax::{self, Records};

/// A tar block, in bytes.
pub(super) const BLOCK: usize = 512;
/// What ends an archive.
pub(super) const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

const NAME_MAX: usize = 100;
const ID_MAX: u64 = 0o7_777_777;
const SIZE_MAX: u64 = 0o77_777_777_777;

/// Appends everything of `entry` that stands before its data: the PAX header
/// if it needs one, the header, and the map of a sparse file.
pub(super) fn encode(entry: &Entry, out: &mut Vec<u8>) {
    let map = sparse_of(entry).map(encode_map);
    let name = tar_name(entry);
    let stored = map.as_ref().map_or(0, |map| map.len() as u64) + data_size(entry);
    let records = records(entry, &name, stored);
    if !records.is_empty() {
        encode_pax(&records, out);
    }
    let mut header = Header::new_ustar();
    fill(&mut header, &entry.attributes, stored);
    set_name(&mut header, &name);
    set_kind(&mut header, &entry.kind);
    seal(header, out);
    out.extend(map.unwrap_or_default());
}

/// The canonical tar of `members`, each with its data, in the order they have:
/// what [`write_tree`](super::write_tree) would write of such a tree. Only the
/// fuzz targets come by it, who have no tree.
#[doc(hidden)]
pub fn write_members(members: &[(Entry, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (entry, data) in members {
        encode(entry, &mut out);
        out.extend_from_slice(data);
        out.resize(out.len() + padding(data.len() as u64), 0);
    }
    out.extend_from_slice(&END);
    out
}

/// How many bytes of data follow what [`encode`] wrote, padding not counted.
pub(super) fn data_size(entry: &Entry) -> u64 {
    match &entry.kind {
        EntryKind::Regular { sparse: Some(map), .. } => map.data_size(),
        EntryKind::Regular { size, .. } => *size,
        _ => 0,
    }
}

/// How many zeros fill the last block of `size` bytes of data.
pub(super) fn padding(size: u64) -> usize {
    // Less than a block, so it fits.
    (size.next_multiple_of(BLOCK as u64) - size) as usize
}

fn sparse_of(entry: &Entry) -> Option<&SparseMap> {
    match &entry.kind {
        EntryKind::Regular { sparse, .. } => sparse.as_ref(),
        _ => None,
    }
}

fn tar_name(entry: &Entry) -> Vec<u8> {
    if sparse_of(entry).is_some() {
        return [b"GNUSparseFile.0/", entry.path.as_slice()].concat();
    }
    match entry.kind {
        EntryKind::Directory if entry.path.is_empty() => b"./".to_vec(),
        EntryKind::Directory => [entry.path.as_slice(), b"/"].concat(),
        _ => entry.path.clone(),
    }
}

fn records(entry: &Entry, name: &[u8], stored: u64) -> Records {
    let mut records = Records::new();
    let mut add = |key: &str, value: Vec<u8>| {
        records.insert(key.as_bytes().to_vec(), value);
    };
    let attributes = &entry.attributes;
    match &entry.kind {
        // `GNU.sparse.name` is the name; a `path` beside it would win over it
        // in some readers.
        EntryKind::Regular { size, sparse: Some(_) } => {
            add("GNU.sparse.major", b"1".to_vec());
            add("GNU.sparse.minor", b"0".to_vec());
            add("GNU.sparse.name", entry.path.clone());
            add("GNU.sparse.realsize", decimal(*size));
        }
        _ if name.len() > NAME_MAX => add("path", name.to_vec()),
        _ => {}
    }
    if let EntryKind::Symlink { target } | EntryKind::HardLink { target } = &entry.kind
        && target.len() > NAME_MAX
    {
        add("linkpath", target.clone());
    }
    if u64::from(attributes.uid) > ID_MAX {
        add("uid", decimal(attributes.uid.into()));
    }
    if u64::from(attributes.gid) > ID_MAX {
        add("gid", decimal(attributes.gid.into()));
    }
    if stored > SIZE_MAX {
        add("size", decimal(stored));
    }
    if attributes.mtime.nanoseconds != 0 || short_time(attributes.mtime).is_none() {
        add("mtime", pax::encode_time(attributes.mtime).into_bytes());
    }
    for (key, value) in &attributes.xattrs {
        records.insert([b"SCHILY.xattr.", key.as_slice()].concat(), value.clone());
    }
    records
}

fn decimal(number: u64) -> Vec<u8> {
    number.to_string().into_bytes()
}

/// The seconds of `time` if the ustar field can hold them.
fn short_time(time: Timestamp) -> Option<u64> {
    u64::try_from(time.seconds).ok().filter(|&seconds| seconds <= SIZE_MAX)
}

fn encode_pax(records: &Records, out: &mut Vec<u8>) {
    let mut body = Vec::new();
    pax::encode(records, &mut body);
    let mut header = Header::new_ustar();
    let attributes = Attributes { mode: 0o644, ..Attributes::default() };
    fill(&mut header, &attributes, body.len() as u64);
    set_name(&mut header, b"PaxHeaders/0");
    header.set_entry_type(EntryType::XHeader);
    seal(header, out);
    let fill = padding(body.len() as u64);
    out.extend(body);
    out.resize(out.len() + fill, 0);
}

fn encode_map(map: &SparseMap) -> Vec<u8> {
    let mut text = format!("{}\n", map.segments.len()).into_bytes();
    for segment in &map.segments {
        text.extend(format!("{}\n{}\n", segment.offset, segment.length).bytes());
    }
    let fill = padding(text.len() as u64);
    text.resize(text.len() + fill, 0);
    text
}

fn fill(header: &mut Header, attributes: &Attributes, size: u64) {
    let or_zero = |value: u64, limit: u64| if value > limit { 0 } else { value };
    let old = header.as_old_mut();
    octal(&mut old.mode, u64::from(attributes.mode & 0o7777));
    octal(&mut old.uid, or_zero(attributes.uid.into(), ID_MAX));
    octal(&mut old.gid, or_zero(attributes.gid.into(), ID_MAX));
    octal(&mut old.size, or_zero(size, SIZE_MAX));
    octal(&mut old.mtime, short_time(attributes.mtime).unwrap_or(0));
    set_devices(header, (0, 0));
}

fn set_name(header: &mut Header, name: &[u8]) {
    copy_cut(&mut header.as_old_mut().name, name);
}

fn set_kind(header: &mut Header, kind: &EntryKind) {
    let typeflag = match kind {
        EntryKind::Regular { .. } => EntryType::Regular,
        EntryKind::HardLink { .. } => EntryType::Link,
        EntryKind::Symlink { .. } => EntryType::Symlink,
        EntryKind::CharDevice(..) => EntryType::Char,
        EntryKind::BlockDevice(..) => EntryType::Block,
        EntryKind::Directory => EntryType::Directory,
        EntryKind::Fifo => EntryType::Fifo,
    };
    header.set_entry_type(typeflag);
    match kind {
        EntryKind::Symlink { target } => {
            octal(&mut header.as_old_mut().mode, 0o777);
            copy_cut(&mut header.as_old_mut().linkname, target);
        }
        EntryKind::HardLink { target } => copy_cut(&mut header.as_old_mut().linkname, target),
        EntryKind::CharDevice(major, minor) | EntryKind::BlockDevice(major, minor) => {
            set_devices(header, (*major, *minor));
        }
        _ => {}
    }
}

fn set_devices(header: &mut Header, (major, minor): (u32, u32)) {
    if let Some(ustar) = header.as_ustar_mut() {
        octal(&mut ustar.dev_major, major.into());
        octal(&mut ustar.dev_minor, minor.into());
    }
}

/// Adds the checksum, in the historical form: six digits, NUL, space.
fn seal(mut header: Header, out: &mut Vec<u8>) {
    header.as_old_mut().cksum = [b' '; 8];
    let sum = header.as_bytes().iter().map(|&byte| u64::from(byte)).sum();
    octal(&mut header.as_old_mut().cksum[..7], sum);
    out.extend_from_slice(header.as_bytes());
}

/// Fills `field` with octal digits and a NUL; the value fits.
fn octal(field: &mut [u8], value: u64) {
    let mut rest = value;
    if let Some((last, digits)) = field.split_last_mut() {
        *last = 0;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (rest & 7) as u8;
            rest >>= 3;
        }
    }
}

fn copy_cut(field: &mut [u8], bytes: &[u8]) {
    let length = bytes.len().min(field.len());
    field[..length].copy_from_slice(&bytes[..length]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(path: &[u8], kind: EntryKind) -> Entry {
        let attributes = Attributes { mode: 0o755, ..Attributes::default() };
        Entry { path: path.to_vec(), kind, attributes }
    }

    #[test]
    fn root_is_the_plainest_ustar_header() {
        let mut out = Vec::new();
        encode(&plain(b"", EntryKind::Directory), &mut out);
        assert_eq!(out.len(), BLOCK);
        assert!(out.starts_with(b"./\0"));
        assert_eq!(
            &out[100..156],
            b"0000755\x000000000\x000000000\x0000000000000\x0000000000000\x00007342\0 "
        );
        assert_eq!(&out[156..157], b"5");
        assert_eq!(&out[257..265], b"ustar\x0000");
        assert!(out[265..329].iter().all(|&byte| byte == 0));
        assert_eq!(&out[329..345], b"0000000\x000000000\0");
        assert!(out[345..].iter().all(|&byte| byte == 0));
    }

    #[test]
    fn pax_appears_only_past_the_limits() {
        let blocks = |change: &dyn Fn(&mut Entry)| {
            let mut entry =
                plain(&[b'n'; 100], EntryKind::Regular { size: SIZE_MAX, sparse: None });
            entry.attributes.uid = 2_097_151;
            entry.attributes.mtime.seconds = 8_589_934_591;
            change(&mut entry);
            let mut out = Vec::new();
            encode(&entry, &mut out);
            out.len() / BLOCK
        };
        assert_eq!(blocks(&|_| ()), 1);
        assert_eq!(blocks(&|entry| entry.path.push(b'n')), 3);
        assert_eq!(blocks(&|entry| entry.attributes.uid += 1), 3);
        assert_eq!(blocks(&|entry| entry.attributes.gid = u32::MAX), 3);
        assert_eq!(blocks(&|entry| entry.attributes.mtime.nanoseconds = 1), 3);
        assert_eq!(blocks(&|entry| entry.attributes.mtime.seconds = -1), 3);
        assert_eq!(blocks(&|entry| entry.attributes.mtime.seconds += 1), 3);
        let larger = EntryKind::Regular { size: SIZE_MAX + 1, sparse: None };
        assert_eq!(blocks(&|entry| entry.kind = larger.clone()), 3);
    }
}
