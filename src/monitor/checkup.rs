//! The check of a container's health as the monitor runs it: one at a time,
//! each a process of its own that has so long.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;

use crate::fs::Timestamp;
use crate::sys::process;

use super::health::{CheckResult, Health, Schedule};
use super::{Container, Running, output};

/// So many bytes of what a check prints are kept (docker).
const MOST_OUTPUT: usize = 4096;

/// The status of a check that has none.
const NO_STATUS: i32 = -1;

/// The checks of a container that runs.
#[derive(Debug)]
pub(super) struct Checkups {
    schedule: Schedule,
    health: Health,
    started: Instant,
    /// When the next one begins.
    next: Instant,
    current: Option<Current>,
}

/// One that runs.
#[derive(Debug)]
struct Current {
    process: Running,
    /// What it prints; none when that has ended.
    pipe: Option<OwnedFd>,
    output: Vec<u8>,
    start: Timestamp,
    /// When it began, as age of the container.
    age: Duration,
    /// When it has had its time; none if it is killed already.
    deadline: Option<Instant>,
}

impl Checkups {
    /// Those of a container that has just started.
    pub(super) fn new(schedule: Schedule) -> Self {
        let health = Health::default();
        let started = Instant::now();
        let next = later(started, health.pause(&schedule, Duration::ZERO));
        Self { schedule, health, started, next, current: None }
    }

    /// When there is something to do, whatever happens.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.current {
            Some(current) => current.deadline,
            None => Some(self.next),
        }
    }

    /// The process that runs.
    pub(super) fn process(&self) -> Option<BorrowedFd<'_>> {
        Some(self.current.as_ref()?.process.pidfd.as_fd())
    }

    /// What it prints.
    pub(super) fn output(&self) -> Option<BorrowedFd<'_>> {
        Some(self.current.as_ref()?.pipe.as_ref()?.as_fd())
    }

    /// Takes what the process has printed.
    pub(super) fn read(&mut self) {
        if let Some(current) = &mut self.current {
            current.read();
        }
    }

    /// Begins the next one, or ends one that has had its time.
    pub(super) fn keep_time<C: Container>(&mut self, container: &mut C) {
        if self.deadline().is_none_or(|deadline| deadline > Instant::now()) {
            return;
        }
        if let Some(current) = &mut self.current {
            current.deadline = None;
            kill(&current.process);
            return;
        }
        let age = self.started.elapsed();
        match Current::start(container, age, self.schedule.timeout) {
            Ok(current) => self.current = Some(current),
            Err(result) => self.add(result, age, container),
        }
    }

    /// Takes the result of the one that has ended.
    pub(super) fn end<C: Container>(&mut self, container: &mut C) {
        if let Some(current) = self.current.take() {
            let age = current.age;
            self.add(current.end(self.schedule.timeout), age, container);
        }
    }

    /// Takes the result of a check that began when the container was so old.
    fn add<C: Container>(&mut self, result: CheckResult, age: Duration, container: &mut C) {
        let counts = result.exit_code == 0 || !container.is_ending();
        let changed = counts && self.health.add(result, &self.schedule, age);
        self.next =
            later(Instant::now(), self.health.pause(&self.schedule, self.started.elapsed()));
        if counts {
            container.checked(&self.health, changed);
        }
    }

    /// The container goes on after it stood still, and so do the clocks.
    pub(super) fn resume(&mut self) {
        let now = Instant::now();
        self.next = later(now, self.health.pause(&self.schedule, self.started.elapsed()));
        if let Some(current) = &mut self.current
            && let Some(deadline) = &mut current.deadline
        {
            *deadline = later(now, self.schedule.timeout);
        }
    }

    /// Reaps the one that ended with the container.
    pub(super) fn close(self) {
        if let Some(current) = self.current {
            kill(&current.process);
            let _ = waitpid(current.process.pid, None);
        }
    }
}

/// Never is far enough away.
fn later(from: Instant, time: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(u32::MAX as u64);
    from + time.min(FAR)
}

/// Kills a check with all that it has started, unless that left its session:
/// it leads one of its own, and its number is its own until it is reaped.
fn kill(process: &Running) {
    let _ = nix::sys::signal::killpg(process.pid, Signal::SIGKILL);
    // One that has ended already is success.
    let _ = process::send_signal(process.pidfd.as_fd(), Signal::SIGKILL as i32);
}

impl Current {
    /// # Errors
    /// The result of one that could not begin.
    fn start<C: Container>(
        container: &mut C,
        age: Duration,
        timeout: Duration,
    ) -> Result<Self, CheckResult> {
        let start = Timestamp::now();
        let fail = |output: String| CheckResult {
            start,
            end: Timestamp::now(),
            exit_code: NO_STATUS,
            output,
        };
        let pipe = make_stdio().map_err(|error| fail(format!("cannot make a pipe: {error}")))?;
        let started = container.start_check();
        // Else the pipe never ends.
        let _ = output::silence();
        let process = started.map_err(|failure| fail(failure.into_error().chain()))?;
        Ok(Self {
            process,
            pipe: Some(pipe),
            output: Vec::new(),
            start,
            age,
            deadline: Some(later(Instant::now(), timeout)),
        })
    }

    /// One buffer full.
    fn read(&mut self) {
        let Some(pipe) = &self.pipe else { return };
        let mut buffer = [0; MOST_OUTPUT];
        match rustix::io::read(pipe, &mut buffer) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            Ok(0) | Err(_) => self.pipe = None,
            // What is too much is read all the same: it must not wait.
            Ok(count) => {
                let room = (MOST_OUTPUT + 1).saturating_sub(self.output.len());
                self.output.extend_from_slice(&buffer[..count.min(room)]);
            }
        }
    }

    /// What it says. What others go on printing whom it has left behind is
    /// not waited for.
    fn end(mut self, timeout: Duration) -> CheckResult {
        for _ in 0..2 {
            self.read();
        }
        let waited = waitpid(self.process.pid, None);
        let exit_code = match (self.deadline, waited) {
            (Some(_), Ok(WaitStatus::Exited(_, status))) => status,
            (Some(_), Ok(WaitStatus::Signaled(_, signal, _))) => 128 + signal as i32,
            _ => NO_STATUS,
        };
        let cut = self.output.len() > MOST_OUTPUT;
        self.output.truncate(MOST_OUTPUT);
        let mut output = String::from_utf8_lossy(&self.output).into_owned();
        if cut {
            output.push_str("...");
        }
        if self.deadline.is_none() {
            let told = format!("Health check exceeded timeout ({timeout:?})");
            output = if output.is_empty() { told } else { format!("{told}: {output}") };
        }
        CheckResult { start: self.start, end: Timestamp::now(), exit_code, output }
    }
}

/// Makes this process's stdio that of a check; what comes out of it.
fn make_stdio() -> std::io::Result<OwnedFd> {
    let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    // Whoever the program runs as may open `/dev/stdout`.
    rustix::fs::fchmod(&writer, Mode::from_raw_mode(0o666))?;
    let flags = rustix::fs::fcntl_getfl(&reader)?;
    rustix::fs::fcntl_setfl(&reader, flags | OFlags::NONBLOCK)?;
    rustix::stdio::dup2_stdout(&writer)?;
    rustix::stdio::dup2_stderr(&writer)?;
    Ok(reader)
}
