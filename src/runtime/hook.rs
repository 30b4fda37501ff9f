//! Hooks: programs of the host's that see the container after its mounts are
//! made and before its root is changed (runtime spec, runtime.md, "Lifecycle",
//! createContainer). They run in the container's namespaces as children of its
//! first process, beside which nothing runs yet.
//!
//! What a hook says on either output goes to the standard error output. The
//! state is a file in memory: a hook that does not read it keeps nobody waiting.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::fs::{MemfdFlags, SeekFrom};
use rustix::process::{Pid, PidfdFlags};

use crate::error::Error;
use crate::sys::process;

use super::spec::{HookSpec, HooksSpec};

/// A hook, ready to run.
#[derive(Debug)]
pub struct Hook {
    spec: HookSpec,
    bundle: PathBuf,
    state: String,
}

impl Hook {
    /// One of `hooks`.
    pub fn new(spec: &HookSpec, hooks: &HooksSpec) -> Self {
        Self { spec: spec.clone(), bundle: hooks.bundle.clone(), state: hooks.state.clone() }
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// Those of execve(2); `ECANCELED` if it failed, and `ETIMEDOUT`, after it
    /// is killed, if it took too long.
    pub fn run(&self) -> io::Result<()> {
        // The container's program may get descriptors that are none of a hook's;
        // a later step marks them anew.
        process::close_on_exec_except(&[])?;
        let output = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stderr(), 3)?;
        let mut command = Command::new(&self.spec.path);
        let pairs = self.spec.env.iter().filter_map(|pair| pair.split_once('='));
        command.env_clear().envs(pairs).current_dir(&self.bundle);
        command.stdin(Stdio::from(self.state_file()?)).stdout(Stdio::from(output));
        if let [name, arguments @ ..] = self.spec.args.as_slice() {
            command.arg0(name).args(arguments);
        }
        let mut child = command.spawn()?;
        if let Some(seconds) = self.spec.timeout {
            let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
            let pid = pid.ok_or_else(|| io::Error::from_raw_os_error(libc::ESRCH))?;
            let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
            if !process::has_ended(std::os::fd::AsFd::as_fd(&pidfd), Duration::from_secs(seconds))?
            {
                child.kill()?;
                child.wait()?;
                return Err(io::Error::from_raw_os_error(libc::ETIMEDOUT));
            }
        }
        match child.wait()?.success() {
            true => Ok(()),
            false => Err(io::Error::from_raw_os_error(libc::ECANCELED)),
        }
    }

    fn state_file(&self) -> io::Result<OwnedFd> {
        let file = rustix::fs::memfd_create("state", MemfdFlags::CLOEXEC)?;
        let mut rest = self.state.as_bytes();
        while !rest.is_empty() {
            rest = &rest[rustix::io::write(&file, rest)?..];
        }
        rustix::fs::seek(&file, SeekFrom::Start(0))?;
        Ok(file)
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The second word is what NVIDIA's one program is to do.
        write!(f, "{}", self.spec.path.display())?;
        self.spec.args.get(1).map_or(Ok(()), |word| write!(f, " {word}"))
    }
}

/// Words for the errors of [`Hook::run`] that are not the kernel's.
pub fn explain(error: Error, errno: i32) -> Error {
    match errno {
        libc::ECANCELED => error.hint("it has failed: what it says about it stands above"),
        libc::ETIMEDOUT => error.hint("it took longer than its timeout allows, and was killed"),
        libc::ENOENT => error.hint("install the program, or make the file that names it anew"),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(script: &str, timeout: Option<u64>) -> io::Result<()> {
        let args = ["sh", "-c", script].map(str::to_owned).to_vec();
        let env = vec!["A=b c".to_owned()];
        let spec = HookSpec { path: "/bin/sh".into(), args, env, timeout };
        let hooks = HooksSpec { bundle: "/".into(), state: "{}".into(), ..Default::default() };
        Hook::new(&spec, &hooks).run()
    }

    #[test]
    fn has_its_state_its_environment_and_its_place() {
        run("test \"$(cat)\" = {} && test \"$A\" = 'b c' && test $PWD = / && test -z $HOME", None)
            .unwrap();
        run("exec <&-; exit 0", Some(1000)).unwrap();
    }

    #[test]
    fn failure_and_time_are_told_apart() {
        assert_eq!(run("exit 3", None).unwrap_err().raw_os_error(), Some(libc::ECANCELED));
        let late = run("exec sleep 1000", Some(0)).unwrap_err();
        assert_eq!(late.raw_os_error(), Some(libc::ETIMEDOUT));
        let spec = HookSpec { path: "/none".into(), args: vec![], env: vec![], timeout: None };
        let hooks = HooksSpec { bundle: "/".into(), ..Default::default() };
        let error = Hook::new(&spec, &hooks).run().unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
    }
}
