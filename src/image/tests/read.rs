//! Foreign dialects, malformed input, and bytes at random.

use std::io::Write;

use proptest::prelude::*;

use super::*;
use crate::error::Kind;
use crate::fs::Timestamp;
use crate::image::canonical::{self, END};
use crate::image::entry::Attributes;

fn entries(bytes: &[u8]) -> Result<Vec<(Entry, Vec<u8>)>> {
    let mut reader = TarReader::new(bytes);
    let mut found = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        let mut content = Vec::new();
        reader.copy_data(&mut |offset, piece| {
            // Random input may claim any offset.
            if offset < 1 << 24 {
                content.resize(offset as usize, 0);
                content.extend_from_slice(piece);
            }
            Ok(())
        })?;
        if let EntryKind::Regular { size, .. } = entry.kind
            && size < 1 << 24
        {
            content.resize(size as usize, 0);
        }
        found.push((entry, content));
    }
    Ok(found)
}

/// A member as tar-rs writes it, with the header changed by `change`.
fn raw(typeflag: u8, data: &[u8], change: &dyn Fn(&mut Header)) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..1].copy_from_slice(b"f");
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(data.len() as u64);
    header.set_entry_type(EntryType::new(typeflag));
    change(&mut header);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(data);
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes
}

fn pax_member(records: &[(&str, &[u8])], data: &[u8]) -> Vec<u8> {
    let records =
        records.iter().map(|(key, value)| (key.as_bytes().to_vec(), value.to_vec())).collect();
    let mut body = Vec::new();
    pax::encode(&records, &mut body);
    [raw(b'x', &body, &|_| ()), raw(b'0', data, &|_| ()), END.to_vec()].concat()
}

fn only(bytes: &[u8]) -> (Entry, Vec<u8>) {
    let mut found = entries(bytes).unwrap();
    assert_eq!(found.len(), 1);
    found.remove(0)
}

#[test]
fn reads_v7_and_ustar_prefix() {
    let mut old = Header::new_old();
    old.as_old_mut().name[..2].copy_from_slice(b"d/");
    old.as_old_mut().linkflag = [0];
    old.as_old_mut().mode = *b"   755 \0";
    old.as_old_mut().gid = *b"      1\0";
    old.set_cksum();
    let (entry, _) = only(&old.as_bytes()[..]);
    assert_eq!((entry.path.as_slice(), entry.kind), (&b"d"[..], EntryKind::Directory));
    assert_eq!((entry.attributes.mode, entry.attributes.gid), (0o755, 1));

    let mut ustar = Header::new_ustar();
    if let Some(fields) = ustar.as_ustar_mut() {
        fields.prefix[..7].copy_from_slice(b"a/b/c/d");
        fields.name[..1].copy_from_slice(b"e");
    }
    ustar.set_entry_type(EntryType::Fifo);
    ustar.set_cksum();
    assert_eq!(only(&ustar.as_bytes()[..]).0.path, b"a/b/c/d/e");
}

#[test]
fn reads_base_256_and_negative_numbers() {
    let bytes = raw(b'0', b"", &|header| {
        header.set_uid(3_000_000_000);
        header.as_old_mut().mtime = [0xff; 12];
    });
    let (entry, _) = only(&bytes);
    assert_eq!(entry.attributes.uid, 3_000_000_000);
    assert_eq!(entry.attributes.mtime, Timestamp::from_seconds(-1));
    let huge = raw(b'0', b"", &|header| {
        header.as_old_mut().size = [0x80, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    });
    assert_eq!(entries(&huge).unwrap_err().kind(), Kind::Invalid);
    let huge = raw(b'0', b"", &|header| header.set_uid(1 << 32));
    assert_eq!(entries(&huge).unwrap_err().kind(), Kind::Invalid);
}

#[test]
fn a_pax_size_wins_over_the_header() {
    // CVE-2025-62518: the header says 0, so what follows looks like a member.
    let hidden = raw(b'0', b"", &|header| header.as_old_mut().name[..1].copy_from_slice(b"h"));
    let mut bytes = pax_member(&[("size", b"512"), ("path", b"outer")], b"");
    bytes.truncate(bytes.len() - END.len());
    bytes.extend(&hidden);
    bytes.extend(END);
    let (entry, content) = only(&bytes);
    assert_eq!(entry.path, b"outer");
    assert_eq!(content, hidden);
}

#[test]
fn global_records_are_defaults_and_an_empty_one_takes_them_back() {
    let mut global = Vec::new();
    pax::encode(&pax::Records::from([(b"uid".to_vec(), b"7".to_vec())]), &mut global);
    let head = raw(b'g', &global, &|_| ());
    let read = |records: &[(&str, &[u8])]| {
        only(&[head.clone(), pax_member(records, b"")].concat()).0.attributes.uid
    };
    assert_eq!(read(&[("gid", b"1")]), 7);
    assert_eq!(read(&[("uid", b"8")]), 8);
    assert_eq!(read(&[("uid", b"")]), 0);
}

#[test]
fn a_global_header_cannot_say_what_is_one_members_own() {
    for key in ["path", "linkpath", "size", "GNU.sparse.map", "SCHILY.xattr.user.a"] {
        let mut global = Vec::new();
        pax::encode(&pax::Records::from([(key.into(), b"0".to_vec())]), &mut global);
        let bytes = [raw(b'g', &global, &|_| ()), pax_member(&[], b"")].concat();
        let error = entries(&bytes).unwrap_err();
        assert!(error.chain().contains(key), "{}", error.chain());
    }
    // What `git archive` writes.
    let mut global = Vec::new();
    pax::encode(&pax::Records::from([(b"comment".to_vec(), vec![b'1'; 40])]), &mut global);
    let head = raw(b'g', &global, &|_| ());
    assert_eq!(entries(&[head.clone(), pax_member(&[], b"")].concat()).unwrap().len(), 1);
    assert!(entries(&[head, END.to_vec()].concat()).unwrap().is_empty());
}

#[test]
fn headers_of_a_member_are_bounded_together() {
    let header = |index: u32| {
        let mut body = Vec::new();
        let key = format!("comment{index}").into_bytes();
        pax::encode(&pax::Records::from([(key, vec![b'c'; 400_000])]), &mut body);
        raw(b'x', &body, &|_| ())
    };
    let archive = |count| [(0..count).flat_map(header).collect(), pax_member(&[], b"")].concat();
    assert_eq!(entries(&archive(2)).unwrap().len(), 1);
    assert_eq!(entries(&archive(3)).unwrap_err().kind(), Kind::Invalid);
    let global = |index: u32| {
        let mut body = Vec::new();
        let key = format!("comment{index}").into_bytes();
        pax::encode(&pax::Records::from([(key, vec![b'c'; 40_000])]), &mut body);
        raw(b'g', &body, &|_| ())
    };
    assert!(entries(&[global(0), global(0), END.to_vec()].concat()).is_ok());
    assert!(entries(&[global(0), global(1), END.to_vec()].concat()).is_err());
    let large = pax_member(&[("SCHILY.xattr.user.a", &[1; 200_000])], b"");
    assert_eq!(entries(&large).unwrap_err().kind(), Kind::Unsupported);
}

#[test]
fn what_a_directory_stores_is_no_member() {
    let hidden = raw(b'0', b"", &|_| ());
    let slash = |header: &mut Header| header.as_old_mut().name[..2].copy_from_slice(b"d/");
    let found = entries(&[raw(b'0', &hidden, &slash), END.to_vec()].concat()).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].0.kind, EntryKind::Directory);
}

#[test]
fn an_access_acl_that_is_a_mode_is_none() {
    let text = b"user::rw-,group::r--,other::r--";
    let (entry, _) = only(&pax_member(&[("SCHILY.acl.access", text)], b""));
    assert!(entry.attributes.xattrs.is_empty());
}

#[test]
fn reads_all_forms_of_attributes() {
    let (entry, _) = only(&pax_member(
        &[
            ("SCHILY.xattr.user.raw", b"a\nb\0"),
            ("LIBARCHIVE.xattr.user.%61%3D", b"aGk="),
            ("SCHILY.acl.access", b"user::rw-,user:12:r--,group::r--,mask::r--,other::---"),
            ("mtime", b"12.5"),
        ],
        b"",
    ));
    let xattrs = &entry.attributes.xattrs;
    assert_eq!(xattrs[&b"user.raw"[..]], b"a\nb\0");
    assert_eq!(xattrs[&b"user.a="[..]], b"hi");
    assert_eq!(xattrs[&b"system.posix_acl_access"[..]].len(), 44);
    assert_eq!(entry.attributes.mtime, Timestamp { seconds: 12, nanoseconds: 500_000_000 });
}

#[test]
fn reads_old_gnu_sparse_files_with_extended_headers() {
    let number = |value: u64| {
        let mut field = [0; 12];
        field.copy_from_slice(format!("{value:011o}\0").as_bytes());
        field
    };
    let data: Vec<u8> = (0..6u8).flat_map(|index| [index + 1; 512]).collect();
    let mut header = raw(b'S', b"", &|header| {
        header.set_size(3072);
        let Some(gnu) = header.as_gnu_mut() else { return };
        gnu.realsize = number(40_000);
        gnu.isextended = [1];
        for (index, slot) in gnu.sparse.iter_mut().enumerate() {
            slot.offset = number(index as u64 * 4096);
            slot.numbytes = number(512);
        }
    });
    let mut extended = GnuExtSparseHeader::new();
    for (index, offset) in [(0, 20_480), (1, 24_576), (2, 40_000)] {
        extended.sparse[index].offset = number(offset);
        extended.sparse[index].numbytes = number(if offset == 40_000 { 0 } else { 512 });
    }
    header.extend(extended.as_bytes());
    header.extend(&data);
    header.extend(END);
    let (entry, content) = only(&header);
    assert!(matches!(entry.kind, EntryKind::Regular { size: 40_000, sparse: Some(_) }));
    assert_eq!(content.len(), 40_000);
    assert_eq!((content[0], content[4096], content[20_480], content[24_576]), (1, 2, 5, 6));
    assert_eq!(content[512], 0);
}

#[test]
fn refuses_sparse_maps_that_lie() {
    let claims = |map: &[u8], data: &[u8]| {
        entries(&pax_member(&[("GNU.sparse.map", map), ("GNU.sparse.size", b"1000")], data))
    };
    assert!(claims(b"0,4,8,4", b"12345678").is_ok());
    for map in [&b"8,4,0,4"[..], b"0,4,2,4", b"0,4,998,4", b"0,4,8", b"0,4,8,x", b"0,4,8,5"] {
        assert!(claims(map, b"12345678").is_err(), "{}", String::from_utf8_lossy(map));
    }
    // A map in the padding of too little data: the next header would be read
    // from its middle.
    let one: [(&str, &[u8]); 3] =
        [("GNU.sparse.major", b"1"), ("GNU.sparse.minor", b"0"), ("GNU.sparse.realsize", b"0")];
    let short = entries(&pax_member(&one, b"0\n")).unwrap_err();
    assert!(short.chain().contains("cut off"), "{}", short.chain());
    let huge = b"99999999\n0\n";
    let records: [(&str, &[u8]); 3] =
        [("GNU.sparse.major", b"1"), ("GNU.sparse.minor", b"0"), ("GNU.sparse.realsize", b"5")];
    assert!(entries(&pax_member(&records, huge)).is_err());
}

#[test]
fn names_what_is_no_tar_and_where_one_is_cut() {
    for (bytes, word) in [(&b"\x7fELF"[..], "ELF"), (b"<html>", "web page"), (b"hello", "tar")] {
        let error = entries(&bytes.repeat(200)).unwrap_err();
        assert!(error.chain().contains(word), "{}", error.chain());
        assert!(error.hint_text().is_some());
    }
    let whole = raw(b'0', &[1; 5000], &|_| ());
    for length in [513, 600, 5000] {
        let error = entries(&whole[..length]).unwrap_err();
        assert!(error.chain().contains("cut off in or after f"), "{}", error.chain());
    }
    // A header that belongs to a member which is not there.
    let whole_pax = pax_member(&[("path", b"p")], b"");
    for end in [0, BLOCK, 2 * BLOCK] {
        let bytes = [whole.clone(), whole_pax[..2 * BLOCK].to_vec(), vec![0; end]].concat();
        let error = entries(&bytes).unwrap_err();
        assert!(error.chain().contains("cut off in or after f"), "{}", error.chain());
    }
    let mut damaged = [whole.clone(), whole].concat();
    let second = damaged.len() / 2;
    damaged[second + 3] ^= 1;
    assert!(entries(&damaged).unwrap_err().chain().contains("damaged tar header after f"));
}

#[test]
fn ends_as_gnu_tar_does() {
    let one = raw(b'0', b"x", &|_| ());
    let lone = [one.clone(), END[..BLOCK].to_vec(), one.clone()].concat();
    assert_eq!(entries(&lone).unwrap().len(), 2);
    let joined = [one.clone(), END.to_vec(), one, vec![9; 700]].concat();
    assert_eq!(entries(&joined).unwrap().len(), 1);
    assert!(entries(b"").unwrap().is_empty());
}

#[test]
fn limits_extended_headers() {
    for typeflag in [b'x', b'g', b'L', b'K'] {
        let bytes = raw(typeflag, b"", &|header| header.set_size(1 << 40));
        assert!(entries(&bytes).unwrap_err().chain().contains("more than"));
    }
    let bytes = raw(b'M', b"", &|_| ());
    assert_eq!(entries(&bytes).unwrap_err().kind(), Kind::Unsupported);
}

fn arbitrary_entry() -> impl Strategy<Value = Entry> {
    let name = proptest::collection::vec(1u8..=255, 1..150).prop_map(|mut bytes| {
        for byte in &mut bytes {
            if *byte == b'/' || *byte == b'.' {
                *byte = b'_';
            }
        }
        bytes
    });
    let kind = prop_oneof![
        Just(EntryKind::Directory),
        Just(EntryKind::Fifo),
        name.clone().prop_map(|target| EntryKind::Symlink { target }),
        name.clone().prop_map(|target| EntryKind::HardLink { target }),
        (0u32..0x1000, 0u32..0x10_0000).prop_map(|(a, b)| EntryKind::CharDevice(a, b)),
        Just(EntryKind::Regular { size: 0, sparse: None }),
    ];
    let xattrs = proptest::collection::btree_map(
        proptest::collection::vec(b'a'..=b'z', 1..9).prop_map(|n| [b"user.", &n[..]].concat()),
        proptest::collection::vec(any::<u8>(), 0..40),
        0..3,
    );
    let numbers = (0u32..0o10000, 0..u32::MAX, 0..u32::MAX, any::<i32>(), 0u32..1_000_000_000);
    (name, kind, numbers, xattrs).prop_map(|(path, kind, numbers, xattrs)| {
        let (mode, uid, gid, seconds, nanoseconds) = numbers;
        let mode = if matches!(kind, EntryKind::Symlink { .. }) { 0o777 } else { mode };
        let mtime = Timestamp { seconds: i64::from(seconds) * 8, nanoseconds };
        let attributes = Attributes { mode, uid, gid, mtime, xattrs };
        Entry { path, kind, attributes }
    })
}

proptest! {
    #[test]
    fn what_is_encoded_is_read_back(entry in arbitrary_entry()) {
        let mut bytes = Vec::new();
        canonical::encode(&entry, &mut bytes);
        bytes.extend(END);
        prop_assert_eq!(only(&bytes).0, entry);
    }

    #[test]
    fn damaged_archives_never_panic(
        entry in arbitrary_entry(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = Vec::new();
        canonical::encode(&entry, &mut bytes);
        bytes.write_all(&pax_member(&[("GNU.sparse.map", b"0,4,8,4")], b"12345678")).unwrap();
        for (index, byte) in changes {
            let at = index.index(bytes.len());
            bytes[at] = byte;
            // Else nearly every change would end at the checksum.
            let start = at / BLOCK * BLOCK;
            let mut header = Header::from_byte_slice(&bytes[start..start + BLOCK]).clone();
            header.set_cksum();
            bytes[start..start + BLOCK].copy_from_slice(header.as_bytes());
        }
        bytes.truncate(cut.index(bytes.len()) + 1);
        let _ = entries(&bytes);
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..4000)) {
        let _ = entries(&bytes);
        let _ = pax::parse(&bytes);
        let _ = crate::image::acl::parse(&bytes);
    }
}
