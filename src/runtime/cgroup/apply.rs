//! Writes a plan of limits into a group, and says which flag the host refuses.

use crate::error::{Context, Error, Kind, Result};

use super::controller::{self, Controller, Files};
use super::hierarchy::Rights;
use super::plan::{self, Ground, Origin, Target, Write};
use super::{Cgroup, Resources, Version};

/// What it means when the host refuses a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// The user asked for it by name: an error.
    Asked,
    /// It is a default, of a profile say: a warning.
    Offered,
}

/// A limit that is not in force.
#[derive(Debug)]
pub struct Warning {
    /// The flag that stands for it: `--memory-swap`.
    pub flag: &'static str,
    /// Why, with a hint where one helps.
    pub reason: Error,
}

impl Cgroup {
    /// Puts `resources` in force, in a group that has no limits yet. What is
    /// `None` stays as it is. [`Cgroup::update`] is for one that has some.
    ///
    /// # Errors
    /// With [`Demand::Asked`] the first limit that the host refuses, by its
    /// flag. Limits before it are in force.
    pub fn apply(&self, resources: &Resources, demand: Demand) -> Result<Vec<Warning>> {
        let ground = self.ground()?;
        let mut warnings = Vec::new();
        for write in plan::writes(resources, &ground) {
            let written = self.write(&write).context(|| cannot_set(&write));
            match (written, demand, write.origin) {
                (Ok(()), ..) => {}
                (Err(error), Demand::Asked, Origin::Given | Origin::Lifted) => return Err(error),
                (Err(reason), ..) => warnings.push(Warning { flag: write.flag, reason }),
            }
        }
        Ok(warnings)
    }

    /// What the plan for this group depends on.
    ///
    /// # Errors
    /// Those of reading it.
    pub(super) fn ground(&self) -> Result<Ground> {
        let memory_and_swap = match (self.version, self.files(Controller::Memory)) {
            (Version::V1, Some(files)) => controller::memory_and_swap(&files)?,
            _ => None,
        };
        Ok(Ground { version: self.version, memory_and_swap })
    }

    fn write(&self, write: &Write) -> Result<()> {
        match self.target(write)? {
            Some((files, target)) => put(&files, target, write),
            None => Ok(()),
        }
    }

    /// The file that is there for `write`, and what to write; `None` if there
    /// is none and need not be.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn target<'a>(
        &'a self,
        write: &'a Write,
    ) -> Result<Option<(Files<'a>, &'a Target)>> {
        let found = match self.files(write.controller) {
            None => Err(self.why_missing(write.controller)),
            Some(files) => {
                let mut found = None;
                for target in &write.targets {
                    if files.has(target.file)? {
                        found = Some((files, target));
                        break;
                    }
                }
                found.ok_or_else(|| no_file(write))
            }
        };
        match found {
            Ok(found) => Ok(Some(found)),
            // Nothing limits it: that is what was wanted.
            Err(_) if write.origin == Origin::Lifted => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn why_missing(&self, controller: Controller) -> Error {
        let base = self.places.first().map(|place| &place.base);
        let (Version::V2, Some(base), Some(name)) = (self.version, base, controller.unified_name())
        else {
            let name = controller.legacy_name();
            return Error::unsupported(format!("the host has no cgroup controller \"{name}\""))
                .hint(format!("mount it: mount -t cgroup -o {name} cgroup /sys/fs/cgroup/{name}"));
        };
        let directory = base.directory.display();
        if base.controllers.contains(&controller) {
            return Error::new(
                Kind::Denied,
                format!("{directory} cannot pass its controller \"{name}\" on"),
            )
            .hint(format!(
                "it has processes of its own, see {directory}/cgroup.procs: \
                 move them into a cgroup below it"
            ));
        }
        match base.rights {
            Rights::Whole => {
                Error::unsupported(format!("the host has no cgroup controller \"{name}\""))
                    .hint("look into /proc/cgroups and the kernel's command line")
            }
            Rights::Delegated => Error::new(
                Kind::Denied,
                format!("the cgroup controller \"{name}\" is not delegated to this user"),
            )
            .hint(
                "let root write `[Service]` and `Delegate=cpu cpuset io memory pids` with \
                 systemctl edit user@.service, then log in again",
            ),
        }
    }
}

/// What a host without usable cgroups means for `resources`: `reason` is
/// [`Hierarchy::detect`](super::Hierarchy::detect)'s error.
///
/// # Errors
/// With [`Demand::Asked`] the reason, below the first flag that was given.
pub fn without_cgroup(
    resources: &Resources,
    demand: Demand,
    reason: Error,
) -> Result<Vec<Warning>> {
    let Some(&flag) = resources.flags().first() else { return Ok(Vec::new()) };
    let reason = reason.context(format!("cannot set {flag}"));
    match demand {
        Demand::Asked => Err(reason),
        Demand::Offered => Ok(vec![Warning { flag, reason }]),
    }
}

/// Writes the value of `write` into the file that was found for it.
///
/// # Errors
/// The kernel's, with a hint where one helps.
pub(super) fn put(files: &Files<'_>, target: &Target, write: &Write) -> Result<()> {
    files.write(target.file, &target.value).map_err(|error| explain(error, write))
}

/// How every error of a limit begins.
pub(super) fn cannot_set(write: &Write) -> String {
    format!("cannot set {}", write.flag)
}

fn no_file(write: &Write) -> Error {
    let files: Vec<&str> = write.targets.iter().map(|target| target.file).collect();
    let error = Error::unsupported(format!("the kernel has no {}", files.join(" or ")));
    match write.flag {
        "--memory-swap" => error.hint("boot the host with swapaccount=1 to limit swap"),
        "--blkio-weight" => error.hint("weights need a kernel with BFQ or the io.cost model"),
        _ => error,
    }
}

fn explain(error: Error, write: &Write) -> Error {
    match (write.controller, controller::errno(&error)) {
        (Controller::Memory, Some(libc::EBUSY)) => {
            error.hint("the container uses more than that now; ask for more, or stop some of it")
        }
        (Controller::Cpuset, Some(libc::EINVAL | libc::EACCES)) => {
            error.hint("the cgroups above do not have all of them")
        }
        (Controller::Cpu, Some(libc::EINVAL)) => {
            error.hint("the cgroups above allow less processor time")
        }
        _ => error,
    }
}
