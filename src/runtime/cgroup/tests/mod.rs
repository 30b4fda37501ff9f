//! The group's tests: plans without a host, v2 in a directory that looks like
//! it, v1 in the host's own trees.

mod bare;
mod host;
mod legacy;
mod plan;
mod room;
mod rules;
mod unified;
mod update;
