//! What x86-64 does its own way: entering, calling the kernel, call numbers
//! (arch/x86/entry/syscalls/syscall_64.tbl).

use core::arch::{asm, naked_asm};

pub const WRITE: usize = 1;
pub const CLOSE: usize = 3;
pub const RT_SIGACTION: usize = 13;
pub const RT_SIGPROCMASK: usize = 14;
pub const IOCTL: usize = 16;
pub const GETPID: usize = 39;
pub const CLONE: usize = 56;
pub const EXECVE: usize = 59;
pub const WAIT4: usize = 61;
pub const KILL: usize = 62;
pub const FCNTL: usize = 72;
pub const SETPGID: usize = 109;
pub const RT_SIGTIMEDWAIT: usize = 128;
pub const PRCTL: usize = 157;
pub const EXIT_GROUP: usize = 231;
pub const CLOSE_RANGE: usize = 436;

/// The entry point: the kernel leaves `argc`, `argv` and `envp` on the stack
/// (System V ABI, AMD64 supplement, 3.4.1); their address is the argument.
// SAFETY: the only symbol of this name in the program, which links nothing else.
#[unsafe(no_mangle)]
#[unsafe(naked)]
extern "C" fn _start() -> ! {
    naked_asm!("xor ebp, ebp", "mov rdi, rsp", "and rsp, -16", "call {start}", "ud2", start = sym crate::start)
}

/// Calls the kernel; the value is the kernel's own: -4095..=-1 is an errno.
///
/// # Safety
/// The arguments are what call `number` demands.
#[inline(always)]
pub unsafe fn call(number: usize, arguments: [usize; 5]) -> isize {
    let [a, b, c, d, e] = arguments;
    let value;
    // SAFETY: `syscall` clobbers rcx and r11 and nothing else; what the kernel
    // does to memory is the caller's promise.
    unsafe {
        asm!("syscall", inlateout("rax") number as isize => value, in("rdi") a, in("rsi") b,
             in("rdx") c, in("r10") d, in("r8") e, lateout("rcx") _, lateout("r11") _,
             options(nostack));
    }
    value
}
