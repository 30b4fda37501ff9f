//! Processes: fork and clone for a process with one thread, and what a child
//! needs before it executes something.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::unistd::Pid;

/// The namespaces of a new process: `CLONE_NEW*` flags of clone(2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Namespaces {
    flags: libc::c_int,
}

impl Namespaces {
    /// No new namespace.
    pub const NONE: Self = Self { flags: 0 };
    /// Mounts.
    pub const MOUNT: Self = Self { flags: libc::CLONE_NEWNS };
    /// Process IDs.
    pub const PID: Self = Self { flags: libc::CLONE_NEWPID };
    /// Host and domain name.
    pub const UTS: Self = Self { flags: libc::CLONE_NEWUTS };
    /// System V IPC and POSIX message queues.
    pub const IPC: Self = Self { flags: libc::CLONE_NEWIPC };
    /// Network.
    pub const NETWORK: Self = Self { flags: libc::CLONE_NEWNET };
    /// The root of the cgroup hierarchy.
    pub const CGROUP: Self = Self { flags: libc::CLONE_NEWCGROUP };
    /// User and group IDs.
    pub const USER: Self = Self { flags: libc::CLONE_NEWUSER };

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self { flags: self.flags | other.flags }
    }

    /// True if all of `other` is in this set.
    pub const fn contains(self, other: Self) -> bool {
        self.flags & other.flags == other.flags
    }
}

/// Fails unless this process has exactly one thread: only then may a forked
/// child allocate, and only then does unshare(2) of a user namespace work.
///
/// # Errors
/// `Other` with the number of threads; those of reading `/proc/self/task`.
pub fn ensure_single_threaded() -> io::Result<()> {
    // The link count of the directory is 2 plus the number of tasks.
    let stat = rustix::fs::stat("/proc/self/task")?;
    match stat.st_nlink {
        3 => Ok(()),
        links => Err(io::Error::other(format!(
            "cannot fork: the process has {} threads",
            links.saturating_sub(2)
        ))),
    }
}

/// Forks. The child runs `child` and exits with the status it returns; it
/// never returns to the caller's code.
///
/// # Errors
/// Those of fork(2), and [`ensure_single_threaded`]'s.
pub fn fork(child: impl FnOnce() -> i32) -> io::Result<Pid> {
    ensure_single_threaded()?;
    // SAFETY: the process has one thread, so no lock is held by a thread that
    // the child lacks, and the child may do whatever the parent may.
    match unsafe { nix::unistd::fork() }? {
        nix::unistd::ForkResult::Parent { child } => Ok(child),
        nix::unistd::ForkResult::Child => exit_now(child()),
    }
}

/// A child and the descriptor that stands for it (pidfd_open(2)).
#[derive(Debug)]
pub struct Child {
    /// Its process ID as this process sees it.
    pub pid: Pid,
    /// Readable when it has ended.
    pub pidfd: OwnedFd,
}

/// As [`fork`], with the child in new `namespaces`; it is PID 1 where a PID
/// namespace is among them.
///
/// # Errors
/// Those of clone(2), and [`ensure_single_threaded`]'s.
pub fn clone(namespaces: Namespaces, child: impl FnOnce() -> i32) -> io::Result<Child> {
    ensure_single_threaded()?;
    clone_with(namespaces.flags, child)
}

/// As [`clone()`], with the child born in the cgroup v2 directory `group`, which
/// is the root of a new cgroup namespace (clone3(2), `CLONE_INTO_CGROUP`).
///
/// # Errors
/// Those of clone3(2), and [`ensure_single_threaded`]'s.
pub fn clone_into(
    namespaces: Namespaces,
    group: BorrowedFd<'_>,
    child: impl FnOnce() -> i32,
) -> io::Result<Child> {
    ensure_single_threaded()?;
    let mut pidfd: RawFd = -1;
    let bits = |flags: libc::c_int| u64::from(flags.cast_unsigned());
    let into_cgroup: u64 = 1 << 33;
    let arguments = libc::clone_args {
        flags: bits(namespaces.flags | libc::CLONE_PIDFD) | into_cgroup,
        pidfd: (&raw mut pidfd).addr() as u64,
        child_tid: 0,
        parent_tid: 0,
        exit_signal: bits(libc::SIGCHLD),
        stack: 0,
        stack_size: 0,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup: bits(group.as_raw_fd()),
    };
    // SAFETY: as in `clone_with`: no CLONE_VM, no stack, one thread. The
    // kernel reads `arguments`, of the size that is told, and writes one
    // descriptor to `pidfd`.
    let pid = unsafe {
        libc::syscall(libc::SYS_clone3, &raw const arguments, size_of::<libc::clone_args>())
    };
    born(pid, pidfd, child)
}

/// Gives this process new `namespaces` (unshare(2)).
///
/// # Errors
/// Those of unshare(2).
pub fn unshare(namespaces: Namespaces) -> io::Result<()> {
    let flags = nix::sched::CloneFlags::from_bits_retain(namespaces.flags);
    Ok(nix::sched::unshare(flags)?)
}

/// Sets how readily the kernel kills this process for want of memory, and all
/// that it starts: -1000 to 1000 (proc_pid_oom_score_adj(5)).
///
/// # Errors
/// Those of writing it: `EACCES` for a value below what this process may have.
pub fn set_oom_score(adjustment: i16) -> io::Result<()> {
    let flags = rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::CLOEXEC;
    let mode = rustix::fs::Mode::empty();
    let file = rustix::fs::open("/proc/self/oom_score_adj", flags, mode)?;
    rustix::io::write(&file, adjustment.to_string().as_bytes())?;
    Ok(())
}

/// As [`clone()`] without new namespaces, but the child is a child of this
/// process's parent, who must reap it (clone(2), `CLONE_PARENT`). `/proc` is
/// not looked at: it may be a container's.
///
/// Only for a child that [`fork`] or [`clone()`] made, and that has started no
/// thread.
///
/// # Errors
/// Those of clone(2): `ENOMEM` where the first process of the PID namespace
/// has ended.
pub fn clone_sibling(child: impl FnOnce() -> i32) -> io::Result<Child> {
    clone_with(libc::CLONE_PARENT, child)
}

fn clone_with(flags: libc::c_int, child: impl FnOnce() -> i32) -> io::Result<Child> {
    let flags = flags | libc::CLONE_PIDFD | libc::SIGCHLD;
    let mut pidfd: RawFd = -1;
    // SAFETY: without CLONE_VM and with a null stack this is fork with flags:
    // the child goes on with a copy of this stack, in a process that has one
    // thread. The kernel writes one descriptor to `pidfd`, the third argument
    // on x86-64 and arm64 alike; the other arguments are not read without
    // their flags.
    let pid = unsafe {
        libc::syscall(
            libc::SYS_clone,
            libc::c_long::from(flags),
            0_usize,
            &raw mut pidfd,
            0_usize,
            0_usize,
        )
    };
    born(pid, pidfd, child)
}

/// What comes after a clone, on both sides.
fn born(pid: libc::c_long, pidfd: RawFd, child: impl FnOnce() -> i32) -> io::Result<Child> {
    match pid {
        -1 => Err(io::Error::last_os_error()),
        0 => exit_now(child()),
        pid => Ok(Child {
            pid: Pid::from_raw(i32::try_from(pid).map_err(io::Error::other)?),
            // SAFETY: the kernel made this descriptor for us in that call.
            pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) },
        }),
    }
}

/// Moves this process into those `namespaces` that the process behind `pidfd`
/// is in, and its future children into its PID namespace (setns(2)). With the
/// mount namespace come its root and working directory.
///
/// # Errors
/// Those of setns(2): `ESRCH` if the process has ended.
pub fn join(pidfd: BorrowedFd<'_>, namespaces: Namespaces) -> io::Result<()> {
    let flags = nix::sched::CloneFlags::from_bits_retain(namespaces.flags);
    Ok(nix::sched::setns(pidfd, flags)?)
}

/// True if the process behind `pidfd` has ended, or does within `limit`.
///
/// # Errors
/// Those of poll(2).
pub fn has_ended(pidfd: BorrowedFd<'_>, limit: std::time::Duration) -> io::Result<bool> {
    let mut fds = [rustix::event::PollFd::from_borrowed_fd(pidfd, rustix::event::PollFlags::IN)];
    let limit = limit.try_into().map_err(io::Error::other)?;
    Ok(rustix::io::retry_on_intr(|| rustix::event::poll(&mut fds, Some(&limit)))? > 0)
}

/// Sends signal `number`, which may be a real-time one, to the process behind
/// `pidfd`.
///
/// # Errors
/// Those of pidfd_send_signal(2): `ESRCH` if it has ended.
pub fn send_signal(pidfd: BorrowedFd<'_>, number: i32) -> io::Result<()> {
    let info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: without an info the kernel makes one, as for kill(2); a number
    // that is no signal's gives EINVAL.
    let result = unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), number, info, 0_u32)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Leaves the process at once: no destructor, no buffer is flushed. For
/// forked children, whose buffers are copies of their parent's.
pub fn exit_now(status: i32) -> ! {
    // SAFETY: _exit(2) has no preconditions.
    unsafe { libc::_exit(status) }
}

/// As [`reset_signal_actions`], and unblocks all.
pub fn reset_signals() {
    reset_signal_actions();
    // sigprocmask cannot fail for a valid `how`.
    let _ = nix::sys::signal::SigSet::empty().thread_set_mask();
}

/// Puts every signal back to its default action: those that are "ignored"
/// survive fork(2) and execve(2), and a command must not inherit ours.
pub fn reset_signal_actions() {
    for number in 1..=libc::SIGRTMAX() {
        // SAFETY: SIG_DFL installs no handler; numbers that cannot be set
        // (SIGKILL, SIGSTOP, libc's own) are refused without effect.
        unsafe { libc::signal(number, libc::SIG_DFL) };
    }
}

/// Has this process ignore `signal`, and those that it starts with execve(2).
pub fn ignore(signal: nix::sys::signal::Signal) {
    // SAFETY: SIG_IGN installs no handler.
    unsafe { libc::signal(signal as libc::c_int, libc::SIG_IGN) };
}

/// True if this process ignores `signal`: it was started by nohup(1), say, or
/// in the background by a shell without job control.
pub fn is_ignored(signal: nix::sys::signal::Signal) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: without a new action the kernel only fills in the old one; all
    // zeroes are a valid one where it does not.
    let action = unsafe {
        libc::sigaction(signal as libc::c_int, std::ptr::null(), action.as_mut_ptr());
        action.assume_init()
    };
    action.sa_sigaction == libc::SIG_IGN
}

/// Marks every descriptor from 3 on to be closed at execve(2), except those
/// in `keep`, whose mark is removed.
///
/// # Errors
/// Those of close_range(2) and fcntl(2).
pub fn close_on_exec_except(keep: &[RawFd]) -> io::Result<()> {
    // SAFETY: sets a flag on descriptors; closes none of them now.
    let result =
        unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    for &number in keep {
        // SAFETY: the caller names descriptors that it knows to be open; a
        // closed one gives EBADF.
        let fd = unsafe { BorrowedFd::borrow_raw(number) };
        rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::empty())?;
    }
    Ok(())
}

/// Closes every descriptor but `kept`, the standard ones too: for a forked
/// child that has one thing left to do, and must not keep a reader of its
/// caller's pipes waiting meanwhile. Whatever owns one of them must not be used
/// or dropped after.
pub fn close_all_except(kept: BorrowedFd<'_>) {
    close_from_except(0, &[kept]);
}

/// Closes every descriptor from number `first` on but `kept`. Whatever owns
/// one of them must not be used or dropped after: for forked children.
pub fn close_from_except(first: u32, kept: &[BorrowedFd<'_>]) {
    close_but(first, kept.iter().map(AsRawFd::as_raw_fd).collect());
}

/// As [`close_from_except`], and keeps the numbers `passed` as well, which are
/// for the program.
pub fn close_unless_passed(first: u32, kept: &[BorrowedFd<'_>], passed: &[RawFd]) {
    close_but(first, kept.iter().map(AsRawFd::as_raw_fd).chain(passed.iter().copied()).collect());
}

fn close_but(first: u32, kept: Vec<RawFd>) {
    // A descriptor is never negative.
    let mut kept: Vec<u32> = kept.into_iter().map(RawFd::unsigned_abs).collect();
    kept.sort_unstable();
    kept.dedup();
    let mut next = first;
    for number in kept.into_iter().filter(|number| *number >= first) {
        if number > next {
            close_range(next, number - 1);
        }
        next = number + 1;
    }
    close_range(next, u32::MAX);
}

fn close_range(first: u32, last: u32) {
    // SAFETY: the callers of the two functions above promise that nobody uses
    // what is closed. It fails only before Linux 5.9, and then closes nothing.
    unsafe { libc::syscall(libc::SYS_close_range, first, last, 0_u32) };
}

/// Sets the parent-death signal: this process gets SIGKILL when its parent
/// ends. Returns false if the parent, which was `parent`, has ended already.
///
/// # Errors
/// Those of prctl(2).
pub fn die_with_parent(parent: &OwnedFd) -> io::Result<bool> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    let mut fds = [rustix::event::PollFd::new(parent, rustix::event::PollFlags::IN)];
    let now = rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 };
    // The parent holds the other end of a socket: hung up means gone.
    rustix::event::poll(&mut fds, Some(&now))?;
    Ok(!fds[0].revents().contains(rustix::event::PollFlags::HUP))
}

/// The raw number of a descriptor, for a program's command line.
pub fn number_of(fd: &OwnedFd) -> RawFd {
    fd.as_raw_fd()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    use nix::sys::wait::{WaitStatus, waitpid};

    #[test]
    fn namespaces_add_up() {
        let both = Namespaces::PID.with(Namespaces::UTS);
        assert!(both.contains(Namespaces::PID) && both.contains(Namespaces::UTS));
        assert!(!both.contains(Namespaces::MOUNT));
    }

    #[test]
    fn refuses_to_fork_with_threads() {
        // The test runner itself has a thread for each test.
        assert!(ensure_single_threaded().is_err());
        assert!(fork(|| 0).is_err());
    }

    #[test]
    fn closes_all_but_one_in_a_child() {
        let (reader, writer) = std::io::pipe().unwrap();
        let (kept, other) = std::io::pipe().unwrap();
        // SAFETY: the child calls only async-signal-safe functions.
        match unsafe { nix::unistd::fork() }.unwrap() {
            nix::unistd::ForkResult::Parent { child } => {
                assert_eq!(waitpid(child, None).unwrap(), WaitStatus::Exited(child, 0));
            }
            nix::unistd::ForkResult::Child => {
                close_all_except(kept.as_fd());
                let open = |fd: BorrowedFd<'_>| rustix::io::fcntl_getfd(fd).is_ok();
                let closed = [reader.as_fd(), writer.as_fd(), other.as_fd()];
                exit_now(i32::from(!open(kept.as_fd()) || closed.into_iter().any(open)))
            }
        }
    }

    #[test]
    fn resets_signals_in_a_child() {
        // SAFETY: the child calls only async-signal-safe functions.
        match unsafe { nix::unistd::fork() }.unwrap() {
            nix::unistd::ForkResult::Parent { child } => {
                let status = waitpid(child, None).unwrap();
                assert!(matches!(status, WaitStatus::Signaled(_, nix::sys::signal::SIGTERM, _)));
            }
            nix::unistd::ForkResult::Child => {
                // SAFETY: changes dispositions of this child alone.
                unsafe { libc::signal(libc::SIGTERM, libc::SIG_IGN) };
                reset_signals();
                // SAFETY: sends a signal to this child.
                unsafe { libc::raise(libc::SIGTERM) };
                exit_now(0)
            }
        }
    }
}
