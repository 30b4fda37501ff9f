//! User and group IDs: entering a user namespace as an ordinary user, and the
//! namespaces whose maps ID-mapped mounts take.

use std::cell::Cell;
use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sched::CloneFlags;
use nix::unistd::Pid;

use crate::error::{Error, Kind, Result};
use crate::fs;
use crate::sys::process::{self, Namespaces};

use super::join::Target;
use super::spec::HostOwner;

/// Whether this process runs in a user namespace that envbox entered for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserNamespace {
    /// The caller's own; real root, as far as the caller is.
    Inherited,
    /// One of ours: root in it is the caller outside.
    Entered,
}

/// A range of subordinate IDs (subuid(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubIds {
    /// First ID on the host.
    pub start: u32,
    /// How many.
    pub count: u32,
}

/// The ID map of a rootless user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdMap {
    /// The caller is root, and subordinate IDs are 1, 2, ...
    SubIds {
        /// Of users.
        users: SubIds,
        /// Of groups.
        groups: SubIds,
    },
    /// The caller is root, and there is nobody else.
    Single,
}

/// Who the caller is, before any namespace is entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Real user ID.
    pub uid: u32,
    /// Real group ID.
    pub gid: u32,
    /// Name in passwd(5), by which subuid(5) may list them.
    pub name: Option<String>,
}

/// The first range of `text` (in the form of subuid(5)) that belongs to
/// `caller` by name or by number.
pub fn parse_sub_ids(text: &str, caller: &Caller) -> Option<SubIds> {
    let uid = caller.uid.to_string();
    text.lines().find_map(|line| {
        let mut fields = line.trim().split(':');
        let who = fields.next()?;
        if who != uid && caller.name.as_deref() != Some(who) {
            return None;
        }
        let start: u32 = fields.next()?.parse().ok()?;
        let count: u32 = fields.next()?.parse().ok()?;
        let fits = count > 0 && start.checked_add(count).is_some();
        fits.then_some(SubIds { start, count })
    })
}

/// The map that `caller` can have: sub-IDs where `/etc/subuid`, `/etc/subgid`
/// and the programs newuidmap and newgidmap give them, else the single ID.
///
/// # Errors
/// Those of reading the two files.
pub fn plan(caller: &Caller) -> Result<IdMap> {
    let ranges = |path: &str| -> Result<Option<SubIds>> {
        let text = fs::read_optional(Path::new(path))?.unwrap_or_default();
        Ok(parse_sub_ids(&String::from_utf8_lossy(&text), caller))
    };
    let (users, groups) = (ranges("/etc/subuid")?, ranges("/etc/subgid")?);
    match (users, groups) {
        (Some(users), Some(groups)) if find_program("newuidmap").is_some() => {
            Ok(IdMap::SubIds { users, groups })
        }
        _ => Ok(IdMap::Single),
    }
}

/// Where the set-user-ID programs of the shadow suite lie; the caller's PATH
/// has no say in what runs with privilege.
fn find_program(name: &str) -> Option<PathBuf> {
    ["/usr/bin", "/bin", "/usr/sbin", "/usr/local/bin"]
        .iter()
        .map(|folder| Path::new(folder).join(name))
        .find(|path| matches!(fs::metadata(path), Ok(Some(_))))
}

/// Enters a new user and mount namespace with the map `map`; the process is
/// root in it. Must be called by the only thread.
///
/// # Errors
/// Each obstacle by its name, with the command that removes it as the hint.
pub fn enter(caller: &Caller, map: IdMap) -> Result<()> {
    process::ensure_single_threaded()
        .map_err(|error| Error::io_named("cannot enter a user namespace", error))?;
    let writer = match map {
        IdMap::SubIds { users, groups } => Some(MapWriter::start(caller, users, groups)?),
        IdMap::Single => None,
    };
    let namespaces = CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS;
    nix::sched::unshare(namespaces).map_err(explain_unshare)?;
    match writer {
        Some(writer) => writer.finish()?,
        None => write_single(caller)?,
    }
    Ok(())
}

/// Enters the user namespace of `target`, which is the caller's own as well, and
/// a new mount namespace there; the process is root in it. Must be called by the
/// only thread.
///
/// # Errors
/// Those of setns(2); `Unsupported` if the namespace has another map than `map`.
pub fn enter_beside(caller: &Caller, map: IdMap, target: &Target) -> Result<()> {
    target.enter_user_namespace()?;
    process::unshare(Namespaces::MOUNT)
        .map_err(|error| Error::io_named("cannot create a mount namespace", error))?;
    let lines = |id: u32, range: fn(&(SubIds, SubIds)) -> SubIds| match map {
        IdMap::Single => vec![[0, id, 1]],
        IdMap::SubIds { users, groups } => {
            let more = range(&(users, groups));
            vec![[0, id, 1], [1, more.start, more.count]]
        }
    };
    let is = |file: &str, lines: Vec<[u32; 3]>| -> Result<bool> {
        let text = fs::read(&Path::new("/proc/self").join(file))?;
        Ok(parse_map(&String::from_utf8_lossy(&text)) == lines)
    };
    if is("uid_map", lines(caller.uid, |both| both.0))?
        && is("gid_map", lines(caller.gid, |both| both.1))?
    {
        return Ok(());
    }
    Err(Error::unsupported("the other container has other sub-IDs than this user has now")
        .hint("restart that container: envbox restart NAME"))
}

/// The lines of a map: inner ID, outer ID, count (user_namespaces(7)).
fn parse_map(text: &str) -> Vec<[u32; 3]> {
    let line = |line: &str| {
        let mut numbers = line.split_ascii_whitespace().map(str::parse);
        let mut next = || numbers.next()?.ok();
        Some([next()?, next()?, next()?])
    };
    text.lines().filter_map(line).collect()
}

fn explain_unshare(error: nix::errno::Errno) -> Error {
    let failed = Error::io_named("cannot create a user namespace", error);
    let setting = |path: &str| {
        let text = fs::read_optional(Path::new(path)).ok().flatten()?;
        Some(String::from_utf8_lossy(&text).trim().to_owned())
    };
    let is = |path: &str, value: &str| setting(path).as_deref() == Some(value);
    if is("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        return failed.hint("run once: sudo sysctl -w kernel.unprivileged_userns_clone=1");
    }
    if is("/proc/sys/user/max_user_namespaces", "0") {
        return failed.hint("run once: sudo sysctl -w user.max_user_namespaces=15000");
    }
    match error {
        nix::errno::Errno::ENOSPC | nix::errno::Errno::EUSERS => {
            failed.hint("too many user namespaces: raise sysctl user.max_user_namespaces")
        }
        _ => failed.hint("the host forbids user namespaces to ordinary users; run with sudo"),
    }
}

/// Without sub-IDs: one user, one group, written by ourselves
/// (user_namespaces(7), "Defining user and group ID mappings").
fn write_single(caller: &Caller) -> Result<()> {
    let write = |file: &str, text: String| {
        let path = Path::new("/proc/self").join(file);
        write_proc(&path, &text).map_err(explain_map)
    };
    write("setgroups", "deny".into())?;
    write("uid_map", format!("0 {} 1", caller.uid))?;
    write("gid_map", format!("0 {} 1", caller.gid))
}

/// Ubuntu lets unshare(2) succeed and takes the capabilities away instead.
fn explain_map(error: Error) -> Error {
    let restriction = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns";
    let restricted = fs::read_optional(Path::new(restriction))
        .is_ok_and(|text| text.is_some_and(|text| text.starts_with(b"1")));
    if restricted {
        return error.hint(
            "AppArmor restricts user namespaces here; run once: \
             sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        );
    }
    error
}

/// Files of `/proc` take one write and no rename.
fn write_proc(path: &Path, text: &str) -> Result<()> {
    let mut file = fs::open_for_writing(path)?;
    file.write_all(text.as_bytes()).map_err(|error| Error::io("write", path, error))
}

/// A child outside the new namespace, which runs newuidmap and newgidmap for
/// it: they must see the process from its parent namespace.
struct MapWriter {
    pid: Pid,
    go: std::io::PipeWriter,
    answer: std::io::PipeReader,
}

impl MapWriter {
    fn start(caller: &Caller, users: SubIds, groups: SubIds) -> Result<Self> {
        let fail = |error| Error::io_named("cannot start the ID map writer", error);
        let (mut wait, go) = std::io::pipe().map_err(fail)?;
        let (answer, mut tell) = std::io::pipe().map_err(fail)?;
        let target = std::process::id();
        let (caller, ends) = (caller.clone(), Cell::new(Some((go, answer))));
        let parents = &ends;
        let pid = process::fork(move || {
            // With a writing end of its own it would wait for itself when its
            // parent is killed.
            drop(parents.take());
            let mut byte = [0];
            if !matches!(wait.read(&mut byte), Ok(1)) {
                return 1;
            }
            let result = run_map_programs(target, &caller, (users, groups));
            let text = result.err().unwrap_or_default();
            i32::from(tell.write_all(text.as_bytes()).is_err())
        });
        let pid = pid.map_err(fail)?;
        let (go, answer) = ends.take().ok_or_else(|| Error::internal("the pipes are gone"))?;
        Ok(Self { pid, go, answer })
    }

    fn finish(self) -> Result<()> {
        let fail = |error| Error::io_named("the ID map writer failed", error);
        let Self { pid, mut go, mut answer } = self;
        go.write_all(b"g").map_err(fail)?;
        drop(go);
        let mut text = String::new();
        answer.read_to_string(&mut text).map_err(fail)?;
        nix::sys::wait::waitpid(pid, None)
            .map_err(|error| Error::io_named("the ID map writer failed", error))?;
        if text.is_empty() {
            return Ok(());
        }
        Err(explain_map(Error::new(Kind::Denied, format!("cannot map sub-IDs: {text}")).hint(
            "check the ranges in /etc/subuid and /etc/subgid, \
             and that newuidmap and newgidmap are set-user-ID root",
        )))
    }
}

/// Runs both programs at once; an error is their own text.
fn run_map_programs(
    target: u32,
    caller: &Caller,
    (users, groups): (SubIds, SubIds),
) -> Result<(), String> {
    let start = |name: &str, own: u32, range: SubIds| {
        let program = find_program(name).ok_or_else(|| format!("{name} is not installed"))?;
        Command::new(program)
            .arg(target.to_string())
            .args(["0", &own.to_string(), "1"])
            .args(["1", &range.start.to_string(), &range.count.to_string()])
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{name}: {error}"))
    };
    let programs =
        [start("newuidmap", caller.uid, users)?, start("newgidmap", caller.gid, groups)?];
    for program in programs {
        let output = program.wait_with_output().map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        }
    }
    Ok(())
}

/// A user namespace whose map lets `owner`'s files appear as root's on a
/// mount: the ID on disk is the namespace's inner ID, the one that processes
/// see its outer ID (Documentation/filesystems/idmappings).
///
/// Everybody else keeps their number, with two exceptions: root's files are
/// shown as nobody's and cannot be changed, and nobody can write as `owner`'s
/// number. Otherwise a process with that number in the container could leave
/// files of the host's root behind.
///
/// # Errors
/// Those of clone(2) and of writing the map.
pub fn owner_namespace(owner: HostOwner) -> Result<OwnedFd> {
    let fail = |error| Error::io_named("cannot create an ID map", error);
    let (read, write) = rustix::pipe::pipe().map_err(|error| fail(error.into()))?;
    let child = process::clone(process::Namespaces::USER, || {
        // Lives until the parent has taken the namespace.
        let mut byte = [0];
        let _ = rustix::io::read(&read, &mut byte);
        0
    })
    .map_err(fail)?;
    let folder = PathBuf::from(format!("/proc/{}", child.pid));
    let result = write_proc(&folder.join("uid_map"), &map_text(owner.uid))
        .and_then(|()| write_proc(&folder.join("gid_map"), &map_text(owner.gid)))
        .and_then(|()| fs::open(&folder.join("ns/user")));
    let _ = rustix::io::write(write.as_fd(), b"e");
    let _ = nix::sys::wait::waitpid(child.pid, None);
    result.map(OwnedFd::from)
}

/// The lines of [`owner_namespace`]'s map: inner ID, outer ID, count.
fn map_text(id: u32) -> String {
    let mut text = String::new();
    // The last ID of all is not a valid one.
    let all = u32::MAX - 1;
    let _ = writeln!(text, "{id} 0 1");
    if id > 1 {
        let _ = writeln!(text, "1 1 {}", id - 1);
    }
    if id < all {
        let _ = writeln!(text, "{0} {0} {1}", id + 1, all - id);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sub_ids_are_found_by_name_and_by_number() {
        let caller = Caller { uid: 1000, gid: 1000, name: Some("build".into()) };
        let find = |text: &str| parse_sub_ids(text, &caller).map(|ids| (ids.start, ids.count));
        assert_eq!(find("a:1:2\nbuild:100000:65536\n"), Some((100_000, 65_536)));
        assert_eq!(find("1000:5:6"), Some((5, 6)));
        assert_eq!(find("build:x:6\nbuild:4294967295:6\nbuild:7:0"), None);
        assert_eq!(find(""), None);
    }

    #[test]
    fn a_map_is_read_as_the_kernel_shows_it() {
        let text = "         0       1000          1\n         1     100000      65536\n";
        assert_eq!(parse_map(text), [[0, 1000, 1], [1, 100_000, 65_536]]);
        assert!(parse_map("0 x 1\n").is_empty());
    }

    #[test]
    fn the_map_leaves_out_root_and_the_owners_own_number() {
        assert_eq!(map_text(1000), "1000 0 1\n1 1 999\n1001 1001 4294966294\n");
        assert_eq!(map_text(1), "1 0 1\n2 2 4294967293\n");
    }
}
