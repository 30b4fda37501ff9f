//! The command line: the only floor that sees terminal, environment and exit
//! code. What was typed is in `args`; each verb has a file in `command`; the
//! engine does the work, and here it is printed.

mod args;
mod command;
mod environment;
mod exit;
mod interrupt;
pub mod output;
mod pipe;
mod progress;
mod prompt;
pub mod template;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use args::{Arguments, Verb};

/// Runs this process's command line.
pub fn main() -> ExitCode {
    let status = run(std::env::args_os());
    // A status is a byte (exit(3)).
    u8::try_from(status & 0xff).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// Runs the command line `arguments`; the number is the exit status.
fn run(arguments: impl IntoIterator<Item = OsString>) -> i32 {
    // What is written for a container must not depend on the caller's umask.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    perform(&arguments).unwrap_or_else(|| exit::failed(args::verb_of(&arguments).as_deref()))
}

/// Does what was typed; `None` after a failure that was told.
fn perform(arguments: &[OsString]) -> Option<i32> {
    let parsed = match Arguments::try_parse_from(arguments) {
        Ok(parsed) => parsed,
        Err(error) => return (!exit::usage(&error)).then_some(0),
    };
    let result = environment::engine(&parsed.global).and_then(|engine| match parsed.verb {
        Verb::Import(import) => command::import::run(&engine, *import),
        Verb::Images(images) => command::images::run(&engine, images),
        Verb::Tag(tag) => command::tag::run(&engine, &tag),
        Verb::Rmi(images) => command::rmi::run(&engine, &images),
        Verb::Inspect(inspect) => command::inspect::run(&engine, &inspect),
        Verb::Save(save) => command::save::run(&engine, &save),
        Verb::Load(load) => command::load::run(&engine, load),
        Verb::Export(export) => command::export::run(&engine, export),
        Verb::Image(verb) => command::image::run(&engine, verb),
        Verb::Container(verb) => command::container::run(&engine, verb),
        Verb::Volume(verb) => command::volume::run(&engine, verb),
        Verb::Shell(shell) => command::shell::run(&engine, *shell),
        Verb::Run(run) => command::run::run(&engine, *run),
        Verb::Attach(attach) => command::attach::run(&engine, &attach),
        Verb::Exec(exec) => command::exec::run(&engine, exec),
        Verb::Stats(stats) => command::stats::run(&engine, &stats),
        Verb::Top(top) => command::top::run(&engine, &top),
        Verb::Create(create) => command::create::run(&engine, *create),
        Verb::Start(start) => command::start::run(&engine, &start),
        Verb::Stop(stop) => command::stop::run(&engine, &stop),
        Verb::Restart(restart) => command::restart::run(&engine, &restart),
        Verb::Kill(kill) => command::kill::run(&engine, &kill),
        Verb::Pause(pause) => command::pause::run(&engine, &pause),
        Verb::Unpause(unpause) => command::pause::unpause(&engine, &unpause),
        Verb::Wait(wait) => command::wait::run(&engine, &wait),
        Verb::Rename(rename) => command::rename::run(&engine, &rename),
        Verb::Update(update) => command::update::run(&engine, update),
        Verb::Ps(ps) => command::ps::run(&engine, &ps),
        Verb::Logs(logs) => command::logs::run(&engine, &logs),
        Verb::Rm(rm) => command::rm::run(&engine, &rm),
        Verb::Cp(copy) => command::cp::run(&engine, copy),
        Verb::Commit(commit) => command::commit::run(&engine, commit),
        Verb::History(history) => command::history::run(&engine, &history),
        Verb::Diff(diff) => command::diff::run(&engine, &diff),
        Verb::Port(port) => command::port::run(&engine, &port),
        Verb::Events(events) => command::events::run(&engine, &events),
        Verb::System(verb) => command::system::run(&engine, verb),
        Verb::Init(init) => command::init::run(&engine, init),
        Verb::Profile(profile) => command::profile::run(&engine, profile),
        Verb::Completion { shell } => command::reference::completion(shell),
        Verb::Manual { directory } => command::reference::manual(&directory),
    });
    result.map_err(|error| exit::failure(&error)).ok()
}
