//! The number of processes and threads.

use super::super::plan::{Ground, Origin, Write};
use super::super::{Limit, PidsUse, Resources, Statistics};
use super::{Controller, Files, Rules};
use crate::error::Result;

pub(super) struct Pids;

const LIMIT: &str = "pids.max";

impl Rules for Pids {
    fn writes(resources: &Resources, _: &Ground) -> Vec<Write> {
        let Some(limit) = resources.pids_limit else { return Vec::new() };
        let (value, origin) = match limit {
            Limit::At(number) => (number.to_string(), Origin::Given),
            Limit::Unlimited => ("max".to_owned(), Origin::Lifted),
        };
        vec![Write::given(Controller::Pids, "--pids-limit", (LIMIT, value)).from(origin)]
    }

    fn measure(files: &Files<'_>, statistics: &mut Statistics) -> Result<()> {
        if let Some(current) = files.number("pids.current")? {
            statistics.pids = Some(PidsUse { current, limit: files.number(LIMIT)? });
        }
        Ok(())
    }
}
