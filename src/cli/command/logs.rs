//! `envbox logs`.

use std::io::{self, Write};
use std::os::fd::AsFd;

use crate::cli::args::logs::Logs;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::monitor::log::{LogEntry, Stream, rfc3339};

/// So much is gathered at most before it is written.
const MAX_BATCH: usize = 64 * 1024;

/// Shows what a container printed, until it ends if that is asked. A reader
/// that has gone is no error of ours.
pub(in crate::cli) fn run(engine: &Engine, logs: &Logs) -> Result<i32> {
    let mut entries = engine.logs(&logs.container, logs.query())?;
    let mut output = Output::new(logs.timestamps);
    loop {
        while let Some(entry) = entries.next_entry()? {
            if let Flow::Ended = output.take(&entry)? {
                return Ok(0);
            }
        }
        if let Flow::Ended = output.flush()? {
            return Ok(0);
        }
        if !entries.wait(io::stdout().as_fd())? {
            return Ok(0);
        }
    }
}

/// Whether anybody reads on.
enum Flow {
    Open,
    Ended,
}

/// Our two outputs.
struct Output {
    timestamps: bool,
    /// What is to be written next, and where to.
    batch: Vec<u8>,
    stream: Stream,
    /// The last line of stdout has no end, and that of stderr.
    open: [bool; 2],
}

impl Output {
    fn new(timestamps: bool) -> Self {
        Self { timestamps, batch: Vec::new(), stream: Stream::Stdout, open: [false; 2] }
    }

    fn take(&mut self, entry: &LogEntry) -> Result<Flow> {
        // Both may be one terminal: what was printed first comes first.
        if (self.stream != entry.stream || self.batch.len() >= MAX_BATCH)
            && let Flow::Ended = self.flush()?
        {
            return Ok(Flow::Ended);
        }
        self.stream = entry.stream;
        let open = match entry.stream {
            Stream::Stdout => &mut self.open[0],
            Stream::Stderr => &mut self.open[1],
        };
        if self.timestamps && !*open {
            self.batch.extend_from_slice(rfc3339(entry.time).as_bytes());
            self.batch.push(b' ');
        }
        *open = !entry.text.ends_with('\n');
        self.batch.extend_from_slice(entry.text.as_bytes());
        Ok(Flow::Open)
    }

    fn flush(&mut self) -> Result<Flow> {
        let (name, result) = match self.stream {
            Stream::Stdout => ("stdout", write(&mut io::stdout().lock(), &self.batch)),
            Stream::Stderr => ("stderr", write(&mut io::stderr().lock(), &self.batch)),
        };
        self.batch.clear();
        match result {
            Ok(()) => Ok(Flow::Open),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Flow::Ended),
            Err(error) => Err(Error::io_named(format!("cannot write to {name}"), error)),
        }
    }
}

fn write(output: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    output.write_all(bytes)?;
    output.flush()
}
