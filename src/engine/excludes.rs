//! The user's own patterns of what to leave out: those of the command line and
//! those of files, for whatever reads a tree.

use std::ffi::OsString;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::fs;
use crate::image::ExcludeSet;
use crate::image::exclude::exclude_from_lines;

/// A list of patterns is written by hand or by a script, in bytes.
const MAX_LIST: u64 = 16 << 20;

/// Patterns by GNU tar's rules, as they were typed.
#[derive(Clone, Debug, Default)]
pub struct ExcludeOptions {
    /// The patterns themselves.
    pub patterns: Vec<OsString>,
    /// Files of such patterns, one a line; `-` is stdin.
    pub files: Vec<PathBuf>,
}

impl Engine {
    /// All patterns that `options` give, those of files last. Tells which of
    /// them can match nothing. Stdin is read once at most, and not at all if
    /// `stdin_is_taken`.
    ///
    /// # Errors
    /// `Invalid` for a pattern that is too long or expands to too many; those
    /// of reading the files, with their paths.
    pub(super) fn exclude_patterns(
        &self,
        options: &ExcludeOptions,
        mut stdin_is_taken: bool,
    ) -> Result<Vec<Vec<u8>>> {
        let mut patterns: Vec<Vec<u8>> =
            options.patterns.iter().map(|pattern| pattern.as_bytes().to_vec()).collect();
        for file in &options.files {
            let text = if file == Path::new("-") {
                if std::mem::replace(&mut stdin_is_taken, true) {
                    return Err(Error::invalid("stdin cannot be read twice")
                        .hint("give - once: as the source, or as one list of --exclude-from"));
                }
                read_list(std::io::stdin(), "stdin")?
            } else {
                let path = self.settings.absolute(file);
                let open = fs::open(&path).map_err(|error| {
                    error.hint("name a file of patterns, one a line, or - for stdin")
                });
                read_list(open?, &path.display().to_string())?
            };
            patterns.extend(exclude_from_lines(&text).map(<[u8]>::to_vec));
        }
        self.tell_of_dead(&ExcludeSet::parse(patterns.iter().map(Vec::as_slice))?);
        Ok(patterns)
    }

    fn tell_of_dead(&self, own: &ExcludeSet) {
        let dead: Vec<_> = own.dead_patterns().map(String::from_utf8_lossy).collect();
        if !dead.is_empty() {
            self.notify(
                format!("exclude patterns that match nothing: {}", dead.join(", ")),
                Some("as in tar, a pattern has no slash at its end and no // or .. in it"),
            );
        }
    }
}

fn read_list(reader: impl Read, name: &str) -> Result<Vec<u8>> {
    fs::read_limited(reader, MAX_LIST, name)
}
