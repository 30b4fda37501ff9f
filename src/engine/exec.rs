//! `envbox exec`: another program in a container that runs, with the
//! environment and the limits of the container's own.
//!
//! What the container was given stands beside its name in the run directory,
//! so it is the same for one that is kept and one that goes when it ends. Its
//! own processes have no say: a user is a number there, and only a `--user`
//! that is asked for now is looked up in its files.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Result};
use crate::fs::{self, Rootfs};
use crate::monitor::{self, Client, FailedStage, Failure, Orders};
use crate::runtime::hard_limit;
use crate::runtime::join::{self, JoinPlan, Privileges, Target};
use crate::runtime::spec::{ProcessSpec, RlimitSpec};
use crate::sys::{process, socket};

use super::environment::Variables;
use super::launch::to_monitor;
use super::options::environment::EnvironmentOption;
use super::options::user::{Principal, UserSpec};
use super::request::Terminal;
use super::running::{self, Running};
use super::{Ended, Engine, users};

/// docker's `TERM` in a container that has none, for a program at a terminal.
const TERM: &str = "xterm";

/// A container that is listed and has no process yet is being started.
const STARTING: Duration = Duration::from_millis(10);
const LOOKS: u32 = 200;

/// What is to be run, and where.
#[derive(Clone, Debug)]
pub struct ExecRequest {
    /// The container: a name, an ID or the beginning of one.
    pub container: String,
    /// The command with its arguments.
    pub command: Vec<String>,
    /// `--env-file`.
    pub environment_files: Vec<PathBuf>,
    /// `--env`, over the files.
    pub environment: Vec<EnvironmentOption>,
    /// `--workdir`; the container's own without it.
    pub working_directory: Option<PathBuf>,
    /// `--user`; the container's own without it.
    pub user: Option<UserSpec>,
    /// `--privileged`.
    pub privileged: bool,
    /// Stdio.
    pub terminal: Terminal,
    /// `--detach`: return once the program runs. It reads nothing, and what it
    /// prints is lost.
    pub detach: bool,
}

/// What a detached program's keeper tells.
#[derive(Debug, Serialize, Deserialize)]
enum Beginning {
    Runs,
    Failed(Failure),
}

impl Engine {
    /// Runs a program in a container that runs, and stays until it ends.
    ///
    /// # Errors
    /// `NotFound` for no such container, `Unavailable` if it does not run.
    pub fn exec(&self, request: &ExecRequest) -> Result<Ended> {
        let (running, target) = self.running_target(&request.container)?;
        if let Some(store) = self.existing_store()? {
            store.close_database();
        }
        let Some(own) = running.process else { return Err(not_running(&request.container)) };
        match self.prepare(request, own, target) {
            Ok(plan) if request.detach => detach(plan, request.terminal),
            Ok(plan) => attend(plan, request.terminal),
            Err(error) => Ok(Ended::NotStarted(FailedStage::Setup, error)),
        }
    }

    /// The plan of the program beside `own`, the container's. From here on an
    /// ordinary user is the container's root.
    fn prepare(&self, request: &ExecRequest, own: ProcessSpec, target: Target) -> Result<JoinPlan> {
        let mut variables = Variables::default();
        if request.terminal.is_new() {
            variables.set("TERM", TERM);
        }
        variables.add_image(&own.env);
        let limits = own.rlimits.iter().map(within_reach).collect::<Result<_>>()?;
        let home = variables.value("HOME").map(str::to_owned);
        variables
            .add_options((&request.environment_files, &request.environment), &self.settings)?;
        target.enter_user_namespace()?;
        let mut process = ProcessSpec {
            args: request.command.clone(),
            terminal: request.terminal.is_new(),
            rlimits: limits,
            ..own
        };
        if let Some(directory) = &request.working_directory {
            process.cwd = absolute(directory)?;
        }
        if let Some(user) = &request.user {
            let rootfs = target.rootfs()?;
            // A home that was not chosen changes with the user.
            let unchosen = home == home_of(&rootfs, process.uid)?
                && home.as_deref() == variables.value("HOME");
            let user = users::find(&rootfs, user)?;
            (process.uid, process.gid, process.groups) = (user.uid, user.gid, user.additional_gids);
            if unchosen {
                variables.set("HOME", if user.home.is_empty() { "/" } else { &user.home });
            }
        }
        let pairs = variables.into_pairs().into_iter();
        process.env = pairs.map(|(name, value)| format!("{name}={value}")).collect();
        let privileges = if request.privileged { Privileges::All } else { Privileges::Same };
        join::plan(&process, target, privileges)
    }

    /// The container `name` (a name, an ID or the beginning of one), which
    /// runs, and its first process.
    ///
    /// # Errors
    /// `NotFound`; `Unavailable` if it does not run, `Invalid` if several may
    /// be meant.
    pub(super) fn running_target(&self, name: &str) -> Result<(Running, Target)> {
        for _ in 0..LOOKS {
            let Some(running) = self.running(name)? else { return Err(not_running(name)) };
            if let Some(id) = running.first_process() {
                let target = Target::open(id)?.ok_or_else(|| not_running(name))?;
                return Ok((running, target));
            }
            std::thread::sleep(STARTING);
        }
        Err(not_running(name).hint("it is being started, and does not come to its program"))
    }

    /// The running container that is called `name`; `None` if that one is kept
    /// and does not run.
    fn running(&self, name: &str) -> Result<Option<Running>> {
        let mut all = running::list(&self.settings.store.run)?;
        let called =
            |running: &Running| running.id.as_str() == name || running.name.as_str() == name;
        if let Some(at) = all.iter().position(called) {
            return Ok(Some(all.swap_remove(at)));
        }
        // A kept one may have been renamed since it was started.
        let kept = match self.existing_store()?.map(|store| store.container(name)) {
            Some(Ok(record)) => Some(record.id),
            Some(Err(error)) if error.kind() != Kind::NotFound => return Err(error),
            _ => None,
        };
        if let Some(id) = kept {
            return Ok(all.into_iter().find(|running| running.id == id));
        }
        all.retain(|running| !name.is_empty() && running.id.as_str().starts_with(name));
        match all.len() {
            0 => Err(Error::new(Kind::NotFound, format!("no such container: {name}"))
                .hint("see envbox ps for those that run")),
            1 => Ok(all.pop()),
            _ => Err(Error::invalid(format!("several containers have an ID like {name}"))
                .hint("write more of it")),
        }
    }
}

/// docker's words.
pub(super) fn not_running(name: &str) -> Error {
    Error::new(Kind::Unavailable, format!("container {name} is not running"))
}

/// The home of the user with this number; `/` where there is none.
fn home_of(rootfs: &Rootfs, uid: u32) -> Result<Option<String>> {
    let user = users::find(rootfs, &UserSpec { user: Some(Principal::Id(uid)), group: None })?;
    Ok(Some(if user.home.is_empty() { "/".to_owned() } else { user.home }))
}

/// The runtime spec's rule for `cwd` (config.md, "Process").
fn absolute(directory: &Path) -> Result<PathBuf> {
    if directory.is_absolute() {
        return Ok(fs::clean(directory));
    }
    let message = format!("the working directory {} is not absolute", directory.display());
    Err(Error::invalid(message).hint("write it with a / at the beginning"))
}

/// A limit of the container's, lowered to what this process can set: its own
/// caller may be more limited than the container's was.
fn within_reach(limit: &RlimitSpec) -> Result<RlimitSpec> {
    let number = limit.resource;
    let may_raise = rustix::thread::capabilities(None)
        .is_ok_and(|sets| sets.effective.contains(rustix::thread::CapabilitySet::SYS_RESOURCE));
    let ceiling = if may_raise { u64::MAX } else { hard_limit(number)? };
    let hard = limit.hard.min(ceiling);
    Ok(RlimitSpec { resource: number, soft: limit.soft.min(hard), hard })
}

/// Runs the program with this process as its client.
fn attend(plan: JoinPlan, terminal: Terminal) -> Result<Ended> {
    if !terminal.has_input() {
        let null = null()?;
        rustix::stdio::dup2_stdin(&null).map_err(no_null)?;
    }
    match launch(plan, terminal) {
        Ok(client) => client.wait().map(Ended::Exited),
        Err(failure) => Ok(Ended::NotStarted(failure.stage, failure.into_error())),
    }
}

fn launch(plan: JoinPlan, terminal: Terminal) -> std::result::Result<Client, Failure> {
    monitor::launch(Orders {
        start: move || to_monitor(join::start(plan)),
        // The container's own monitor cleans up.
        finish: |_| {},
        terminal: terminal.is_new(),
    })
}

/// Runs the program with a process in the background as its client.
fn detach(plan: JoinPlan, terminal: Terminal) -> Result<Ended> {
    let fail = |error| Error::io_named("cannot start the keeper of the program", error);
    let (keeper, mine) = socket::pair().map_err(fail)?;
    let mut theirs = Some((mine, plan));
    process::fork(|| match theirs.take() {
        Some((socket, plan)) => keep(plan, terminal, socket),
        None => 1,
    })
    .map_err(fail)?;
    drop(theirs);
    let length = socket::next_length(&keeper).map_err(fail)?;
    let mut message = vec![0; length];
    socket::receive(&keeper, &mut message).map_err(fail)?;
    match serde_json::from_slice(&message) {
        Ok(Beginning::Runs) => Ok(Ended::Exited(0)),
        Ok(Beginning::Failed(failure)) => {
            Ok(Ended::NotStarted(failure.stage, failure.into_error()))
        }
        Err(_) => Err(Error::new(Kind::Unavailable, "the keeper of the program died")),
    }
}

/// The background: holds nothing of the caller's, and reaps the program.
fn keep(plan: JoinPlan, terminal: Terminal, caller: OwnedFd) -> i32 {
    let [target, program] = plan.descriptors();
    process::close_from_except(3, &[target, program, caller.as_fd()]);
    let begun = let_go().map_err(|error| Failure::new(FailedStage::Setup, &error));
    let client = begun.and_then(|()| launch(plan, terminal));
    let (beginning, client) = match client {
        Ok(client) => (Beginning::Runs, Some(client)),
        Err(failure) => (Beginning::Failed(failure), None),
    };
    // A caller who has gone has not asked for the program to end.
    if let Ok(message) = serde_json::to_vec(&beginning) {
        let _ = socket::send(&caller, &message, None);
    }
    drop(caller);
    client.map_or(1, |client| client.wait().unwrap_or(1))
}

fn let_go() -> Result<()> {
    let null = null()?;
    rustix::process::setsid()
        .and_then(|_| rustix::stdio::dup2_stdin(&null))
        .and_then(|()| rustix::stdio::dup2_stdout(&null))
        .and_then(|()| rustix::stdio::dup2_stderr(&null))
        .and_then(|()| rustix::process::chdir("/"))
        .map_err(no_null)
}

fn null() -> Result<OwnedFd> {
    rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).map_err(no_null)
}

fn no_null(error: rustix::io::Errno) -> Error {
    Error::io_named("cannot take /dev/null as stdio", error)
}
