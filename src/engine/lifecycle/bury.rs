//! What is noted of containers whose monitor was killed: the kernel ended them
//! with it, and nobody was left to say so. Who finds their files puts those
//! aside; the next command that looks for containers or events writes it down.

use crate::error::Result;
use crate::fs::Timestamp;
use crate::store::{ContainerRecord, ContainerState, Event, Store};

use super::super::Engine;
use super::super::containers::KILLED;
use super::super::options::signal::Signal;
use super::super::running::{self, Running};
use super::keep;

impl Engine {
    /// Writes down how those ended whose monitors were killed.
    ///
    /// # Errors
    /// Those of the run directory and of the store; then the next command does
    /// it.
    pub(in crate::engine) fn bury(&self) -> Result<()> {
        let Some(dead) = running::Dead::find(&self.settings.store.run)? else { return Ok(()) };
        let Some(store) = self.existing_store()? else { return Ok(()) };
        // A store that cannot be written must not keep anybody from looking.
        dead.take(|running| note_end(store, running).is_ok())
    }
}

fn note_end(store: &Store, dead: &Running) -> Result<()> {
    let end = [("exitCode", KILLED.to_string()), ("signal", Signal::KILL.number().to_string())];
    let die = keep::event(dead, "die", &end);
    let kept = store.containers()?.into_iter().find(|record| record.id == dead.id);
    match kept {
        None => store.record_events(&[die, keep::event(dead, "destroy", &[])]),
        Some(record) => note_kept(store, &record, die),
    }
}

fn note_kept(store: &Store, record: &ContainerRecord, die: Event) -> Result<()> {
    let old = &record.state;
    if old.started_at.is_none() || old.finished_at.is_some() {
        // It has, or was to be started again.
        return Ok(());
    }
    let state = ContainerState {
        finished_at: Some(Timestamp::now()),
        exit_code: Some(KILLED),
        ..old.clone()
    };
    store.update_container_state(&record.id, &state, &[die])
}
