//! Every format, cut, damaged and joined; whose fault an error is.

use std::io::Write;

use super::*;
use crate::error::Kind;

const ALL: [Format; 4] = [Format::Gzip, Format::Bzip2, Format::Xz, Format::Zstd];

/// Content that no compressor makes small, so that a cut hits the middle.
fn content() -> Vec<u8> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..200_000).map(|_| next()).collect()
}

fn compress(format: Format, bytes: &[u8]) -> Vec<u8> {
    match format {
        Format::Gzip => {
            let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            writer.write_all(bytes).unwrap();
            writer.finish().unwrap()
        }
        Format::Bzip2 => {
            let mut writer = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            writer.write_all(bytes).unwrap();
            writer.finish().unwrap()
        }
        Format::Xz => {
            let mut writer = liblzma::write::XzEncoder::new(Vec::new(), 1);
            writer.write_all(bytes).unwrap();
            writer.finish().unwrap()
        }
        Format::Zstd => {
            let mut writer = zstd::Encoder::new(Vec::new(), 1).unwrap();
            writer.include_checksum(true).unwrap();
            writer.write_all(bytes).unwrap();
            writer.finish().unwrap()
        }
    }
}

fn read_all(bytes: Vec<u8>) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    open_compressed(Box::new(io::Cursor::new(bytes))).unwrap().read_to_end(&mut out)?;
    Ok(out)
}

#[test]
fn several_members_are_one_stream() {
    let content = content();
    for format in ALL {
        let (left, right) = content.split_at(70_000);
        let bytes = [compress(format, left), compress(format, right)].concat();
        assert!(read_all(bytes).unwrap() == content, "{format:?}");
    }
}

#[test]
fn what_is_not_compressed_passes_through() {
    for plain in [&b""[..], b"\x1f\x8b", b"BZ", b"BZhx12345", b"./\0\0\0\0\0\0", &[0; 1024]] {
        assert_eq!(read_all(plain.to_vec()).unwrap(), plain);
    }
}

#[test]
fn truncation_and_damage_name_the_format() {
    let content = content();
    for format in ALL {
        let whole = compress(format, &content);
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 0x55;
        for bad in [whole[..whole.len() / 2].to_vec(), whole[..whole.len() - 1].to_vec(), flipped] {
            let error = Error::io_named("cannot read x", read_all(bad).unwrap_err());
            assert_eq!(error.kind(), Kind::Invalid, "{format:?}");
            let message = format!("the {} stream is truncated or damaged", format.name());
            assert_eq!(error.to_string(), message);
        }
    }
}

#[test]
fn zeros_behind_a_gzip_stream_are_padding() {
    // As tapes and block devices leave them; gzip(1) ignores them as well.
    let content = content();
    let whole = compress(Format::Gzip, &content);
    for padding in [1, 511, 100_000] {
        let padded = [whole.clone(), vec![0; padding]].concat();
        assert_eq!(read_all(padded).unwrap(), content, "{padding}");
        let two = [whole.clone(), vec![0; padding], whole.clone()].concat();
        assert!(read_all(two).is_err(), "{padding}");
    }
    assert!(read_all([whole.clone(), b"garbage".to_vec()].concat()).is_err());
    assert_eq!(read_all([whole.clone(), whole].concat()).unwrap().len(), 2 * content.len());
}

/// Gives some bytes and then fails.
struct Failing(io::Cursor<Vec<u8>>, fn() -> io::Error);

impl Read for Failing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(self.1()),
            count => Ok(count),
        }
    }
}

#[test]
fn errors_of_the_source_are_not_damage() {
    let content = content();
    for format in ALL {
        let half = compress(format, &content)[..50_000].to_vec();
        for make in [
            || io::Error::from_raw_os_error(libc::ENOSPC),
            || io::Error::from(Error::new(Kind::Unavailable, "the connection broke")),
        ] {
            let source = Failing(io::Cursor::new(half.clone()), make);
            let mut reader = open_compressed(Box::new(source)).unwrap();
            let error = reader.read_to_end(&mut Vec::new()).unwrap_err();
            let error = Error::io_named("cannot read x", error);
            assert_eq!(error.kind(), Kind::Unavailable, "{format:?}");
        }
    }
}
