//! `envbox shell`.

use crate::cli::args::shell::Shell;
use crate::cli::{environment, exit};
use crate::engine::{Ended, Engine, ShellRequest};
use crate::error::{Error, Result};
use crate::monitor;

/// Opens the shell; the status is its own.
pub(in crate::cli) fn run(engine: &Engine, shell: Shell) -> Result<i32> {
    // A recipe's line shares the terminal with those that run beside it, and
    // Ctrl-C is for the make that all of them belong to.
    let is_line = environment::is_recipe(engine.settings())
        && (shell.line.is_some() || !shell.command.is_empty());
    if let Some(neighbor) = shell.container.neighbor() {
        return Err(Error::unsupported(format!("network mode \"{neighbor}\": a shell joins none"))
            .hint("use envbox run, or --network host"));
    }
    let request = ShellRequest {
        platform: shell.platform,
        target: shell.target,
        profile: shell.profile,
        command: shell.command,
        line: shell.line,
        mounts: shell.mount,
        options: shell.container.into_options(shell.hostname),
        keep: shell.keep,
        terminal: monitor::caller_terminal() && !is_line,
        jobserver: environment::jobserver(engine.settings()),
    };
    Ok(match engine.shell(&request)? {
        Ended::Exited(status) => status,
        Ended::NotStarted(stage, error) => exit::not_started(stage, &error),
    })
}
