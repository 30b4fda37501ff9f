//! The output of a container as the monitor reads it: written to its log, and
//! shown to those who are attached. It holds one buffer whatever is printed,
//! and reads again when those have taken it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;

use crate::error::{Error, Result};
use crate::fs::Timestamp;

use super::audience::Audience;
use super::log::{LogWriter, Stream};
use super::{Attended, Input};

/// Half of what a pipe holds (pipe(7), "Pipe capacity"): a packet of it fits
/// into any socket.
const BUFFER: usize = 32 * 1024;

/// Where a container's output comes from, and where it goes.
#[derive(Default)]
pub(super) struct Outputs {
    sources: Vec<(OwnedFd, Stream)>,
    log: Option<LogWriter>,
}

/// Makes `/dev/null` the stdio of this process.
pub(super) fn silence() -> io::Result<()> {
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    Ok(())
}

fn set_nonblocking(fd: &OwnedFd) -> io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(fd)?;
    Ok(rustix::fs::fcntl_setfl(fd, flags | OFlags::NONBLOCK)?)
}

impl Outputs {
    /// Gives this process, and so the container that it starts, the stdio of
    /// one whose output the monitor reads: a pipe for each output, and one for
    /// the input that it may get. One with a terminal of its own needs none of
    /// them.
    ///
    /// # Errors
    /// Those of pipe(2), and of the log.
    pub(super) fn attend(attended: &Attended) -> Result<(Self, Option<OwnedFd>)> {
        let fail = |error: io::Error| Error::io_named("cannot make the container's pipes", error);
        let mut outputs = Self::default();
        if let Some((log, options)) = &attended.log {
            outputs.log = Some(LogWriter::open(log, *options)?);
        }
        if attended.terminal {
            // The size of a caller's terminal is asked for until it starts.
            if attended.caller.is_none() {
                silence().map_err(fail)?;
            }
            return Ok((outputs, None));
        }
        let input = outputs.make_stdio(attended).map_err(fail)?;
        Ok((outputs, input))
    }

    /// The end of the pipe to stdin that is written to, if there is one.
    fn make_stdio(&mut self, attended: &Attended) -> io::Result<Option<OwnedFd>> {
        silence()?;
        let stdout = self.pipe(Stream::Stdout)?;
        rustix::stdio::dup2_stdout(&stdout)?;
        let stderr = self.pipe(Stream::Stderr)?;
        rustix::stdio::dup2_stderr(&stderr)?;
        if attended.input == Input::None {
            return Ok(None);
        }
        let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        rustix::fs::fchmod(&reader, Mode::from_raw_mode(0o666))?;
        rustix::stdio::dup2_stdin(&reader)?;
        // For all who will have it: the file's flags are shared.
        set_nonblocking(&writer)?;
        Ok(Some(writer))
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
        set_nonblocking(&source)?;
        self.sources.push((source, stream));
        Ok(())
    }

    /// What to wait for, in the order of the numbers of [`Outputs::copy`].
    pub(super) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.sources.iter().map(|(source, _)| source.as_fd())
    }

    /// Copies what there is now, of the sources of these numbers, to the log
    /// and to `audience`; one that has ended goes.
    pub(super) fn copy(&mut self, ready: &[usize], audience: &mut Audience) {
        let mut ended = Vec::new();
        for &index in ready {
            if !self.copy_one(index, audience) {
                ended.push(index);
            }
        }
        for index in ended.into_iter().rev() {
            self.sources.remove(index);
        }
    }

    /// One buffer full; false at the end.
    fn copy_one(&mut self, index: usize, audience: &mut Audience) -> bool {
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
                audience.show(*stream, &buffer[..count]);
                true
            }
            Err(Errno::INTR | Errno::AGAIN) => true,
            // EIO: no process has the terminal open any more.
            Err(_) => false,
        }
    }

    /// Copies what is left when the container has ended.
    pub(super) fn drain(mut self, audience: &mut Audience) {
        let waits = |source: &OwnedFd| {
            let mut fds = [rustix::event::PollFd::new(source, rustix::event::PollFlags::IN)];
            let now = rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 };
            matches!(rustix::event::poll(&mut fds, Some(&now)), Ok(count) if count > 0)
        };
        while !self.sources.is_empty() {
            if !waits(&self.sources[0].0) || !self.copy_one(0, audience) {
                self.sources.remove(0);
            }
        }
        if let Some(log) = self.log {
            let _ = log.finish();
        }
    }
}
