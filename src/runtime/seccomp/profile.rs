//! Docker's seccomp profiles: the JSON behind `--security-opt seccomp=FILE`,
//! read into a [`Policy`] for this machine. It opens no file, and refuses what
//! it does not know: a misspelt key in a security policy must not pass.
//!
//! Names of system calls that this machine does not have are passed over, as
//! docker does: profiles name the calls of all machines.

use std::collections::HashMap;

use serde::Deserialize;

use super::policy::{Abi, Action, Condition, EPERM, KernelVersion, Policy, Rule, Syscall, Test};
use super::{HOST, Machine};
use crate::error::{Context, Error, Result};
use crate::runtime::capability::{Capability, CapabilitySet};

/// The greatest error number that the kernel passes on (`MAX_ERRNO`).
const MAX_ERRNO: u64 = 4095;

/// Parses a profile of docker's.
///
/// `archMap` gives, for this machine, the conventions whose calls are judged;
/// `architectures` lists them outright; with neither it is the machine's own
/// alone. Calls by other conventions end the process, x32 calls always answer
/// `ENOSYS`. Entries for other machines mean nothing here.
///
/// # Errors
/// [`Kind::Invalid`](crate::error::Kind::Invalid) for what is not such a
/// profile, naming the key, action, operator, capability or system call;
/// [`Kind::Unsupported`](crate::error::Kind::Unsupported) for the actions and
/// options that need a process that listens.
pub fn parse_profile(json: &[u8]) -> Result<Policy> {
    parse_for(&HOST, json)
}

pub(super) fn parse_for(machine: &Machine, json: &[u8]) -> Result<Policy> {
    let profile: Profile = serde_json::from_slice(json)
        .map_err(|error| Error::invalid("malformed seccomp profile").because(error))?;
    refuse_listening(&profile)?;
    refuse_bare_name(profile.default_errno.as_deref(), profile.default_errno_ret)?;
    let default_action = action(&profile.default_action, profile.default_errno_ret)?;
    let numbers = numbers(machine);
    let mut rules = Vec::new();
    for entry in profile.syscalls.iter().flatten() {
        let found = entry.rules(machine, &numbers);
        rules.extend(found.context(|| format!("seccomp profile: {}", entry.title()))?);
    }
    Ok(Policy { default_action, abis: profile.abis(machine)?.into(), rules: rules.into() })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Profile {
    default_action: String,
    default_errno_ret: Option<u64>,
    /// Podman's, beside the number.
    default_errno: Option<String>,
    architectures: Option<Vec<String>>,
    arch_map: Option<Vec<Architecture>>,
    flags: Option<Vec<String>>,
    listener_path: Option<String>,
    syscalls: Option<Vec<Entry>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Architecture {
    architecture: String,
    sub_architectures: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Entry {
    /// The old form of `names`.
    name: Option<String>,
    names: Option<Vec<String>>,
    action: String,
    errno_ret: Option<u64>,
    /// Podman's, beside the number.
    errno: Option<String>,
    args: Option<Vec<Argument>>,
    /// For readers only.
    #[serde(rename = "comment")]
    _comment: Option<String>,
    includes: Option<Filter>,
    excludes: Option<Filter>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Argument {
    index: u8,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Filter {
    caps: Option<Vec<String>>,
    arches: Option<Vec<String>>,
    min_kernel: Option<String>,
}

impl Profile {
    fn abis(&self, machine: &Machine) -> Result<Vec<Abi>> {
        let own = machine.tables[0].abi;
        let names: Vec<&str> = match (&self.architectures, &self.arch_map) {
            (Some(list), Some(map)) if !list.is_empty() && !map.is_empty() => {
                return Err(Error::invalid(
                    "seccomp profile: architectures and archMap exclude each other",
                ));
            }
            (_, Some(map)) if !map.is_empty() => map
                .iter()
                .filter(|entry| abi(&entry.architecture) == Some(own))
                .flat_map(|entry| entry.sub_architectures.iter().flatten())
                .map(String::as_str)
                .collect(),
            (Some(list), _) => list.iter().map(String::as_str).collect(),
            (None, _) => Vec::new(),
        };
        let mut abis = vec![own];
        abis.extend(names.into_iter().filter_map(abi).filter(|&abi| abi != own));
        Ok(abis)
    }
}

/// The convention that libseccomp calls `name`, if this version covers it.
fn abi(name: &str) -> Option<Abi> {
    match name {
        "SCMP_ARCH_X86_64" => Some(Abi::X86_64),
        "SCMP_ARCH_X86" => Some(Abi::I386),
        "SCMP_ARCH_AARCH64" => Some(Abi::Aarch64),
        _ => None,
    }
}

fn refuse_listening(profile: &Profile) -> Result<()> {
    let flags = profile.flags.iter().flatten().next();
    if let Some(flag) = flags {
        return Err(Error::unsupported(format!("seccomp profile: flag {flag:?}")));
    }
    match profile.listener_path.as_deref() {
        None | Some("") => Ok(()),
        Some(_) => Err(Error::unsupported("seccomp profile: listenerPath")),
    }
}

fn numbers(machine: &Machine) -> HashMap<&'static str, Vec<Syscall>> {
    let mut numbers: HashMap<_, Vec<_>> = HashMap::new();
    for (name, syscall) in machine.syscalls() {
        numbers.entry(name).or_default().push(syscall);
    }
    numbers
}

impl Entry {
    fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().flatten().chain(&self.name).map(String::as_str)
    }

    /// What an error calls the entry: it has no name of its own.
    fn title(&self) -> String {
        let first = self.names().next().unwrap_or("nothing");
        format!("the entry that starts with {first}")
    }

    fn rules(
        &self,
        machine: &Machine,
        numbers: &HashMap<&'static str, Vec<Syscall>>,
    ) -> Result<Vec<Rule>> {
        if self.names().next().is_none() {
            return Err(Error::invalid("an entry names no system call"));
        }
        refuse_bare_name(self.errno.as_deref(), self.errno_ret)?;
        let action = action(&self.action, self.errno_ret)?;
        let condition = self.condition()?;
        let tests = self.tests()?;
        if !self.is_for(machine) {
            return Ok(Vec::new());
        }
        let syscalls: Vec<Syscall> =
            self.names().filter_map(|name| numbers.get(name)).flatten().copied().collect();
        let rule = |tests: &[Test]| Rule {
            syscalls: syscalls.clone().into(),
            action,
            tests: tests.to_vec().into(),
            condition,
        };
        // runc makes a rule of each test when two ask about one argument
        // (opencontainers/runc#2735); profiles are written to that.
        let repeats = tests.iter().enumerate().any(|(index, test)| {
            tests[..index].iter().any(|other| other.argument == test.argument)
        });
        if repeats {
            return Ok(tests.chunks(1).map(rule).collect());
        }
        Ok(vec![rule(&tests)])
    }

    fn tests(&self) -> Result<Vec<Test>> {
        self.args.iter().flatten().map(Argument::test).collect()
    }

    fn is_for(&self, machine: &Machine) -> bool {
        let lists = |filter: &Option<Filter>| {
            let arches = filter.as_ref()?.arches.as_ref().filter(|arches| !arches.is_empty())?;
            Some(arches.iter().any(|arch| arch == machine.goarch))
        };
        lists(&self.includes) != Some(false) && lists(&self.excludes) != Some(true)
    }

    fn condition(&self) -> Result<Condition> {
        let nothing = Filter::default();
        let includes = self.includes.as_ref().unwrap_or(&nothing);
        let excludes = self.excludes.as_ref().unwrap_or(&nothing);
        Ok(Condition {
            required: includes.capabilities()?,
            forbidden: excludes.capabilities()?,
            since: includes.kernel()?.unwrap_or_default(),
            before: excludes.kernel()?,
        })
    }
}

impl Filter {
    fn capabilities(&self) -> Result<CapabilitySet> {
        self.caps.iter().flatten().map(|name| Capability::parse(name)).collect()
    }

    fn kernel(&self) -> Result<Option<KernelVersion>> {
        let Some(text) = self.min_kernel.as_deref().filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let version = KernelVersion::from_release(text);
        version.map(Some).ok_or_else(|| {
            Error::invalid(format!("minKernel {text:?} is not a version such as \"4.8\""))
        })
    }
}

impl Argument {
    /// Source of the operators: `LinuxSeccompOperator` of the runtime
    /// specification; for `SCMP_CMP_MASKED_EQ` the value is the mask.
    fn test(&self) -> Result<Test> {
        let Self { index: argument, value, value_two, .. } = *self;
        if argument > 5 {
            return Err(Error::invalid(format!("there is no argument {argument}, 5 is the last")));
        }
        let within = |low, high| Test { argument, mask: u64::MAX, low, high, inside: true };
        // A range that starts above its end is met by nothing.
        let nothing = within(1, 0);
        Ok(match self.op.as_str() {
            "SCMP_CMP_EQ" => within(value, value),
            "SCMP_CMP_NE" => Test { inside: false, ..within(value, value) },
            "SCMP_CMP_LT" => value.checked_sub(1).map_or(nothing, |high| within(0, high)),
            "SCMP_CMP_LE" => within(0, value),
            "SCMP_CMP_GE" => within(value, u64::MAX),
            "SCMP_CMP_GT" => value.checked_add(1).map_or(nothing, |low| within(low, u64::MAX)),
            "SCMP_CMP_MASKED_EQ" => Test { mask: value, ..within(value_two, value_two) },
            op => return Err(Error::invalid(format!("there is no operator {op:?}"))),
        })
    }
}

fn action(name: &str, errno: Option<u64>) -> Result<Action> {
    let unknown = || Error::invalid(format!("there is no seccomp action {name:?}"));
    let short = name.strip_prefix("SCMP_ACT_").ok_or_else(unknown)?;
    if let "TRACE" | "NOTIFY" = short {
        return Err(Error::unsupported(format!(
            "the seccomp action {name} needs a process that listens"
        ))
        .hint("use SCMP_ACT_ERRNO or SCMP_ACT_LOG"));
    }
    let errno = errno.map(parse_errno).transpose()?;
    let action = Action::from_name(short, errno.unwrap_or(EPERM)).ok_or_else(unknown)?;
    match (action, errno) {
        (Action::Errno(_), _) | (_, None) => Ok(action),
        // The runtime specification asks for this refusal.
        (_, Some(_)) => Err(Error::invalid(format!("{name} answers no errno"))
            .hint("leave errnoRet and defaultErrnoRet to SCMP_ACT_ERRNO")),
    }
}

/// Podman's profiles name the error number beside giving it; the number is
/// what counts here.
fn refuse_bare_name(name: Option<&str>, number: Option<u64>) -> Result<()> {
    match (name, number) {
        (Some(name), None) => {
            Err(Error::unsupported(format!("the errno {name} without its number"))
                .hint("add errnoRet, or defaultErrnoRet, with the number"))
        }
        _ => Ok(()),
    }
}

fn parse_errno(errno: u64) -> Result<u16> {
    let invalid = || Error::invalid(format!("there is no errno {errno}, {MAX_ERRNO} is the last"));
    if errno > MAX_ERRNO {
        return Err(invalid());
    }
    u16::try_from(errno).map_err(|_| invalid())
}

#[cfg(test)]
mod tests;
