//! What was packed is unpacked by others' readers, and is the same each time.

use std::io::Read;

use super::*;
use crate::image::open_compressed;

/// Text and noise: `size` bytes.
fn sample(size: usize) -> Vec<u8> {
    let mut state = 1u32;
    let mut noise = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 24
    };
    (0..size).map(|at| if at % 5000 < 3000 { b'a' } else { noise() as u8 }).collect()
}

fn packed(compression: Compression, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let (count, digest, size) = pack(compression, &mut out, |writer| {
        // In pieces that fit no block.
        for piece in bytes.chunks(77_777) {
            writer.write_all(piece).unwrap();
            writer.flush().unwrap();
        }
        Ok(bytes.len())
    })
    .unwrap();
    assert_eq!((count, size), (bytes.len(), out.len() as u64));
    assert_eq!(digest, Digest::of(&out));
    out
}

#[test]
fn unpacks_to_the_same_and_is_always_the_same() {
    for compression in [Compression::Gzip, Compression::Zstd] {
        let block = compression.block();
        for size in [0, 1, 511, block - 1, block, block + 1, 2 * block, 9 * block + 12_345] {
            let bytes = sample(size);
            let first = packed(compression, &bytes);
            assert_eq!(first, packed(compression, &bytes), "{compression:?} {size}");
            let source = io::Cursor::new(first);
            let mut found = Vec::new();
            open_compressed(Box::new(source)).unwrap().read_to_end(&mut found).unwrap();
            assert!(found == bytes, "{compression:?} {size}");
        }
    }
}

#[test]
fn a_gzip_stream_is_one_member_that_says_nothing_of_the_host() {
    let bytes = sample(3 * GZIP_BLOCK + 5);
    let stream = packed(Compression::Gzip, &bytes);
    assert_eq!(stream[..10], GZIP_HEADER);
    // This decoder reads one member and checks its sum.
    let mut decoder = flate2::bufread::GzDecoder::new(stream.as_slice());
    let mut found = Vec::new();
    decoder.read_to_end(&mut found).unwrap();
    assert!(found == bytes);
    assert!(decoder.into_inner().is_empty());
}

#[test]
fn noise_does_not_grow_without_bound() {
    let mut state = 7u64;
    let noise: Vec<u8> = (0..3 * GZIP_BLOCK)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect();
    for compression in [Compression::Gzip, Compression::Zstd] {
        let stream = packed(compression, &noise);
        assert!(stream.len() < noise.len() + noise.len() / 100, "{compression:?}");
        let mut found = Vec::new();
        open_compressed(Box::new(io::Cursor::new(stream)))
            .unwrap()
            .read_to_end(&mut found)
            .unwrap();
        assert!(found == noise);
    }
}

#[test]
fn errors_of_both_sides_pass() {
    let large = sample(GZIP_BLOCK * 12);
    for compression in [Compression::Gzip, Compression::Zstd] {
        let error = pack(compression, &mut Vec::new(), |writer| {
            writer.write_all(&large).unwrap();
            Err::<(), _>(Error::not_found("no more"))
        });
        assert_eq!(error.unwrap_err().chain(), "no more");

        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::Error::from_raw_os_error(libc::ENOSPC))
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let error = pack(compression, &mut Full, |writer| {
            writer.write_all(&large).map_err(|error| Error::io_named("cannot write", error))
        });
        assert!(error.unwrap_err().chain().contains("No space left"));
    }
}
