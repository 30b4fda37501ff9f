//! Plans the process and starts it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use crate::error::{Error, Kind, Result};
use crate::sys::process::{self, Namespaces};
use crate::sys::socket;

use super::super::capability::CapabilitySet;
use super::super::cgroup::Entrance;
use super::super::exec::{Program, Role, sealed_program};
use super::super::plan::{filter, process_steps};
use super::super::spec::ProcessSpec;
use super::super::start::{StartError, Started, perform, reap, wait};
use super::super::step::{Progress, Step};
use super::super::terminal::Console;
use super::birth::{receive_birth, send_birth, send_no_birth};
use super::target::Target;

/// A process whose namespaces have gone ends within less.
const ENDING: Duration = Duration::from_secs(1);

/// What a process may do, compared with the container's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privileges {
    /// The same.
    Same,
    /// Every capability, behind the same filter.
    All,
}

/// A process that is to join a container, ready to start.
#[derive(Debug)]
pub struct JoinPlan {
    target: Target,
    steps: Vec<Step>,
    program: Program,
    group: Option<Entrance>,
    oom_score_adj: Option<i16>,
}

impl JoinPlan {
    /// The same, in the container's cgroup.
    #[must_use]
    pub fn in_group(self, entrance: Option<Entrance>) -> Self {
        Self { group: entrance, ..self }
    }

    /// What has to stay open in the joiner.
    fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        [self.target.pidfd(), self.program.sealed()]
    }
}

/// Plans `process` in the container of `target`. It is no init, and keeps no
/// descriptor beside the standard ones, whatever `process` says.
///
/// # Errors
/// `Invalid` for a process that makes no sense.
pub fn plan(process: &ProcessSpec, target: Target, privileges: Privileges) -> Result<JoinPlan> {
    // The filter depends on the capabilities that the container has.
    let filter = filter(&process.seccomp, process.capabilities)?;
    let mut process = ProcessSpec { keep_descriptors: Vec::new(), ..process.clone() };
    if privileges == Privileges::All {
        process.capabilities = CapabilitySet::ALL;
    }
    let mut steps = vec![Step::FollowParent, Step::NewSession, Step::OpenRoot];
    if process.terminal {
        steps.push(Step::Terminal { uid: process.uid, console: Console::None });
    }
    steps.push(Step::EnterDirectory(process.cwd.clone()));
    process_steps(&process, filter, target.may_set_groups(), &mut steps)?;
    let launcher = sealed_program(crate::sys::init::INIT)?;
    let program = Program::new(&process.args, &process.env, (launcher, Role::Launcher))?;
    let oom_score_adj = process.oom_score_adj;
    Ok(JoinPlan { target, steps, program, group: None, oom_score_adj })
}

/// Starts `plan`. On success the process is a child of this one and dies with
/// it, and with the container.
///
/// # Errors
/// See [`StartError`]; nothing is left running.
pub fn start(plan: JoinPlan) -> Result<Started, StartError> {
    begin(&plan).map_err(|error| match (error, plan.target.has_ended(Duration::ZERO)) {
        // Whatever failed first, this is the reason.
        (StartError::Setup(_), Ok(true)) => StartError::Setup(ended()),
        (error, _) => error,
    })
}

fn ended() -> Error {
    Error::new(Kind::Unavailable, "the container has ended").hint("see how: envbox ps -a")
}

/// Why there is no process: one that is about to end has no namespaces any
/// more, and one that has ended lets nobody into its PID namespace.
fn explain(target: &Target, error: io::Error) -> StartError {
    let may_end = matches!(error.raw_os_error(), Some(libc::ESRCH | libc::ENOMEM));
    StartError::Setup(match may_end && target.has_ended(ENDING).unwrap_or(false) {
        true => ended(),
        false => Error::io_named("cannot join the container", error),
    })
}

fn begin(plan: &JoinPlan) -> Result<Started, StartError> {
    let fail = |error| StartError::Setup(Error::io_named("cannot join the container", error));
    let (reports, report) = socket::pair().map_err(fail)?;
    let (births, birth) = socket::pair().map_err(fail)?;
    let mut theirs = Some((report, birth));
    let joiner = process::clone(Namespaces::NONE, || match theirs.take() {
        Some((report, birth)) => join(plan, report, &birth),
        None => 1,
    })
    .map_err(fail)?;
    drop(theirs);
    let born = receive_birth(&births);
    reap(&joiner);
    let child = born.map_err(|error| explain(&plan.target, error))?;
    match wait(&plan.steps, &plan.program, &reports) {
        Ok(terminal) => Ok(Started { pid: child.pid, pidfd: child.pidfd, terminal }),
        Err(error) => {
            reap(&child);
            Err(error)
        }
    }
}

/// The joiner: enters, and leaves a child of its parent's behind. Its exit
/// status tells nothing.
fn join(plan: &JoinPlan, report: OwnedFd, birth: &OwnedFd) -> i32 {
    let [target, sealed] = plan.descriptors();
    // Both need what is closed or hidden next; its child has them from it.
    let limited = plan.oom_score_adj.map_or(Ok(()), process::set_oom_score);
    let entered = plan.group.as_ref().map_or(Ok(()), Entrance::enter);
    if let Err(error) = limited.and(entered) {
        return send_no_birth(birth, &error);
    }
    process::close_from_except(3, &[target, sealed, report.as_fd(), birth.as_fd()]);
    // Of the children, too: it is a property of the memory, and copied with it.
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    if let Err(error) = process::join(target, plan.target.namespaces()) {
        return send_no_birth(birth, &error);
    }
    process::close_from_except(3, &[sealed, report.as_fd(), birth.as_fd()]);
    let mut report = Some(report);
    let child = process::clone_sibling(|| match report.take() {
        Some(report) => {
            process::close_from_except(3, &[sealed, report.as_fd()]);
            process::reset_signals();
            perform(&plan.steps, &plan.program, Progress::new(report))
        }
        None => 1,
    });
    send_birth(birth, child)
}
