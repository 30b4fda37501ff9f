//! The `.ARM.attributes` section, as far as it tells the least ARM that runs a
//! file ("ELF for the Arm Architecture: Addenda", build attributes).

use super::ByteOrder;

const TAG_FILE: u64 = 1;
const TAG_CPU_RAW_NAME: u64 = 4;
const TAG_CPU_NAME: u64 = 5;
const TAG_CPU_ARCH: u64 = 6;
const TAG_COMPATIBILITY: u64 = 32;

/// The OCI variant for a value of `Tag_CPU_arch`.
pub(super) fn variant(cpu_architecture: u64) -> &'static str {
    match cpu_architecture {
        0..=5 => "v5",
        // v6, v6KZ, v6T2, v6K, v6-M, v6S-M
        6..=9 | 11 | 12 => "v6",
        // v7, v7E-M
        10 | 13 => "v7",
        _ => "v8",
    }
}

/// `Tag_CPU_arch` of the whole file; `None` where the section has none, or is
/// malformed.
pub(super) fn cpu_architecture(section: &[u8], byte_order: ByteOrder) -> Option<u64> {
    let mut vendors = section.strip_prefix(b"A")?;
    while !vendors.is_empty() {
        let length = usize::try_from(byte_order.word(vendors.get(..4)?)?).ok()?;
        let vendor = vendors.get(4..length)?;
        vendors = &vendors[length..];
        if let Some(attributes) = vendor.strip_prefix(b"aeabi\0") {
            return in_file_scope(attributes, byte_order);
        }
    }
    None
}

fn in_file_scope(mut scopes: &[u8], byte_order: ByteOrder) -> Option<u64> {
    while !scopes.is_empty() {
        let mut scope = Cursor { rest: scopes };
        let tag = scope.number()?;
        let head = scopes.len() - scope.rest.len() + 4;
        let length = usize::try_from(byte_order.word(scope.rest.get(..4)?)?).ok()?;
        let attributes = scopes.get(head..length)?;
        scopes = &scopes[length..];
        if tag == TAG_FILE {
            return in_attributes(attributes);
        }
    }
    None
}

fn in_attributes(attributes: &[u8]) -> Option<u64> {
    let mut cursor = Cursor { rest: attributes };
    while !cursor.rest.is_empty() {
        match cursor.number()? {
            TAG_CPU_ARCH => return cursor.number(),
            TAG_CPU_RAW_NAME | TAG_CPU_NAME => cursor.skip_string()?,
            TAG_COMPATIBILITY => {
                cursor.number()?;
                cursor.skip_string()?;
            }
            // Beyond 32 the parity of the tag tells a string from a number.
            tag if tag > TAG_COMPATIBILITY && tag % 2 == 1 => cursor.skip_string()?,
            _ => drop(cursor.number()?),
        }
    }
    None
}

struct Cursor<'a> {
    rest: &'a [u8],
}

impl Cursor<'_> {
    /// Reads an unsigned LEB128 number.
    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..63).step_by(7) {
            let (&byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn skip_string(&mut self) -> Option<()> {
        let length = self.rest.iter().position(|&byte| byte == 0)?;
        self.rest = &self.rest[length + 1..];
        Some(())
    }
}
