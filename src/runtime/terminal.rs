//! The terminal inside a container: made in the container's own devpts, so
//! that its name there is right, and made the controlling terminal of the new
//! session.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{OFlags, Uid};
use rustix::io::Errno;
use rustix::pty::OpenptFlags;

use crate::fs::Rootfs;

/// What else the terminal is, beside the stdio of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Console {
    /// The container's `/dev/console`.
    Container,
    /// Nothing: the container has its own.
    None,
}

/// Opens a terminal, makes its slave the controlling terminal and stdio of
/// this process, gives it to `uid`, and returns the master. Must run in a new
/// session.
///
/// # Errors
/// Those of the system calls.
pub fn open(rootfs: &Rootfs, uid: u32, console: Console) -> Result<OwnedFd, Errno> {
    // Resolved inside the root: `/dev` may be a link in a hostile image.
    let pts = rootfs.open_dir(Path::new("/dev/pts")).map_err(|_| Errno::NOENT)?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let master = rustix::fs::openat(&pts, "ptmx", flags, rustix::fs::Mode::empty())?;
    rustix::pty::unlockpt(&master)?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags)?;
    copy_caller_size(&slave);
    // The group stays that of devpts (`tty`).
    rustix::fs::fchown(&slave, Some(Uid::from_raw(uid)), None)?;
    rustix::process::ioctl_tiocsctty(&slave)?;
    rustix::stdio::dup2_stdin(&slave)?;
    rustix::stdio::dup2_stdout(&slave)?;
    rustix::stdio::dup2_stderr(&slave)?;
    if console == Console::Container {
        bind_console(rootfs, &slave);
    }
    Ok(master)
}

/// Gives the new terminal the size of the caller's, which is still on stdin or
/// stdout: a program may ask for it before the monitor's client can set it.
fn copy_caller_size(slave: &OwnedFd) {
    use rustix::termios::{tcgetwinsize, tcsetwinsize};
    let size = tcgetwinsize(rustix::stdio::stdin());
    if let Ok(size) = size.or_else(|_| tcgetwinsize(rustix::stdio::stdout())) {
        let _ = tcsetwinsize(slave, size);
    }
}

/// `/dev/console` is the terminal too (config-linux.md, "Default Devices").
/// Without it nothing that builds software fails, so neither does the start.
fn bind_console(rootfs: &Rootfs, slave: &OwnedFd) {
    use rustix::mount::{OpenTreeFlags, open_tree};
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    if let Ok(target) = rootfs.ensure_file(Path::new("/dev/console"))
        && let Ok(tree) = open_tree(slave, "", flags)
    {
        let _ = super::source::attach(tree.as_fd(), target.as_fd());
    }
}
