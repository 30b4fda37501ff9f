//! TBD.

pub mod exclude;
