//! What the container's first process tells its parent, as data: which step
//! failed with which errno, or that the program could not be executed. End of
//! file without a word means that the program runs.
//!
//! One `SOCK_SEQPACKET` message a report, told apart by its length:
//!
//! | length | content | meaning |
//! |---|---|---|
//! | 8 | `u32` step, `i32` errno | that step of the plan failed |
//! | 4 | `i32` errno | execve(2) failed (also sent by `envbox-init`) |
//! | 1 | a descriptor beside it | the master of the new terminal |

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::sys::socket::{receive, send};

/// A report of the first process.
#[derive(Debug)]
pub enum Report {
    /// Step number, errno.
    StepFailed(u32, i32),
    /// errno of execve(2).
    ExecFailed(i32),
    /// The master of the program's terminal.
    Terminal(OwnedFd),
    /// Nothing more will come: the program runs, or the process died.
    End,
}

/// Reports the failure of step `step`; best effort, since the process exits
/// next and its parent notices that in any case.
pub fn send_failure(socket: impl AsFd, step: u32, errno: i32) {
    let mut message = [0; 8];
    message[..4].copy_from_slice(&step.to_ne_bytes());
    message[4..].copy_from_slice(&errno.to_ne_bytes());
    let _ = send(socket, &message, None);
}

/// Reports that execve(2) failed; best effort as [`send_failure`].
pub fn send_exec_failure(socket: impl AsFd, errno: i32) {
    let _ = send(socket, &errno.to_ne_bytes(), None);
}

/// Hands the master of the terminal to the parent.
///
/// # Errors
/// Those of sendmsg(2).
pub fn send_terminal(socket: impl AsFd, master: BorrowedFd<'_>) -> io::Result<()> {
    send(socket, b"t", Some(master))
}

/// Waits for the next report.
///
/// # Errors
/// Those of recvmsg(2); `InvalidData` for a message of no known length.
pub fn receive_report(socket: impl AsFd) -> io::Result<Report> {
    let mut buffer = [0; 16];
    let (length, descriptor) = receive(socket, &mut buffer)?;
    let word = |at: usize| {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&buffer[at..at + 4]);
        bytes
    };
    match (length, descriptor) {
        (0, _) => Ok(Report::End),
        (1, Some(master)) => Ok(Report::Terminal(master)),
        (4, _) => Ok(Report::ExecFailed(i32::from_ne_bytes(word(0)))),
        (8, _) => Ok(Report::StepFailed(u32::from_ne_bytes(word(0)), i32::from_ne_bytes(word(4)))),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "unknown report of the container")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_arrive_as_they_were_sent() {
        let (parent, child) = crate::sys::socket::pair().unwrap();
        send_failure(&child, 7, libc::EPERM);
        send_exec_failure(&child, libc::ENOENT);
        send_terminal(&child, parent.as_fd()).unwrap();
        drop(child);
        assert!(matches!(receive_report(&parent), Ok(Report::StepFailed(7, libc::EPERM))));
        assert!(matches!(receive_report(&parent), Ok(Report::ExecFailed(libc::ENOENT))));
        assert!(matches!(receive_report(&parent), Ok(Report::Terminal(_))));
        assert!(matches!(receive_report(&parent), Ok(Report::End)));
    }
}
