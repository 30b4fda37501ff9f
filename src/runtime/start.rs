//! Starts a plan: clones the first process, lets it run the steps, and waits
//! until the program runs or is known not to.

use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::unistd::Pid;

use crate::error::{Error, Kind, Result};
use crate::sys::process::{self, Child};
use crate::sys::socket;

use super::channel::{self, Report};
use super::exec::Program;
use super::hook;
use super::join::{receive_birth, send_birth};
use super::plan::Plan;
use super::step::{Place, Progress, Step};

/// A program that runs.
#[derive(Debug)]
pub struct Started {
    /// The container's first process.
    pub pid: Pid,
    /// Readable when it has ended.
    pub pidfd: OwnedFd,
    /// The master of its terminal, if it has one.
    pub terminal: Option<OwnedFd>,
}

/// Why a program does not run.
#[derive(Debug)]
pub enum StartError {
    /// The container could not be made.
    Setup(Error),
    /// There is no such program in it: exit status 127.
    NotFound(Error),
    /// The program cannot be executed: exit status 126.
    NotExecutable(Error),
}

/// Starts `plan`. On success the first process is a child of this one and
/// dies with it.
///
/// # Errors
/// See [`StartError`]; nothing is left running.
pub fn start(plan: Plan) -> Result<Started, StartError> {
    if let Some(born_at) = plan.born_at {
        return start_among_others(&plan, born_at);
    }
    let fail = |error| StartError::Setup(Error::io_named("cannot start the container", error));
    let (parent, mine) = crate::sys::socket::pair().map_err(fail)?;
    let (mut mine, mut others) = (Some(mine), Some(parent));
    let first = || {
        drop(others.take());
        match mine.take() {
            Some(socket) => run(&plan, socket),
            None => 1,
        }
    };
    let child = match &plan.group {
        Some(group) => process::clone_into(plan.namespaces, group.as_fd(), first),
        None => process::clone(plan.namespaces, first),
    }
    .map_err(fail)?;
    drop(mine);
    let Some(parent) = others else {
        return Err(fail(std::io::Error::from_raw_os_error(libc::EBADF)));
    };
    let result = wait(&plan.steps, &plan.program, &parent);
    match result {
        Ok(terminal) => Ok(Started { pid: child.pid, pidfd: child.pidfd, terminal }),
        Err(error) => {
            reap(&child);
            Err(error)
        }
    }
}

/// The first process. Does not return to the caller's code; the number is its
/// exit status when all has failed.
fn run(plan: &Plan, socket: OwnedFd) -> i32 {
    process::reset_signals();
    perform(&plan.steps, &plan.program, Progress::new(socket))
}

/// Takes every step, then executes the program; returns only if one of them
/// failed, which the parent has been told then.
pub(super) fn perform(steps: &[Step], program: &Program, progress: Progress) -> i32 {
    perform_from(0, steps, program, progress)
}

/// As [`perform`], from step number `first` on.
fn perform_from(first: usize, steps: &[Step], program: &Program, mut progress: Progress) -> i32 {
    if take(steps, first, &mut progress).is_err() {
        return 1;
    }
    let errno = program.execute(&progress.parent);
    channel::send_exec_failure(&progress.parent, errno as i32);
    1
}

/// Takes the steps from number `first` on; the parent is told of one that fails.
fn take(steps: &[Step], first: usize, progress: &mut Progress) -> Result<(), ()> {
    for (number, step) in (0..).zip(steps).skip(first) {
        if let Err(errno) = step.run(progress) {
            channel::send_failure(&progress.parent, number, errno.raw_os_error());
            return Err(());
        }
    }
    Ok(())
}

/// Starts a plan whose first process is to live among another container's, who
/// may be hostile. A joiner, whom they do not see, makes the container, up to
/// step `born_at`; the child that it leaves has nothing of the host's any more.
fn start_among_others(plan: &Plan, born_at: usize) -> Result<Started, StartError> {
    let fail = |error| StartError::Setup(Error::io_named("cannot start the container", error));
    let ((reports, report), (births, birth)) =
        (socket::pair().map_err(fail)?, socket::pair().map_err(fail)?);
    let (mut mine, mut theirs) = (Some((reports, births)), Some((report, birth)));
    let first = || {
        drop(mine.take());
        match theirs.take() {
            Some((report, birth)) => run_joiner(plan, born_at, report, &birth),
            None => 1,
        }
    };
    let joiner = match &plan.group {
        Some(group) => process::clone_into(plan.namespaces, group.as_fd(), first),
        None => process::clone(plan.namespaces, first),
    }
    .map_err(fail)?;
    drop(theirs);
    let Some((reports, births)) = mine else {
        return Err(fail(std::io::Error::from_raw_os_error(libc::EBADF)));
    };
    let born = receive_birth(&births);
    reap(&joiner);
    let result = wait(&plan.steps, &plan.program, &reports);
    match (born, result) {
        (Ok(child), Ok(terminal)) => Ok(Started { pid: child.pid, pidfd: child.pidfd, terminal }),
        (Ok(child), Err(error)) => {
            reap(&child);
            Err(error)
        }
        (Err(error), Ok(_)) => Err(fail(error)),
        (Err(_), Err(told)) => Err(told),
    }
}

/// The joiner; the number is its exit status.
fn run_joiner(plan: &Plan, born_at: usize, report: OwnedFd, birth: &OwnedFd) -> i32 {
    process::reset_signals();
    let mut progress = Progress::new(report);
    if take(&plan.steps[..born_at], 0, &mut progress).is_err() {
        return 1;
    }
    let report = progress.into_parent();
    let sealed = plan.program.sealed();
    let passed = plan.passed.as_slice();
    process::close_unless_passed(3, &[sealed, report.as_fd(), birth.as_fd()], passed);
    let mut report = Some(report);
    let child = process::clone_sibling(|| match report.take() {
        Some(report) => {
            process::close_unless_passed(3, &[sealed, report.as_fd()], passed);
            perform_from(born_at, &plan.steps, &plan.program, Progress::new(report))
        }
        None => 1,
    });
    send_birth(birth, child)
}

/// Reads the reports of a process that does [`perform`] until its program
/// runs; the master of its terminal, if it made one.
pub(super) fn wait(
    steps: &[Step],
    program: &Program,
    socket: &OwnedFd,
) -> Result<Option<OwnedFd>, StartError> {
    let mut terminal = None;
    // Once the sealed program runs, a hostile process beside it may have taken
    // the socket: no second terminal, and none that was not asked for.
    let mut expected = steps.iter().any(|step| matches!(step, Step::Terminal { .. }));
    loop {
        let report = channel::receive_report(socket.as_fd()).map_err(|error| {
            StartError::Setup(Error::io_named("cannot hear from the container", error))
        })?;
        match report {
            Report::End => return Ok(terminal),
            Report::Terminal(master) if std::mem::take(&mut expected) => terminal = Some(master),
            Report::Terminal(_) => {}
            Report::ExecFailed(errno) => {
                return Err(explain_exec(program, Errno::from_raw(errno)));
            }
            Report::StepFailed(number, errno) => {
                return Err(StartError::Setup(explain_step(steps, number, errno)));
            }
        }
    }
}

fn explain_step(steps: &[Step], number: u32, errno: i32) -> Error {
    let step = steps.get(number as usize).map(ToString::to_string).unwrap_or_default();
    let errno_is_link = errno == libc::ELOOP;
    let cause = std::io::Error::from_raw_os_error(errno);
    let error = Error::io_named(format!("cannot {step}"), cause);
    match steps.get(number as usize) {
        Some(Step::EnterDirectory(_) | Step::WorkingDirectory(_)) if errno == libc::ENOTDIR => {
            error.hint("a part of that path is a file in the image: choose another --workdir")
        }
        Some(Step::Join { .. }) if errno == libc::ESRCH => error.hint("that container has ended"),
        Some(Step::OomScore(_)) if errno == libc::EACCES => {
            error.hint("only a privileged user can lower it: take a higher number, or none")
        }
        Some(Step::Hook(_)) => hook::explain(error, errno),
        Some(Step::Limit { .. }) => {
            error.hint("only a privileged user can raise a hard limit; ask for less, or for none")
        }
        Some(Step::Sysctl(_)) => error.hint(
            "the kernel has no such setting in a container, or takes no such value for it; \
             some are the host's root's alone",
        ),
        Some(Step::Attach { place: Place::PlainDirectory, .. }) if errno_is_link => {
            error.hint("that path of the image must be a directory, not a symbolic link")
        }
        _ => error,
    }
}

fn explain_exec(program: &Program, errno: Errno) -> StartError {
    let command = program.command();
    let error = |text: String| Error::new(Kind::NotFound, text);
    match errno {
        Errno::ENOENT if command.contains('/') => StartError::NotFound(
            error(format!("exec {command:?}: no such file or directory"))
                .hint("either the file or the interpreter that it names is not in the image"),
        ),
        Errno::ENOENT => StartError::NotFound(
            error(format!("exec {command:?}: executable file not found in $PATH"))
                .hint("check the spelling, or give its path in the container"),
        ),
        Errno::ENOEXEC => StartError::NotExecutable(
            Error::new(Kind::Unsupported, format!("exec {command:?}: exec format error")).hint(
                "the file is for another architecture, or a script without #! at its beginning",
            ),
        ),
        Errno::EACCES => StartError::NotExecutable(
            Error::new(Kind::Denied, format!("exec {command:?}: permission denied"))
                .hint("make it executable (chmod +x), and do not mount it noexec"),
        ),
        errno => StartError::NotExecutable(Error::new(
            Kind::Denied,
            format!("exec {command:?}: {}", errno.desc().to_lowercase()),
        )),
    }
}

pub(super) fn reap(child: &Child) {
    // It has reported a failure and exits; if it does not, it is killed.
    let _ = rustix::process::pidfd_send_signal(&child.pidfd, rustix::process::Signal::KILL);
    let _ = nix::sys::wait::waitpid(child.pid, None);
}
