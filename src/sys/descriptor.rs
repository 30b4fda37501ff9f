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
