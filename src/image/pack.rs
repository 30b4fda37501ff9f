//! Layers compressed for an archive: the stream is cut into blocks of one size,
//! which threads compress beside each other, and put together in order. So the
//! bytes depend on the content alone, not on how many threads there are; and
//! nothing of the host's (a time, a file name) is among them.
//!
//! It knows nothing of what is in the stream.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, Scope};

use flate2::{Compress, Crc, FlushCompress, Status};

use crate::digest::{Digest, Hasher};
use crate::error::{Error, Result};

/// How many blocks wait for or at one thread.
const DEPTH: usize = 2;

/// gzip(1)'s own level, and docker's.
const GZIP_LEVEL: u32 = 6;
/// Of what a gzip stream is cut into, in bytes. Each begins without a history:
/// larger ones gain less than a hundredth.
const GZIP_BLOCK: usize = 1 << 20;
/// No name, no time, no flags, and an unknown system (RFC 1952, section 2.3).
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
/// A last block that holds nothing (RFC 1951, section 3.2.6).
const GZIP_LAST: [u8; 2] = [3, 0];

/// zstd(1)'s own level.
const ZSTD_LEVEL: i32 = 3;
/// Of what one frame of a zstd stream holds, in bytes; RFC 8878, section 3: a
/// stream is one frame or more.
const ZSTD_BLOCK: usize = 2 << 20;

/// How layers are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// RFC 1952: every reader knows it.
    Gzip,
    /// RFC 8878: smaller, and several times faster.
    Zstd,
}

impl Compression {
    /// What such a layer is called (image spec, layer.md).
    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
            Self::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
        }
    }

    /// The most threads: more would need more memory than envbox takes for one
    /// work, 64 MiB with all that is around them.
    fn workers(self) -> usize {
        match self {
            Self::Gzip => 6,
            Self::Zstd => 3,
        }
    }

    fn block(self) -> usize {
        match self {
            Self::Gzip => GZIP_BLOCK,
            Self::Zstd => ZSTD_BLOCK,
        }
    }

    fn codec(self) -> io::Result<Codec> {
        Ok(match self {
            Self::Gzip => Codec::Gzip(Compress::new(flate2::Compression::new(GZIP_LEVEL), false)),
            Self::Zstd => Codec::Zstd(Box::new(zstd::bulk::Compressor::new(ZSTD_LEVEL)?)),
        })
    }
}

/// Writes what `produce` writes to `output`, compressed; returns what `produce`
/// did, and the digest and size of what was written. Starts threads, which end
/// with it.
///
/// # Errors
/// Those of `produce`, of `output`, and of starting threads.
pub(super) fn pack<T>(
    compression: Compression,
    output: &mut dyn Write,
    produce: impl FnOnce(&mut dyn Write) -> Result<T>,
) -> Result<(T, Digest, u64)> {
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    let count = count.min(compression.workers());
    std::thread::scope(|scope| {
        let workers = (0..count).map(|_| Worker::start(scope, compression));
        let workers = workers.collect::<Result<Vec<_>>>()?;
        let mut packer = Packer {
            compression,
            workers,
            waiting: VecDeque::new(),
            next: 0,
            block: Vec::new(),
            spare: Vec::new(),
            crc: Crc::new(),
            output: Output { inner: output, hasher: Hasher::new() },
        };
        let packed = packer.begin().and_then(|()| produce(&mut packer)).and_then(|produced| {
            packer.finish()?;
            Ok(produced)
        });
        let Packer { workers, output, .. } = packer;
        workers.into_iter().for_each(Worker::join);
        let size = output.hasher.size();
        Ok((packed?, output.hasher.finish(), size))
    })
}

/// A block on its way back.
struct Packed {
    /// The buffer of what was compressed, for the next block.
    buffer: Vec<u8>,
    bytes: io::Result<Vec<u8>>,
    crc: Crc,
}

/// A thread that compresses blocks, one after the other.
struct Worker<'scope> {
    jobs: SyncSender<Vec<u8>>,
    results: Receiver<Packed>,
    thread: std::thread::ScopedJoinHandle<'scope, ()>,
}

impl<'scope> Worker<'scope> {
    fn start(scope: &'scope Scope<'scope, '_>, compression: Compression) -> Result<Self> {
        let (jobs, queue) = sync_channel(DEPTH);
        let (done, results) = sync_channel(DEPTH);
        let thread =
            Builder::new()
                .spawn_scoped(scope, move || work(compression, &queue, &done))
                .map_err(|error| Error::io_named("cannot start a thread that compresses", error))?;
        Ok(Self { jobs, results, thread })
    }

    /// Waits for the end of the thread itself: who forks afterwards is alone.
    fn join(self) {
        drop((self.jobs, self.results));
        if let Err(panic) = self.thread.join() {
            std::panic::resume_unwind(panic);
        }
    }
}

fn work(compression: Compression, queue: &Receiver<Vec<u8>>, done: &SyncSender<Packed>) {
    let mut codec = compression.codec();
    for buffer in queue {
        let bytes = match &mut codec {
            Ok(codec) => codec.pack(&buffer),
            Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
        };
        let mut crc = Crc::new();
        if compression == Compression::Gzip {
            crc.update(&buffer);
        }
        // Nobody waits for it after an error elsewhere.
        if done.send(Packed { buffer, bytes, crc }).is_err() {
            return;
        }
    }
}

/// What compresses one block at a time, independently of all others.
enum Codec {
    Gzip(Compress),
    Zstd(Box<zstd::bulk::Compressor<'static>>),
}

impl Codec {
    fn pack(&mut self, block: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::Gzip(deflate) => deflated(deflate, block),
            Self::Zstd(compressor) => compressor.compress(block),
        }
    }
}

/// `block` as deflate blocks none of which is the last, up to a whole byte.
fn deflated(deflate: &mut Compress, block: &[u8]) -> io::Result<Vec<u8>> {
    deflate.reset();
    let mut out = Vec::with_capacity(block.len() / 2 + 1024);
    loop {
        let taken = usize::try_from(deflate.total_in()).unwrap_or(usize::MAX);
        let rest = block.get(taken..).unwrap_or_default();
        let status = deflate.compress_vec(rest, &mut out, FlushCompress::Sync);
        // Room left over means that all is out (zlib.h, deflate).
        if out.len() < out.capacity() && deflate.total_in() == block.len() as u64 {
            return Ok(out);
        }
        match status.map_err(io::Error::other)? {
            Status::Ok | Status::BufError => out.reserve(block.len() / 2 + 1024),
            Status::StreamEnd => return Err(io::Error::other("the stream ended by itself")),
        }
    }
}

/// Cuts what is written into blocks, and writes them compressed.
struct Packer<'scope, 'a> {
    compression: Compression,
    workers: Vec<Worker<'scope>>,
    /// The workers that have a block, in the order of the blocks.
    waiting: VecDeque<usize>,
    /// The worker of the next block.
    next: usize,
    block: Vec<u8>,
    spare: Vec<Vec<u8>>,
    /// Over all that was written.
    crc: Crc,
    output: Output<'a>,
}

impl Packer<'_, '_> {
    fn begin(&mut self) -> Result<()> {
        match self.compression {
            Compression::Gzip => self.output.put(&GZIP_HEADER).map_err(unwritable),
            Compression::Zstd => Ok(()),
        }
    }

    fn finish(&mut self) -> Result<()> {
        // Nothing at all is still a zstd frame; a gzip stream has its header.
        let is_nothing = self.waiting.is_empty() && self.output.hasher.size() == 0;
        if !self.block.is_empty() || is_nothing {
            self.send().map_err(unwritable)?;
        }
        while !self.waiting.is_empty() {
            self.take().map_err(unwritable)?;
        }
        if self.compression == Compression::Gzip {
            self.output.put(&GZIP_LAST).map_err(unwritable)?;
            // Sum and size modulo 2^32 (RFC 1952, section 2.3.1).
            let trailer = [self.crc.sum().to_le_bytes(), self.crc.amount().to_le_bytes()];
            self.output.put(trailer.as_flattened()).map_err(unwritable)?;
        }
        self.output.inner.flush().map_err(unwritable)
    }

    /// Hands the block over.
    fn send(&mut self) -> io::Result<()> {
        if self.waiting.len() == self.workers.len() * DEPTH {
            self.take()?;
        }
        let block = std::mem::replace(&mut self.block, self.spare.pop().unwrap_or_default());
        self.workers[self.next].jobs.send(block).map_err(|_| ended())?;
        self.waiting.push_back(self.next);
        self.next = (self.next + 1) % self.workers.len();
        Ok(())
    }

    /// Writes the oldest block.
    fn take(&mut self) -> io::Result<()> {
        let Some(worker) = self.waiting.pop_front() else { return Ok(()) };
        let Packed { mut buffer, bytes, crc } =
            self.workers[worker].results.recv().map_err(|_| ended())?;
        buffer.clear();
        self.spare.push(buffer);
        self.crc.combine(&crc);
        self.output.put(&bytes?)
    }
}

impl Write for Packer<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let size = self.compression.block();
        if self.block.len() == size {
            self.send()?;
        }
        if self.block.capacity() == 0 {
            self.block.reserve_exact(size);
        }
        let count = bytes.len().min(size - self.block.len());
        self.block.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    /// Blocks have one size, whatever flushes.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn ended() -> io::Error {
    Error::internal("a compressing thread has ended").into()
}

fn unwritable(error: io::Error) -> Error {
    Error::io_named("cannot write the compressed layer", error)
}

/// Where the compressed bytes go, hashed on the way.
struct Output<'a> {
    inner: &'a mut dyn Write,
    hasher: Hasher,
}

impl Output<'_> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.inner.write_all(bytes)?;
        self.hasher.update(bytes);
        Ok(())
    }
}

#[cfg(test)]
#[path = "tests/pack.rs"]
mod tests;
