//! The integration tests, one binary: what needs a process, a kernel or the
//! whole source tree. Edge cases of a module are unit tests beside it.

mod architecture;
mod cli;
mod fuzz;
mod harness;
mod init;
mod real;
mod transcript;
