//! `envbox run`.

use crate::cli::args::container::{NewContainer, Run};
use crate::cli::exit;
use crate::engine::options::log::LogSpec;
use crate::engine::options::restart::RestartPolicy;
use crate::engine::{Ended, Engine, Launched, LifecycleOptions, RunRequest, Terminal};
use crate::error::{Error, Result};
use crate::monitor::{self, ClientOptions};

/// Runs the command; the status is its own. In the background, prints the ID.
pub(in crate::cli) fn run(engine: &Engine, run: Run) -> Result<i32> {
    let mut request = request(run.new)?;
    request.lifecycle.client = run.client.options();
    if run.detach {
        return Ok(match engine.run_detached(&request)? {
            Launched::Running(id) => exit::data(&format!("{id}\n")),
            Launched::NotStarted(stage, error) => exit::not_started(stage, &error),
        });
    }
    if request.terminal == Terminal::New && !monitor::input_is_terminal() {
        return Err(Error::invalid("the input device is not a TTY")
            .hint("leave -t out where stdin is a pipe or a file"));
    }
    Ok(match engine.run(&request)? {
        Ended::Exited(status) => status,
        Ended::NotStarted(stage, error) => exit::not_started(stage, &error),
    })
}

/// The engine's form of what was typed.
///
/// # Errors
/// `Invalid` for options that do not go together.
pub(super) fn request(new: NewContainer) -> Result<RunRequest> {
    if new.rm && new.restart != RestartPolicy::No {
        return Err(Error::invalid("conflicting options: cannot specify both --restart and --rm")
            .hint("leave one of them out: what is removed cannot be started again"));
    }
    let health = new.health.into_options()?;
    let log = LogSpec::new(new.log_driver, &new.log_opt)?;
    let terminal = match (new.tty, new.interactive) {
        (false, false) => Terminal::NoInput,
        (false, true) => Terminal::Inherit,
        (true, false) => Terminal::NewNoInput,
        (true, true) => Terminal::New,
    };
    let mut words = new.words.into_iter();
    let neighbor = new.container.neighbor().cloned();
    let mut options = new.container.into_options(new.hostname);
    options.mounts.extend(new.mount);
    options.isolation = new.isolation.into_options();
    options.isolation.network_of = neighbor;
    Ok(RunRequest {
        image: words.next().unwrap_or_default(),
        command: words.collect(),
        entrypoint: new.entrypoint,
        options,
        terminal,
        init: new.init,
        name: new.name,
        platform: new.platform,
        keep: !new.rm,
        lifecycle: LifecycleOptions {
            label_files: new.label_file,
            labels: new.label,
            stop_signal: new.stop_signal,
            stop_timeout: new.stop_timeout,
            cid_file: new.cidfile,
            volumes_from: new.volumes_from,
            auto_remove: false,
            restart: new.restart,
            health,
            log,
            client: ClientOptions::default(),
        },
    })
}
