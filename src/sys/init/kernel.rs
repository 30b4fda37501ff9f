//! The sixteen system calls that init makes, with types. Each is one call: no
//! policy, no retry, no state. Constants are the kernel's (include/uapi), equal
//! on both architectures.

use core::ffi::c_char;

use crate::arch;

/// A failed call's number, as in errno(3).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Errno(pub i32);

pub const ENOENT: Errno = Errno(2);

pub const SIGHUP: i32 = 1;
pub const SIGINT: i32 = 2;
pub const SIGQUIT: i32 = 3;
pub const SIGKILL: i32 = 9;
pub const SIGTERM: i32 = 15;
pub const SIGCHLD: i32 = 17;
pub const SIGCONT: i32 = 18;
pub const SIGSTOP: i32 = 19;
pub const SIGTSTP: i32 = 20;
pub const SIGWINCH: i32 = 28;
/// The highest signal number, real-time ones included.
pub const SIGNALS: i32 = 64;

/// A set of signals: bit N-1 is signal N.
pub type SignalSet = u64;
pub const ALL: SignalSet = !0;
pub const NONE: SignalSet = 0;

/// Whom kill(2) is for.
#[derive(Clone, Copy)]
pub enum Target {
    Process(i32),
    Group(i32),
}

/// What wait4(2) says of a child.
#[derive(Clone, Copy)]
pub enum Change {
    Exited(i32),
    Killed(i32),
    Stopped(i32),
}

/// Calls with arguments that hold no address.
fn call(number: usize, arguments: [usize; 5]) -> Result<usize, Errno> {
    // SAFETY: used below only for calls whose arguments are plain numbers, so
    // the kernel touches no memory of this program.
    result(unsafe { arch::call(number, arguments) })
}

fn result(value: isize) -> Result<usize, Errno> {
    if value < 0 { Err(Errno(-value as i32)) } else { Ok(value as usize) }
}

pub fn exit(status: i32) -> ! {
    loop {
        let _ = call(arch::EXIT_GROUP, [status as usize, 0, 0, 0, 0]);
    }
}

pub fn process_id() -> i32 {
    call(arch::GETPID, [0; 5]).map_or(0, |id| id as i32)
}

/// Forks, and returns in the parent (with the child's id) only once the child
/// has executed a program or exited: `CLONE_VFORK` without `CLONE_VM`, so no
/// memory is shared. `None` in the child.
pub fn fork_until_exec() -> Result<Option<i32>, Errno> {
    const CLONE_VFORK: usize = 0x4000;
    // A null stack pointer is the parent's own, copied with the rest; the last
    // three arguments, which the two architectures order differently, are null.
    let id = call(arch::CLONE, [CLONE_VFORK | SIGCHLD as usize, 0, 0, 0, 0])?;
    Ok(if id == 0 { None } else { Some(id as i32) })
}

/// Adopts the orphans among its descendants, as PID 1 does by nature.
pub fn become_subreaper() {
    const PR_SET_CHILD_SUBREAPER: usize = 36;
    let _ = call(arch::PRCTL, [PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0]);
}

/// Names the process in `/proc/PID/comm`: a program run from a descriptor would
/// show the descriptor's number there.
pub fn set_name(name: &core::ffi::CStr) {
    const PR_SET_NAME: usize = 15;
    // SAFETY: the kernel reads the string up to its NUL, which `CStr` has.
    unsafe { arch::call(arch::PRCTL, [PR_SET_NAME, name.as_ptr() as usize, 0, 0, 0]) };
}

/// Replaces the mask of blocked signals; `SIGKILL` and `SIGSTOP` stay out of it.
pub fn set_blocked(set: SignalSet) {
    const SIG_SETMASK: usize = 2;
    let set = &raw const set as usize;
    // SAFETY: `set` points at eight readable bytes, the size that is passed.
    unsafe { arch::call(arch::RT_SIGPROCMASK, [SIG_SETMASK, set, 0, size_of::<SignalSet>(), 0]) };
}

/// Sets one signal to its default action.
pub fn set_default_action(signal: i32) {
    // struct sigaction as the kernel has it: handler (SIG_DFL is null), flags,
    // restorer, mask.
    let action = [0_u64; 4];
    let pointer = &raw const action as usize;
    let size = size_of::<SignalSet>();
    // SAFETY: `pointer` leads to the 32 readable bytes of the kernel's struct.
    unsafe { arch::call(arch::RT_SIGACTION, [signal as usize, pointer, 0, size, 0]) };
}

/// Waits for any signal that is blocked, and takes it.
pub fn take_signal() -> Result<i32, Errno> {
    let set = ALL;
    let pointer = &raw const set as usize;
    // SAFETY: `pointer` leads to eight readable bytes, the size that is passed;
    // no siginfo is asked for and no time limit given.
    let value =
        unsafe { arch::call(arch::RT_SIGTIMEDWAIT, [pointer, 0, 0, size_of::<SignalSet>(), 0]) };
    result(value).map(|signal| signal as i32)
}

pub fn send(signal: i32, target: Target) {
    let target = match target {
        Target::Process(id) => id,
        Target::Group(id) => -id,
    };
    // What is already gone, or has changed to a user that init may not signal,
    // is nobody's error: there is no one to tell.
    let _ = call(arch::KILL, [target as usize, signal as usize, 0, 0, 0]);
}

/// Takes the next child that ended or stopped, without waiting for one.
pub fn next_change() -> Option<(i32, Change)> {
    const WNOHANG: usize = 1;
    const WUNTRACED: usize = 2;
    let mut status = 0_i32;
    let pointer = &raw mut status as usize;
    let any = -1_isize as usize;
    // SAFETY: `pointer` leads to four writable bytes; no resource usage is asked
    // for.
    let value = unsafe { arch::call(arch::WAIT4, [any, pointer, WNOHANG | WUNTRACED, 0, 0]) };
    let id = result(value).ok().filter(|id| *id != 0)? as i32;
    Some((id, decode(status)))
}

/// The macros of wait(2), as one value.
fn decode(status: i32) -> Change {
    match (status & 0x7f, status >> 8 & 0xff) {
        (0, status) => Change::Exited(status),
        (0x7f, signal) => Change::Stopped(signal),
        (signal, _) => Change::Killed(signal),
    }
}

/// Makes the caller the leader of a new process group.
pub fn lead_group() {
    let _ = call(arch::SETPGID, [0; 5]);
}

/// Makes process group `group` the foreground one of the terminal on descriptor
/// 0; nothing happens where that is not the controlling terminal.
pub fn take_foreground(group: i32) {
    const TIOCSPGRP: usize = 0x5410;
    let pointer = &raw const group as usize;
    // SAFETY: the request reads four bytes, which `pointer` leads to.
    unsafe { arch::call(arch::IOCTL, [0, TIOCSPGRP, pointer, 0, 0]) };
}

pub fn set_close_on_exec(descriptor: i32) -> Result<(), Errno> {
    const F_SETFD: usize = 2;
    const FD_CLOEXEC: usize = 1;
    call(arch::FCNTL, [descriptor as usize, F_SETFD, FD_CLOEXEC, 0, 0]).map(drop)
}

/// Closes every descriptor from `first` on.
pub fn close_from(first: i32) {
    if call(arch::CLOSE_RANGE, [first as usize, u32::MAX as usize, 0, 0, 0]).is_ok() {
        return;
    }
    // Before Linux 5.9: a process starts with a limit of 1024 unless somebody
    // raised it, and what lies beyond that nobody passes to a container.
    for descriptor in first..1024 {
        let _ = call(arch::CLOSE, [descriptor as usize, 0, 0, 0, 0]);
    }
}

pub fn write(descriptor: i32, bytes: &[u8]) {
    let (pointer, size) = (bytes.as_ptr() as usize, bytes.len());
    // SAFETY: the kernel reads `size` bytes from a slice that has them.
    unsafe { arch::call(arch::WRITE, [descriptor as usize, pointer, size, 0, 0]) };
}

/// Executes a program; returns only where that failed.
///
/// # Safety
/// `path` is a C string, `argv` and `envp` are null-terminated arrays of them.
pub unsafe fn execute(
    path: *const c_char,
    argv: *const *const c_char,
    envp: *const *const c_char,
) -> Errno {
    // SAFETY: the caller's promise is what execve(2) asks for.
    let value =
        unsafe { arch::call(arch::EXECVE, [path as usize, argv as usize, envp as usize, 0, 0]) };
    Errno(-value as i32)
}
