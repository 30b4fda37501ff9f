//! `envbox exec`.

use crate::cli::args::exec::Exec;
use crate::cli::exit;
use crate::engine::{Ended, Engine, ExecRequest, Terminal};
use crate::error::{Error, Result};
use crate::monitor;

/// Runs the command; the status is its own.
pub(in crate::cli) fn run(engine: &Engine, exec: Exec) -> Result<i32> {
    let ended = terminal(&exec).and_then(|terminal| engine.exec(&request(exec, terminal)));
    Ok(match ended {
        Ok(Ended::Exited(status)) => status,
        Ok(Ended::NotStarted(stage, error)) => exit::not_joined(stage, &error),
        Err(error) => exit::not_asked(&error),
    })
}

fn terminal(exec: &Exec) -> Result<Terminal> {
    match (exec.tty, exec.interactive && !exec.detach) {
        (false, false) => Ok(Terminal::NoInput),
        (false, true) => Ok(Terminal::Inherit),
        (true, false) => Ok(Terminal::NewNoInput),
        (true, true) if monitor::input_is_terminal() => Ok(Terminal::New),
        (true, true) => Err(Error::invalid("the input device is not a TTY")
            .hint("leave -t out where stdin is a pipe or a file")),
    }
}

fn request(exec: Exec, terminal: Terminal) -> ExecRequest {
    let mut words = exec.words.into_iter();
    ExecRequest {
        container: words.next().unwrap_or_default(),
        command: words.collect(),
        environment_files: exec.process.env_file,
        environment: exec.process.env,
        working_directory: exec.process.workdir,
        user: exec.process.user,
        privileged: exec.privileged,
        terminal,
        detach: exec.detach,
    }
}
