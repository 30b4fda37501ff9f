//! What the monitor does for the engine: it notes that a container started and
//! how it ended, and takes away what is not kept. Runs in the monitor's process.

use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::fs::Timestamp;
use crate::monitor::{self, Ending, FailedStage, Failure};
use crate::mount::Mount;
use crate::runtime::cgroup::Cgroup;
use crate::runtime::join::ProcessId;
use crate::runtime::plan::Plan;
use crate::runtime::start::{self, StartError, Started};
use crate::store::{ContainerState, EphemeralSnapshot, Event, Store};
use crate::sys::process;

use super::super::limits;
use super::super::options::log::LogSpec;
use super::super::options::signal::Signal;
use super::super::running::{Running, RunningFile};

/// The status of a container that did not come up and says no other: docker's
/// for a failure of its own, of a program that cannot be executed, and of one
/// that is not there.
const FAILED: [(FailedStage, i32); 3] =
    [(FailedStage::Setup, 128), (FailedStage::NotExecutable, 126), (FailedStage::NotFound, 127)];

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

/// A container that is claimed and has not ended.
pub(in crate::engine) struct Keeping<'a> {
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
    /// When it was started; the monitor notes it.
    pub started: Cell<Option<Timestamp>>,
}

impl Keeping<'_> {
    /// Starts `plan`, and lets everybody see it.
    ///
    /// # Errors
    /// How far it came; nothing is left running.
    pub(in crate::engine) fn start(&self, plan: Plan) -> Result<monitor::Running, Failure> {
        let started =
            to_monitor(start::start(plan)).inspect_err(|failure| self.note_failure(failure))?;
        let now = Timestamp::now();
        self.started.set(Some(now));
        let pid = started.pid.as_raw().cast_unsigned();
        let noted = self.note_start(now).and_then(|()| {
            let process = ProcessId::of(pid)?;
            self.claim.publish(|claimed| {
                *claimed = Running {
                    name: claimed.name.clone(),
                    started: now.seconds,
                    pid: Some(pid),
                    pid_start: process.map(|process| process.start),
                    ..self.running.clone()
                };
            })
        });
        self.store.close_database();
        if let Err(error) = noted {
            // Nobody could find it again.
            let _ = process::send_signal(started.pidfd.as_fd(), Signal::KILL.number());
            let _ = nix::sys::wait::waitpid(started.pid, None);
            return Err(Failure::new(FailedStage::Setup, &error));
        }
        Ok(started)
    }

    fn note_start(&self, now: Timestamp) -> Result<()> {
        match &self.place {
            Place::Kept { .. } => {
                let state = ContainerState { started_at: Some(now), ..ContainerState::default() };
                self.note("start", &state, &[])
            }
            Place::Ephemeral(_) => {
                // A store that is full must not keep it from running.
                let events = ["create", "start"].map(|action| self.event(action, &[]));
                let _ = self.store.record_events(&events);
                Ok(())
            }
        }
    }

    fn note(&self, action: &str, state: &ContainerState, more: &[(&str, String)]) -> Result<()> {
        self.store.update_container_state(&self.running.id, state, &self.event(action, more))
    }

    fn event(&self, action: &str, more: &[(&str, String)]) -> Event {
        event(&self.running, action, more)
    }

    /// Notes the end, and removes what is not kept. Teardown goes on: what
    /// fails here is finished by the next command that sees it.
    pub(in crate::engine) fn finish(mut self, ended: Option<Ending>) {
        if let Ok(Some(now)) = self.claim.read() {
            self.running.name = now.name;
        }
        if let Some(ending) = ended {
            let _ = self.note_end(ending);
        }
        let Self { store, place, claim, running, group, .. } = self;
        // Before the claim: a group without one is nobody's.
        let _ = group.as_ref().map(limits::remove_group);
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

    fn note_end(&self, ending: Ending) -> Result<()> {
        let mut more = vec![("exitCode", ending.status.to_string())];
        more.extend(ending.signal.map(|signal| ("signal", signal.to_string())));
        match self.place {
            Place::Ephemeral(_) => {
                self.store.record_events(&[self.event("die", &more), self.event("destroy", &[])])
            }
            Place::Kept { .. } => {
                let state = ContainerState {
                    started_at: self.started.get(),
                    finished_at: Some(Timestamp::now()),
                    exit_code: Some(ending.status),
                };
                self.note("die", &state, &more)
            }
        }
    }

    /// Notes that it did not come up, which `ps` then does not take for an end.
    pub(in crate::engine) fn note_failure(&self, failure: &Failure) {
        let status = FAILED.iter().find(|(stage, _)| *stage == failure.stage);
        let status = status.map_or(128, |(_, status)| *status);
        let more = [("exitCode", status.to_string())];
        let _ = match self.place {
            Place::Ephemeral(_) => self.store.record_events(&[
                self.event("create", &[]),
                self.event("die", &more),
                self.event("destroy", &[]),
            ]),
            Place::Kept { .. } => {
                let state = ContainerState { exit_code: Some(status), ..Default::default() };
                self.note("die", &state, &more)
            }
        };
    }
}

/// Something that happens to a container that runs, or is about to.
pub(super) fn event(running: &Running, action: &str, more: &[(&str, String)]) -> Event {
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
