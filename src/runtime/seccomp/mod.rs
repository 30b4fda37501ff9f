//! Seccomp: which system calls a container may make. A [`Policy`] is rules as
//! data; [`program`] turns it into the classic BPF that the kernel runs. The
//! default policy is `default.toml`, docker's, compiled by the build script:
//! for docker's default capabilities the program is embedded and costs
//! nothing at start; for others, and for a user's profile
//! ([`parse_profile`]), the same compiler runs here.
//!
//! Nothing here loads a filter into the kernel, and nothing asks which kernel
//! or capabilities there are: the caller tells, by [`Subject`].
//!
//! Covered are the host's own calls and, on x86-64, those of 32-bit programs.
//! On arm64 a 32-bit program is ended by its first call.

mod emit;
mod policy;
mod profile;

use std::borrow::Cow;

use crate::error::{Error, Result};
use crate::runtime::capability::CapabilitySet;

pub use emit::{MAX_INSTRUCTIONS, SockFilter};
pub use policy::{Abi, Action, Condition, KernelVersion, Policy, Rule, Subject, Syscall, Test};
pub use profile::parse_profile;

mod generated {
    //! What the build script made of `default.toml`.

    use std::borrow::Cow;

    use super::emit::SockFilter;
    use super::policy::Abi::*;
    use super::policy::Action::*;
    use super::policy::{Condition, KernelVersion, Policy, Rule, Syscall, Test};
    use super::{CapabilitySet, Machine, Table};

    include!(concat!(env!("OUT_DIR"), "/seccomp.rs"));
}

#[cfg(target_arch = "aarch64")]
use generated::HOST_AARCH64 as HOST;
#[cfg(target_arch = "x86_64")]
use generated::HOST_X86_64 as HOST;

/// A machine: its system calls, and the default policy in its numbers.
struct Machine {
    /// Go's name for it, which profiles use.
    goarch: &'static str,
    /// The conventions of system calls, the machine's own first.
    tables: &'static [Table],
    policy: Policy,
    /// The default policy compiled for [`Subject::USUAL`].
    program: &'static [SockFilter],
}

/// The system calls of one convention.
struct Table {
    abi: Abi,
    /// Ascending.
    numbers: &'static [u32],
    /// In the order of the numbers, a blank between two: one string, because
    /// each string of an array would have to be relocated at every start.
    names: &'static str,
}

impl Table {
    fn syscalls(&self) -> impl Iterator<Item = (&'static str, Syscall)> {
        let abi = self.abi;
        self.names
            .split(' ')
            .zip(self.numbers)
            .map(move |(name, &number)| (name, Syscall(abi, number)))
    }
}

impl Machine {
    fn syscalls(&self) -> impl Iterator<Item = (&'static str, Syscall)> {
        self.tables.iter().flat_map(Table::syscalls)
    }

    /// The calls with these names, in every convention that has them.
    fn named(&self, names: &[&str]) -> Vec<Syscall> {
        if names.is_empty() {
            return Vec::new();
        }
        let calls = self.syscalls().filter(|(name, _)| names.contains(name));
        calls.map(|(_, syscall)| syscall).collect()
    }

    fn emit(&self, policy: &Policy, subject: &Subject, succeed: &[Syscall]) -> Vec<SockFilter> {
        let known = self.tables.iter();
        let known: Vec<_> =
            known.map(|table| emit::Known { abi: table.abi, numbers: table.numbers }).collect();
        emit::emit(policy, &known, subject, succeed)
    }
}

/// The calls that change the owner of a file. Where a container has a single
/// ID there is nothing to change, and package managers take no refusal.
pub const CHOWN_SYSCALLS: &[&str] =
    &["chown", "chown32", "fchown", "fchown32", "fchownat", "lchown", "lchown32"];

/// What is laid over a policy.
#[derive(Clone, Copy, Debug, Default)]
pub struct Overrides<'a> {
    /// System calls, by name, that answer success without being performed,
    /// whatever the policy says. A name that this machine lacks in one of its
    /// conventions is passed over there.
    pub succeed: &'a [&'a str],
}

/// The default policy of this machine.
pub fn default_policy() -> &'static Policy {
    &HOST.policy
}

/// The filter of `policy` for `subject`, with `overrides` laid over it: the
/// embedded one for the default policy and the usual subject, else compiled
/// now.
///
/// # Errors
/// [`Kind::Unsupported`](crate::error::Kind::Unsupported) when the filter
/// would be longer than the kernel takes, which only a profile with very many
/// rules on arguments brings about.
pub fn program(
    policy: &Policy,
    subject: &Subject,
    overrides: Overrides<'_>,
) -> Result<Cow<'static, [SockFilter]>> {
    let is_usual = subject.capabilities == Subject::USUAL.capabilities
        && subject.kernel >= Subject::USUAL.kernel;
    if is_usual && overrides.succeed.is_empty() && std::ptr::eq(policy, &HOST.policy) {
        return Ok(Cow::Borrowed(HOST.program));
    }
    let program = HOST.emit(policy, subject, &HOST.named(overrides.succeed));
    if program.len() > MAX_INSTRUCTIONS {
        let length = program.len();
        return Err(Error::unsupported(format!(
            "the seccomp policy needs {length} instructions, the kernel takes {MAX_INSTRUCTIONS}"
        ))
        .hint("give the profile fewer rules on arguments"));
    }
    Ok(Cow::Owned(program))
}

#[cfg(test)]
mod interpreter;
#[cfg(test)]
mod tests;
