//! TBD.

pub mod options;
pub mod profile;
pub mod project;
