//! What can be typed after the verbs on the files of containers.

use clap::Args;

/// Show how a container's files differ from its image's
///
/// Lists the files that were added (A), changed (C) and deleted (D) in a kept
/// container.
#[derive(Args, Debug)]
pub(in crate::cli) struct Diff {
    /// A name or an ID
    pub container: String,
}
