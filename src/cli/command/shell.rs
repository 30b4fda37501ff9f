//! `envbox shell`.

use crate::cli::args::shell::Shell;
use crate::cli::{environment, exit};
use crate::engine::{Ended, Engine, ShellRequest};
use crate::error::Result;
use crate::monitor;

/// Opens the shell; the status is its own.
pub(in crate::cli) fn run(engine: &Engine, shell: Shell) -> Result<i32> {
    let request = ShellRequest {
        target: shell.target,
        profile: shell.profile,
        command: shell.command,
        line: shell.line,
        mounts: shell.mount,
        options: shell.container.into_options(shell.hostname),
        keep: shell.keep,
        terminal: monitor::caller_terminal(),
        jobserver: environment::jobserver(engine.settings()),
    };
    Ok(match engine.shell(&request)? {
        Ended::Exited(status) => status,
        Ended::NotStarted(stage, error) => exit::not_started(stage, &error),
    })
}
