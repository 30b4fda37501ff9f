//! The command line, end to end: one file a verb.

mod import;
mod shell;
