//! One container after the other: an error does not keep the rest from it.

use crate::cli::exit;
use crate::error::Result;

/// Does `work` with each of `names`, and prints those that it did; docker's
/// status for any that it did not is 1.
pub(super) fn each(names: &[String], mut work: impl FnMut(&str) -> Result<()>) -> i32 {
    let mut status = 0;
    for name in names {
        match work(name) {
            Ok(()) => status = status.max(exit::data(&format!("{name}\n"))),
            Err(error) => {
                exit::failure(&error);
                status = 1;
            }
        }
    }
    status
}
