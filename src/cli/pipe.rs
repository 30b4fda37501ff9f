//! Standard output for a tar: without a buffer, never a terminal, and it
//! remembers that nobody reads it any more.

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

use crate::error::{Error, Result};
use crate::fs::File;

/// The status of a program whose reader has gone: 128 and SIGPIPE. docker ends
/// by that signal, without a word.
const READER_GONE: i32 = 128 + nix::libc::SIGPIPE;

/// An open standard output.
pub(super) struct Pipe {
    file: File,
    is_closed: bool,
}

impl Pipe {
    /// Standard output; `refusal` is the error if that is a terminal.
    ///
    /// # Errors
    /// The refusal; those of dup(2).
    pub(super) fn open(refusal: impl FnOnce() -> Error) -> Result<Self> {
        let stdout = io::stdout();
        if stdout.is_terminal() {
            return Err(refusal());
        }
        let file = stdout.as_fd().try_clone_to_owned();
        let file = file.map_err(|error| Error::io_named("cannot write to stdout", error))?;
        Ok(Self { file: file.into(), is_closed: false })
    }

    /// What `written` ends with: an error that the reader has gone by is no news
    /// to anybody.
    ///
    /// # Errors
    /// All others.
    pub(super) fn ended<T>(&self, written: Result<T>) -> Result<Ended<T>> {
        match written {
            Err(_) if self.is_closed => Ok(Ended::ReaderGone),
            written => written.map(Ended::Whole),
        }
    }
}

/// How the writing ended.
pub(super) enum Ended<T> {
    /// All is written.
    Whole(T),
    /// Nobody reads it any more.
    ReaderGone,
}

impl<T> Ended<T> {
    /// The exit status, once `tell` has told of what was written.
    pub(super) fn status(self, tell: impl FnOnce(T)) -> i32 {
        match self {
            Self::Whole(written) => {
                tell(written);
                0
            }
            Self::ReaderGone => READER_GONE,
        }
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes);
        if let Err(error) = &written {
            self.is_closed |= error.kind() == io::ErrorKind::BrokenPipe;
        }
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
