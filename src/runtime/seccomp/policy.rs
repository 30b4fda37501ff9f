//! What a seccomp policy says, as plain data: rules about system calls, the
//! conditions under which a rule stands, and what is answered. Shared with
//! the build script, so it uses nothing but `std`. It knows neither files nor
//! BPF; names of system calls have become numbers before they come here.

use std::borrow::Cow;

use super::CapabilitySet;

/// The error number "operation not permitted", equal on every machine here.
pub const EPERM: u16 = 1;
/// The error number "no such system call", equal on every machine here.
pub const ENOSYS: u16 = 38;

/// A system call convention, each with a numbering of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Abi {
    /// 64-bit calls of x86-64.
    X86_64,
    /// 32-bit calls of x86, also on a 64-bit kernel.
    I386,
    /// 64-bit calls of arm64.
    Aarch64,
}

impl Abi {
    /// The value of `seccomp_data.arch`: `AUDIT_ARCH_*` of
    /// `include/uapi/linux/audit.h`.
    pub const fn audit_arch(self) -> u32 {
        match self {
            Self::X86_64 => 0xc000_003e,
            Self::I386 => 0x4000_0003,
            Self::Aarch64 => 0xc000_00b7,
        }
    }

    /// The bits of an argument that the kernel looks at. `int $0x80` from
    /// 64-bit code leaves the high halves of the registers in
    /// `seccomp_data.args` although the call ignores them; a filter that
    /// compared them could be led astray.
    pub const fn argument_mask(self) -> u64 {
        match self {
            Self::I386 => 0xffff_ffff,
            Self::X86_64 | Self::Aarch64 => u64::MAX,
        }
    }
}

/// One system call: its number in the table of its convention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Syscall(pub Abi, pub u32);

/// What the kernel does with a call; see seccomp(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Performs it.
    Allow,
    /// Performs it and logs it.
    Log,
    /// Answers this error number; 0 is success without doing anything.
    Errno(u16),
    /// Sends `SIGSYS` to the thread.
    Trap,
    /// Ends the thread.
    KillThread,
    /// Ends the process.
    KillProcess,
}

impl Action {
    /// The action that the runtime specification calls `SCMP_ACT_` and `name`;
    /// `errno` is what `ERRNO` answers. None where this version has no such
    /// action: `TRACE` and `NOTIFY` need a process that listens.
    pub fn from_name(name: &str, errno: u16) -> Option<Self> {
        Some(match name {
            "ALLOW" => Self::Allow,
            "LOG" => Self::Log,
            "ERRNO" => Self::Errno(errno),
            "TRAP" => Self::Trap,
            "KILL" | "KILL_THREAD" => Self::KillThread,
            "KILL_PROCESS" => Self::KillProcess,
            _ => return None,
        })
    }

    /// Whether the call is performed.
    pub const fn is_permissive(self) -> bool {
        matches!(self, Self::Allow | Self::Log)
    }

    /// The filter's return value: `SECCOMP_RET_*` of
    /// `include/uapi/linux/seccomp.h`.
    pub const fn return_value(self) -> u32 {
        match self {
            Self::Allow => 0x7fff_0000,
            Self::Log => 0x7ffc_0000,
            Self::Errno(errno) => 0x0005_0000 | errno as u32,
            Self::Trap => 0x0003_0000,
            Self::KillThread => 0x0000_0000,
            Self::KillProcess => 0x8000_0000,
        }
    }
}

/// A question about one argument: whether `argument & mask` lies from `low`
/// to `high`, both included. The six comparisons of libseccomp are all of
/// this form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Test {
    /// Which argument, 0 to 5.
    pub argument: u8,
    /// The bits that count.
    pub mask: u64,
    /// The least value.
    pub low: u64,
    /// The greatest value.
    pub high: u64,
    /// The answer that the rule wants; false for "not equal".
    pub inside: bool,
}

/// A kernel's version as far as policies ask for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct KernelVersion {
    /// The first number.
    pub major: u32,
    /// The second number.
    pub minor: u32,
}

impl KernelVersion {
    /// Reads the start of a release as uname(2) tells it, such as
    /// `6.18.2-arch1` or `4.8`; none where it does not start with two numbers.
    pub fn from_release(release: &str) -> Option<Self> {
        let (major, rest) = release.split_once('.')?;
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        Some(Self { major: major.parse().ok()?, minor: rest[..end].parse().ok()? })
    }
}

/// For whom a filter is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The bounding set of the container.
    pub capabilities: CapabilitySet,
    /// The running kernel.
    pub kernel: KernelVersion,
}

impl Subject {
    /// For whom the embedded program of the default policy is made: docker's
    /// fourteen capabilities, and a kernel that no rule is too new for.
    pub const USUAL: Self =
        Self { capabilities: CapabilitySet::DEFAULT, kernel: KernelVersion { major: 4, minor: 8 } };
}

/// When a rule stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Capabilities that the container must all hold.
    pub required: CapabilitySet,
    /// Capabilities of which it must hold none.
    pub forbidden: CapabilitySet,
    /// The first kernel.
    pub since: KernelVersion,
    /// The first kernel that is too new.
    pub before: Option<KernelVersion>,
}

impl Condition {
    /// Whether the rule stands for `subject`.
    pub fn holds(&self, subject: &Subject) -> bool {
        subject.capabilities.contains_all(self.required)
            && !subject.capabilities.intersects(self.forbidden)
            && subject.kernel >= self.since
            && self.before.is_none_or(|before| subject.kernel < before)
    }
}

/// What is answered to some system calls when all tests on their arguments
/// are met.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The calls.
    pub syscalls: Cow<'static, [Syscall]>,
    /// The answer.
    pub action: Action,
    /// Tests that must all be met; none for every call.
    pub tests: Cow<'static, [Test]>,
    /// When the rule stands.
    pub condition: Condition,
}

/// A seccomp policy for one machine.
///
/// Of several rules for one call that stand, one without tests decides alone
/// (the first of them), else the first whose tests are met, else the default;
/// a rule whose action is the default's says nothing. So do libseccomp and
/// runc with the same file.
#[derive(Clone, Debug)]
pub struct Policy {
    /// What is answered where no rule speaks.
    pub default_action: Action,
    /// The conventions in use; a call by any other ends the process.
    pub abis: Cow<'static, [Abi]>,
    /// The rules.
    pub rules: Cow<'static, [Rule]>,
}
