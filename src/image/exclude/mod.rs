//! What `--exclude` and `--exclude-from` leave out of an imported rootfs: GNU
//! tar's rules, so that a pattern that worked after `tar` works here.
//!
//! They are the rules of tar's defaults for exclusion (`--wildcards
//! --no-anchored --wildcards-match-slash`, case sensitive; tar manual, section
//! "Controlling Pattern-Matching"), over bytes and in the C locale:
//!
//! - a pattern may match the member name as a whole, or what follows any of
//!   its slashes; a matched directory takes everything below it along;
//! - `*` and `?` match slashes and leading dots; `[...]` knows ranges, `!` and
//!   `^`, and POSIX classes; a backslash takes the meaning from what follows;
//! - a pattern that ends in a slash matches nothing, because no member name
//!   does. Such patterns are kept in [`ExcludeSet::dead_patterns`] for the
//!   caller to warn of.
//!
//! Added to them: a leading `/` or `./` ties a pattern to the rootfs, and brace
//! lists are expanded (see `brace`), since quoting hides them from the shell.
//! The patterns of `--clean` follow a shell's rules instead (see `clean`).
//!
//! It knows nothing of files: it is given names and answers yes or no.

mod brace;
mod clean;
mod glob;

use std::collections::HashSet;

use crate::error::{Error, Result};

use clean::CleanSet;
use glob::Glob;

/// No pattern is longer than this, in bytes: four times `PATH_MAX`, so that a
/// brace list has room.
const MAX_PATTERN_BYTES: usize = 16 * 1024;

/// A compiled set of exclusion patterns.
///
/// Member names are relative to the rootfs: bytes without a leading `/` or
/// `./`, without a trailing slash and without doubled ones.
#[derive(Debug, Default)]
pub struct ExcludeSet {
    anchored_names: HashSet<Vec<u8>>,
    floating_names: HashSet<Vec<u8>>,
    anchored_globs: Vec<Glob>,
    floating_globs: Vec<Glob>,
    clean: CleanSet,
    dead: Vec<Vec<u8>>,
}

impl ExcludeSet {
    /// Compiles patterns as the user wrote them.
    ///
    /// # Errors
    ///
    /// `Invalid` for a pattern longer than 16 KiB, one whose braces expand to
    /// more than 4,096 patterns, or nest deeper than 64.
    pub fn parse<'a>(patterns: impl IntoIterator<Item = &'a [u8]>) -> Result<Self> {
        let mut set = Self::default();
        for pattern in patterns {
            if pattern.len() > MAX_PATTERN_BYTES {
                return Err(too_long(pattern));
            }
            for expanded in brace::expand(pattern)? {
                set.insert(expanded);
            }
        }
        Ok(set)
    }

    /// Adds patterns by another set of rules, those of a shell that stands in the
    /// rootfs (see `clean`): what either set matches is excluded.
    ///
    /// # Errors
    ///
    /// As [`ExcludeSet::parse`].
    pub fn with_clean<'a>(mut self, patterns: impl IntoIterator<Item = &'a [u8]>) -> Result<Self> {
        for pattern in patterns {
            self.dead.append(&mut self.clean.add(pattern)?);
        }
        Ok(self)
    }

    /// Whether the entry called `path` itself is excluded, its parents being
    /// known not to be: for a walk from the top that does not enter excluded
    /// directories.
    pub fn excludes(&self, path: &[u8]) -> bool {
        self.anchored_names.contains(path)
            || self.anchored_globs.iter().any(|glob| glob.matches(path))
            || self.floats_on(path)
            || self.clean.matches(path)
    }

    /// Whether the entry called `path` or a directory above it is excluded: for
    /// archives, whose members come in any order.
    pub fn excludes_with_parents(&self, path: &[u8]) -> bool {
        let parents = path.iter().enumerate().filter(|&(_, &byte)| byte == b'/');
        parents.map(|(end, _)| &path[..end]).any(|parent| self.excludes(parent))
            || self.excludes(path)
    }

    /// Whether nothing can be excluded.
    pub fn is_empty(&self) -> bool {
        self.anchored_names.is_empty()
            && self.floating_names.is_empty()
            && self.anchored_globs.is_empty()
            && self.floating_globs.is_empty()
            && self.clean.is_empty()
    }

    /// The patterns, after expansion of braces, that no member name can match,
    /// such as `cache/` or `[[:nonsense:]]`. tar passes over them in silence.
    pub fn dead_patterns(&self) -> impl Iterator<Item = &[u8]> {
        self.dead.iter().map(Vec::as_slice)
    }

    fn insert(&mut self, pattern: Vec<u8>) {
        let below = below_rootfs(&pattern);
        let anchored = below.len() != pattern.len();
        if has_wildcards(below) {
            let glob = Glob::parse(below);
            match (glob.is_dead(), anchored) {
                (true, _) => self.dead.push(pattern),
                (false, true) => self.anchored_globs.push(glob),
                (false, false) => self.floating_globs.push(glob),
            }
            return;
        }
        let name = unescape(below);
        match (is_member_name(&name), anchored) {
            (false, _) => self.dead.push(pattern),
            (true, true) => drop(self.anchored_names.insert(name)),
            (true, false) => drop(self.floating_names.insert(name)),
        }
    }

    fn floats_on(&self, path: &[u8]) -> bool {
        if self.floating_globs.iter().any(|glob| glob.matches(path)) {
            return true;
        }
        let mut tail = path;
        loop {
            if self.floating_names.contains(tail) {
                return true;
            }
            let Some(slash) = tail.iter().position(|&byte| byte == b'/') else {
                return false;
            };
            tail = &tail[slash + 1..];
            let tails = self.floating_globs.iter().filter(|glob| !glob.starts_with_run());
            if tails.into_iter().any(|glob| glob.matches(tail)) {
                return true;
            }
        }
    }
}

/// Splits the text of an `--exclude-from` file into patterns, as tar does: one
/// a line, white space at the end of a line cut off, blank lines passed over,
/// the last newline optional. `#` has no meaning.
pub fn exclude_from_lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&byte| byte == b'\n').map(trim_end).filter(|line| !line.is_empty())
}

fn trim_end(line: &[u8]) -> &[u8] {
    // C's isspace(), which counts the vertical tab that Rust's ASCII trim does not.
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r');
    let end = line.iter().rposition(|byte| !is_space(byte)).map_or(0, |last| last + 1);
    &line[..end]
}

/// What is left of a pattern behind a leading `/` or `./`; the whole of it
/// where there is none.
fn below_rootfs(pattern: &[u8]) -> &[u8] {
    let mut rest = pattern;
    while let Some(tail) = rest.strip_prefix(b"./").or_else(|| rest.strip_prefix(b"/")) {
        rest = tail;
    }
    rest
}

/// Whether a pattern needs matching at all; an escaped character does not.
fn has_wildcards(pattern: &[u8]) -> bool {
    let mut bytes = pattern.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'*' | b'?' | b'[' => return true,
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
    false
}

/// Removes the backslashes of a pattern without wildcards; one at the very end
/// stands for itself, as in tar.
fn unescape(pattern: &[u8]) -> Vec<u8> {
    let mut name = Vec::with_capacity(pattern.len());
    let mut bytes = pattern.iter().copied();
    while let Some(byte) = bytes.next() {
        name.push(if byte == b'\\' { bytes.next().unwrap_or(byte) } else { byte });
    }
    name
}

fn is_member_name(name: &[u8]) -> bool {
    name.split(|&byte| byte == b'/').all(|part| !matches!(part, b"" | b"." | b".."))
}

fn too_long(pattern: &[u8]) -> Error {
    let head = String::from_utf8_lossy(&pattern[..40]).into_owned();
    Error::invalid(format!("exclude pattern {head}... has {} bytes", pattern.len()))
        .hint("split it into several patterns of at most 16 KiB")
}

#[cfg(test)]
mod tests;
