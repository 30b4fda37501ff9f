//! `envbox import`.

use std::time::Instant;

use indicatif::HumanCount;

use crate::cli::args::import::Import;
use crate::cli::exit;
use crate::cli::output::human_size;
use crate::cli::progress::{self, Progress};
use crate::engine::{Engine, ImportOutcome, ImportRequest, ImportStart};
use crate::error::Result;
use crate::image::{Findings, Topic};

/// How many paths a note names.
const EXAMPLES: usize = 3;

/// Imports, names what was not kept, and prints the image's ID alone.
pub(in crate::cli) fn run(engine: &Engine, import: Import) -> Result<i32> {
    let is_shown = !import.quiet && progress::is_seen();
    let request = ImportRequest {
        source: import.source,
        reference: import.reference,
        exclude: import.exclude,
        exclude_from: import.exclude_from,
        changes: import.change,
        message: import.message,
        author: import.author,
        platform: import.platform,
        profile: import.profile,
    };
    let start = Instant::now();
    let mut line = None;
    let began = |ImportStart { counters, total }| {
        line = is_shown.then(|| Progress::start(counters, total));
    };
    let outcome = engine.import(&request, began);
    // What follows is printed where the line was.
    drop(line);
    let outcome = outcome?;
    tell_of_losses(&outcome);
    if is_shown {
        exit::say(&format!(
            "imported {}, {} files in {:.1} s",
            human_size(outcome.content_size),
            HumanCount(outcome.entries),
            start.elapsed().as_secs_f64()
        ));
    }
    Ok(exit::data(&format!("{}\n", outcome.id)))
}

/// One note a topic.
fn tell_of_losses(outcome: &ImportOutcome) {
    for (topic, findings) in &outcome.report.topics {
        exit::note(&note(*topic, findings), None);
    }
    if !outcome.has_root {
        exit::note(
            "the archive does not say what its root directory is: it gets owner 0:0, \
             mode 0755 and no time",
            Some("to have the digest of the directory, make it with: tar -C DIRECTORY -c ."),
        );
    }
}

fn note(topic: Topic, findings: &Findings) -> String {
    let examples = findings.examples.iter().take(EXAMPLES).cloned().collect::<Vec<_>>().join(", ");
    let more = if findings.count > EXAMPLES as u64 { ", ..." } else { "" };
    let (things, what) = words(topic, findings.count == 1);
    format!("{} {things} {what} ({examples}{more})", HumanCount(findings.count))
}

/// What was found, and what became of it.
fn words(topic: Topic, is_one: bool) -> (&'static str, &'static str) {
    let (one, many, is, are) = match topic {
        Topic::Socket => ("socket", "sockets", "was left out", "were left out"),
        Topic::DroppedXattr => (
            "extended attribute",
            "extended attributes",
            "that images do not keep was left out",
            "that images do not keep were left out",
        ),
        Topic::Overridden => (
            "file",
            "files",
            "has an owner or attributes that cannot be set here, which the image keeps",
            "have owners or attributes that cannot be set here, which the image keeps",
        ),
        Topic::ImplicitDirectory => (
            "directory",
            "directories",
            "that the archive does not list was made, of root, with mode 0755",
            "that the archive does not list were made, of root, with mode 0755",
        ),
        Topic::Replaced => (
            "member of the archive",
            "members of the archive",
            "was replaced by a later one of its name",
            "were replaced by later ones of their names",
        ),
    };
    if is_one { (one, is) } else { (many, are) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_counts_and_names_three() {
        let findings = |count: u64| Findings {
            count,
            examples: (0..count).map(|number| format!("run/{number}")).collect(),
        };
        assert_eq!(note(Topic::Socket, &findings(1)), "1 socket was left out (run/0)");
        assert_eq!(
            note(Topic::Socket, &findings(1200)),
            "1,200 sockets were left out (run/0, run/1, run/2, ...)"
        );
    }
}
