//! Changes the limits of a group that has some: all that was asked for, or
//! nothing. What the files held before is remembered, and put back.

use crate::error::{Context, Result};

use super::apply::{cannot_set, put};
use super::controller::Controller;
use super::plan::{self, Origin, Write};
use super::{Cgroup, Resources, Warning};

/// A group whose limits were changed.
#[derive(Debug)]
pub struct Updated<'a> {
    group: &'a Cgroup,
    replaced: Vec<Replaced>,
    /// What is not in force, and was not asked for by name.
    pub warnings: Vec<Warning>,
}

/// What a file held.
#[derive(Debug)]
struct Replaced {
    controller: Controller,
    file: &'static str,
    value: String,
}

impl Cgroup {
    /// Puts `whole` in force, which is the result of
    /// [`Resources::updated_by`] with `change`. A file that holds its value
    /// already is left alone.
    ///
    /// # Errors
    /// The first limit of `change` that the host refuses, by its flag; all are
    /// as they were then. That one of the others is refused is a warning.
    pub fn update(&self, change: &Resources, whole: &Resources) -> Result<Updated<'_>> {
        let ground = self.ground()?;
        let asked = plan::writes(change, &ground);
        let is_asked = |write: &Write| {
            asked.iter().any(|one| one.flag == write.flag && one.origin != Origin::Implied)
        };
        let mut updated = Updated { group: self, replaced: Vec::new(), warnings: Vec::new() };
        for write in plan::writes(whole, &ground) {
            match self.replace(&write).context(|| cannot_set(&write)) {
                Ok(replaced) => updated.replaced.extend(replaced),
                Err(error) if is_asked(&write) => {
                    return Err(match updated.revert() {
                        Ok(()) => error,
                        Err(kept) => {
                            error.context(format!("a limit stays changed: {}", kept.chain()))
                        }
                    });
                }
                Err(reason) => updated.warnings.push(Warning { flag: write.flag, reason }),
            }
        }
        Ok(updated)
    }

    /// Does `write`, and returns what was there; `None` if nothing changed.
    fn replace(&self, write: &Write) -> Result<Option<Replaced>> {
        let Some((files, target)) = self.target(write)? else { return Ok(None) };
        // Lines after the first are for single devices.
        let old = files.text(target.file)?.unwrap_or_default();
        let old = old.lines().next().unwrap_or_default();
        if old == target.value {
            return Ok(None);
        }
        put(&files, target, write)?;
        // An empty list of processors is a line as well.
        let value = format!("{old}\n");
        Ok(Some(Replaced { controller: write.controller, file: target.file, value }))
    }
}

impl Updated<'_> {
    /// Puts back what was there, the last first: then every state between is
    /// one that the kernel has seen already.
    ///
    /// # Errors
    /// The first file that could not be written; the others are.
    pub fn revert(self) -> Result<()> {
        let mut result = Ok(());
        for Replaced { controller, file, value } in self.replaced.into_iter().rev() {
            if let Some(files) = self.group.files(controller) {
                result = result.and(files.write(file, &value));
            }
        }
        result
    }
}
