//! How other archivers write extended attributes: ACLs as text (star, GNU
//! tar), names and values as URL and base64 text (libarchive). Pure.

use crate::error::{Error, Result};

use super::pax::decimal;

/// An ACL in text with numeric IDs (acl(5), "short text form") in the kernel's
/// binary form: version 2, then tag, permissions and ID of each entry in
/// little-endian order (include/uapi/linux/posix_acl_xattr.h), sorted.
///
/// # Errors
/// `Invalid` if the text is no ACL; `Unsupported` for users by name alone.
pub(super) fn parse(text: &[u8]) -> Result<Vec<u8>> {
    let mut entries = Vec::new();
    for item in text.split(|byte| matches!(byte, b',' | b'\n')) {
        let item = item.split(|&byte| byte == b'#').next().unwrap_or_default().trim_ascii();
        if !item.is_empty() {
            entries.push(entry(item)?);
        }
    }
    entries.sort_unstable();
    let mut bytes = 2u32.to_le_bytes().to_vec();
    for (tag, id, permissions) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(permissions.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    Ok(bytes)
}

/// True if the access ACL `binary` says no more than a mode does: it has the
/// three entries of owner, group and others only. The kernel keeps no such ACL
/// and sets the mode instead (posix_acl_equiv_mode), so no tree has one; GNU
/// tar writes them for every file of a tree that has any ACL.
pub(super) fn is_a_mode(binary: &[u8]) -> bool {
    let Some((_, entries)) = binary.split_first_chunk::<4>() else { return false };
    let (entries, rest) = entries.as_chunks::<8>();
    let tags = entries.iter().map(|entry| u16::from_le_bytes([entry[0], entry[1]]));
    rest.is_empty() && tags.eq([0x01, 0x04, 0x20])
}

type AclEntry = (u16, u32, u16);

fn entry(item: &[u8]) -> Result<AclEntry> {
    let shown = || String::from_utf8_lossy(item).into_owned();
    let bad = || Error::invalid(format!("malformed ACL entry {:?}", shown()));
    let fields: Vec<&[u8]> = item.split(|&byte| byte == b':').map(<[u8]>::trim_ascii).collect();
    let [kind, qualifier, permissions, ref rest @ ..] = fields[..] else { return Err(bad()) };
    let permissions = permissions_of(permissions).ok_or_else(bad)?;
    // star appends the numeric ID to entries that have a name.
    let id = match rest {
        [] => qualifier,
        [id] => *id,
        _ => return Err(bad()),
    };
    let (plain, named) = match kind {
        b"user" | b"u" => (0x01, 0x02),
        b"group" | b"g" => (0x04, 0x08),
        b"mask" | b"m" => (0x10, 0x10),
        b"other" | b"o" => (0x20, 0x20),
        _ => return Err(bad()),
    };
    if qualifier.is_empty() {
        return Ok((plain, u32::MAX, permissions));
    }
    let id = decimal(id).and_then(|id| u32::try_from(id).ok()).ok_or_else(|| {
        Error::unsupported(format!("ACL entry {:?} has no numeric ID", shown()))
            .hint("make the archive with --xattrs --xattrs-include='*', which keeps numbers")
    })?;
    Ok((named, id, permissions))
}

fn permissions_of(text: &[u8]) -> Option<u16> {
    text.iter().try_fold(0, |sum, byte| match byte {
        b'r' => Some(sum | 4),
        b'w' => Some(sum | 2),
        b'x' => Some(sum | 1),
        b'-' => Some(sum),
        _ => None,
    })
}

/// `text` with each `%XX` decoded; what is not of that form stays.
pub(super) fn url_decoded(text: &[u8]) -> Vec<u8> {
    let hex = |byte: u8| char::from(byte).to_digit(16);
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        if let (b'%', [high, low, ..]) = (first, after)
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            out.push((high * 16 + low) as u8);
            rest = &after[2..];
        } else {
            out.push(first);
            rest = after;
        }
    }
    out
}

/// The bytes of base64 text (RFC 4648), padded or not.
pub(super) fn base64_decoded(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let mut out = Vec::new();
    let (mut bits, mut count) = (0u32, 0);
    for &byte in text.iter().filter(|byte| !matches!(byte, b'=' | b'\n')) {
        bits = (bits << 6) | u32::from(digit(byte)?);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_ways_of_numeric_ids() {
        let plain = parse(b"user::rwx,user:1000:r--,group::r-x,mask::r-x,other::---").unwrap();
        let star = parse(b"user::rwx,user:ann:r--:1000,group::r-x,mask::r-x,other::---").unwrap();
        assert_eq!(plain, star);
        assert_eq!(plain.len(), 4 + 5 * 8);
        assert_eq!(&plain[12..20], [2, 0, 4, 0, 0xe8, 3, 0, 0]);
        assert!(parse(b"user:ann:r--").is_err());
        assert!(parse(b"user:r--").is_err());
        assert!(parse(b"user::rq-").is_err());
    }

    #[test]
    fn tells_an_acl_from_a_mode() {
        assert!(is_a_mode(&parse(b"u::rwx,g::r-x,o::---").unwrap()));
        for more in ["u::rwx,u:7:r-x,g::r-x,m::rwx,o::---", "u::rwx,g::r-x", ""] {
            assert!(!is_a_mode(&parse(more.as_bytes()).unwrap()), "{more}");
        }
        assert!(!is_a_mode(b""));
    }

    #[test]
    fn decodes_what_libarchive_writes() {
        assert_eq!(url_decoded(b"user.a%3Db%zz%"), b"user.a=b%zz%");
        assert_eq!(base64_decoded(b"aGVsbG8=").unwrap(), b"hello");
        assert_eq!(base64_decoded(b"aGVsbG8").unwrap(), b"hello");
        assert_eq!(base64_decoded(b"a!"), None);
    }
}
