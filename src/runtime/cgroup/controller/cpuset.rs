//! Which processors and memory nodes.

use super::super::plan::{Ground, Write};
use super::super::{NumberList, Resources};
use super::{Controller, Files, Rules};
use crate::error::Result;

pub(super) struct Cpuset;

const CPUS: &str = "cpuset.cpus";
const MEMS: &str = "cpuset.mems";

impl Rules for Cpuset {
    fn writes(resources: &Resources, _: &Ground) -> Vec<Write> {
        let lists = [
            ("--cpuset-cpus", CPUS, &resources.cpuset_cpus),
            ("--cpuset-mems", MEMS, &resources.cpuset_mems),
        ];
        let write = |(flag, file, list): (_, _, &Option<NumberList>)| {
            let value = list.as_ref()?.to_string();
            Some(Write::given(Controller::Cpuset, flag, (file, value)))
        };
        lists.into_iter().filter_map(write).collect()
    }
}

/// Gives a new v1 cpuset what its parent has: it begins with nothing, and no
/// process may enter an empty one (cpusets.rst, "rules").
///
/// # Errors
/// Those of reading the parent's files and writing the child's.
pub(in crate::runtime::cgroup) fn inherit(parent: &Files<'_>, child: &Files<'_>) -> Result<()> {
    for file in [CPUS, MEMS] {
        let given = parent.text(file)?.unwrap_or_default();
        let own = child.text(file)?.unwrap_or_default();
        if own.trim().is_empty() && !given.trim().is_empty() {
            child.write(file, given.trim())?;
        }
    }
    Ok(())
}
