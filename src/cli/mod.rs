//! TBD.

pub mod output;
pub mod template;
