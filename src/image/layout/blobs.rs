//! The blobs of a layout: each once, and only if it is what its descriptor
//! says.

use std::collections::HashSet;
use std::io::{self, Write};

use crate::digest::{Digest, Hasher};
use crate::error::{Context, Error, Result};
use crate::image::pipeline;
use crate::image::walk::Sink;
use crate::oci::Descriptor;

use super::files::{Content, Files};
use super::path_of;

/// From this size on, in bytes, a blob is hashed by a thread of its own.
const ASIDE: u64 = 1 << 20;

/// The blobs of a layout under construction.
pub(super) struct Blobs<'a> {
    pub(super) files: &'a mut dyn Files,
    pub(super) written: HashSet<Digest>,
}

impl Blobs<'_> {
    /// Writes the blob that `content` produces, unless it is there; it must be
    /// what `descriptor` says. `what` names it in errors.
    pub(super) fn add(
        &mut self,
        what: &str,
        descriptor: &Descriptor,
        content: Content<'_>,
    ) -> Result<()> {
        let Descriptor { digest, size, .. } = *descriptor;
        if !self.written.insert(digest) {
            return Ok(());
        }
        let mut found = None;
        self.files
            .add(&path_of(digest), size, &mut |output| {
                found = Some(hashed(content, size, output)?);
                Ok(())
            })
            .context(|| format!("cannot write {what}"))?;
        found.map_or(Ok(()), |found| require((what, found), (digest, size)))
    }
}

/// Fails if what was `found` is not what was expected.
pub(super) fn require(
    (what, (found, found_size)): (&str, (Digest, u64)),
    (digest, size): (Digest, u64),
) -> Result<()> {
    if found != digest || found_size != size {
        return Err(Error::mismatch(format!(
            "{what} is {found} ({found_size} bytes), expected {digest} ({size} bytes)"
        )));
    }
    Ok(())
}

/// Has `content` write to `output`, at most `limit` bytes; returns their digest
/// and how many they are. Of large content the hashing does not delay the
/// writing.
pub(super) fn hashed(
    content: Content<'_>,
    limit: u64,
    output: &mut dyn Write,
) -> Result<(Digest, u64)> {
    if limit < ASIDE {
        let mut hasher = Hasher::new();
        let mut take = |bytes: &[u8]| {
            hasher.update(bytes);
            Ok(())
        };
        content(&mut Hashed { output, take: &mut take, left: limit, limit })?;
        let size = hasher.size();
        return Ok((hasher.finish(), size));
    }
    let ((), found, size) = pipeline::digest(|sink| {
        let take = &mut |bytes: &[u8]| sink.put(bytes);
        content(&mut Hashed { output, take, left: limit, limit })
    })?;
    Ok((found.0, size))
}

/// What is written of a blob, taken by who hashes it on the way.
struct Hashed<'a> {
    output: &'a mut dyn Write,
    take: &'a mut dyn FnMut(&[u8]) -> Result<()>,
    left: u64,
    limit: u64,
}

impl Write for Hashed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // More than promised is a mismatch at once, not when the disk is full.
        let Some(left) = self.left.checked_sub(bytes.len() as u64) else {
            let limit = self.limit;
            return Err(Error::mismatch(format!("it is longer than {limit} bytes")).into());
        };
        (self.take)(bytes)?;
        self.output.write_all(bytes)?;
        self.left = left;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}
