//! TBD.

pub mod init;
