//! How a joiner hands over the child that it made for its parent: one message
//! with the child's number and the pidfd beside it, or an errno alone.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::unistd::Pid;

use crate::sys::process::Child;
use crate::sys::socket;

use super::super::step::errno_of;

/// Waits for the child that the joiner left.
///
/// # Errors
/// The joiner's own; `UnexpectedEof` if it ended without a word.
pub fn receive_birth(births: &OwnedFd) -> io::Result<Child> {
    let mut word = [0; 4];
    match socket::receive(births, &mut word)? {
        (4, Some(pidfd)) => Ok(Child { pid: Pid::from_raw(i32::from_ne_bytes(word)), pidfd }),
        (4, None) => Err(io::Error::from_raw_os_error(i32::from_ne_bytes(word))),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Hands `child` over; the number is the joiner's exit status.
pub fn send_birth(birth: &OwnedFd, child: io::Result<Child>) -> i32 {
    match child {
        Ok(child) => {
            let number = child.pid.as_raw().to_ne_bytes();
            i32::from(socket::send(birth, &number, Some(child.pidfd.as_fd())).is_err())
        }
        Err(error) => send_no_birth(birth, &error),
    }
}

/// Tells why there is no child; the number is the joiner's exit status.
pub fn send_no_birth(birth: &OwnedFd, error: &io::Error) -> i32 {
    let errno = errno_of(error).raw_os_error();
    // The parent notices an end without a word in any case.
    let _ = socket::send(birth, &errno.to_ne_bytes(), None);
    1
}
