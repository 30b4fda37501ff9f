//! Opens a stream whatever it is compressed with, told by its first bytes and
//! never by a name. It knows nothing of what is inside.

use std::io::{self, BufRead, BufReader, Read};

use crate::error::{Error, Result};

/// What a stream is compressed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Gzip,
    Bzip2,
    Xz,
    Zstd,
    Plain,
}

impl Format {
    fn of(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Self::Bzip2,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            // A skippable frame, which may come first.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::Plain,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
            Self::Plain => "plain",
        }
    }
}

const BUFFER: usize = 256 * 1024;
const MAGIC: usize = 6;

/// The uncompressed bytes of `reader`: gzip, bzip2, xz and zstd, each also as
/// several streams one after another, or as it is.
///
/// # Errors
/// Those of the reader. The reader that is returned gives `Invalid` with the
/// format's name where the stream is damaged or cut off.
pub fn open_compressed<'a>(mut reader: impl Read + Send + 'a) -> Result<Box<dyn Read + Send + 'a>> {
    let mut start = Vec::with_capacity(MAGIC);
    let fail = |error: io::Error| Error::io_named("cannot read the archive", error);
    reader.by_ref().take(MAGIC as u64).read_to_end(&mut start).map_err(fail)?;
    let format = Format::of(&start);
    let whole = BufReader::with_capacity(BUFFER, io::Cursor::new(start).chain(reader));
    Ok(match format {
        Format::Plain => Box::new(whole),
        Format::Gzip => named(format, flate2::bufread::MultiGzDecoder::new(whole)),
        Format::Bzip2 => named(format, bzip2::bufread::MultiBzDecoder::new(whole)),
        Format::Xz => named(format, liblzma::bufread::XzDecoder::new_multi_decoder(whole)),
        Format::Zstd => named(format, zstd_frames(whole)?),
    })
}

fn zstd_frames<'a>(reader: impl BufRead + 'a) -> Result<impl Read + 'a> {
    zstd::stream::read::Decoder::with_buffer(reader)
        .map_err(|error| Error::internal("cannot start zstd").because(error))
}

fn named<'a>(format: Format, reader: impl Read + Send + 'a) -> Box<dyn Read + Send + 'a> {
    Box::new(Named { format, reader })
}

/// Names the format in the errors of a decoder.
struct Named<R> {
    format: Format,
    reader: R,
}

impl<R: Read> Read for Named<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer).map_err(|error| {
            // What the operating system or our own reader says is no fault of
            // the stream.
            let is_ours = error.get_ref().is_some_and(|inner| inner.is::<Error>());
            if is_ours
                || error.raw_os_error().is_some()
                || error.kind() == io::ErrorKind::Interrupted
            {
                return error;
            }
            Error::invalid(format!("the {} stream is damaged or cut off", self.format.name()))
                .because(error)
                .hint("make or download it again")
                .into()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const TEXT: &[u8] = b"canonical layers, canonical layers, canonical layers";

    fn compressed() -> Vec<(Format, Vec<u8>)> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(TEXT).unwrap();
        let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        bzip2.write_all(TEXT).unwrap();
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
        xz.write_all(TEXT).unwrap();
        vec![
            (Format::Gzip, gzip.finish().unwrap()),
            (Format::Bzip2, bzip2.finish().unwrap()),
            (Format::Xz, xz.finish().unwrap()),
            (Format::Zstd, zstd::encode_all(TEXT, 1).unwrap()),
        ]
    }

    #[test]
    fn tells_formats_apart_and_joins_streams() {
        for (format, bytes) in compressed() {
            assert_eq!(Format::of(&bytes), format);
            let twice = [bytes.as_slice(), bytes.as_slice()].concat();
            let mut out = Vec::new();
            open_compressed(twice.as_slice()).unwrap().read_to_end(&mut out).unwrap();
            assert_eq!(out, [TEXT, TEXT].concat(), "{format:?}");
        }
        for plain in [&b""[..], b"B", b"plain text"] {
            let mut out = Vec::new();
            open_compressed(plain).unwrap().read_to_end(&mut out).unwrap();
            assert_eq!(out, plain);
        }
    }

    #[test]
    fn names_the_format_of_a_cut_stream() {
        for (format, bytes) in compressed() {
            let cut = &bytes[..bytes.len() - 3];
            let error = open_compressed(cut).unwrap().read_to_end(&mut Vec::new()).unwrap_err();
            let error = Error::io_named("x", error);
            assert_eq!(error.kind(), crate::error::Kind::Invalid, "{format:?}");
            assert!(error.chain().contains(format.name()), "{}", error.chain());
        }
    }
}
