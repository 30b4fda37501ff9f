//! One file a verb: from what was typed to the engine's request, and from its
//! answer to text and exit status.

pub(super) mod attach;
pub(super) mod container;
pub(super) mod cp;
pub(super) mod create;
pub(super) mod diff;
mod each;
pub(super) mod events;
pub(super) mod exec;
pub(super) mod export;
pub(super) mod image;
pub(super) mod images;
pub(super) mod import;
pub(super) mod init;
pub(super) mod inspect;
pub(super) mod kill;
pub(super) mod logs;
pub(super) mod port;
pub(super) mod profile;
mod prune;
pub(super) mod ps;
pub(super) mod reference;
pub(super) mod rename;
pub(super) mod restart;
pub(super) mod rm;
pub(super) mod rmi;
pub(super) mod run;
pub(super) mod save;
pub(super) mod shell;
pub(super) mod start;
pub(super) mod stats;
pub(super) mod stop;
pub(super) mod tag;
pub(super) mod top;
pub(super) mod update;
pub(super) mod volume;
pub(super) mod wait;
