//! `--sysctl NAME=VALUE`: a setting of the kernel that belongs to a namespace
//! of the container's. Every other one is the host's, and is refused here.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::error::{Error, Result};

/// The settings of an IPC namespace (ipc_namespaces(7); docker's list).
const IPC: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

/// Which namespace a setting belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The IPC namespace.
    Ipc,
    /// The network namespace.
    Network,
}

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sysctl {
    /// With dots between the parts, and `/` for a dot in one.
    name: String,
    value: String,
}

impl Sysctl {
    /// The name as sysctl(8) prints it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is written.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Which namespace it belongs to.
    pub fn owner(&self) -> Owner {
        if self.name.starts_with("net.") { Owner::Network } else { Owner::Ipc }
    }

    /// Its file, below `/proc/sys`.
    pub fn path(&self) -> PathBuf {
        self.name.split('.').map(|part| part.replace('/', ".")).collect()
    }
}

impl FromStr for Sysctl {
    type Err = Error;

    /// Parses `NAME=VALUE`. The first separator of a name, `.` or `/`, is the
    /// one of all its parts, as in sysctl(8).
    fn from_str(text: &str) -> Result<Self> {
        let refused = || {
            Error::invalid(format!("sysctl {text:?} is not allowed")).hint(
                "write NAME=VALUE; the names that a container has of its own are net.*, \
                 fs.mqueue.* and those of System V IPC, as in `kernel.shmmax`",
            )
        };
        let (name, value) = text.split_once('=').ok_or_else(refused)?;
        let name = match name.find(['.', '/']) {
            Some(at) if name.as_bytes()[at] == b'/' => name
                .chars()
                .map(|c| match c {
                    '/' => '.',
                    '.' => '/',
                    other => other,
                })
                .collect(),
            _ => name.to_owned(),
        };
        let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '/');
        // A part of nothing but `/` is a way up.
        let part = |part: &str| part.contains(|c| c != '/') && part.chars().all(letter);
        let known = IPC.contains(&name.as_str())
            || ["net.", "fs.mqueue."].iter().any(|prefix| name.starts_with(prefix));
        let printable = |c: char| c == '\t' || !c.is_control();
        if !known || !name.split('.').all(part) || !value.chars().all(printable) {
            return Err(refused());
        }
        Ok(Self { name, value: value.to_owned() })
    }
}

impl fmt::Display for Sysctl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn takes_what_belongs_to_a_namespace() {
        for (text, path, owner) in [
            ("net.ipv4.ip_forward=1", "net/ipv4/ip_forward", Owner::Network),
            ("net/ipv4/ip_forward=1", "net/ipv4/ip_forward", Owner::Network),
            ("net.ipv4.conf.eth0/1.mtu=9", "net/ipv4/conf/eth0.1/mtu", Owner::Network),
            ("net/ipv4/conf/eth0.1/mtu=9", "net/ipv4/conf/eth0.1/mtu", Owner::Network),
            ("kernel.sem=1 2 3 4", "kernel/sem", Owner::Ipc),
            ("kernel/shmmax=9", "kernel/shmmax", Owner::Ipc),
            ("fs.mqueue.msg_max=20", "fs/mqueue/msg_max", Owner::Ipc),
        ] {
            let sysctl: Sysctl = text.parse().unwrap();
            assert_eq!((sysctl.path(), sysctl.owner()), (PathBuf::from(path), owner), "{text}");
        }
    }

    #[test]
    fn refuses_the_hosts_and_every_way_to_them() {
        for text in [
            "net.ipv4.ip_forward",
            "kernel.core_pattern=|/x",
            "kernel.shmmax.x=1",
            "kernel.domainname=x",
            "vm.overcommit_memory=1",
            "fs.file-max=1",
            "net=1",
            "net.=1",
            "net..=1",
            "net.//.kernel.core_pattern=|/x",
            "net/../kernel/core_pattern=|/x",
            "net./.x=1",
            "/net/x=1",
            "net.a\0=1",
            "net.a=1\n2",
            "=1",
        ] {
            let error = text.parse::<Sysctl>().unwrap_err();
            assert_eq!(error.chain(), format!("sysctl {text:?} is not allowed"));
        }
    }

    proptest! {
        #[test]
        fn never_leads_up_and_comes_back(text in "(net|fs.mqueue|kernel)?[./a-z]{0,9}=?\\PC{0,2}") {
            if let Ok(sysctl) = text.parse::<Sysctl>() {
                let normal = |part| matches!(part, std::path::Component::Normal(_));
                prop_assert!(sysctl.path().components().all(normal));
                prop_assert_eq!(sysctl.to_string().parse::<Sysctl>().unwrap(), sysctl);
            }
        }
    }
}
