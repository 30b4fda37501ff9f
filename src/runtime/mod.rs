//! TBD.

pub mod capability;
pub mod seccomp;
