//! `envbox exec`: another program in a container that runs, with the
//! environment and the limits of the container's own.
//!
//! What the container was given stands beside its name in the run directory,
//! so it is the same for one that is kept and one that goes when it ends. Its
//! own processes have no say: a user is a number there, and only a `--user`
//! that is asked for now is looked up in its files.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use crate::error::{Error, Kind, Result};
use crate::fs::{self, Rootfs};
use crate::monitor::{self, Attachment, Ending, FailedStage, Failure, Orders, Sequel, Stop};
use crate::runtime::cgroup::Cgroup;
use crate::runtime::hard_limit;
use crate::runtime::join::{self, JoinPlan, Privileges, Target};
use crate::runtime::spec::{ProcessSpec, RlimitSpec};
use crate::store::{Event, Store};
use crate::sys::socket;

use super::environment::Variables;
use super::lifecycle::{event, new_id, not_running, restarting, to_monitor};
use super::options::environment::EnvironmentOption;
use super::options::user::{Principal, UserSpec};
use super::request::Terminal;
use super::running::{Activity, Running};
use super::{Ended, Engine, users};

/// docker's `TERM` in a container that has none, for a program at a terminal.
const TERM: &str = "xterm";

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

impl Engine {
    /// Runs a program in a container that runs, and stays until it ends.
    ///
    /// # Errors
    /// `NotFound` for no such container, `InUse` if it does not run.
    pub fn exec(&self, request: &ExecRequest) -> Result<Ended> {
        let (mut running, target) = self.running_target(&request.container)?;
        if running.activity == Activity::Paused {
            return Err(paused(&request.container));
        }
        if let Some(store) = self.existing_store()? {
            store.close_database();
        }
        let group = self.open_group(&running.id)?;
        let entrance = group.as_ref().map(Cgroup::entrance).transpose();
        let id = running.first_process();
        let Some((own, id)) = running.process.take().zip(id) else {
            return Err(not_running(&request.container));
        };
        let plan = self.plan_beside(own, target, request);
        match plan.and_then(|plan| Ok(plan.in_group(entrance?))) {
            Ok(plan) => self.launch_beside(plan, (request, running)),
            Err(_) if Target::open(id)?.is_none() => Err(not_running(&request.container)),
            Err(error) => Ok(Ended::NotStarted(FailedStage::Setup, error)),
        }
    }

    /// The plan of the program beside `own`, the container's. From here on an
    /// ordinary user is the container's root.
    fn plan_beside(
        &self,
        own: ProcessSpec,
        target: Target,
        request: &ExecRequest,
    ) -> Result<JoinPlan> {
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

    /// Starts the program in a monitor of its own. This process is its client,
    /// and stays until it ends, or goes on.
    fn launch_beside(
        &self,
        plan: JoinPlan,
        (request, running): (&ExecRequest, Running),
    ) -> Result<Ended> {
        let terminal = request.terminal.is_new();
        if !request.detach && !request.terminal.has_input() {
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            let null = rustix::fs::open("/dev/null", flags, Mode::empty())
                .and_then(|null| rustix::stdio::dup2_stdin(&null));
            null.map_err(|error| Error::io_named("cannot open /dev/null", error))?;
        }
        // Other commands ask the container's own monitor: to this one nobody comes.
        let (listener, nobody) = socket::pair()
            .map_err(|error| Error::io_named("cannot make the monitor's socket", error))?;
        let notes = match self.existing_store()? {
            Some(store) => Some(Notes::begin(store, running, &request.command)?),
            None => None,
        };
        let begun = monitor::launch(Orders {
            container: Beside { plan: Some(plan), notes, _nobody: nobody },
            attachment: match request.detach {
                true => Attachment::Detached { terminal },
                false => Attachment::Direct { terminal },
            },
            listener,
        });
        match begun {
            Ok(client) if request.detach => {
                client.leave();
                Ok(Ended::Exited(0))
            }
            begun => self.wait_for(begun, None),
        }
    }

    /// The container `name` (a name, an ID or the beginning of one), which
    /// runs, and its first process.
    ///
    /// # Errors
    /// Those of [`Engine::find_container`]; `InUse` if it does not run.
    pub(super) fn running_target(&self, name: &str) -> Result<(Running, Target)> {
        let found = self.find_container(name)?;
        let running = found.running.clone();
        if running.as_ref().is_some_and(|running| running.activity == Activity::Restarts) {
            return Err(restarting(name));
        }
        let target = match running.as_ref().and_then(Running::first_process) {
            Some(id) => Target::open(id)?,
            None => None,
        };
        running.zip(target).ok_or_else(|| self.not_running(&found, name))
    }
}

/// docker's words.
fn paused(name: &str) -> Error {
    let message = format!("container {name} is paused, unpause the container before exec");
    Error::new(Kind::InUse, message).hint(format!("envbox unpause {name}"))
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

/// What is written down of the program: docker's events of an `exec`.
struct Notes<'a> {
    store: &'a Store,
    running: Running,
    id: String,
}

impl<'a> Notes<'a> {
    /// Writes down that `command` is run in `running`.
    ///
    /// # Errors
    /// Those of getrandom(2); a store that is full keeps nobody from it.
    fn begin(store: &'a Store, running: Running, command: &[String]) -> Result<Self> {
        let notes = Self { store, running, id: new_id()?.to_string() };
        let command = command.join(" ");
        let events = ["exec_create", "exec_start"]
            .map(|action| notes.event(&format!("{action}: {command}"), &[]));
        let _ = store.record_events(&events);
        store.close_database();
        Ok(notes)
    }

    fn end(&self, status: i32) {
        let event = self.event("exec_die", &[("exitCode", status.to_string())]);
        let _ = self.store.record_event(&event);
        self.store.close_database();
    }

    fn event(&self, action: &str, more: &[(&str, String)]) -> Event {
        let id = [("execID", self.id.clone())];
        event(&self.running, action, &[&id, more].concat())
    }
}

/// The program as its monitor knows it. The container's own cleans up.
struct Beside<'a> {
    plan: Option<JoinPlan>,
    notes: Option<Notes<'a>>,
    /// The other end of the socket on which nobody comes.
    _nobody: OwnedFd,
}

impl monitor::Container for Beside<'_> {
    fn start(&mut self) -> Result<monitor::Running, Failure> {
        match self.plan.take() {
            Some(plan) => to_monitor(join::start(plan)),
            None => {
                Err(Failure::new(FailedStage::Setup, &Error::internal("it was started before")))
            }
        }
    }

    fn ended(&mut self, ending: Ending, _: Option<Stop>) -> Sequel {
        if let Some(notes) = &self.notes {
            notes.end(ending.status);
        }
        Sequel::default()
    }

    fn finish(self, _: Option<Stop>) {}
}
