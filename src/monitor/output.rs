//! The output of a container that nobody is attached to: read by the monitor
//! and written to the container's log. It never keeps the container waiting for
//! more than the log's disk, and holds one buffer whatever is printed.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;

use crate::error::{Error, Result};
use crate::fs::Timestamp;

use super::log::{LogOptions, LogWriter, Stream};

/// As much as a pipe holds (pipe(7), "Pipe capacity").
const BUFFER: usize = 64 * 1024;

/// Where a container's output comes from, and where it goes.
#[derive(Default)]
pub(super) struct Outputs {
    sources: Vec<(OwnedFd, Stream)>,
    log: Option<LogWriter>,
}

/// Opens `/dev/null`.
pub(super) fn null() -> io::Result<OwnedFd> {
    Ok(rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?)
}

impl Outputs {
    /// Gives this process, and so the container that it starts, the stdio of
    /// one that nobody is attached to: `/dev/null`, and unless it gets a
    /// `terminal` one pipe for each output.
    ///
    /// # Errors
    /// Those of pipe(2), and of the log in the directory `log`.
    pub(super) fn detach(log: Option<&Path>, terminal: bool) -> Result<Self> {
        let fail = |error: io::Error| Error::io_named("cannot detach the container", error);
        let mut outputs = Self::default();
        if let Some(log) = log {
            outputs.log = Some(LogWriter::open(log, LogOptions::default())?);
        }
        let null = null().map_err(fail)?;
        let stdio = |result: Result<(), Errno>| result.map_err(|error| fail(error.into()));
        stdio(rustix::stdio::dup2_stdin(&null))?;
        stdio(rustix::stdio::dup2_stdout(&null))?;
        stdio(rustix::stdio::dup2_stderr(&null))?;
        if outputs.log.is_some() && !terminal {
            let stdout = outputs.pipe(Stream::Stdout).map_err(fail)?;
            stdio(rustix::stdio::dup2_stdout(&stdout))?;
            let stderr = outputs.pipe(Stream::Stderr).map_err(fail)?;
            stdio(rustix::stdio::dup2_stderr(&stderr))?;
        }
        Ok(outputs)
    }

    fn pipe(&mut self, stream: Stream) -> io::Result<OwnedFd> {
        let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        // Whoever the program runs as may open `/dev/stdout`. Nobody else gets
        // at a pipe without a name.
        rustix::fs::fchmod(&writer, Mode::from_raw_mode(0o666))?;
        self.add(reader, stream)?;
        Ok(writer)
    }

    /// Reads from `source`, too: the master of a terminal, say.
    ///
    /// # Errors
    /// Those of fcntl(2).
    pub(super) fn add(&mut self, source: OwnedFd, stream: Stream) -> io::Result<()> {
        let flags = rustix::fs::fcntl_getfl(&source)?;
        rustix::fs::fcntl_setfl(&source, flags | OFlags::NONBLOCK)?;
        self.sources.push((source, stream));
        Ok(())
    }

    /// What to wait for, in the order of the numbers of [`Outputs::copy`].
    pub(super) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.sources.iter().map(|(source, _)| source.as_fd())
    }

    /// Copies what there is now, of the sources of these numbers; one that has
    /// ended goes.
    pub(super) fn copy(&mut self, ready: &[usize]) {
        for &index in ready.iter().rev() {
            if !self.copy_one(index) {
                self.sources.remove(index);
            }
        }
    }

    /// One buffer full; false at the end.
    fn copy_one(&mut self, index: usize) -> bool {
        let mut buffer = [0; BUFFER];
        let (source, stream) = &self.sources[index];
        match rustix::io::read(source, &mut buffer) {
            Ok(0) => false,
            Ok(count) => {
                if let Some(log) = &mut self.log {
                    // The log counts what it loses and tells there; the
                    // container must not wait for it.
                    let _ = log.write(*stream, &buffer[..count], Timestamp::now());
                }
                true
            }
            Err(Errno::INTR | Errno::AGAIN) => true,
            // EIO: no process has the terminal open any more.
            Err(_) => false,
        }
    }

    /// Copies what is left when the container has ended.
    pub(super) fn drain(mut self) {
        let waits = |source: &OwnedFd| {
            let mut fds = [rustix::event::PollFd::new(source, rustix::event::PollFlags::IN)];
            let now = rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 };
            matches!(rustix::event::poll(&mut fds, Some(&now)), Ok(count) if count > 0)
        };
        while !self.sources.is_empty() {
            if !waits(&self.sources[0].0) || !self.copy_one(0) {
                self.sources.remove(0);
            }
        }
        if let Some(log) = self.log {
            let _ = log.finish();
        }
    }
}
