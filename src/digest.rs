//! Content addresses: the digest of bytes, and the three kinds of digest that
//! an image knows, each its own type so that none can be taken for another.
//!
//! Only `sha256` is written and only `sha256` is read: the OCI image spec
//! (descriptor.md, "Registered algorithms") makes it the one that every
//! implementation must have.

use std::fmt;
use std::io::{self, Read, Write};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};

/// A sha256 digest over raw bytes, printed as `sha256:` and 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The 64 lower-case hex digits, without the algorithm.
    pub fn encoded(&self) -> String {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let digit = |nibble: u8| char::from(HEX[usize::from(nibble)]);
        self.0.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
    }

    /// The first twelve hex digits: docker's short form.
    pub fn short(&self) -> String {
        let mut encoded = self.encoded();
        encoded.truncate(12);
        encoded
    }

    /// Reads the 64 hex digits alone.
    ///
    /// # Errors
    /// `Invalid` if there are not exactly 64 lower-case hex digits.
    pub fn from_encoded(encoded: &str) -> Result<Self> {
        let bad = || Error::invalid(format!("invalid sha256 digest {encoded:?}"));
        let nibble = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(bad()),
        };
        let (pairs, rest) = encoded.as_bytes().as_chunks::<2>();
        if pairs.len() != 32 || !rest.is_empty() {
            return Err(bad());
        }
        let mut bytes = [0; 32];
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = nibble(*high)? << 4 | nibble(*low)?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.encoded())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.split_once(':') {
            Some(("sha256", encoded)) => Self::from_encoded(encoded),
            Some((algorithm, _)) => Err(Error::unsupported(format!(
                "digest algorithm {algorithm:?} of {text:?} is not supported"
            ))
            .hint("use a sha256 digest")),
            None => Err(Error::invalid(format!("invalid digest {text:?}"))
                .hint("a digest is sha256: and 64 hex digits")),
        }
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|error: Error| serde::de::Error::custom(error.chain()))
    }
}

/// Declares a digest with a meaning of its own.
macro_rules! meaning {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Digest);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                text.parse().map(Self)
            }
        }
    };
}

meaning! {
    /// The digest of a layer's uncompressed tar.
    DiffId
}
meaning! {
    /// The name of a stack of layers (image spec, config.md, "Layer ChainID").
    ChainId
}
meaning! {
    /// The digest of an image's config blob: the image's ID.
    ImageId
}

impl ChainId {
    /// The chain ID of `layer` laid upon `parent`: the diff ID itself for the
    /// lowest layer, else the digest of both names with a space between.
    pub fn extend(parent: Option<ChainId>, layer: DiffId) -> Self {
        match parent {
            None => Self(layer.0),
            Some(parent) => Self(Digest::of(format!("{parent} {layer}").as_bytes())),
        }
    }

    /// The chain ID of every prefix of `layers`, lowest first.
    pub fn stack(layers: &[DiffId]) -> Vec<ChainId> {
        let mut parent = None;
        layers
            .iter()
            .map(|&layer| {
                let chain = Self::extend(parent, layer);
                parent = Some(chain);
                chain
            })
            .collect()
    }
}

/// Hashes what is put into it and counts the bytes.
#[derive(Default)]
pub struct Hasher {
    state: Sha256,
    size: u64,
}

impl Hasher {
    /// An empty hasher.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in `bytes`.
    pub fn update(&mut self, bytes: &[u8]) {
        self.state.update(bytes);
        self.size += bytes.len() as u64;
    }

    /// How many bytes were taken in.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The digest of all that was taken in.
    pub fn finish(self) -> Digest {
        Digest(self.state.finalize().into())
    }
}

impl Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Passes bytes through from `inner` and, at its end, compares them with the
/// digest and size they were promised to have.
pub struct VerifyingReader<R> {
    inner: R,
    hasher: Option<Hasher>,
    expected: Digest,
    size: u64,
}

impl<R: Read> VerifyingReader<R> {
    /// A reader of `inner`, which is to be `size` bytes long with digest
    /// `expected`. Reading fails at the end, or past `size`, if it is not.
    pub fn new(inner: R, expected: Digest, size: u64) -> Self {
        Self { inner, hasher: Some(Hasher::new()), expected, size }
    }

    fn check_end(&mut self) -> Result<()> {
        let Some(hasher) = self.hasher.take() else { return Ok(()) };
        let (size, digest) = (hasher.size(), hasher.finish());
        if size != self.size || digest != self.expected {
            return Err(Error::mismatch(format!(
                "content is {digest} ({size} bytes), expected {} ({} bytes)",
                self.expected, self.size
            )));
        }
        Ok(())
    }
}

impl<R: Read> Read for VerifyingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        if count == 0 && !buffer.is_empty() {
            self.check_end()?;
            return Ok(0);
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buffer[..count]);
            if hasher.size() > self.size {
                self.check_end()?;
            }
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn prints_and_parses_the_same() {
        assert_eq!(Digest::of(b"").to_string(), EMPTY);
        assert_eq!(EMPTY.parse::<Digest>().unwrap(), Digest::of(b""));
        assert_eq!(Digest::of(b"").short(), "e3b0c44298fc");
    }

    #[test]
    fn refuses_what_is_no_digest() {
        let upper = EMPTY.to_uppercase();
        for text in ["", "sha256:", "sha256:abc", "md5:00", upper.as_str(), &EMPTY[..70]] {
            assert!(text.parse::<Digest>().is_err(), "{text}");
        }
    }

    #[test]
    fn chain_of_one_layer_is_its_diff_id() {
        let (a, b) = (DiffId(Digest::of(b"a")), DiffId(Digest::of(b"b")));
        let stack = ChainId::stack(&[a, b]);
        assert_eq!(stack[0].0, a.0);
        assert_eq!(stack[1].0, Digest::of(format!("{a} {b}").as_bytes()));
    }

    #[test]
    fn reader_finds_wrong_and_missing_bytes() {
        let read = |bytes: &[u8], expected: &[u8]| {
            let mut reader =
                VerifyingReader::new(bytes, Digest::of(expected), expected.len() as u64);
            io::copy(&mut reader, &mut io::sink())
        };
        assert_eq!(read(b"abc", b"abc").unwrap(), 3);
        assert!(read(b"abd", b"abc").is_err());
        assert!(read(b"ab", b"abc").is_err());
        assert!(read(b"abcd", b"abc").is_err());
    }
}
