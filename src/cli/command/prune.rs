//! `envbox container prune`, and what all prunes have in common: docker's
//! question, and docker's report.

use crate::cli::args::prune::ContainerPrune;
use crate::cli::output::human_sum;
use crate::cli::{exit, prompt};
use crate::engine::{ContainerFilter, Engine, PrunedContainers};
use crate::error::{Error, Result};

/// Asks, removes, and prints what was removed.
pub(in crate::cli) fn run(engine: &Engine, prune: &ContainerPrune) -> Result<i32> {
    if !prune.force {
        confirm("container prune", "This will remove all stopped containers.")?;
    }
    let filters: Vec<ContainerFilter> = prune.filter.iter().map(ContainerFilter::from).collect();
    let pruned = engine.prune_containers(&filters)?;
    Ok(exit::data(&(containers(&pruned) + &total(pruned.reclaimed))))
}

/// Asks whether `warning` is to come true. Where nobody can be asked it is what
/// was meant.
///
/// # Errors
/// `Invalid` if it is not wanted: docker's words, with `verb`.
pub(super) fn confirm(verb: &str, warning: &str) -> Result<()> {
    if !prompt::can_ask() {
        return Ok(());
    }
    exit::say(&format!("WARNING! {warning}"));
    if prompt::confirm("Are you sure you want to continue?", false)? {
        return Ok(());
    }
    Err(Error::invalid(format!("{verb} has been cancelled")))
}

/// What was removed of a kind, a line each; nothing if nothing was.
pub(super) fn section(title: &str, lines: impl IntoIterator<Item = String>) -> String {
    let lines: String = lines.into_iter().map(|line| line + "\n").collect();
    if lines.is_empty() { lines } else { format!("{title}:\n{lines}\n") }
}

/// The containers that were removed.
pub(super) fn containers(pruned: &PrunedContainers) -> String {
    section("Deleted Containers", pruned.ids.iter().map(ToString::to_string))
}

/// The last line.
pub(super) fn total(bytes: u64) -> String {
    format!("Total reclaimed space: {}\n", human_sum(bytes))
}
