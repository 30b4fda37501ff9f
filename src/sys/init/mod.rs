//! The container's PID 1, as bytes: a static program of a few kilobytes that
//! the build script compiles from the files beside this one (`main.rs` is its
//! root) and that the engine carries inside itself.
//!
//! It is a program of its own, not a re-exec of the engine, for two reasons:
//! started from a sealed memfd, `/proc/1/exe` inside the container leads to a
//! copy of these bytes that nobody can write, and never to the engine's binary
//! (CVE-2019-5736); and a PID 1 that lives as long as the container costs a
//! few pages, not megabytes.
//!
//! # Contract
//!
//! ```text
//! envbox-init STATUS_FD PATH ARG0 [ARG...]      (environment: the command's)
//! envbox-exec STATUS_FD PATH ARG0 [ARG...]
//! ```
//!
//! Under the second name it is no init: it becomes the command, as it is. Even
//! then the command is executed from here and not from the engine, so that
//! `/proc/self/exe` and `/proc/self/fd/N`, which an image may name as its
//! command or as the interpreter of a script, lead to nothing of the host's.
//! What follows is of the first name, but for `STATUS_FD` and `PATH`.
//!
//! Whoever executes it has already made the session, the controlling terminal
//! on descriptor 0 (if there is one), the user, the capabilities, the working
//! directory and the seccomp filter: init is exactly as privileged as the
//! command, and adds nothing.
//!
//! - `STATUS_FD` (3 or higher, inherited, not close-on-exec) is a pipe or a
//!   socket. The end of file without a byte says that the command runs. Four
//!   bytes, a native-endian `i32`, are the `errno` of the `execve` that failed;
//!   init then exits with 127 for `ENOENT` and 126 for every other.
//! - `PATH` is handed to `execve` as it is: no search in `PATH`, no shell for
//!   a script without an interpreter line (that is `ENOEXEC`).
//! - The command becomes the leader of its own process group and, where
//!   descriptor 0 is the controlling terminal, that group is the foreground
//!   one. It starts with every signal at its default action and none blocked.
//!   It inherits every descriptor that is not close-on-exec, but `STATUS_FD`.
//! - Init keeps descriptors 0, 1 and 2 (`/proc/1/fd/1` is an address that
//!   people write their logs to) and closes every other: a preserved pipe ends
//!   when the command closes it.
//! - Exit status: the command's own; 128+N where signal N ended it; 125 where
//!   the arguments above are malformed or there is no process to be had. The
//!   end of PID 1 is the end of the PID namespace: the kernel kills the rest.
//! - Orphans are reaped, also where init is not PID 1 (`PR_SET_CHILD_SUBREAPER`).
//!
//! # Signals
//!
//! Init blocks every signal for its whole life and takes them with
//! `rt_sigtimedwait`. That makes it killable as PID 1: the kernel drops a
//! signal to a namespace's init only if its action is the default **and** it is
//! not blocked (`sig_ignored()` in kernel/signal.c), so all but `SIGKILL` and
//! `SIGSTOP` arrive, from outside and from inside.
//!
//! - `SIGHUP SIGINT SIGQUIT SIGTERM SIGTSTP SIGCONT SIGWINCH` go to the
//!   command's process group, as a terminal or a shell's `kill %1` sends them.
//!   A build is a tree of processes: `sh -c 'make'` told to stop must tell
//!   `make`, which then deletes its half-written targets.
//! - `SIGCHLD` is init's own.
//! - Every other (`SIGUSR1`, real-time ones) goes to the command alone: its
//!   children never agreed on a meaning, and the default action would end them.
//! - The command stopped by `SIGTSTP` that did not come through init (Ctrl-Z at
//!   the terminal) is continued at once: nobody inside could ever resume it, and
//!   POSIX says the same of an orphaned process group. A stop that was asked of
//!   init lasts until `SIGCONT` is sent to init.
//!
//! It knows nothing of containers, and never allocates, prints, or opens a file.

/// The program, an ELF executable for the target's own architecture: static,
/// stripped, at a fixed address.
pub static INIT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/envbox-init"));
