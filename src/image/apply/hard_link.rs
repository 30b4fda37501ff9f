//! Hard links: one more name of a member that came before, wherever that one
//! is kept.

use std::ffi::OsStr;

use crate::error::{Error, Kind, Result};
use crate::fs::{self, FileKind};
use crate::image::entry::display;
use crate::image::marks::is_whiteout;
use crate::image::report::Topic;

use super::Extractor;
use super::directory::is_within;

impl Extractor<'_> {
    /// Gives what is at `target` the second name `path`, which is `name` in
    /// the topmost directory. Nothing is replaced before the target is known
    /// to be there.
    pub(super) fn hard_link(&mut self, name: &OsStr, (path, target): (&[u8], &[u8])) -> Result<()> {
        let is_beside = self.applied.overrides.has_node(target);
        if path == target {
            // GNU tar takes it for done; what it names must be there.
            let found = fs::absent_is_none(self.chain.top()?.metadata(name))?;
            return match found.map(|metadata| metadata.kind) {
                Some(FileKind::Directory) => Err(refused(path, target, "which is a directory")),
                None if !is_beside => Err(refused(path, target, "which is itself")),
                _ => Ok(()),
            };
        }
        if is_within(target, path) {
            return Err(refused(path, target, "which would have to be in it"));
        }
        if is_beside {
            if fs::absent_is_none(self.chain.top()?.metadata(name))?.is_some() {
                self.replace(name, path)?;
            }
            return self.link_overrides(path, target);
        }
        self.bring_up(path, target)?;
        self.link_file(name, (path, target))?;
        self.applied.overrides.forget(path);
        self.link_overrides(path, target)
    }

    fn link_overrides(&mut self, path: &[u8], target: &[u8]) -> Result<()> {
        self.applied.overrides.link(path, target)?;
        if self.aside.has(target) && self.applied.overrides.has(path) {
            // Nothing was said of a file that was left out.
            self.applied.report.note(Topic::Overridden, path);
        }
        Ok(())
    }

    fn link_file(&mut self, name: &OsStr, (path, target): (&[u8], &[u8])) -> Result<()> {
        let missing = || {
            refused(path, target, "which no earlier member is")
                .hint("give the whole archive, in its own order")
        };
        let (from, target_name) = self.place_of(target).map_err(|error| {
            if error.kind() == Kind::NotFound {
                missing()
            } else if fs::is_no_directory(&error) {
                refused(path, target, "which passes through what is no directory")
            } else {
                let (path, target) = (display(path), display(target));
                error.context(format!("cannot make the hard link {path:?} to {target:?}"))
            }
        })?;
        match fs::absent_is_none(from.metadata(&target_name))? {
            Some(found) if found.kind == FileKind::Directory => {
                return Err(refused(path, target, "which is a directory"));
            }
            Some(found) if !is_whiteout(&found) => {}
            _ => return Err(missing()),
        }
        match self.chain.top()?.create_link(name, &from, &target_name) {
            Err(error) if error.kind() == Kind::AlreadyExists => {
                self.replace(name, path)?;
                self.chain.top()?.create_link(name, &from, &target_name)
            }
            result => result,
        }
    }
}

pub(in crate::image) fn refused(path: &[u8], target: &[u8], why: &str) -> Error {
    let (path, target) = (display(path), display(target));
    Error::invalid(format!("the hard link {path:?} points to {target:?}, {why}"))
}
