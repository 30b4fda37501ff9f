//! How clients get at a container's input, and its stdio before it starts.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::error::Error;
use crate::sys::descriptor;

use super::message::{FailedStage, Failure, Stdio};
use super::output::{self, Outputs};
use super::{Attachment, Attended, Input};

/// What clients of an attended container are handed.
#[derive(Default)]
pub(super) struct Door {
    /// The master of its terminal, or the pipe to its stdin.
    pub(super) fd: Option<OwnedFd>,
    pub(super) has_terminal: bool,
    /// The first client without more input ends it for all.
    pub(super) ends: bool,
    pub(super) takes_input: bool,
}

impl Door {
    /// That of a container which is made as `attended` says.
    pub(super) fn new(attended: &Attended) -> Self {
        Self {
            fd: None,
            has_terminal: false,
            ends: attended.input == Input::UntilFirstEnd && !attended.terminal,
            takes_input: attended.input != Input::None,
        }
    }

    /// What a client gets that types or not.
    pub(super) fn stdio(&self, types: bool) -> (Stdio, Option<BorrowedFd<'_>>) {
        let fd = self.fd.as_ref().map(AsFd::as_fd);
        let input = types && self.takes_input;
        match (fd, self.has_terminal) {
            (Some(fd), true) => (Stdio::SharedTerminal { input }, Some(fd)),
            (Some(fd), false) if input => (Stdio::Input, Some(fd)),
            _ => (Stdio::None, None),
        }
    }

    /// A client has no more input.
    pub(super) fn end_input(&mut self) {
        if self.ends {
            self.fd = None;
        }
    }
}

/// Gives back what the caller has: whoever reads its pipes must see them end,
/// where the container may outlive it.
pub(super) fn leave_caller(attachment: &Attachment) -> Result<(), Failure> {
    match attachment {
        Attachment::Direct { .. } => Ok(()),
        Attachment::Detached { .. } | Attachment::Attended(_) => {
            descriptor::close_inherited().map_err(detach_failed)
        }
    }
}

/// Makes this process's stdio that of the container: what it prints, and the
/// pipe to its input.
pub(super) fn stdio(attachment: &Attachment) -> Result<(Outputs, Option<OwnedFd>), Failure> {
    match attachment {
        Attachment::Direct { .. } => Ok((Outputs::default(), None)),
        Attachment::Detached { .. } => {
            output::silence().map_err(detach_failed)?;
            Ok((Outputs::default(), None))
        }
        Attachment::Attended(attended) => {
            Outputs::attend(attended).map_err(|error| Failure::new(FailedStage::Setup, &error))
        }
    }
}

fn detach_failed(error: io::Error) -> Failure {
    let error = Error::io_named("cannot detach the container", error);
    Failure::new(FailedStage::Setup, &error)
}

/// Gives back what the container and the client hold as well: a pipe must end
/// when they end.
pub(super) fn let_go() -> io::Result<()> {
    output::silence()?;
    rustix::process::chdir("/")?;
    Ok(())
}
