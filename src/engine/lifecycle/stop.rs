//! `stop`, `kill`, `restart` and `wait`: what is asked of a container that
//! runs, by way of its monitor. Nothing here waits for a fixed time.

use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::monitor::{Control, Exit, Stop, Waited};

use super::super::Engine;
use super::super::containers::KILLED;
use super::super::held;
use super::super::options::signal::Signal;
use super::super::running::{self, Running};
use super::keep;
use super::kept::KeptSpec;
use super::start::Attach;
use super::{Found, StartedContainer};

/// docker's `--time`.
const TIMEOUT: i64 = 10;

/// How a container is stopped.
#[derive(Clone, Copy, Debug, Default)]
pub struct StopOptions {
    /// Instead of the container's own signal.
    pub signal: Option<Signal>,
    /// Instead of the container's own time, in seconds; negative for ever.
    pub timeout: Option<i64>,
}

/// What a container that was asked to end is waited for by.
pub(super) struct StopRequest {
    /// None if its monitor is about to go, or has gone.
    control: Option<Control>,
    /// When it is killed, if ever.
    deadline: Option<Instant>,
    stop: Stop,
}

/// Whether a container has ended that was asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stopped {
    /// It has.
    Yes,
    /// It ended by itself before the word came, and is to be started again.
    Restarts,
}

impl Engine {
    /// Stops the container `name`: its signal first, SIGKILL when its time is
    /// up. Returns as soon as it has ended; one that does not run is success.
    ///
    /// # Errors
    /// `NotFound`; those of the monitor's socket.
    pub fn stop(&self, name: &str, options: &StopOptions) -> Result<()> {
        self.stop_for(name, options, Stop::ByHand)
    }

    /// The same, for this reason.
    pub(super) fn stop_for(&self, name: &str, options: &StopOptions, stop: Stop) -> Result<()> {
        loop {
            let found = self.find_container(name)?;
            let Some(running) = &found.running else { return self.check_ended(&found) };
            let request = self.request_stop(running, options, stop)?;
            if self.see_stop(running, request)? == Stopped::Yes {
                return Ok(());
            }
        }
    }

    /// Asks a container that runs to end, without waiting for it.
    ///
    /// # Errors
    /// Those of its monitor's socket.
    pub(super) fn request_stop(
        &self,
        running: &Running,
        options: &StopOptions,
        stop: Stop,
    ) -> Result<StopRequest> {
        let control = running::connect(&self.settings.store.run, &running.id)?;
        let signal = options.signal.unwrap_or_else(|| running.stop_signal());
        let seconds = options.timeout.or(running.stop_timeout).unwrap_or(TIMEOUT);
        let limit = u64::try_from(seconds).ok().map(Duration::from_secs);
        if let Some(control) = &control {
            self.tell_of_signal(running, signal);
            control.signal(signal.number(), Some(stop));
        }
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        Ok(StopRequest { control, deadline, stop })
    }

    /// Waits for one that was asked to end, and kills it when its time is up.
    ///
    /// # Errors
    /// Those of its monitor's socket.
    pub(super) fn see_stop(&self, running: &Running, request: StopRequest) -> Result<Stopped> {
        let Some(control) = request.control else {
            running::wait_until_gone(&self.settings.store.run, &running.id)?;
            return Ok(Stopped::Yes);
        };
        let left = |deadline: Instant| deadline.saturating_duration_since(Instant::now());
        let mut waited = control.wait(request.deadline.map(left))?;
        if waited == Waited::TimedOut {
            self.tell_of_signal(running, Signal::KILL);
            control.signal(Signal::KILL.number(), Some(request.stop));
            waited = control.wait(None)?;
        }
        match waited {
            Waited::Ended(Exit { restarts: true, .. }) => return Ok(Stopped::Restarts),
            Waited::Ended(_) => {}
            Waited::TimedOut | Waited::Lost => {
                running::wait_until_gone(&self.settings.store.run, &running.id)?;
            }
        }
        self.tell(running, "stop");
        Ok(Stopped::Yes)
    }

    /// Sends `signal` to the container `name`; SIGKILL returns when it has
    /// ended. docker: a signal that ends it keeps it from being started again.
    ///
    /// # Errors
    /// `NotFound`; `InUse` if it does not run.
    pub fn kill(&self, name: &str, signal: Signal) -> Result<()> {
        let mut was_asked = false;
        loop {
            let found = self.find_container(name)?;
            let control = match &found.running {
                Some(_) => running::connect(&self.settings.store.run, &found.id)?,
                None => None,
            };
            let (Some(running), Some(control)) = (&found.running, control) else {
                if was_asked {
                    // It was heard in time to keep it from being started again.
                    return running::wait_until_gone(&self.settings.store.run, &found.id);
                }
                return Err(self.not_running(&found, name));
            };
            let ends = signal == running.stop_signal()
                || [Signal::KILL, Signal::TERM, Signal::INT, Signal::QUIT].contains(&signal);
            self.tell_of_signal(running, signal);
            control.signal(signal.number(), ends.then_some(Stop::ByHand));
            if signal != Signal::KILL {
                return Ok(());
            }
            let waited = control.wait(None)?;
            if matches!(waited, Waited::Ended(Exit { restarts: true, .. })) {
                was_asked = true;
                continue;
            }
            return self.see_end(&found, waited).map(drop);
        }
    }

    /// Stops the container `name` if it runs, and starts it.
    ///
    /// # Errors
    /// Those of [`Engine::stop`] and [`Engine::start`].
    pub fn restart(&self, name: &str, options: &StopOptions) -> Result<StartedContainer> {
        // A container that goes when it ends cannot come back.
        let found = self.find_container(name)?;
        let kept = found.record.as_ref().filter(|record| !KeptSpec::of(record).auto_remove);
        let Some(record) = kept else {
            return Err(Error::unsupported(format!(
                "container {name} goes when it ends: it cannot be restarted"
            ))
            .hint("run it without --rm"));
        };
        KeptSpec::of(record).request(name)?;
        self.enter_as(record)?;
        self.stop(record.id.as_str(), options)?;
        let started = self.start(record.id.as_str(), &Attach::Detached)?;
        if let (StartedContainer::Running(_), Some(running)) = (&started, self.running(&found)?) {
            self.tell(&running, "restart");
        }
        Ok(started)
    }

    /// Waits until the container `name` has ended: its exit status. One that
    /// does not run is not waited for.
    ///
    /// # Errors
    /// `NotFound`; those of the monitor's socket.
    pub fn wait(&self, name: &str) -> Result<i32> {
        let found = self.find_container(name)?;
        // Who waits for long must not hold the store.
        if let Some(store) = self.existing_store()? {
            store.close_database();
        }
        let control = match &found.running {
            Some(_) => running::connect(&self.settings.store.run, &found.id)?,
            None => None,
        };
        if let Some(control) = control {
            let waited = control.wait(None)?;
            return self.see_end(&found, waited);
        }
        running::wait_until_gone(&self.settings.store.run, &found.id)?;
        self.last_status(&found)
    }

    /// Why nothing can be asked of a container that has no monitor to ask:
    /// docker's words, unless somebody took its files away.
    pub(in crate::engine) fn not_running(&self, found: &Found, name: &str) -> Error {
        self.check_ended(found).err().unwrap_or_else(|| super::not_running(name))
    }

    /// One without a file in the run directory may still run, if somebody took
    /// that away.
    fn check_ended(&self, found: &Found) -> Result<()> {
        let (Some(_), Some(store)) = (&found.record, self.existing_store()?) else {
            return Ok(());
        };
        let directory = store.container_path(&found.id);
        if !held::is_held(&directory)? {
            return Ok(());
        }
        let starts = |claimed: &Running| claimed.id == found.id;
        let claimed = running::list_claimed(&self.settings.store.run)?;
        if claimed.iter().any(starts) || !held::stays_held(&directory)? {
            return Ok(());
        }
        Err(held::unreachable(&found.name, &directory))
    }

    /// The status of a container that was waited for.
    pub(super) fn see_end(&self, found: &Found, waited: Waited) -> Result<i32> {
        match waited {
            Waited::Ended(exit) => Ok(exit.status),
            Waited::TimedOut | Waited::Lost => {
                running::wait_until_gone(&self.settings.store.run, &found.id)?;
                self.last_status(found)
            }
        }
    }

    fn last_status(&self, found: &Found) -> Result<i32> {
        let record = match (&found.record, self.existing_store()?) {
            (Some(_), Some(store)) => store.container(found.id.as_str()).ok(),
            _ => None,
        };
        Ok(record.map_or(KILLED, |record| {
            let never = record.state.started_at.is_none();
            record.state.exit_code.unwrap_or(if never { 0 } else { KILLED })
        }))
    }

    fn running(&self, found: &Found) -> Result<Option<Running>> {
        let running = running::list(&self.settings.store.run)?;
        Ok(running.into_iter().find(|running| running.id == found.id))
    }

    fn tell_of_signal(&self, running: &Running, signal: Signal) {
        let more = [("signal", signal.number().to_string())];
        self.record(keep::event(running, "kill", &more));
    }

    pub(in crate::engine) fn tell(&self, running: &Running, action: &str) {
        self.record(keep::event(running, action, &[]));
    }

    /// A store that cannot be written must not keep a container from ending.
    fn record(&self, event: crate::store::Event) {
        if let Ok(store) = self.store() {
            let _ = store.record_event(&event);
            store.close_database();
        }
    }
}
