//! From [`Resources`] to files and values: pure. Which of the files exist,
//! and what the kernel says to the values, is for the interpreter.

use std::fmt;

use super::controller::{self, Controller};
use super::{Resources, Version};

/// One value for one controller. The first of `targets` whose file exists is
/// written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Whose file it is.
    pub controller: Controller,
    /// The flag that the value comes from, as it is typed: `--memory`.
    pub flag: &'static str,
    /// Whether the flag was given, or its value follows from another's.
    pub origin: Origin,
    /// Files, and what is written to them.
    pub targets: Vec<Target>,
}

/// A file of a cgroup and its new content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its name: `memory.max`.
    pub file: &'static str,
    /// What is written.
    pub value: String,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The flag of that name.
    Given,
    /// A default that another flag brings along.
    Implied,
    /// The flag, and it takes a limit away: a host that has none agrees.
    Lifted,
}

/// What a plan depends on beside the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ground {
    /// Which files there are.
    pub version: Version,
    /// v1's limit of memory and swap together that is in force: the kernel
    /// keeps the memory limit at or below it at every moment.
    pub memory_and_swap: Option<u64>,
}

/// What is written, in this order.
pub fn writes(resources: &Resources, ground: &Ground) -> Vec<Write> {
    controller::writes(resources, ground)
}

impl Write {
    pub(super) fn given(
        controller: Controller,
        flag: &'static str,
        (file, value): (&'static str, String),
    ) -> Self {
        let targets = vec![Target { file, value }];
        Self { controller, flag, origin: Origin::Given, targets }
    }

    /// Adds a file to write where those before do not exist.
    pub(super) fn or(mut self, file: &'static str, value: String) -> Self {
        self.targets.push(Target { file, value });
        self
    }

    pub(super) fn from(mut self, origin: Origin) -> Self {
        self.origin = origin;
        self
    }
}

impl fmt::Display for Write {
    /// Prints `FILE = VALUE`, alternatives after `or`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Target { file, value }) in self.targets.iter().enumerate() {
            let or = if index == 0 { "" } else { " or " };
            write!(f, "{or}{file} = {value}")?;
        }
        Ok(())
    }
}
