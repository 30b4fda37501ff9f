//! Reads a log from its beginning, or from near its end, and follows it.
//! Whether its writer lives is told by the caller.

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::Result;
use crate::fs::{self, Timestamp};

use super::entry::{LogEntry, decode};
use super::files::{self, LogFile};
use super::lines::Lines;
use super::tail::seek_tail;
use super::watch::{Watch, Woken};

/// Which part of a log is wanted, as `docker logs` has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// So many entries from the end, counted before the times are looked at;
    /// all without it.
    pub tail: Option<u64>,
    /// None before this time.
    pub since: Option<Timestamp>,
    /// The first one after this time ends it.
    pub until: Option<Timestamp>,
    /// Whether to go on with what is still to come.
    pub follow: bool,
}

/// A log that is being read: [`LogReader::next_entry`] until there is nothing, then
/// [`LogReader::wait`] for more. Holds one entry and 64 KiB.
#[derive(Debug)]
pub struct LogReader {
    dir: PathBuf,
    query: LogQuery,
    watch: Option<Watch>,
    /// The files that are not read yet, the oldest first; the first one is
    /// being read.
    files: VecDeque<LogFile>,
    /// Where to read on in that one.
    offset: u64,
    lines: Lines,
    /// Whether the writer was looked at.
    looked: bool,
    /// There is nothing to wait for.
    last: bool,
    ended: bool,
}

impl LogReader {
    /// Opens the log in the directory `dir`; `None` if there is none.
    ///
    /// # Errors
    /// Those of opendir(3), open(2) and read(2), with the path; `Unavailable`
    /// if it is rotated all the time.
    pub fn open(dir: &Path, query: LogQuery) -> Result<Option<Self>> {
        if fs::metadata(dir)?.is_none() {
            return Ok(None);
        }
        // First: what is written from now on is either found or told.
        let watch = if query.follow { Some(Watch::new(dir)?) } else { None };
        let mut files = VecDeque::from(files::open_all(dir)?);
        let offset = match query.tail {
            Some(count) => seek_tail(&mut files, count)?,
            None => 0,
        };
        Ok(Some(Self {
            dir: dir.to_owned(),
            query,
            watch,
            files,
            offset,
            lines: Lines::default(),
            looked: false,
            last: false,
            ended: false,
        }))
    }

    /// The next entry; `None` if there is none now. Without `follow`, nothing
    /// is read that was written after [`LogReader::open`]. What is no whole
    /// entry is passed over.
    ///
    /// # Errors
    /// Those of read(2), with the path.
    pub fn next_entry(&mut self) -> Result<Option<LogEntry>> {
        while !self.ended {
            let Some(line) = self.lines.next() else {
                if self.advance()? {
                    continue;
                }
                return Ok(None);
            };
            let Some(entry) = decode(line) else { continue };
            if self.query.until.is_some_and(|until| entry.time > until) {
                self.ended = true;
            } else if self.query.since.is_none_or(|since| entry.time >= since) {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    /// Waits until there may be more; false if nothing will come: the log is
    /// not followed, `until` has passed, the reader of `output` has gone, or
    /// `is_running` says that the writer has. That is asked at first, when the
    /// writer closes the log, and once a second while it is silent.
    ///
    /// # Errors
    /// Those of poll(2) and of `is_running`.
    pub fn wait(
        &mut self,
        output: BorrowedFd<'_>,
        is_running: impl FnOnce() -> Result<bool>,
    ) -> Result<bool> {
        let Some(watch) = &mut self.watch else { return Ok(false) };
        if self.ended || self.last {
            return Ok(false);
        }
        let left = self.query.until.map(|until| span(Timestamp::now(), until));
        let woken = match left {
            Some(Duration::ZERO) => {
                self.last = true;
                return Ok(true);
            }
            _ if !self.looked => Woken::Idle,
            left => watch.wait(output, left)?,
        };
        self.looked = true;
        match woken {
            Woken::Written => {}
            // What it wrote before it went is still to be read.
            Woken::Idle => self.last = !is_running()?,
            Woken::HungUp => return Ok(false),
        }
        Ok(true)
    }

    /// Reads on; false if there is nothing now.
    fn advance(&mut self) -> Result<bool> {
        let follow = self.query.follow;
        let Some(file) = self.files.front() else { return Ok(follow && self.find_newer()?) };
        let end = if follow { u64::MAX } else { file.metadata.size };
        if self.lines.fill(file, &mut self.offset, end)? {
            return Ok(true);
        }
        if self.files.len() > 1 {
            self.files.pop_front();
            self.offset = 0;
            self.lines.clear();
            return Ok(true);
        }
        Ok(follow && self.find_newer()?)
    }

    /// Looks for files that are newer than the one being read. True if there
    /// may be some: this one is to be read to its end again before, since the
    /// writer turned from it only now.
    fn find_newer(&mut self) -> Result<bool> {
        let current = self.files.front().map(|file| file.metadata.inode);
        let newest = fs::metadata(&files::path(&self.dir, 0))?.map(|newest| newest.inode);
        if newest.is_none() || newest == current {
            return Ok(false);
        }
        let all = files::open_all(&self.dir)?;
        // One that was removed is older than all.
        let known = all.iter().position(|file| Some(file.metadata.inode) == current);
        self.files.extend(all.into_iter().skip(known.map_or(0, |index| index + 1)));
        Ok(true)
    }
}

/// How long it is from `start` to `end`; zero if that is before.
fn span(start: Timestamp, end: Timestamp) -> Duration {
    let of =
        |time: Timestamp| i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanoseconds);
    let nanoseconds = (of(end) - of(start)).max(0);
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
}
