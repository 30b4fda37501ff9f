//! `envbox container prune`.

use crate::cli::args::lifecycle::Prune;
use crate::cli::output::human_size;
use crate::cli::{exit, prompt};
use crate::engine::Engine;
use crate::error::{Error, Result};

/// Asks, removes, and prints what was removed.
pub(in crate::cli) fn run(engine: &Engine, prune: &Prune) -> Result<i32> {
    let question = "This will remove all stopped containers. Continue?";
    if !prune.force {
        if !prompt::can_ask() {
            return Err(Error::invalid("nobody is there to be asked")
                .hint("remove without a question: envbox container prune -f"));
        }
        if !prompt::confirm(question, false)? {
            return Ok(0);
        }
    }
    let (removed, bytes) = engine.prune_containers(&prune.filter)?;
    let mut text = String::new();
    if !removed.is_empty() {
        text.push_str("Deleted Containers:\n");
        text.extend(removed.iter().map(|id| format!("{id}\n")));
        text.push('\n');
    }
    text.push_str(&format!("Total reclaimed space: {}\n", human_size(bytes)));
    Ok(exit::data(&text))
}
