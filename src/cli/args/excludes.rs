//! What `import` and `export` leave out.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use crate::engine::ExcludeOptions;

/// Patterns by GNU tar's rules.
#[derive(Args, Debug)]
pub(in crate::cli) struct Excludes {
    /// Leave out what matches, by the rules of tar --exclude
    #[arg(long, value_name = "PATTERN")]
    pub exclude: Vec<OsString>,
    /// Leave out what matches a line of FILE; - for stdin
    #[arg(short = 'X', long, value_name = "FILE")]
    pub exclude_from: Vec<PathBuf>,
}

impl Excludes {
    /// The engine's form.
    pub fn into_options(self) -> ExcludeOptions {
        ExcludeOptions { patterns: self.exclude, files: self.exclude_from }
    }
}
