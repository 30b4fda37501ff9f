//! The command line, end to end: one file a verb.

mod attach;
mod cp;
mod diff;
mod events;
mod exec;
mod export;
mod hostile;
mod image_inspect;
mod image_list;
mod image_remove;
mod import;
mod imported;
mod inspect;
mod lifecycle;
mod logs;
mod make;
mod pipe;
mod project;
mod reference;
mod run;
mod save;
mod shell;
mod sudo;
mod terminal;
mod volume;
