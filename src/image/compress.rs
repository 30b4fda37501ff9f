//! Archives as they arrive: compressed or not, told by their first bytes and
//! never by a file name. Only reading; what envbox stores is not compressed.
//!
//! It knows nothing of what is in the stream.

use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;

use flate2::bufread::GzDecoder;

use crate::error::{Error, Result};
use crate::fs::File;

/// How much of the compressed stream one read takes, in bytes.
const BUFFER: usize = 64 * 1024;

/// As many bytes as the longest magic has: that of xz.
const PEEK: usize = 6;

/// The memory that an xz stream may ask for, in bytes: `xz -9` needs 65 MiB,
/// and a damaged or hostile header must not get all there is.
const XZ_MEMORY: u64 = 512 << 20;

/// Opens a stream that is gzip, bzip2, xz, zstd (each possibly of several
/// members) or none of them, which is passed through.
///
/// What is wrong with the compressed form itself is reported by the returned
/// reader, as an `Invalid` [`Error`] inside the `io::Error`: "the gzip stream
/// is truncated or damaged". Errors of `reader` pass through as they are.
///
/// # Errors
/// Those of the first read; `Internal` if a decoder cannot be set up.
pub fn open_compressed(mut reader: Box<dyn Read + Send>) -> Result<Box<dyn Read + Send>> {
    let mut magic = Vec::with_capacity(PEEK);
    reader
        .by_ref()
        .take(PEEK as u64)
        .read_to_end(&mut magic)
        .map_err(|error| Error::io_named("cannot read the start of the archive", error))?;
    let format = Format::of(&magic);
    let whole = io::Cursor::new(magic).chain(reader);
    let Some(format) = format else { return Ok(Box::new(whole)) };
    let source = BufReader::with_capacity(BUFFER, Source(whole));
    let decoder = format.decoder(source).map_err(|error| {
        Error::internal(format!("cannot decode {}", format.name())).because(error)
    })?;
    Ok(Box::new(Decoded { format, decoder }))
}

/// True if `file`, which can be read at any place, begins as a compressed
/// stream that [`open_compressed`] knows. Its position stays.
///
/// # Errors
/// Those of reading.
pub fn is_compressed(file: &File) -> Result<bool> {
    let mut magic = [0; PEEK];
    let count = file
        .read_at(&mut magic, 0)
        .map_err(|error| Error::io_named("cannot read the start of the archive", error))?;
    Ok(Format::of(&magic[..count]).is_some())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Gzip,
    Bzip2,
    Xz,
    Zstd,
}

impl Format {
    /// The format that begins with `magic`: RFC 1952 section 2.3.1, bzip2's
    /// "BZh" and level, the .xz file format 1.2.1 section 2.1.1.1, RFC 8878
    /// sections 3.1.1 and 3.1.2 (skippable frames).
    fn of(magic: &[u8]) -> Option<Self> {
        match magic {
            [0x1f, 0x8b, 8, ..] => Some(Self::Gzip),
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Some(Self::Bzip2),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Self::Xz),
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
        }
    }

    /// An error of the decoder: that of the source, or one of ours.
    fn explain(self, error: io::Error) -> io::Error {
        let error = match error.downcast::<SourceError>() {
            Ok(SourceError(source)) => return source,
            Err(error) => error,
        };
        Error::invalid(format!("the {} stream is truncated or damaged", self.name()))
            .hint("fetch or make the archive again")
            .because(error)
            .into()
    }

    fn decoder(self, source: impl BufRead + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
        Ok(match self {
            Self::Gzip => Box::new(GzipMembers { current: Some(GzDecoder::new(source)) }),
            Self::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(source)),
            Self::Xz => {
                let stream = liblzma::stream::Stream::new_stream_decoder(
                    XZ_MEMORY,
                    liblzma::stream::CONCATENATED,
                )?;
                Box::new(liblzma::bufread::XzDecoder::new_stream(source, stream))
            }
            Self::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(source)?),
        })
    }
}

/// The members of a gzip stream, one after the other, and zeros behind them:
/// padding of a tape or block device, which gzip(1) ignores as well.
struct GzipMembers<R> {
    /// The present one; none after the end.
    current: Option<GzDecoder<R>>,
}

impl<R: BufRead> Read for GzipMembers<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(decoder) = &mut self.current {
            let count = decoder.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            let next = decoder.get_mut().fill_buf()?.first().copied();
            let source = self.current.take().map(GzDecoder::into_inner);
            match (source, next) {
                (Some(mut source), Some(0)) => skip_zeros(&mut source)?,
                (Some(source), Some(_)) => self.current = Some(GzDecoder::new(source)),
                _ => {}
            }
        }
        Ok(0)
    }
}

fn skip_zeros(source: &mut impl BufRead) -> io::Result<()> {
    loop {
        let available = source.fill_buf()?;
        if available.is_empty() {
            return Ok(());
        }
        if available.iter().any(|&byte| byte != 0) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let count = available.len();
        source.consume(count);
    }
}

/// Marks the errors of the compressed stream's own reader, so that a failing
/// disk or connection is not taken for a damaged stream.
struct Source<R>(R);

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct SourceError(io::Error);

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|error| match error.kind() {
            // Decoders and `read_exact` go on after it.
            io::ErrorKind::Interrupted => error,
            _ => io::Error::other(SourceError(error)),
        })
    }
}

/// The decoded stream, which names its format in errors.
struct Decoded {
    format: Format,
    decoder: Box<dyn Read + Send>,
}

impl Read for Decoded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.decoder.read(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => error,
            _ => self.format.explain(error),
        })
    }
}

#[cfg(test)]
#[path = "tests/compress.rs"]
mod tests;
