//! User, groups, capabilities and filter, in the one order that works: the
//! bounding set and the filter need the privileges that are given up next.

use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use rustix::thread::{CapabilitySet as RawSet, CapabilitySets};

use crate::sys::seccomp::{self, Instruction};

use super::capability::CapabilitySet;
use super::step::errno_of;

/// What a process is to be allowed.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Supplementary groups; `None` where the user namespace denies
    /// setgroups(2).
    pub groups: Option<Vec<u32>>,
    /// File mode creation mask.
    pub umask: u32,
    /// The bounding set; also permitted and effective if `uid` is 0.
    pub capabilities: CapabilitySet,
    /// Whether execve(2) gives nothing.
    pub no_new_privileges: bool,
    /// The filter; empty for none.
    pub filter: Vec<Instruction>,
}

impl Credentials {
    /// Applies them to this process.
    ///
    /// # Errors
    /// Those of the system calls.
    pub fn apply(&self) -> Result<(), Errno> {
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(self.umask));
        self.drop_bounding()?;
        rustix::thread::clear_ambient_capability_set()?;
        if self.no_new_privileges {
            rustix::thread::set_no_new_privs(true)?;
        }
        // Without no_new_privs it needs CAP_SYS_ADMIN, which goes below. The
        // calls that follow are all in docker's default policy.
        if !self.filter.is_empty() {
            seccomp::install(&self.filter).map_err(|error| errno_of(&error))?;
        }
        self.change_user()?;
        if self.uid == 0 {
            self.limit_capabilities()?;
        }
        Ok(())
    }

    fn drop_bounding(&self) -> Result<(), Errno> {
        for number in 0..64 {
            if self.capabilities.bits() >> number & 1 == 1 {
                continue;
            }
            let one = RawSet::from_bits_retain(1 << number);
            match rustix::thread::remove_capability_from_bounding_set(one) {
                Ok(()) => {}
                // Beyond the last capability that this kernel knows.
                Err(Errno::INVAL) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn change_user(&self) -> Result<(), Errno> {
        if let Some(groups) = &self.groups {
            let groups: Vec<Gid> = groups.iter().map(|&gid| Gid::from_raw(gid)).collect();
            rustix::thread::set_thread_groups(&groups)?;
        }
        let gid = Gid::from_raw(self.gid);
        rustix::thread::set_thread_res_gid(gid, gid, gid)?;
        let uid = Uid::from_raw(self.uid);
        // Leaving user 0 clears permitted and effective (capabilities(7)).
        rustix::thread::set_thread_res_uid(uid, uid, uid)
    }

    fn limit_capabilities(&self) -> Result<(), Errno> {
        let allowed = RawSet::from_bits_retain(self.capabilities.bits());
        let current = rustix::thread::capabilities(None)?;
        let sets = CapabilitySets {
            effective: allowed & current.permitted,
            permitted: allowed & current.permitted,
            inheritable: RawSet::empty(),
        };
        rustix::thread::set_capabilities(None, sets)
    }
}
