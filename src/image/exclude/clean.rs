//! What `--clean` leaves out of an imported rootfs: patterns as a shell that
//! stands in the rootfs expands them, so that the line of an old clean-up
//! script, `rm -rf tmp/* var/cache/* root/.[^b]*`, works as it is.
//!
//! They are the rules of POSIX (XCU 2.14.3, "Patterns Used for Filename
//! Expansion"), over bytes and in the C locale:
//!
//! - a pattern is a path from the root; a leading `/` or `./` says the same;
//! - no wildcard matches a slash, and none at the start of a name matches a dot
//!   (so `tmp/*` keeps `tmp/.X11-unix`); a bracket expression holds no slash;
//! - `.` and `..` are never matched, also not by `.*`;
//! - what matches takes everything below it along.
//!
//! As bash has it besides, `[^...]` is `[!...]` and braces are expanded. A
//! pattern that ends in a slash means what it means without: `rm -rf` would
//! ask of it only that it be a directory.

use super::brace;
use super::glob::Glob;
use super::{MAX_PATTERN_BYTES, below_rootfs, has_wildcards, too_long, unescape};

use crate::error::Result;

/// Compiled patterns. Names are as in [`super::ExcludeSet`].
#[derive(Debug, Default)]
pub(super) struct CleanSet {
    patterns: Vec<Vec<Part>>,
}

/// What the pattern asks of one name on the path.
#[derive(Debug)]
enum Part {
    Name(Vec<u8>),
    Glob {
        glob: Glob,
        /// Whether a name may begin with a dot: the pattern begins with one.
        dotted: bool,
    },
}

impl CleanSet {
    /// Adds a pattern; hands back what it expands to that no name can match.
    ///
    /// # Errors
    /// As [`super::ExcludeSet::parse`].
    pub(super) fn add(&mut self, pattern: &[u8]) -> Result<Vec<Vec<u8>>> {
        if pattern.len() > MAX_PATTERN_BYTES {
            return Err(too_long(pattern));
        }
        let mut dead = Vec::new();
        for expanded in brace::expand(pattern)? {
            match compile(&expanded) {
                Some(parts) => self.patterns.push(parts),
                None => dead.push(expanded),
            }
        }
        Ok(dead)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether a pattern matches all of `path`.
    pub(super) fn matches(&self, path: &[u8]) -> bool {
        self.patterns.iter().any(|parts| {
            let mut names = path.split(|&byte| byte == b'/');
            parts.iter().all(|part| names.next().is_some_and(|name| part.matches(name)))
                && names.next().is_none()
        })
    }
}

impl Part {
    fn matches(&self, name: &[u8]) -> bool {
        match self {
            Self::Name(own) => own == name,
            Self::Glob { glob, dotted } => {
                *dotted == name.starts_with(b".")
                    && !matches!(name, b"" | b"." | b"..")
                    && glob.matches(name)
            }
        }
    }
}

/// The parts of a pattern without braces; `None` if nothing can match it.
fn compile(pattern: &[u8]) -> Option<Vec<Part>> {
    // The slashes come first: they end a bracket expression that is open.
    let parts = below_rootfs(pattern).split(|&byte| byte == b'/');
    let parts: Vec<&[u8]> = parts.filter(|part| !matches!(*part, b"" | b".")).collect();
    if parts.is_empty() {
        return None;
    }
    parts.into_iter().map(part).collect()
}

fn part(text: &[u8]) -> Option<Part> {
    if !has_wildcards(text) {
        let name = unescape(text);
        return (!matches!(name.as_slice(), b"" | b"." | b"..")).then_some(Part::Name(name));
    }
    let glob = Glob::parse(text);
    let dotted = text.starts_with(b".") || text.starts_with(b"\\.");
    (!glob.is_dead()).then_some(Part::Glob { glob, dotted })
}

#[cfg(test)]
#[path = "clean_tests.rs"]
mod tests;
