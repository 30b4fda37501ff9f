//! TBD.

pub mod elf;
