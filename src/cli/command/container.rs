//! `envbox container`: each of its verbs is one that has another name, too.

use crate::cli::args::container::ContainerVerb;
use crate::cli::args::image::{Inspect, InspectKind};
use crate::engine::Engine;
use crate::error::Result;

use super::{
    attach, commit, cp, create, diff, exec, export, inspect, kill, logs, pause, port, prune, ps,
    rename, restart, rm, run, start, stats, stop, top, update, wait,
};

/// Does what the verb says.
pub(in crate::cli) fn run(engine: &Engine, verb: ContainerVerb) -> Result<i32> {
    match verb {
        ContainerVerb::Run(arguments) => run::run(engine, *arguments),
        ContainerVerb::Attach(arguments) => attach::run(engine, &arguments),
        ContainerVerb::Exec(arguments) => exec::run(engine, arguments),
        ContainerVerb::Stats(arguments) => stats::run(engine, &arguments),
        ContainerVerb::Top(arguments) => top::run(engine, &arguments),
        ContainerVerb::Create(arguments) => create::run(engine, *arguments),
        ContainerVerb::Start(arguments) => start::run(engine, &arguments),
        ContainerVerb::Stop(arguments) => stop::run(engine, &arguments),
        ContainerVerb::Restart(arguments) => restart::run(engine, &arguments),
        ContainerVerb::Kill(arguments) => kill::run(engine, &arguments),
        ContainerVerb::Pause(arguments) => pause::run(engine, &arguments),
        ContainerVerb::Unpause(arguments) => pause::unpause(engine, &arguments),
        ContainerVerb::Wait(arguments) => wait::run(engine, &arguments),
        ContainerVerb::Rename(arguments) => rename::run(engine, &arguments),
        ContainerVerb::Update(arguments) => update::run(engine, arguments),
        ContainerVerb::Prune(arguments) => prune::run(engine, &arguments),
        ContainerVerb::Ls(arguments) => ps::run(engine, &arguments),
        ContainerVerb::Rm(arguments) => rm::run(engine, &arguments),
        ContainerVerb::Inspect(arguments) => {
            let inspect = Inspect {
                names: arguments.containers,
                kind: Some(InspectKind::Container),
                size: arguments.size,
                format: arguments.format,
            };
            inspect::run(engine, &inspect)
        }
        ContainerVerb::Logs(arguments) => logs::run(engine, &arguments),
        ContainerVerb::Export(arguments) => export::run(engine, arguments),
        ContainerVerb::Cp(arguments) => cp::run(engine, arguments),
        ContainerVerb::Diff(arguments) => diff::run(engine, &arguments),
        ContainerVerb::Commit(arguments) => commit::run(engine, arguments),
        ContainerVerb::Port(arguments) => port::run(engine, &arguments),
    }
}
