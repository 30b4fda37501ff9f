//! `envbox run`.

use crate::cli::args::container::Run;
use crate::cli::exit;
use crate::engine::{Ended, Engine, RunRequest, Terminal};
use crate::error::{Error, Result};
use crate::monitor;

/// Runs the command; the status is its own.
pub(in crate::cli) fn run(engine: &Engine, run: Run) -> Result<i32> {
    let terminal = match (run.tty, run.interactive) {
        (false, false) => Terminal::NoInput,
        (false, true) => Terminal::Inherit,
        (true, false) => Terminal::NewNoInput,
        (true, true) if monitor::input_is_terminal() => Terminal::New,
        (true, true) => {
            return Err(Error::invalid("the input device is not a TTY")
                .hint("leave -t out where stdin is a pipe or a file"));
        }
    };
    let mut words = run.words.into_iter();
    let mut options = run.container.into_options(run.hostname);
    options.mounts.extend(run.mount);
    let request = RunRequest {
        image: words.next().unwrap_or_default(),
        command: words.collect(),
        entrypoint: run.entrypoint,
        options,
        terminal,
        init: run.init,
        name: run.name,
        keep: !run.rm,
    };
    Ok(match engine.run(&request)? {
        Ended::Exited(status) => status,
        Ended::NotStarted(stage, error) => exit::not_started(stage, &error),
    })
}
