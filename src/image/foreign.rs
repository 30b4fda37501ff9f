//! What a tar header means, in every dialect: its numbers, its names, and the
//! PAX records and GNU long names that override them. Pure: it is given
//! headers and records, and returns an [`Entry`].
//!
//! Where a PAX record and a header disagree the record wins, for the size of
//! the data as well: a reader that takes one for the name and the other for
//! the data can be made to see members that are not there (CVE-2025-62518).
//! A global header may not say what only one member can have.

use std::sync::Arc;

use tar::{EntryType, GnuSparseHeader, Header};

use crate::error::{Context, Error, Result};
use crate::fs::Timestamp;

use super::acl;
use super::entry::{Attributes, Entry, EntryKind, Segment, SparseMap, Xattrs, display};
use super::pax::{self, Records};
use super::read::{PAX_LIMIT, SEGMENT_LIMIT};
use super::walk::PATH_LIMIT;
use super::xattrs::{self, ACL_ACCESS, ACL_DEFAULT};

/// The longest name in a directory: NAME_MAX of every Linux file system that
/// holds root filesystems.
const NAME_LIMIT: usize = 255;
/// The most that global headers may say, in bytes.
const GLOBAL_LIMIT: usize = 64 * 1024;
/// How much of a refused path a message shows, in bytes.
const SHOWN: usize = 300;

/// What came before a member's own header.
pub(super) struct Extensions {
    /// GNU long name.
    pub(super) name: Option<Vec<u8>>,
    /// GNU long link target.
    pub(super) link: Option<Vec<u8>>,
    global: Arc<Records>,
    local: Records,
    /// Of all local records, in bytes.
    size: usize,
    /// The map of GNU sparse 0.0, whose keys repeat.
    repeated: Vec<Vec<u8>>,
}

impl Extensions {
    pub(super) fn new(global: &Arc<Records>) -> Self {
        let (name, link, local, size, repeated) = Default::default();
        Self { name, link, global: Arc::clone(global), local, size, repeated }
    }

    pub(super) fn set_global(&mut self, global: &Arc<Records>) {
        self.global = Arc::clone(global);
    }

    /// Takes in the body of an `x` header; a member may have several.
    pub(super) fn add(&mut self, body: &[u8]) -> Result<()> {
        self.size += body.len();
        if self.size as u64 > PAX_LIMIT {
            let limit = PAX_LIMIT;
            return Err(Error::invalid(format!("a member has more than {limit} bytes of headers")));
        }
        for (key, value) in pax::parse(body)? {
            if matches!(key, b"GNU.sparse.offset" | b"GNU.sparse.numbytes") {
                self.repeated.push(value.to_vec());
            }
            self.local.insert(key.to_vec(), value.to_vec());
        }
        Ok(())
    }

    /// The record `key`; an empty local one takes a global one back.
    fn record(&self, key: &[u8]) -> Option<&[u8]> {
        let value = self.local.get(key).or_else(|| self.global.get(key))?;
        (!value.is_empty()).then_some(value)
    }

    fn number(&self, key: &str) -> Result<Option<u64>> {
        let Some(value) = self.record(key.as_bytes()) else { return Ok(None) };
        pax::decimal(value).map(Some).ok_or_else(|| {
            let value = String::from_utf8_lossy(value);
            Error::invalid(format!("{value:?} is no number for the record {key}"))
        })
    }

    pub(super) fn is_sparse_1(&self) -> bool {
        self.record(b"GNU.sparse.major") == Some(b"1")
    }

    fn is_sparse(&self) -> bool {
        self.is_sparse_1() || self.record(b"GNU.sparse.map").is_some() || !self.repeated.is_empty()
    }

    /// The map of GNU sparse 0.0 or 0.1, which is in the records.
    pub(super) fn sparse_map(&self) -> Result<Option<SparseMap>> {
        let mut numbers: Vec<&[u8]> = self.repeated.iter().map(Vec::as_slice).collect();
        if let Some(map) = self.record(b"GNU.sparse.map") {
            numbers = map.split(|&byte| byte == b',').collect();
        }
        if numbers.is_empty() {
            return Ok(None);
        }
        let bad = || Error::invalid("malformed map of a sparse file");
        let numbers: Option<Vec<u64>> = numbers.into_iter().map(pax::decimal).collect();
        let (pairs, []) = numbers.as_deref().ok_or_else(bad)?.as_chunks::<2>() else {
            return Err(bad());
        };
        let segments = pairs.iter().map(|&[offset, length]| Segment { offset, length }).collect();
        Ok(Some(SparseMap { segments }))
    }

    fn xattrs(&self) -> Result<Xattrs> {
        let mut xattrs = Xattrs::new();
        for (key, value) in &self.local {
            if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                xattrs.insert(name.to_vec(), value.clone());
            } else if let Some(name) = key.strip_prefix(b"LIBARCHIVE.xattr.") {
                let name = acl::url_decoded(name);
                let value = acl::base64_decoded(value)
                    .ok_or_else(|| Error::invalid("malformed LIBARCHIVE.xattr record"))?;
                xattrs.entry(name).or_insert(value);
            }
        }
        for (key, name) in [("SCHILY.acl.access", ACL_ACCESS), ("SCHILY.acl.default", ACL_DEFAULT)]
        {
            if let Some(text) = self.record(key.as_bytes())
                && !xattrs.contains_key(name)
            {
                xattrs.insert(name.to_vec(), acl::parse(text)?);
            }
        }
        if xattrs.get(ACL_ACCESS).is_some_and(|access| acl::is_a_mode(access)) {
            xattrs.remove(ACL_ACCESS);
        }
        if xattrs::size(&xattrs) > xattrs::LIMIT {
            let limit = xattrs::LIMIT;
            return Err(Error::unsupported(format!(
                "it has more than {limit} bytes of extended attributes"
            )));
        }
        Ok(xattrs)
    }
}

/// Takes the body of a `g` header into `records`.
pub(super) fn merge(records: &mut Records, body: &[u8]) -> Result<()> {
    for (key, value) in pax::parse(body)? {
        if is_of_one_member(key) {
            let key = String::from_utf8_lossy(key);
            return Err(Error::invalid(format!(
                "a global header of the archive gives all members the same {key:?}"
            )));
        }
        records.insert(key.to_vec(), value.to_vec());
    }
    if records.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>() > GLOBAL_LIMIT {
        return Err(Error::invalid(format!(
            "the archive has more than {GLOBAL_LIMIT} bytes of global headers"
        )));
    }
    Ok(())
}

/// True for what makes sense for one member only. As a default for all, it
/// would be read by some programs and not by others.
fn is_of_one_member(key: &[u8]) -> bool {
    const PREFIXES: [&[u8]; 4] =
        [b"GNU.sparse.", b"SCHILY.xattr.", b"SCHILY.acl.", b"LIBARCHIVE.xattr."];
    matches!(key, b"path" | b"linkpath" | b"size")
        || PREFIXES.iter().any(|prefix| key.starts_with(prefix))
}

/// The member that `header` begins, and how many bytes of data it stores.
pub(super) fn member(header: &Header, extensions: &Extensions) -> Result<(Entry, u64)> {
    let raw = raw_path(header, extensions);
    let path = normalized(&raw)?;
    let shown = display(&path);
    let context = || format!("cannot read {shown} in the archive");
    let (kind, stored) = kind(header, extensions, &raw).context(context)?;
    let attributes = attributes(header, extensions).context(context)?;
    if path.is_empty() && kind != EntryKind::Directory {
        return Err(Error::invalid(format!("the member {shown:?} would replace the root")));
    }
    Ok((Entry { path, kind, attributes }, stored))
}

fn raw_path(header: &Header, extensions: &Extensions) -> Vec<u8> {
    if extensions.is_sparse()
        && let Some(name) = extensions.record(b"GNU.sparse.name")
    {
        return name.to_vec();
    }
    if let Some(path) = extensions.record(b"path").or(extensions.name.as_deref()) {
        return path.to_vec();
    }
    let name = until_nul(&header.as_old().name);
    match header.as_ustar().map(|ustar| until_nul(&ustar.prefix)) {
        Some(prefix) if !prefix.is_empty() => [prefix, b"/", name].concat(),
        _ => name.to_vec(),
    }
}

/// A path without leading `./`, doubled and trailing slashes.
///
/// # Errors
/// `Invalid` where it leaves the tree (absolute, or with `..`) and where it is
/// longer than the kernel takes.
pub(super) fn normalized(raw: &[u8]) -> Result<Vec<u8>> {
    let refuse = |why: &str| {
        // Such a name may be a mebibyte long.
        let start = raw.get(..SHOWN).map(|start| String::from_utf8_lossy(start) + "...");
        let shown = start.unwrap_or_else(|| String::from_utf8_lossy(raw));
        Err(Error::invalid(format!("the member {shown:?} {why}")))
    };
    if raw.is_empty() {
        return Err(Error::invalid("a member of the archive has no name"));
    }
    if raw[0] == b'/' {
        return refuse("has an absolute path");
    }
    if raw.contains(&0) {
        return refuse("has a NUL byte in its path");
    }
    let mut path = Vec::with_capacity(raw.len());
    for component in raw.split(|&byte| byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." => return refuse("leaves the tree by \"..\""),
            _ if component.len() > NAME_LIMIT => return refuse("has a name longer than 255 bytes"),
            _ => {
                if !path.is_empty() {
                    path.push(b'/');
                }
                path.extend_from_slice(component);
            }
        }
    }
    if path.len() > PATH_LIMIT {
        return refuse("has a path longer than 4096 bytes");
    }
    Ok(path)
}

fn kind(header: &Header, extensions: &Extensions, raw: &[u8]) -> Result<(EntryKind, u64)> {
    let link = || match extensions.record(b"linkpath").or(extensions.link.as_deref()) {
        Some(link) => link.to_vec(),
        None => until_nul(&header.as_old().linkname).to_vec(),
    };
    let stored = stored_size(header, extensions)?;
    // Only files store data; the size of other members has other meanings.
    let kind = match header.entry_type() {
        // A directory in the form of v7. What it stores is data to other
        // readers, so it must not be read as members here.
        EntryType::Regular | EntryType::Continuous if raw.ends_with(b"/") => {
            return Ok((EntryKind::Directory, stored));
        }
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
            let size = real_size(header, extensions)?.unwrap_or(stored);
            return Ok((EntryKind::Regular { size, sparse: None }, stored));
        }
        EntryType::Link => EntryKind::HardLink { target: normalized(&link())? },
        EntryType::Symlink => EntryKind::Symlink { target: symlink_target(link())? },
        EntryType::Char => EntryKind::CharDevice(device(header, 0)?, device(header, 1)?),
        EntryType::Block => EntryKind::BlockDevice(device(header, 0)?, device(header, 1)?),
        EntryType::Directory => EntryKind::Directory,
        EntryType::Fifo => EntryKind::Fifo,
        // A directory of an incremental archive: a list of names is its data.
        other if other.as_byte() == b'D' => return Ok((EntryKind::Directory, stored)),
        other => {
            let flag = char::from(other.as_byte());
            return Err(Error::unsupported(format!("members of type {flag:?} are not supported")));
        }
    };
    Ok((kind, 0))
}

fn symlink_target(target: Vec<u8>) -> Result<Vec<u8>> {
    if target.is_empty() || target.contains(&0) || target.len() >= PATH_LIMIT {
        return Err(Error::invalid("invalid target of a symbolic link"));
    }
    Ok(target)
}

fn stored_size(header: &Header, extensions: &Extensions) -> Result<u64> {
    match extensions.number("size")? {
        Some(size) => checked_size(size.into()),
        None => checked_size(number(&header.as_old().size)?),
    }
}

/// Of a sparse file: the size with its holes.
fn real_size(header: &Header, extensions: &Extensions) -> Result<Option<u64>> {
    if header.entry_type() == EntryType::GNUSparse {
        let gnu = header.as_gnu().ok_or_else(|| Error::invalid("no GNU header"))?;
        return checked_size(number(&gnu.realsize)?).map(Some);
    }
    if !extensions.is_sparse() {
        return Ok(None);
    }
    let size = match extensions.number("GNU.sparse.realsize")? {
        Some(size) => Some(size),
        None => extensions.number("GNU.sparse.size")?,
    };
    size.map(|size| checked_size(size.into())).transpose()
}

/// Sizes are at most what `off_t` holds, less room for padding.
fn checked_size(size: i128) -> Result<u64> {
    u64::try_from(size)
        .ok()
        .filter(|&size| size < (i64::MAX as u64) - (1 << 20))
        .ok_or_else(|| Error::invalid(format!("{size} is no size")))
}

fn device(header: &Header, which: usize) -> Result<u32> {
    let fields = header
        .as_ustar()
        .map(|ustar| (&ustar.dev_major, &ustar.dev_minor))
        .or_else(|| header.as_gnu().map(|gnu| (&gnu.dev_major, &gnu.dev_minor)))
        .ok_or_else(|| Error::invalid("a device has no numbers"))?;
    let value = number(if which == 0 { fields.0 } else { fields.1 })?;
    // The kernel's dev_t has 12 bits of major and 20 of minor number.
    let limit = if which == 0 { 0xfff } else { 0xf_ffff };
    u32::try_from(value)
        .ok()
        .filter(|&value| value <= limit)
        .ok_or_else(|| Error::invalid(format!("{value} is no device number")))
}

fn attributes(header: &Header, extensions: &Extensions) -> Result<Attributes> {
    let old = header.as_old();
    let id = |key: &str, field: &[u8]| {
        let value = match extensions.number(key)? {
            Some(value) => value.into(),
            None => number(field)?,
        };
        // The highest one means "unchanged" to chown(2).
        u32::try_from(value)
            .ok()
            .filter(|&value| value != u32::MAX)
            .ok_or_else(|| Error::invalid(format!("{value} is no {key}")))
    };
    let mtime = match extensions.record(b"mtime") {
        Some(value) => {
            pax::parse_time(value).ok_or_else(|| Error::invalid("malformed mtime record"))?
        }
        None => {
            let seconds = number(&old.mtime)?;
            let seconds = i64::try_from(seconds)
                .map_err(|_| Error::invalid(format!("{seconds} is no time")))?;
            Timestamp::from_seconds(seconds)
        }
    };
    let mode = (number(&old.mode)? & 0o7777) as u32;
    let (uid, gid) = (id("uid", &old.uid)?, id("gid", &old.gid)?);
    Ok(Attributes { mode, uid, gid, mtime, xattrs: extensions.xattrs()? })
}

/// A number of a header: octal digits among spaces and NULs, or base 256 if
/// the first bit is set (GNU, star).
pub(super) fn number(field: &[u8]) -> Result<i128> {
    if let Some(&first) = field.first()
        && first & 0x80 != 0
    {
        // 0xff begins a negative number, 0x80 any other.
        let start = if first & 0x40 != 0 { -1 } else { i128::from(first & 0x3f) };
        return Ok(field[1..].iter().fold(start, |sum, &byte| (sum << 8) | i128::from(byte)));
    }
    let text = until_nul(field).trim_ascii();
    if !text.iter().all(|byte| (b'0'..=b'7').contains(byte)) {
        let text = String::from_utf8_lossy(text);
        return Err(Error::invalid(format!("malformed number {text:?} in a tar header")));
    }
    Ok(text.iter().fold(0, |sum, &digit| (sum << 3) | i128::from(digit - b'0')))
}

/// True if `header` has the sum of its bytes, which some old writers took as
/// signed.
pub(super) fn checksum_is_right(header: &Header) -> bool {
    let Ok(stored) = number(&header.as_old().cksum) else { return false };
    let outside = |index: usize| !(148..156).contains(&index);
    let bytes = header.as_bytes().iter().enumerate();
    let (mut unsigned, mut signed) = (0i128, 0i128);
    for (index, &byte) in bytes {
        let byte = if outside(index) { byte } else { b' ' };
        unsigned += i128::from(byte);
        signed += i128::from(byte.cast_signed());
    }
    stored == unsigned || stored == signed
}

fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// Appends the segments of an old GNU sparse header to `map`.
pub(super) fn add_segments(headers: &[GnuSparseHeader], map: &mut SparseMap) -> Result<()> {
    for header in headers.iter().take_while(|header| header.numbytes[0] != 0) {
        if map.segments.len() >= SEGMENT_LIMIT {
            return Err(Error::invalid("a sparse file has too many segments"));
        }
        let offset = checked_size(number(&header.offset)?)?;
        let length = checked_size(number(&header.numbytes)?)?;
        map.segments.push(Segment { offset, length });
    }
    Ok(())
}

/// Reads the text of a PAX 1.0 sparse map block by block.
#[derive(Default)]
pub(super) struct MapText {
    numbers: Vec<u64>,
    digits: Vec<u8>,
}

impl MapText {
    /// True if all numbers that the first one promises are there.
    pub(super) fn is_complete(&self) -> bool {
        self.numbers.first().is_some_and(|&count| self.numbers.len() as u64 > count * 2)
    }

    /// Takes in a block; what follows the last number in it is padding.
    pub(super) fn push(&mut self, block: &[u8]) -> Result<()> {
        let bad = || Error::invalid("malformed map of a sparse file");
        for &byte in block {
            if self.is_complete() {
                break;
            }
            if byte != b'\n' {
                self.digits.push(byte);
                continue;
            }
            let number = pax::decimal(&std::mem::take(&mut self.digits)).ok_or_else(bad)?;
            if self.numbers.is_empty() && number > SEGMENT_LIMIT as u64 {
                return Err(Error::invalid("a sparse file has too many segments"));
            }
            self.numbers.push(number);
        }
        if self.digits.len() > 20 { Err(bad()) } else { Ok(()) }
    }

    pub(super) fn finish(self) -> SparseMap {
        let (pairs, _) = self.numbers.get(1..).unwrap_or_default().as_chunks::<2>();
        let segments = pairs.iter().map(|&[offset, length]| Segment { offset, length }).collect();
        SparseMap { segments }
    }
}
