//! Descriptors that a process was started with: known by number alone.

use std::os::fd::{BorrowedFd, RawFd};

use rustix::fs::{FileType, OFlags};

/// What a descriptor that was inherited by number turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inherited {
    /// A pipe or FIFO.
    pub is_pipe: bool,
    /// Open for reading.
    pub readable: bool,
    /// Open for writing.
    pub writable: bool,
}

/// Looks at descriptor `number`; `None` if it is not open.
pub fn inspect(number: RawFd) -> Option<Inherited> {
    if number < 0 {
        return None;
    }
    // SAFETY: only fstat(2) and fcntl(2) are called, which answer EBADF for a
    // number that is not open; nothing is kept.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    let stat = rustix::fs::fstat(fd).ok()?;
    let flags = rustix::fs::fcntl_getfl(fd).ok()?;
    let access = flags & OFlags::RWMODE;
    Some(Inherited {
        is_pipe: FileType::from_raw_mode(stat.st_mode) == FileType::Fifo,
        readable: access == OFlags::RDONLY || access == OFlags::RDWR,
        writable: access == OFlags::WRONLY || access == OFlags::RDWR,
    })
}

/// A copy of descriptor `number`, from 10 on, closed at execve(2).
///
/// # Errors
/// Those of fcntl(2): `EBADF` if it is not open.
pub fn duplicate(number: RawFd) -> std::io::Result<std::os::fd::OwnedFd> {
    // SAFETY: fcntl(2) answers EBADF for a number that is not open.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    Ok(rustix::io::fcntl_dupfd_cloexec(fd, 10)?)
}

/// Closes every descriptor from 3 on that this process was started with: those
/// that survive execve(2), as none of our own does. Whoever made one of them
/// must not use it after.
///
/// # Errors
/// Those of reading `/proc/self/fd`.
pub fn close_inherited() -> std::io::Result<()> {
    let folder = rustix::fs::open(
        "/proc/self/fd",
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )?;
    for entry in rustix::fs::Dir::read_from(&folder)? {
        let entry = entry?;
        let number = entry.file_name().to_str().ok().and_then(|name| name.parse::<RawFd>().ok());
        let Some(number) = number.filter(|number| *number > 2) else { continue };
        // SAFETY: fcntl(2) answers EBADF for a number that is not open.
        let fd = unsafe { BorrowedFd::borrow_raw(number) };
        let flags = rustix::io::fcntl_getfd(fd);
        if flags.is_ok_and(|flags| !flags.contains(rustix::io::FdFlags::CLOEXEC)) {
            // SAFETY: it was inherited by number, so that no value owns it.
            unsafe { rustix::io::close(number) };
        }
    }
    Ok(())
}
