//! `envbox system`.

use crate::cli::args::system::SystemVerb;
use crate::cli::exit;
use crate::engine::Engine;
use crate::error::Result;
use crate::id::ContainerName;
use crate::store::{Driver, Repaired};

use super::{events, prune, system_df, system_prune};

/// Does what the verb says.
pub(in crate::cli) fn run(engine: &Engine, verb: SystemVerb) -> Result<i32> {
    let mut status = 0;
    let mut report = |name: &ContainerName, result: Result<()>| match result {
        Ok(()) => status = status.max(exit::data(&format!("{name}\n"))),
        Err(error) => {
            exit::failure(&error.context(format!("container {name}")));
            status = 1;
        }
    };
    match verb {
        SystemVerb::Df(arguments) => return system_df::run(engine, &arguments),
        SystemVerb::Prune(arguments) => return system_prune::run(engine, arguments),
        SystemVerb::Events(arguments) => return events::run(engine, &arguments),
        SystemVerb::Boot(_) => engine.boot(&mut report)?,
        SystemVerb::Shutdown(_) => engine.shut_down(&mut report)?,
        SystemVerb::Check(check) if check.repair => return repair(engine, check.force),
        SystemVerb::Check(_) => return check(engine),
        SystemVerb::Migrate(migrate) => return self::migrate(engine, migrate.driver),
    }
    Ok(status)
}

/// Prints the layers, one a line.
fn migrate(engine: &Engine, driver: Driver) -> Result<i32> {
    let mut status = 0;
    engine.migrate(driver, |chain| status = exit::data(&format!("{chain}\n")))?;
    Ok(status)
}

/// Prints what does not fit, one a line.
fn check(engine: &Engine) -> Result<i32> {
    let faults = engine.check()?;
    if faults.is_empty() {
        return Ok(exit::data("OK\n"));
    }
    let lines: String = faults.iter().map(|fault| format!("{fault}\n")).collect();
    Ok(exit::data(&lines).max(1))
}

/// Asks, and prints what was done, what is lost and what does not fit still, one
/// a line.
fn repair(engine: &Engine, force: bool) -> Result<i32> {
    let damage = engine.damage()?;
    if damage.is_empty() {
        return Ok(exit::data("OK\n"));
    }
    if !force {
        let list: String = damage.iter().map(|line| format!("  - {line}\n")).collect();
        let warning = format!("This will mend what it can of this:\n{list}");
        prune::confirm("system check", &warning)?;
    }
    let Repaired { done, lost, left } = engine.repair()?;
    let mut lines: String = done.iter().map(|done| format!("{done}\n")).collect();
    lines.extend(lost.iter().map(|lost| format!("{lost}\n")));
    lines.extend(left.iter().map(|fault| format!("{fault}\n")));
    if left.is_empty() {
        lines.push_str("OK\n");
    }
    Ok(exit::data(&lines).max(i32::from(!left.is_empty())))
}
