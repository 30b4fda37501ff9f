//! What was noticed on the way, bounded and serialisable (it crosses a pipe
//! between processes), and the counters a progress bar reads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::entry::display;

/// How many paths a report names of each topic.
const EXAMPLES: usize = 100;

/// What can be noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Topic {
    /// A socket: tar has no form for it, it was left out.
    Socket,
    /// An extended attribute that a layer does not keep and that is not the
    /// host's own policy was left out.
    DroppedXattr,
    /// The file system refused something; it is kept beside the tree.
    Overridden,
    /// A directory that the archive does not list was created.
    ImplicitDirectory,
    /// A later member of the archive replaced an earlier one.
    Replaced,
}

/// The paths of one topic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings {
    /// How many there were.
    pub count: u64,
    /// The first hundred, for messages.
    pub examples: Vec<String>,
}

/// What was noticed, by topic; topics without findings are absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Report {
    /// The findings.
    pub topics: BTreeMap<Topic, Findings>,
}

impl Report {
    /// Notes `path` under `topic`.
    pub fn note(&mut self, topic: Topic, path: &[u8]) {
        let findings = self.topics.entry(topic).or_default();
        findings.count += 1;
        if findings.examples.len() < EXAMPLES {
            findings.examples.push(display(path));
        }
    }

    /// Takes in what another stage noticed.
    pub fn merge(&mut self, other: Report) {
        for (topic, findings) in other.topics {
            let mine = self.topics.entry(topic).or_default();
            mine.count += findings.count;
            let room = EXAMPLES.saturating_sub(mine.examples.len());
            mine.examples.extend(findings.examples.into_iter().take(room));
        }
    }

    /// How many findings `topic` has.
    pub fn count(&self, topic: Topic) -> u64 {
        self.topics.get(&topic).map_or(0, |findings| findings.count)
    }
}

/// How far a work is; shared between its threads and whoever shows it.
#[derive(Debug, Default)]
pub struct Counters {
    /// Bytes of file content passed.
    pub bytes: AtomicU64,
    /// Members passed.
    pub files: AtomicU64,
}

impl Counters {
    pub(super) fn add_bytes(&self, count: u64) {
        self.bytes.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn add_file(&self) {
        self.files.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_bounded_and_survives_json() {
        let mut report = Report::default();
        for _ in 0..250 {
            report.note(Topic::Socket, b"run/s");
        }
        let mut sum: Report =
            serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
        sum.merge(report);
        assert_eq!(sum.count(Topic::Socket), 500);
        assert_eq!(sum.topics[&Topic::Socket].examples.len(), EXAMPLES);
    }
}
