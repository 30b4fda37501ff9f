//! `envbox start`.

use crate::cli::args::lifecycle::Start;
use crate::engine::{Attach, Ended, Engine, StartedContainer};
use crate::error::{Error, Result};
use crate::monitor;

use super::each::each;

/// Starts the containers; attached to one, the status is its own.
pub(in crate::cli) fn run(engine: &Engine, start: &Start) -> Result<i32> {
    if !start.attach && !start.interactive {
        return Ok(each(&start.containers, |name| running(engine.start(name, &Attach::Detached)?)));
    }
    let [name] = start.containers.as_slice() else {
        return Err(Error::invalid("you cannot start and attach multiple containers at once")
            .hint("leave -a and -i out, or name one container"));
    };
    if start.interactive && engine.wants_terminal_input(name)? && !monitor::input_is_terminal() {
        return Err(Error::invalid("the input device is not a TTY")
            .hint("leave -i out where stdin is a pipe or a file"));
    }
    let client = start.client.options();
    let attach = if start.interactive { Attach::Full(client) } else { Attach::Output(client) };
    match engine.start(name, &attach)? {
        StartedContainer::Ended(Ended::Exited(status)) => Ok(status),
        other => running(other).map(|()| 0),
    }
}

/// Takes a container that did not come up for an error.
pub(super) fn running(started: StartedContainer) -> Result<()> {
    match started {
        StartedContainer::Running(_) | StartedContainer::Ended(Ended::Exited(_)) => Ok(()),
        StartedContainer::Ended(Ended::NotStarted(_, error)) => Err(error),
    }
}
