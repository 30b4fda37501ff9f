//! The command line, end to end: one file a verb.

mod import;
mod make;
mod pipe;
mod shell;
mod sudo;
mod terminal;
