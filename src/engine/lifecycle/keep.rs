//! What the monitor does for the engine: it starts a container, notes that and
//! how it ended, starts it again where its policy says so, and takes away what
//! is not kept. Runs in the monitor's process.

use std::mem::ManuallyDrop;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::error::{Error, Kind, Result};
use crate::fs::Timestamp;
use crate::monitor::{self, Ending, FailedStage, Failure, Health, Schedule, Sequel, Stop};
use crate::mount::Mount;
use crate::runtime::cgroup::Cgroup;
use crate::runtime::join::{self, Privileges, ProcessId, Target};
use crate::runtime::plan::Plan;
use crate::runtime::spec::ProcessSpec;
use crate::runtime::start::{self, StartError, Started};
use crate::store::{ContainerState, EphemeralSnapshot, Event, Store};
use crate::sys::process;

use super::super::options::health::HealthCheck;
use super::super::options::log::LogSpec;
use super::super::options::restart::BackOff;
use super::super::options::signal::Signal;
use super::super::running::{Activity, Running, RunningFile};
use super::super::{Engine, limits};
use super::kept::KeptSpec;

/// Where a container's files lie.
pub(in crate::engine) enum Place {
    /// Gone when it ends. Dropped by the monitor alone: the process that made
    /// it must not remove it.
    Ephemeral(ManuallyDrop<EphemeralSnapshot>),
    /// Kept, in the store.
    Kept {
        /// Its root.
        mount: Mount,
        /// Its directory in the store.
        path: PathBuf,
        /// Whether it is removed when it ends.
        auto_remove: bool,
        /// Its log.
        log: LogSpec,
    },
}

impl Place {
    /// Its root.
    pub(in crate::engine) fn mount(&self) -> &Mount {
        match self {
            Self::Ephemeral(snapshot) => snapshot.mount(),
            Self::Kept { mount, .. } => mount,
        }
    }

    /// Its files, if they go when it ends.
    pub(in crate::engine) fn snapshot(&self) -> Option<&EphemeralSnapshot> {
        match self {
            Self::Ephemeral(snapshot) => Some(snapshot),
            Self::Kept { .. } => None,
        }
    }

    /// A directory of its own.
    pub(in crate::engine) fn path(&self) -> &Path {
        match self {
            Self::Ephemeral(snapshot) => snapshot.path(),
            Self::Kept { path, .. } => path,
        }
    }
}

/// A container that is claimed and has not ended for good.
pub(in crate::engine) struct Keeping<'a> {
    /// Plans it again.
    pub engine: &'a Engine,
    /// The store, closed between two uses.
    pub store: &'a Store,
    /// Where its files lie.
    pub place: Place,
    /// Its file in the run directory.
    pub claim: RunningFile,
    /// What that file says when the container runs, but for its process.
    pub running: Running,
    /// Its cgroup, if it has one.
    pub group: Option<Cgroup>,
    /// How it is started; none when that is done.
    pub plan: Option<Plan>,
    /// Whether whoever starts it is its client.
    pub is_attached: bool,
    /// How its health is checked, if it is.
    pub check: Option<HealthCheck>,
    /// What has become of it.
    pub life: Life,
}

/// What has become of a container since somebody started it.
#[derive(Default)]
pub(in crate::engine) struct Life {
    /// What its record says, if it has one.
    state: ContainerState,
    /// When it last started.
    begun: Option<Instant>,
    back_off: BackOff,
    health: Option<Health>,
}

impl Keeping<'_> {
    /// Starts `plan`, and lets everybody see it.
    fn start_plan(&mut self, plan: Plan) -> Result<monitor::Running, Failure> {
        let started = to_monitor(start::start(plan))?;
        let noted = self.publish_start(started.pid.as_raw().cast_unsigned());
        self.store.close_database();
        if let Err(error) = noted {
            // Nobody could find it again.
            let _ = process::send_signal(started.pidfd.as_fd(), Signal::KILL.number());
            let _ = nix::sys::wait::waitpid(started.pid, None);
            return Err(Failure::new(FailedStage::Setup, &error));
        }
        Ok(started)
    }

    fn publish_start(&mut self, pid: u32) -> Result<()> {
        let now = Timestamp::now();
        let restarts = self.life.state.restarts;
        self.life.state =
            ContainerState { started_at: Some(now), restarts, ..ContainerState::default() };
        self.life.begun = Some(Instant::now());
        self.note_start()?;
        if self.check.is_some() {
            self.life.health = Some(Health::default());
            self.claim.write_health(&Health::default())?;
        }
        self.running.started = now.seconds;
        self.running.pid = Some(pid);
        self.running.pid_start = ProcessId::of(pid)?.map(|process| process.start);
        self.publish(Activity::Runs)
    }

    /// Lets everybody see what the container does.
    fn publish(&mut self, activity: Activity) -> Result<()> {
        self.running.activity = activity;
        self.claim.publish(|claimed| {
            // Others may have changed both.
            let (name, spec) = (claimed.name.clone(), std::mem::take(&mut claimed.spec));
            *claimed = Running { name, spec, ..self.running.clone() };
        })
    }

    fn note_start(&self) -> Result<()> {
        let is_kept = matches!(self.place, Place::Kept { .. });
        let actions = [("create", !is_kept), ("attach", self.is_attached), ("start", true)];
        let events: Vec<Event> = actions
            .into_iter()
            .filter(|(_, happens)| *happens)
            .map(|(action, _)| self.event(action, &[]))
            .collect();
        if is_kept {
            return self.note(&events);
        }
        // A store that is full must not keep it from running.
        let _ = self.store.record_events(&events);
        Ok(())
    }

    fn note(&self, events: &[Event]) -> Result<()> {
        self.store.update_container_state(&self.running.id, &self.life.state, events)
    }

    fn event(&self, action: &str, more: &[(&str, String)]) -> Event {
        event(&self.running, action, more)
    }

    /// Others may have renamed it.
    fn learn_name(&mut self) {
        if let Ok(Some(now)) = self.claim.read() {
            self.running.name = now.name;
        }
    }

    fn note_end(&self, ending: Ending) -> Result<()> {
        let mut more = vec![("exitCode", ending.status.to_string())];
        more.extend(ending.signal.map(|signal| ("signal", signal.to_string())));
        let mut events = Vec::new();
        if self.life.state.oom_killed {
            events.push(self.event("oom", &[]));
        }
        events.push(self.event("die", &more));
        match self.place {
            Place::Ephemeral(_) => {
                events.push(self.event("destroy", &[]));
                self.store.record_events(&events)
            }
            Place::Kept { .. } => self.note(&events),
        }
    }

    /// Notes that it did not come up, which `ps` does not take for an end,
    /// unless it ran before.
    pub(in crate::engine) fn note_failure(&mut self, failure: &Failure) {
        let status = failure.stage.status();
        let die = self.event("die", &[("exitCode", status.to_string())]);
        let _ = match self.place {
            Place::Ephemeral(_) => self.store.record_events(&[
                self.event("create", &[]),
                die,
                self.event("destroy", &[]),
            ]),
            Place::Kept { .. } => {
                if self.life.state.started_at.is_none() {
                    // What it was before somebody tried.
                    let before = self.store.container(self.running.id.as_str());
                    self.life.state = before.map(|record| record.state).unwrap_or_default();
                }
                let state = &mut self.life.state;
                state.exit_code = Some(status);
                state.error = Some(failure.message().to_owned());
                if state.started_at.is_some() {
                    state.finished_at = Some(Timestamp::now());
                }
                self.note(&[die])
            }
        };
    }

    /// How long until it is started again, which its policy says as it is now.
    fn restart_after(&mut self, status: i32, stop: Option<Stop>) -> Option<Duration> {
        if !matches!(self.place, Place::Kept { auto_remove: false, .. }) {
            return None;
        }
        let record = self.store.container(self.running.id.as_str()).ok()?;
        let policy = KeptSpec::of(&record).restart;
        if !policy.restarts(status, self.life.state.restarts, stop.is_some()) {
            return None;
        }
        let ran = self.life.begun.map_or(Duration::ZERO, |begun| begun.elapsed());
        Some(self.life.back_off.next(ran))
    }

    /// Plans the next run, of what the record says now.
    fn plan_again(&mut self) -> Result<Plan> {
        let record = self.store.container(self.running.id.as_str())?;
        let spec = KeptSpec::of(&record);
        let request = spec.request(record.name.as_str())?;
        if let Place::Kept { mount, .. } = &mut self.place {
            *mount = self.store.container_mount(&record.id)?;
        }
        self.running = spec.claimed((&record.id, &record.name), Some(record.image));
        self.is_attached = false;
        self.life.state.restarts += 1;
        let engine = self.engine;
        let plan = engine.plan(self, &request, spec.platform.as_ref());
        self.store.close_database();
        plan
    }

    fn remove_group(&mut self) {
        // What cannot be removed now is swept by the next command.
        let _ = self.group.take().as_ref().map(limits::remove_group);
    }
}

impl monitor::Container for Keeping<'_> {
    fn prepare(&mut self) -> Result<(), Failure> {
        if self.plan.is_none() {
            let plan = self.plan_again();
            self.plan = Some(plan.map_err(|error| Failure::new(FailedStage::Setup, &error))?);
        }
        Ok(())
    }

    fn start(&mut self) -> Result<monitor::Running, Failure> {
        match self.plan.take() {
            Some(plan) => self.start_plan(plan),
            None => Err(Failure::new(FailedStage::Setup, &Error::internal("it has no plan"))),
        }
    }

    fn failed(&mut self, failure: &Failure) {
        self.note_failure(failure);
    }

    fn ended(&mut self, ending: Ending, stop: Option<Stop>) -> Sequel {
        let oom_kills = self.group.as_ref().map_or(Ok(0), Cgroup::oom_kills);
        self.learn_name();
        let state = &mut self.life.state;
        state.finished_at = Some(Timestamp::now());
        state.exit_code = Some(ending.status);
        state.oom_killed = oom_kills.is_ok_and(|kills| kills > 0);
        state.stopped = stop == Some(Stop::ByHand);
        state.health =
            self.life.health.take().and_then(|health| serde_json::to_string(&health).ok());
        let oom_killed = state.oom_killed;
        let _ = self.note_end(ending);
        let restart_after = self.restart_after(ending.status, stop);
        if restart_after.is_some() {
            (self.running.pid, self.running.pid_start) = (None, None);
            let _ = self.publish(Activity::Restarts);
            self.remove_group();
        }
        self.store.close_database();
        Sequel { oom_killed, restart_after }
    }

    /// Removes what is not kept. Teardown goes on: what fails here is finished
    /// by the next command that sees it.
    fn finish(mut self, stop: Option<Stop>) {
        if stop == Some(Stop::ByHand) && !self.life.state.stopped {
            // Between two runs.
            self.life.state.stopped = true;
            let _ = self.note(&[]);
        }
        // Before the claim: a group without one is nobody's.
        self.remove_group();
        let Self { store, place, claim, running, .. } = self;
        match place {
            Place::Ephemeral(snapshot) => {
                let snapshot = ManuallyDrop::into_inner(snapshot);
                let _ = snapshot.release_volumes(store.paths());
                let _ = snapshot.remove();
            }
            Place::Kept { auto_remove: true, .. } => {
                let _ = store.release_container_volumes(&running.id);
                let _ = store.remove_container(&running.id);
            }
            Place::Kept { .. } => {}
        }
        store.close_database();
        let _ = claim.remove();
    }

    fn set_paused(&mut self, paused: bool) -> Result<()> {
        self.learn_name();
        let name = &self.running.name;
        let Some(group) = self.group.clone() else {
            return Err(Error::unsupported(format!(
                "container {name} has no cgroup to pause it by"
            ))
            .hint("see docs/cgroups.md for how this user gets one"));
        };
        match (self.running.activity == Activity::Paused, paused) {
            (true, true) => {
                return Err(Error::new(Kind::InUse, format!("container {name} is already paused"))
                    .hint(format!("envbox unpause {name}")));
            }
            (false, false) => {
                return Err(Error::new(Kind::InUse, format!("container {name} is not paused"))
                    .hint("list those that are: envbox ps -f status=paused"));
            }
            _ => {}
        }
        if paused {
            // First: who sees it run must be able to join it.
            self.publish(Activity::Paused)?;
            if let Err(error) = group.freeze() {
                self.publish(Activity::Runs)?;
                return Err(error);
            }
        } else {
            group.thaw()?;
            self.publish(Activity::Runs)?;
        }
        let event = self.event(if paused { "pause" } else { "unpause" }, &[]);
        let _ = self.store.record_event(&event);
        self.store.close_database();
        Ok(())
    }

    fn schedule(&self) -> Option<Schedule> {
        self.check.as_ref().map(HealthCheck::schedule)
    }

    fn start_check(&mut self) -> Result<monitor::Running, Failure> {
        let setup = |error: Error| Failure::new(FailedStage::Setup, &error);
        let ended = || setup(Error::new(Kind::Unavailable, "the container has ended"));
        let target = match self.running.first_process() {
            Some(process) => Target::open(process).map_err(setup)?,
            None => None,
        };
        let parts = (target, &self.running.process, &self.check);
        let (Some(target), Some(own), Some(check)) = parts else { return Err(ended()) };
        let process = ProcessSpec { args: check.command.clone(), terminal: false, ..own.clone() };
        let entrance = self.group.as_ref().map(Cgroup::entrance).transpose().map_err(setup)?;
        let plan = join::plan(&process, target, Privileges::Same).map_err(setup)?;
        to_monitor(join::start(plan.in_group(entrance)))
    }

    fn is_ending(&self) -> bool {
        // Who cannot tell takes it for alive.
        self.running.first_process().is_some_and(|process| process.is_ending().unwrap_or(false))
    }

    fn checked(&mut self, health: &Health, changed: bool) {
        let _ = self.claim.write_health(health);
        self.life.health = Some(health.clone());
        if changed {
            self.learn_name();
            let event = self.event(&format!("health_status: {}", health.status.as_str()), &[]);
            let _ = self.store.record_event(&event);
            self.store.close_database();
        }
    }
}

/// Something that happens to a container that runs, or is about to.
pub(in crate::engine) fn event(running: &Running, action: &str, more: &[(&str, String)]) -> Event {
    let image = ("image".to_owned(), running.image_name.clone());
    let name = ("name".to_owned(), running.name.to_string());
    let labels = running.labels.iter().map(|(key, value)| (key.clone(), value.clone()));
    let more = more.iter().map(|(key, value)| ((*key).to_owned(), value.clone()));
    Event::container(action, &running.id, labels.chain([image, name]).chain(more))
}

/// What was started, as the monitor takes it over.
pub(in crate::engine) fn to_monitor(
    started: Result<Started, StartError>,
) -> Result<monitor::Running, Failure> {
    match started {
        Ok(started) => Ok(monitor::Running {
            pid: started.pid,
            pidfd: started.pidfd,
            terminal: started.terminal,
        }),
        Err(error) => Err(failure(&error)),
    }
}

fn failure(error: &StartError) -> Failure {
    let (stage, error): (FailedStage, &Error) = match error {
        StartError::Setup(error) => (FailedStage::Setup, error),
        StartError::NotFound(error) => (FailedStage::NotFound, error),
        StartError::NotExecutable(error) => (FailedStage::NotExecutable, error),
    };
    Failure::new(stage, error)
}
