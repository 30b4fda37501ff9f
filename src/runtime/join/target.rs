//! The first process of a container that runs, and what it leads to.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Result};
use crate::fs::{self, Dir, Rootfs};
use crate::sys::process::{self, Namespaces};

use super::super::step::Step;

/// The files of `/proc/PID/ns` (namespaces(7)) and what they stand for.
const NAMESPACES: [(&str, Namespaces); 6] = [
    ("mnt", Namespaces::MOUNT),
    ("pid", Namespaces::PID),
    ("net", Namespaces::NETWORK),
    ("ipc", Namespaces::IPC),
    ("uts", Namespaces::UTS),
    ("cgroup", Namespaces::CGROUP),
];

/// A process by its number and its start: the number alone may be another's
/// tomorrow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// Its number in this process's PID namespace.
    pub pid: u32,
    /// When it started, in clock ticks since boot (proc_pid_stat(5), field 22).
    pub start: u64,
}

impl ProcessId {
    /// The process that has the number `pid` now; `None` if none has.
    ///
    /// # Errors
    /// Those of reading `/proc`.
    pub fn of(pid: u32) -> Result<Option<Self>> {
        let path = PathBuf::from(format!("/proc/{pid}/stat"));
        let stat = match fs::read_optional(&path) {
            Ok(stat) => stat,
            // It ended between open(2) and read(2).
            Err(error) if is_gone(&error) => None,
            Err(error) => return Err(error),
        };
        let start = stat.as_deref().and_then(start_of);
        Ok(start.map(|start| Self { pid, start }))
    }

    /// Whether it has ended or is about to. The first process of a PID
    /// namespace takes long for that: it ends when all others in there have
    /// been reaped (pid_namespaces(7)).
    ///
    /// # Errors
    /// Those of reading `/proc`.
    pub fn is_ending(self) -> Result<bool> {
        let tasks = PathBuf::from(format!("/proc/{}/task", self.pid));
        for task in fs::absent_is_none(fs::list(&tasks))?.unwrap_or_default() {
            match fs::read_optional(&tasks.join(task).join("stat")) {
                Ok(Some(stat)) if field(&stat, 9).is_some_and(|flags| flags & EXITING == 0) => {
                    return Ok(false);
                }
                Ok(_) => {}
                Err(error) if is_gone(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

/// `PF_EXITING` of the kernel's include/linux/sched.h.
const EXITING: u64 = 4;

fn start_of(stat: &[u8]) -> Option<u64> {
    field(stat, 22)
}

/// A number in a line of proc_pid_stat(5). The second field, a name in
/// parentheses, may hold anything; it and the one after are no numbers.
fn field(stat: &[u8], number: usize) -> Option<u64> {
    let stat = String::from_utf8_lossy(stat);
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(number - 3)?.parse().ok()
}

/// True if looking at a file of `/proc/PID` failed since the process has ended,
/// or is about to.
pub fn is_gone(error: &Error) -> bool {
    if error.kind() == Kind::NotFound {
        return true;
    }
    let source = std::error::Error::source(error);
    let io = source.and_then(|cause| cause.downcast_ref::<std::io::Error>());
    io.and_then(std::io::Error::raw_os_error) == Some(libc::ESRCH)
}

/// A container's first process, held so that it cannot become another one.
#[derive(Debug)]
pub struct Target {
    pidfd: OwnedFd,
    folder: PathBuf,
    /// Those of its namespaces that are not this process's.
    namespaces: Namespaces,
    may_set_groups: bool,
    /// File system and inode.
    pid_namespace: (u64, u64),
}

impl Target {
    /// Holds the process `id`; `None` if it has ended.
    ///
    /// # Errors
    /// `Denied` if it is another user's.
    pub fn open(id: ProcessId) -> Result<Option<Self>> {
        let fail = |error: Errno| Error::io_named("cannot open the container's process", error);
        let Some(pid) = i32::try_from(id.pid).ok().and_then(Pid::from_raw) else {
            return Ok(None);
        };
        let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => pidfd,
            Err(Errno::SRCH | Errno::INVAL) => return Ok(None),
            Err(error) => return Err(fail(error)),
        };
        if ProcessId::of(id.pid)? != Some(id) {
            return Ok(None);
        }
        let folder = PathBuf::from(format!("/proc/{pid}"));
        let mut target = Self {
            pidfd,
            folder,
            namespaces: Namespaces::NONE,
            may_set_groups: false,
            pid_namespace: (0, 0),
        };
        let looked = target.look();
        // Only now is it certain that all that was read was this process's.
        if target.has_ended(Duration::ZERO)? {
            return Ok(None);
        }
        match looked {
            Ok(()) => Ok(Some(target)),
            // Its namespaces go a moment before it has ended.
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Finds out where it is.
    fn look(&mut self) -> Result<()> {
        for (name, namespace) in NAMESPACES {
            if self.differs(name)? {
                self.namespaces = self.namespaces.with(namespace);
            }
        }
        self.pid_namespace = namespace(&self.folder, "pid")?;
        let setgroups = fs::read(&self.folder.join("setgroups"))?;
        self.may_set_groups = setgroups.trim_ascii() == b"allow";
        Ok(())
    }

    /// Whether its namespace of this kind is not this process's.
    fn differs(&self, name: &str) -> Result<bool> {
        Ok(namespace(&self.folder, name)? != namespace(Path::new("/proc/self"), name)?)
    }

    /// True if it has ended, and the container with it, or does within `limit`.
    ///
    /// # Errors
    /// Those of poll(2).
    pub fn has_ended(&self, limit: Duration) -> Result<bool> {
        process::has_ended(self.pidfd.as_fd(), limit)
            .map_err(|error| Error::io_named("cannot look at the container's process", error))
    }

    /// Moves this process into its user namespace, where that is another one:
    /// an ordinary user is root there, and allowed the rest. Must be called by
    /// the only thread.
    ///
    /// # Errors
    /// Those of setns(2).
    pub fn enter_user_namespace(&self) -> Result<()> {
        if !self.differs("user")? {
            return Ok(());
        }
        process::join(self.pidfd.as_fd(), Namespaces::USER)
            .map_err(|error| Error::io_named("cannot enter the container's user namespace", error))
    }

    /// Whether the process `pid` lives in its PID namespace, and not in one
    /// below. One that has ended or may not be looked at does not.
    ///
    /// # Errors
    /// Those of stat(2).
    pub fn lives_with(&self, pid: u32) -> Result<bool> {
        match fs::metadata(&PathBuf::from(format!("/proc/{pid}/ns/pid"))) {
            Ok(found) => Ok(found.is_some_and(|found| found.inode == self.pid_namespace)),
            Err(error) if error.kind() == Kind::Denied || is_gone(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Its root directory, for lookups from outside.
    ///
    /// # Errors
    /// Those of open(2), also where it has ended.
    pub fn rootfs(&self) -> Result<Rootfs> {
        Ok(Rootfs::new(Dir::open(&self.folder.join("root"))?))
    }

    /// Whether its namespace of this kind is not this process's.
    pub fn is_apart(&self, namespace: Namespaces) -> bool {
        self.namespaces.contains(namespace)
    }

    /// Whether its user namespace is not this process's.
    ///
    /// # Errors
    /// Those of stat(2).
    pub fn has_other_users(&self) -> Result<bool> {
        self.differs("user")
    }

    /// Whether it is the first process of its PID namespace, whose end is the
    /// end of all in it.
    ///
    /// # Errors
    /// Those of reading `/proc`.
    pub fn is_first(&self) -> Result<bool> {
        let status = fs::read(&self.folder.join("status"))?;
        let status = String::from_utf8_lossy(&status);
        let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
        Ok(line.and_then(|line| line.split_whitespace().next_back()) == Some("1"))
    }

    /// Its number.
    pub fn number(&self) -> Option<u32> {
        self.folder.file_name()?.to_str()?.parse().ok()
    }

    /// A step that joins its namespace of this kind.
    pub(in crate::runtime) fn step(
        &self,
        namespace: Namespaces,
        name: &'static str,
    ) -> Result<Step> {
        let process = self.pidfd.try_clone();
        let process = process
            .map_err(|error| Error::io_named("cannot hold the other container's process", error))?;
        Ok(Step::Join { process, namespace, name })
    }

    /// The descriptor that stands for it.
    pub(super) fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Those of its namespaces, but the user's, that are not this process's.
    pub(super) fn namespaces(&self) -> Namespaces {
        self.namespaces
    }

    /// Whether its user namespace allows setgroups(2).
    pub(super) fn may_set_groups(&self) -> bool {
        self.may_set_groups
    }
}

/// Which namespace of this kind the process of `/proc/PID` is in.
fn namespace(process: &Path, name: &str) -> Result<(u64, u64)> {
    let path = process.join("ns").join(name);
    let found = fs::metadata(&path).map_err(|error| match error.kind() {
        Kind::Denied => error.hint("it is another user's: run envbox as that user"),
        _ => error,
    })?;
    let gone = || Error::new(Kind::NotFound, format!("there is no {}", path.display()));
    found.map(|metadata| metadata.inode).ok_or_else(gone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_is_found_behind_any_name() {
        let line = b"7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 777 20 21";
        assert_eq!(start_of(line), Some(777));
        assert_eq!(start_of(b"7 (short) S 1"), None);
        assert_eq!(start_of(b""), None);
    }

    #[test]
    fn a_number_that_is_another_processs_now_is_no_target() {
        let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        let id = ProcessId::of(child.id()).unwrap().unwrap();
        let target = Target::open(id).unwrap().unwrap();
        assert_eq!(target.namespaces(), Namespaces::NONE);
        assert!(!target.has_ended(Duration::ZERO).unwrap());
        assert!(target.lives_with(std::process::id()).unwrap());
        let other = ProcessId { start: id.start + 1, ..id };
        assert!(Target::open(other).unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(target.has_ended(Duration::ZERO).unwrap());
        assert!(Target::open(id).unwrap().is_none());
        assert_eq!(ProcessId::of(id.pid).unwrap(), None);
    }
}
