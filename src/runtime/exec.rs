//! The program: found in the container's `PATH`, and executed by the small
//! sealed program of [`crate::sys::init`], as its child or in its place.
//!
//! Never by this process itself, whose `/proc/self/exe` is the engine's binary
//! and whose `/proc/self/fd` holds descriptors of the host's: an image's
//! command, a symbolic link at it or the interpreter of a script may name them
//! (CVE-2019-5736, CVE-2024-21626). Behind the sealed program they lead
//! nowhere.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use rustix::fs::{Access, AtFlags, CWD, FileType, MemfdFlags, SealFlags};

use crate::error::{Error, Result};

use super::step::c_string;

/// What execve(2) is given; made before the process exists.
#[derive(Debug)]
pub struct Program {
    /// Where the command may be, in the order of `PATH`.
    candidates: Vec<CString>,
    args: Vec<CString>,
    env: Vec<CString>,
    sealed: OwnedFd,
    role: Role,
}

/// What the sealed program is to the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Its parent, as the container's init.
    Init,
    /// What it was before: only execve(2) lies between them.
    Launcher,
}

impl Program {
    /// Plans the execution of `args` with the environment `env` by a
    /// [`sealed_program`].
    ///
    /// # Errors
    /// `Invalid` if `args` is empty or a string holds a NUL byte.
    pub fn new(args: &[String], env: &[String], sealed: (OwnedFd, Role)) -> Result<Self> {
        let Some(command) = args.first() else {
            return Err(Error::invalid("no command to run").hint("name one after the image"));
        };
        let path = env.iter().find_map(|pair| pair.strip_prefix("PATH=")).unwrap_or_default();
        let candidates = if command.contains('/') {
            vec![c_string(command)?]
        } else {
            path.split(':')
                .map(|folder| if folder.is_empty() { "." } else { folder })
                .map(|folder| c_string(&format!("{folder}/{command}")))
                .collect::<Result<_>>()?
        };
        let strings = |texts: &[String]| -> Result<Vec<CString>> {
            texts.iter().map(|text| c_string(text)).collect()
        };
        let (sealed, role) = sealed;
        Ok(Self { candidates, args: strings(args)?, env: strings(env)?, sealed, role })
    }

    /// The command as it was given.
    pub fn command(&self) -> String {
        self.args.first().map(|arg| arg.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// The sealed program, which must be open for [`Self::execute`].
    pub fn sealed(&self) -> BorrowedFd<'_> {
        self.sealed.as_fd()
    }

    /// Executes it; returns only the errno of the failure. `status` stays
    /// open in the sealed program, which reports there and then closes it.
    pub fn execute(&self, status: &OwnedFd) -> Errno {
        match self.find().and_then(|path| self.execute_sealed(path, status)) {
            Ok(never) => match never {},
            Err(errno) => errno,
        }
    }

    fn execute_sealed(
        &self,
        path: &CStr,
        status: &OwnedFd,
    ) -> nix::Result<std::convert::Infallible> {
        rustix::io::fcntl_setfd(status, rustix::io::FdFlags::empty())
            .map_err(|error| Errno::from_raw(error.raw_os_error()))?;
        let number = CString::new(status.as_raw_fd().to_string()).unwrap_or_default();
        let name = match self.role {
            Role::Init => c"envbox-init",
            Role::Launcher => c"envbox-exec",
        };
        let mut args: Vec<&CStr> = vec![name, number.as_c_str(), path];
        args.extend(self.args.iter().map(CString::as_c_str));
        nix::unistd::fexecve(&self.sealed, &args, &self.env)
    }

    /// The first candidate that can be executed. The errno is that of the
    /// best one: a file that may not be executed is told before a missing one
    /// (execvp(3)).
    fn find(&self) -> Result<&CStr, Errno> {
        let mut worst = Errno::ENOENT;
        for candidate in &self.candidates {
            let is_dir = rustix::fs::stat(candidate.as_c_str())
                .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory);
            if is_dir {
                worst = Errno::EACCES;
                continue;
            }
            let path = candidate.as_c_str();
            match rustix::fs::accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS) {
                Ok(()) => return Ok(path),
                Err(rustix::io::Errno::ACCESS) => worst = Errno::EACCES,
                Err(_) => {}
            }
        }
        Err(worst)
    }
}

/// A sealed copy of the program `bytes` in memory: nobody can change it, and
/// `/proc/1/exe` leads to it and not to the engine's binary (CVE-2019-5736).
///
/// # Errors
/// Those of memfd_create(2) and of writing.
pub fn sealed_program(bytes: &[u8]) -> Result<OwnedFd> {
    let fail = |error: rustix::io::Errno| Error::io_named("cannot prepare the init", error);
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // MFD_EXEC is of Linux 6.3; before, every memfd may be executed.
    let file = rustix::fs::memfd_create("envbox-init", flags | MemfdFlags::EXEC)
        .or_else(|_| rustix::fs::memfd_create("envbox-init", flags))
        .map_err(fail)?;
    let mut rest = bytes;
    while !rest.is_empty() {
        let count = rustix::io::write(file.as_fd(), rest).map_err(fail)?;
        rest = &rest[count..];
    }
    let seals = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&file, seals).map_err(fail)?;
    Ok(file)
}
