//! The command line, end to end: one file a verb.

mod import;
mod project;
mod reference;
mod run;
mod shell;
