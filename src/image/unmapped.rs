//! Owners that have no number in the user namespace that reads a tree: stat(2)
//! shows the overflow ID for all of them (user_namespaces(7), "Unmapped user
//! and group IDs"). With enough sub-IDs that is also the number of somebody
//! who has one; which of the two a file's owner is, the kernel tells by what it
//! allows: CAP_DAC_OVERRIDE counts for files of mapped owners only
//! (capabilities(7), "Effect on file capabilities of user namespaces").

use std::ffi::OsStr;
use std::path::Path;

use rustix::fs::{Access, AtFlags};
use rustix::io::Errno;

use crate::error::Result;
use crate::fs::{self, Dir, Metadata};

/// What this process sees in place of the owners that it cannot know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnmappedOwners {
    users: Option<Overflow>,
    groups: Option<Overflow>,
}

/// The number that stands for all that have none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Overflow {
    id: u32,
    /// True if somebody has this number.
    is_mapped: bool,
}

impl UnmappedOwners {
    /// Those of the present user namespace.
    ///
    /// # Errors
    /// Those of reading `/proc`.
    pub(super) fn of_process() -> Result<Self> {
        let text = |path: &str| -> Result<String> {
            // A kernel without user namespaces has no such files.
            let bytes = fs::read_optional(Path::new(path))?.unwrap_or_default();
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        let overflow = |map, id| Ok(parse(&text(map)?, &text(id)?));
        Ok(Self {
            users: overflow("/proc/self/uid_map", "/proc/sys/kernel/overflowuid")?,
            groups: overflow("/proc/self/gid_map", "/proc/sys/kernel/overflowgid")?,
        })
    }

    /// True if `name`, which is what `metadata` tells, belongs to one of them,
    /// or if that cannot be told: where a user or group has the overflow ID, of
    /// a file that its mode alone lets this process write, such as every
    /// symbolic link.
    pub(super) fn own(self, dir: &Dir, name: &OsStr, metadata: &Metadata) -> bool {
        let seen = |overflow: Option<Overflow>, id| overflow.filter(|overflow| overflow.id == id);
        let (user, group) = (seen(self.users, metadata.uid), seen(self.groups, metadata.gid));
        if user.is_none() && group.is_none() {
            return false;
        }
        let is_certain = [user, group].into_iter().flatten().any(|overflow| !overflow.is_mapped);
        is_certain || may_write_by_mode(metadata) || !is_writable(dir, name)
    }
}

/// True if no capability may be needed to write: the groups of this process can
/// be unmapped ones as well.
fn may_write_by_mode(metadata: &Metadata) -> bool {
    let is_own = metadata.uid == rustix::process::geteuid().as_raw();
    metadata.mode & if is_own { 0o222 } else { 0o022 } != 0
}

fn is_writable(dir: &Dir, name: &OsStr) -> bool {
    let flags = AtFlags::EACCESS | AtFlags::SYMLINK_NOFOLLOW;
    match rustix::fs::accessat(dir, name, Access::WRITE_OK, flags) {
        // Rights were looked at before these.
        Ok(()) | Err(Errno::TXTBSY) => true,
        Err(_) => false,
    }
}

/// What stands for those that the ID map `map` has not; none if it has all.
fn parse(map: &str, id: &str) -> Option<Overflow> {
    let ranges: Vec<(u64, u64)> = map
        .lines()
        .filter_map(|line| {
            let mut fields = line.split_whitespace().map(str::parse);
            let (inside, _, count) = (fields.next()?, fields.next()?, fields.next()?);
            Some((inside.ok()?, count.ok()?))
        })
        .collect();
    // The highest ID is none.
    if ranges.iter().map(|range| range.1).sum::<u64>() >= u64::from(u32::MAX) {
        return None;
    }
    let id: u32 = id.trim().parse().ok()?;
    let has = |&(start, count): &(u64, u64)| (start..start + count).contains(&id.into());
    Some(Overflow { id, is_mapped: ranges.iter().any(has) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overflow_id_may_be_that_of_somebody() {
        let whole = "         0          0 4294967295\n";
        assert_eq!(parse(whole, "65534\n"), None);
        assert_eq!(parse("", ""), None);
        let overflow = |is_mapped| Some(Overflow { id: 65534, is_mapped });
        assert_eq!(parse("0 1000 1\n", "65534\n"), overflow(false));
        assert_eq!(parse("0 1000 1\n1 100000 65533\n", "65534\n"), overflow(false));
        assert_eq!(parse("0 1000 1\n1 100000 65536\n", "65534\n"), overflow(true));
        assert_eq!(parse("0 0 65536\n65536 65536 4294901759\n", "65534\n"), None);
    }
}
