//! What an import leaves out: the profile's patterns, those of the command
//! line, and those of files.

use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::engine::Engine;
use crate::engine::profile::Profile;
use crate::error::{Error, Result};
use crate::fs;
use crate::image::ExcludeSet;
use crate::image::exclude::exclude_from_lines;

use super::{ImportRequest, ImportSource};

/// A list of patterns is written by hand or by a script, in bytes.
const MAX_LIST: u64 = 16 << 20;

impl Engine {
    /// The patterns that hold for `request`. Tells which of the user's own can
    /// match nothing; a profile's are its author's matter.
    ///
    /// # Errors
    /// `Invalid` for a pattern that is too long or expands to too many; those
    /// of reading the files, with their paths.
    pub(super) fn excludes(
        &self,
        request: &ImportRequest,
        profile: &Profile,
    ) -> Result<ExcludeSet> {
        let mut own: Vec<Vec<u8>> =
            request.exclude.iter().map(|pattern| pattern.as_bytes().to_vec()).collect();
        let mut stdin_is_taken = request.source == ImportSource::Stdin;
        for file in &request.exclude_from {
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
            own.extend(exclude_from_lines(&text).map(<[u8]>::to_vec));
        }
        self.tell_of_dead(&ExcludeSet::parse(own.iter().map(Vec::as_slice))?);
        let profiles = profile.import.exclude.iter().map(String::as_bytes);
        ExcludeSet::parse(profiles.chain(own.iter().map(Vec::as_slice)))?
            .with_clean(profile.import.clean.iter().map(String::as_bytes))
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
