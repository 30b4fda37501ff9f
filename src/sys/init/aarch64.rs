//! What arm64 does its own way: entering, calling the kernel, call numbers
//! (include/uapi/asm-generic/unistd.h).

use core::arch::{asm, naked_asm};

pub const FCNTL: usize = 25;
pub const IOCTL: usize = 29;
pub const CLOSE: usize = 57;
pub const WRITE: usize = 64;
pub const EXIT_GROUP: usize = 94;
pub const KILL: usize = 129;
pub const RT_SIGACTION: usize = 134;
pub const RT_SIGPROCMASK: usize = 135;
pub const RT_SIGTIMEDWAIT: usize = 137;
pub const SETPGID: usize = 154;
pub const PRCTL: usize = 167;
pub const GETPID: usize = 172;
pub const CLONE: usize = 220;
pub const EXECVE: usize = 221;
pub const WAIT4: usize = 260;
pub const CLOSE_RANGE: usize = 436;

/// The entry point: the kernel leaves `argc`, `argv` and `envp` on the stack,
/// which is aligned to 16; their address is the argument.
// SAFETY: the only symbol of this name in the program, which links nothing else.
#[unsafe(no_mangle)]
#[unsafe(naked)]
extern "C" fn _start() -> ! {
    naked_asm!("mov x29, xzr", "mov x30, xzr", "mov x0, sp", "bl {start}", "brk #0", start = sym crate::start)
}

/// Calls the kernel; the value is the kernel's own: -4095..=-1 is an errno.
///
/// # Safety
/// The arguments are what call `number` demands.
#[inline(always)]
pub unsafe fn call(number: usize, arguments: [usize; 5]) -> isize {
    let [a, b, c, d, e] = arguments;
    let value;
    // SAFETY: `svc` changes x0 and nothing else; what the kernel does to memory
    // is the caller's promise.
    unsafe {
        asm!("svc #0", in("x8") number, inlateout("x0") a => value, in("x1") b, in("x2") c,
             in("x3") d, in("x4") e, options(nostack));
    }
    value
}
