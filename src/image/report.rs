//! What was noticed on the way, bounded and serialisable (it crosses a pipe
//! between processes), and the counters a progress bar reads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::entry::display;

/// How many paths a report names of each topic.
const EXAMPLES: usize = 100;
/// How many of them a line shows.
const SHOWN: usize = 3;

/// What can be noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Topic {
    /// A socket: tar has no form for it, it was left out.
    Socket,
    /// An extended attribute that a layer does not keep and that is not the
    /// host's own policy was left out.
    DroppedXattr,
    /// The owner or group has no number in the user namespace that read the
    /// tree; the overflow ID stands for it.
    UnmappedOwner,
    /// The file system refused something; it is kept beside the tree.
    Overridden,
    /// The file system refused something, and nothing keeps it.
    Lost,
    /// What may not be read was left out.
    Unreadable,
    /// A directory that the archive does not list was created.
    ImplicitDirectory,
    /// A later member of the archive replaced an earlier one.
    Replaced,
    /// The archive has no end marker; the path is that of its last member.
    NoEndMarker,
    /// Something follows the archive's end marker, a second archive perhaps;
    /// it was not read. The path is that of the last member.
    DataAfterEnd,
}

impl Topic {
    /// What `count` findings mean to a user, as one clause.
    pub fn describe(self, count: u64) -> String {
        let counted = |one: &str, many: &str| {
            if count == 1 { format!("1 {one}") } else { format!("{count} {many}") }
        };
        match self {
            Self::Socket => counted("socket was left out", "sockets were left out"),
            Self::DroppedXattr => counted(
                "extended attribute could not be kept",
                "extended attributes could not be kept",
            ),
            Self::UnmappedOwner => format!(
                "{} to users or groups that this user's sub-IDs do not cover; 65534 is recorded \
                 for them",
                counted("file belongs", "files belong")
            ),
            Self::Overridden => format!(
                "the file system refused the owner, mode, time, attributes or device of {}; the \
                 image keeps them",
                counted("file", "files")
            ),
            Self::Lost => format!(
                "the file system refused the owner, mode, time, attributes or device of {}",
                counted("file", "files")
            ),
            Self::Unreadable => counted(
                "file or directory that this user may not read was left out",
                "files and directories that this user may not read were left out",
            ),
            Self::ImplicitDirectory => counted(
                "directory that the archive does not list was created (mode 0755, owner 0:0)",
                "directories that the archive does not list were created (mode 0755, owner 0:0)",
            ),
            Self::Replaced => counted(
                "member of the archive was replaced by a later one of the same name",
                "members of the archive were replaced by later ones of the same name",
            ),
            Self::NoEndMarker => {
                "the archive has no end marker and may be cut off after its last member".to_owned()
            }
            Self::DataAfterEnd => {
                "what follows the archive's last member was left out, a second archive perhaps"
                    .to_owned()
            }
        }
    }
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

    /// One line for each topic, without a full stop: what it means, and at
    /// most three examples in parentheses.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.topics.iter().map(|(topic, findings)| {
            let shown = &findings.examples[..findings.examples.len().min(SHOWN)];
            let more = if findings.count > shown.len() as u64 { ", ..." } else { "" };
            format!("{} ({}{more})", topic.describe(findings.count), shown.join(", "))
        })
    }

    /// How many findings `topic` has.
    pub fn count(&self, topic: Topic) -> u64 {
        self.topics.get(&topic).map_or(0, |findings| findings.count)
    }
}

/// How far a work is; shared between its threads and whoever shows it.
#[derive(Debug, Default)]
pub struct Counters {
    /// Bytes read: of file content from a directory, of the archive as it is
    /// given (compressed or not) from an archive.
    pub bytes: AtomicU64,
    /// Members read.
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
    fn says_what_was_noticed_in_one_line_each() {
        let mut report = Report::default();
        report.note(Topic::DroppedXattr, b"a");
        for path in [&b"dev/log"[..], b"run/a", b"run/b\n", b"run/c"] {
            report.note(Topic::Socket, path);
        }
        let lines: Vec<String> = report.lines().collect();
        assert_eq!(
            lines,
            [
                "4 sockets were left out (dev/log, run/a, run/b\\n, ...)",
                "1 extended attribute could not be kept (a)",
            ]
        );
        assert_eq!(Topic::Socket.describe(1), "1 socket was left out");
        assert!(Topic::UnmappedOwner.describe(1).starts_with("1 file belongs to users or"));
        assert!(Topic::Overridden.describe(2).contains("of 2 files;"));
        assert!(Topic::NoEndMarker.describe(1).starts_with("the archive has no end marker"));
    }

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
