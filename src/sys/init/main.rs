//! The container's PID 1. What it promises is written in `mod.rs`; this is the
//! program, linked against nothing: it reads its arguments where the kernel put
//! them, forks the command, and then lives in one loop over signals.
//!
//! It is compiled by `src/build/init.rs`, not as a module of the library.

#![no_std]
#![no_main]
#![deny(unsafe_op_in_unsafe_fn)]

#[cfg_attr(target_arch = "x86_64", path = "x86_64.rs")]
#[cfg_attr(target_arch = "aarch64", path = "aarch64.rs")]
mod arch;
mod kernel;

use core::ffi::c_char;

use kernel::{Change, Errno, Target};

/// Init itself cannot go on: its arguments are malformed, or the fork failed.
const EXIT_INIT: i32 = 125;
/// The command was found and cannot be executed (POSIX shell, 2.8.2).
const EXIT_CANNOT_EXECUTE: i32 = 126;
/// There is no such command.
const EXIT_NOT_FOUND: i32 = 127;

/// The name under which there is no init, only the command.
const LAUNCHER: &[u8] = b"envbox-exec\0";

/// What init was told to run.
struct Command {
    /// Whether there is to be no init, only the command.
    replaces_init: bool,
    status_fd: i32,
    path: *const c_char,
    argv: *const *const c_char,
    envp: *const *const c_char,
}

/// Where the entry point of `arch` comes to, with the stack that the kernel
/// made: `argc`, `argv[]`, null, `envp[]`, null.
unsafe extern "C" fn start(stack: *const usize) -> ! {
    // SAFETY: `stack` is the process's initial stack, by the ABI.
    let Some(command) = (unsafe { parse(stack) }) else { kernel::exit(EXIT_INIT) };
    if kernel::set_close_on_exec(command.status_fd).is_err() {
        kernel::exit(EXIT_INIT);
    }
    if command.replaces_init {
        execute(&command);
    }
    kernel::set_blocked(kernel::ALL);
    // Not only for the command: with SIGCHLD ignored the kernel would reap in
    // init's place and lose the exit status.
    for signal in 1..=kernel::SIGNALS {
        if signal != kernel::SIGKILL && signal != kernel::SIGSTOP {
            kernel::set_default_action(signal);
        }
    }
    kernel::set_name(c"envbox-init");
    if kernel::process_id() != 1 {
        kernel::become_subreaper();
    }
    match kernel::fork_until_exec() {
        Ok(None) => run(&command),
        Ok(Some(child)) => {
            kernel::close_from(3);
            kernel::exit(keep(child))
        }
        Err(errno) => fail(&command, errno, EXIT_INIT),
    }
}

/// Reads `envbox-init|envbox-exec STATUS_FD PATH ARG0 [ARG...]`.
///
/// # Safety
/// `stack` is the initial stack of a process.
unsafe fn parse(stack: *const usize) -> Option<Command> {
    // SAFETY: by the caller's promise `argc` pointers and a null follow, and
    // after them the environment; nothing is read past what `argc` allows.
    unsafe {
        let argc = *stack;
        if argc < 4 {
            return None;
        }
        let argv = stack.add(1).cast::<*const c_char>();
        let status_fd = parse_descriptor(*argv.add(1))?;
        let envp = argv.add(argc + 1);
        let replaces_init = is_text(*argv, LAUNCHER);
        Some(Command { replaces_init, status_fd, path: *argv.add(2), argv: argv.add(3), envp })
    }
}

/// Whether a C string is `expected`, which ends with its NUL.
///
/// # Safety
/// `text` is a C string.
unsafe fn is_text(text: *const c_char, expected: &[u8]) -> bool {
    // SAFETY: a byte is read only after all before it were equal to those of
    // `expected`, whose only NUL is the last: never past the NUL of `text`.
    expected.iter().enumerate().all(|(at, byte)| unsafe { *text.add(at) } as u8 == *byte)
}

/// Parses a decimal descriptor number that is not one of the standard three.
/// (`CStr` would want a `strlen`, and there is no C library.)
///
/// # Safety
/// `text` is a C string.
unsafe fn parse_descriptor(mut text: *const c_char) -> Option<i32> {
    let mut number = 0_i32;
    loop {
        // SAFETY: nothing is read past the terminating NUL.
        let digit = unsafe { *text } as u8;
        if digit == 0 {
            return (number > 2).then_some(number);
        }
        if !digit.is_ascii_digit() {
            return None;
        }
        number = number.checked_mul(10)?.checked_add(i32::from(digit - b'0'))?;
        // SAFETY: this byte was not the NUL, so the next one belongs to it too.
        text = unsafe { text.add(1) };
    }
}

/// The child: becomes the command.
fn run(command: &Command) -> ! {
    kernel::lead_group();
    // With every signal still blocked, SIGTTOU among them: a background group
    // that takes the terminal would be stopped by it.
    kernel::take_foreground(kernel::process_id());
    kernel::set_blocked(kernel::NONE);
    execute(command)
}

/// Becomes the command as this process is.
fn execute(command: &Command) -> ! {
    // SAFETY: the three pointers come from the initial stack, which the kernel
    // filled with null-terminated strings and arrays.
    let errno = unsafe { kernel::execute(command.path, command.argv, command.envp) };
    let status = if errno == kernel::ENOENT { EXIT_NOT_FOUND } else { EXIT_CANNOT_EXECUTE };
    fail(command, errno, status)
}

/// Tells the parent why there is no command, and ends.
fn fail(command: &Command, errno: Errno, status: i32) -> ! {
    kernel::write(command.status_fd, &errno.0.to_ne_bytes());
    kernel::exit(status)
}

/// Keeps the command until it ends: reaps, forwards. Returns its exit status.
fn keep(child: i32) -> i32 {
    let mut paused = false;
    loop {
        // EINTR: init itself was stopped and continued.
        let Ok(signal) = kernel::take_signal() else { continue };
        if signal != kernel::SIGCHLD {
            kernel::send(signal, target(signal, child));
            paused = signal == kernel::SIGTSTP || (paused && signal != kernel::SIGCONT);
            continue;
        }
        if let Some(status) = reap(child, paused) {
            return status;
        }
    }
}

/// Whom a signal to init is meant for.
fn target(signal: i32, child: i32) -> Target {
    use kernel::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGWINCH};
    match signal {
        SIGHUP | SIGINT | SIGQUIT | SIGTERM | SIGTSTP | SIGCONT | SIGWINCH => Target::Group(child),
        _ => Target::Process(child),
    }
}

/// Takes every child that has changed; the exit status once the command ended.
fn reap(child: i32, paused: bool) -> Option<i32> {
    let mut ended = None;
    while let Some((id, change)) = kernel::next_change() {
        match change {
            _ if id != child => {}
            Change::Exited(status) => ended = Some(status),
            Change::Killed(signal) => ended = Some(128 + signal),
            Change::Stopped(kernel::SIGTSTP) if !paused => {
                kernel::send(kernel::SIGCONT, Target::Group(child));
            }
            Change::Stopped(_) => {}
        }
    }
    ended
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    kernel::exit(EXIT_INIT)
}
