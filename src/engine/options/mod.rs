//! The values of docker's flags, one file each: a string becomes a type here
//! and is a string nowhere else. Everything is pure: no file is read, no
//! environment looked at; where a rule needs a file (`/etc/passwd`, an
//! `--env-file`) the caller hands over its content.
//!
//! Every error says what was given and what is wrong with it, and its hint
//! names the nearest right form.

pub mod annotation;
pub mod cdi;
pub mod device;
pub mod dns;
pub mod environment;
pub mod extra_host;
pub mod gpus;
pub mod health;
pub mod hostname;
pub mod isolation;
pub mod log;
pub mod mount;
pub mod namespace;
pub mod network;
pub mod pull;
pub mod resources;
pub mod restart;
pub mod security;
pub mod signal;
pub mod size;
pub mod suggest;
pub mod sysctl;
pub mod ulimit;
pub mod user;

use serde::{Serialize, Serializer};

/// Serializes types as the text that they print and parse.
macro_rules! serialize_as_text {
    ($($type:ty),* $(,)?) => {
        $(impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        })*
    };
}

serialize_as_text!(
    hostname::Hostname,
    mount::MountOption,
    mount::ShellMount,
    network::NetworkMode,
    restart::RestartPolicy,
    ulimit::Bound,
    user::UserSpec,
);
