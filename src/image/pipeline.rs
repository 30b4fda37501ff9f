//! Three stages that overlap: one produces a canonical tar in chunks, one
//! hashes them, one applies them to a tree. The queues are short and buffers
//! go back to be filled again, so memory is a few MiB whatever the size.

use std::io::{self, BufRead, Read, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

use crate::digest::{DiffId, Hasher};
use crate::error::{Error, Result};
use crate::fs::Dir;

use super::apply::{Applied, ApplyOptions, apply};
use super::read::TarReader;
use super::sparse_copy::SparseCopy;
use super::walk::Sink;

/// Of one chunk, in bytes.
const CHUNK: usize = 256 * 1024;
/// How many chunks may wait for a stage.
const QUEUE: usize = 8;

type Chunk = Arc<Vec<u8>>;

/// What went through.
pub(super) struct Through<T, C> {
    /// What the producer returned.
    pub(super) produced: T,
    /// Over all bytes.
    pub(super) diff_id: DiffId,
    /// How many bytes.
    pub(super) size: u64,
    /// What the consumer returned.
    pub(super) consumed: C,
}

/// Runs `produce` on a thread of its own, and the hasher and `consume`, which
/// reads all, beside it, to their ends.
///
/// # Errors
/// The first real one: what a stage says because another one ended is never
/// returned before that one's own error.
pub(super) fn run<T: Send, C>(
    produce: impl FnOnce(&mut ChunkSink) -> Result<T> + Send,
    consume: impl FnOnce(ChunkReader<'_>) -> Result<C>,
) -> Result<Through<T, C>> {
    let (recycle, pool) = channel();
    let (to_hasher, hash_queue) = sync_channel(QUEUE);
    let (to_extractor, apply_queue) = sync_channel(QUEUE);
    std::thread::scope(|scope| {
        let producer = scope.spawn(move || {
            let mut sink = ChunkSink::new(vec![to_hasher, to_extractor], pool);
            let result = produce(&mut sink).and_then(|value| sink.flush().map(|()| value));
            (result, sink.closed)
        });
        let hash_recycle = recycle.clone();
        let hasher = scope.spawn(move || hash(&hash_queue, &hash_recycle));
        let consumed = consume(ChunkReader::new(apply_queue, recycle));
        let (produced, closed) = joined(producer.join());
        let (diff_id, size) = joined(hasher.join());
        match (produced, consumed) {
            // The sink closes only if the consumer has ended before its time.
            (Err(_), Err(error)) if closed => Err(error),
            (Err(error), _) | (Ok(_), Err(error)) => Err(error),
            (Ok(produced), Ok(consumed)) => Ok(Through { produced, diff_id, size, consumed }),
        }
    })
}

/// Runs `produce` on a thread of its own and the extractor beside it.
///
/// # Errors
/// As [`run`].
pub(super) fn transfer<T: Send>(
    produce: impl FnOnce(&mut ChunkSink) -> Result<T> + Send,
    target: &Dir,
    options: &ApplyOptions<'_>,
) -> Result<(T, Applied)> {
    pass(produce, |input| apply(TarReader::new(input), target, options))
}

/// Runs `produce` on a thread of its own and `consume`, which reads all, beside
/// it, to their ends.
///
/// # Errors
/// As [`run`].
pub(super) fn pass<T: Send, C>(
    produce: impl FnOnce(&mut ChunkSink) -> Result<T> + Send,
    consume: impl FnOnce(ChunkReader<'_>) -> Result<C>,
) -> Result<(T, C)> {
    let (recycle, pool) = channel();
    let (to_extractor, queue) = sync_channel(QUEUE);
    std::thread::scope(|scope| {
        let producer = scope.spawn(move || {
            let mut sink = ChunkSink::new(vec![to_extractor], pool);
            let result = produce(&mut sink).and_then(|value| sink.flush().map(|()| value));
            (result, sink.closed)
        });
        let consumed = consume(ChunkReader::new(queue, recycle));
        let (produced, closed) = joined(producer.join());
        match (produced, consumed) {
            (Err(_), Err(error)) if closed => Err(error),
            (Err(error), _) | (Ok(_), Err(error)) => Err(error),
            (Ok(produced), Ok(consumed)) => Ok((produced, consumed)),
        }
    })
}

/// Runs `produce` and, on a thread of its own, the hasher; returns what
/// `produce` did, and the digest and size of what it wrote.
///
/// # Errors
/// Those of `produce`.
pub(super) fn digest<T>(
    produce: impl FnOnce(&mut ChunkSink) -> Result<T>,
) -> Result<(T, DiffId, u64)> {
    let (recycle, pool) = channel();
    let (to_hasher, queue) = sync_channel(QUEUE);
    std::thread::scope(|scope| {
        let hasher = scope.spawn(move || hash(&queue, &recycle));
        let mut sink = ChunkSink::new(vec![to_hasher], pool);
        let produced = produce(&mut sink).and_then(|value| sink.flush().map(|()| value));
        // The hasher ends when nobody can send to it any more.
        drop(sink);
        let (diff_id, size) = joined(hasher.join());
        Ok((produced?, diff_id, size))
    })
}

/// What a stage returned; its panic goes on here.
fn joined<T>(result: std::thread::Result<T>) -> T {
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn hash(queue: &Receiver<Chunk>, recycle: &Sender<Vec<u8>>) -> (DiffId, u64) {
    let mut hasher = Hasher::new();
    for chunk in queue {
        hasher.update(&chunk);
        give_back(chunk, recycle);
    }
    let size = hasher.size();
    (DiffId(hasher.finish()), size)
}

/// Returns the buffer if nobody else reads it any more.
fn give_back(chunk: Chunk, recycle: &Sender<Vec<u8>>) {
    if let Some(buffer) = Arc::into_inner(chunk) {
        // A producer that has ended needs no buffers.
        let _ = recycle.send(buffer);
    }
}

/// Where the producer writes.
pub(super) struct ChunkSink {
    outputs: Vec<SyncSender<Chunk>>,
    pool: Receiver<Vec<u8>>,
    current: Vec<u8>,
    used: usize,
    closed: bool,
}

impl ChunkSink {
    fn new(outputs: Vec<SyncSender<Chunk>>, pool: Receiver<Vec<u8>>) -> Self {
        Self { outputs, pool, current: Vec::new(), used: 0, closed: false }
    }

    fn flush(&mut self) -> Result<()> {
        let mut chunk = std::mem::take(&mut self.current);
        chunk.truncate(std::mem::take(&mut self.used));
        if chunk.is_empty() {
            return Ok(());
        }
        let chunk = Arc::new(chunk);
        for output in &self.outputs {
            if output.send(Arc::clone(&chunk)).is_err() {
                self.closed = true;
                return Err(Error::internal("a stage of the import has ended"));
            }
        }
        Ok(())
    }
}

impl Sink for ChunkSink {
    fn space(&mut self) -> Result<&mut [u8]> {
        if self.used == CHUNK {
            self.flush()?;
        }
        if self.current.is_empty() {
            // Never waits for a buffer: the queues bound how many there are.
            self.current = self.pool.try_recv().unwrap_or_default();
            self.current.resize(CHUNK, 0);
        }
        Ok(&mut self.current[self.used..])
    }

    fn advance(&mut self, count: usize) {
        self.used += count;
    }
}

/// What the consumer reads.
pub(super) struct ChunkReader<'a> {
    queue: Receiver<Chunk>,
    recycle: Sender<Vec<u8>>,
    current: Option<Chunk>,
    position: usize,
    copy: Option<&'a mut SparseCopy>,
}

impl<'a> ChunkReader<'a> {
    fn new(queue: Receiver<Chunk>, recycle: Sender<Vec<u8>>) -> Self {
        Self { queue, recycle, current: None, position: 0, copy: None }
    }

    /// Writes all that comes to `copy` as well. Where that fails the reading
    /// does, and `copy` knows why.
    pub(super) fn copied_to(self, copy: &'a mut SparseCopy) -> Self {
        Self { copy: Some(copy), ..self }
    }
}

impl BufRead for ChunkReader<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let is_used = self.current.as_ref().is_none_or(|chunk| self.position == chunk.len());
        if is_used {
            if let Some(chunk) = self.current.take() {
                give_back(chunk, &self.recycle);
            }
            self.position = 0;
            self.current = self.queue.recv().ok();
            if let (Some(copy), Some(chunk)) = (&mut self.copy, &self.current) {
                copy.put(chunk)?;
            }
        }
        Ok(self.current.as_ref().map_or(&[], |chunk| &chunk[self.position..]))
    }

    fn consume(&mut self, count: usize) {
        self.position += count;
    }
}

impl Read for ChunkReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

/// A writer upon a [`Sink`].
pub(super) struct SinkWriter<'a>(&'a mut ChunkSink);

impl<'a> SinkWriter<'a> {
    pub(super) fn new(sink: &'a mut ChunkSink) -> Self {
        Self(sink)
    }
}

impl Write for SinkWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.put(bytes).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A [`Sink`] upon any writer.
pub(super) struct WriterSink<'a> {
    output: &'a mut dyn io::Write,
    buffer: Vec<u8>,
    used: usize,
}

impl<'a> WriterSink<'a> {
    pub(super) fn new(output: &'a mut dyn io::Write) -> Self {
        Self { output, buffer: vec![0; CHUNK], used: 0 }
    }

    /// Writes what is still in the buffer.
    ///
    /// # Errors
    /// Those of the writer.
    pub(super) fn flush(&mut self) -> Result<()> {
        let used = std::mem::take(&mut self.used);
        self.output
            .write_all(&self.buffer[..used])
            .and_then(|()| self.output.flush())
            .map_err(|error| Error::io_named("cannot write the layer", error))
    }
}

impl Sink for WriterSink<'_> {
    fn space(&mut self) -> Result<&mut [u8]> {
        if self.used == self.buffer.len() {
            self.flush()?;
        }
        Ok(&mut self.buffer[self.used..])
    }

    fn advance(&mut self, count: usize) {
        self.used += count;
    }
}
