//! Compiles the default seccomp policy: names become numbers, and for the
//! usual capabilities the policy becomes a finished BPF program. What comes
//! out is Rust text with one module a machine, so that the binary parses
//! nothing at start. The compiler itself is the library's own, included here;
//! this file knows only the TOML and the text.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use serde::Deserialize;

#[path = "../runtime/capability/set.rs"]
mod capability;
#[path = "../runtime/seccomp/emit.rs"]
mod emit;
#[path = "../runtime/seccomp/policy.rs"]
mod policy;

use capability::{Capability, CapabilitySet};
use emit::{Known, MAX_INSTRUCTIONS, emit};
use policy::{Abi, Action, Condition, EPERM, KernelVersion, Policy, Rule, Subject, Syscall, Test};

const SOURCE: &str = "src/runtime/seccomp/default.toml";

/// Writes `seccomp.rs` into `OUT_DIR`.
///
/// # Panics
/// When the policy is malformed: that is the way of a build script to fail.
pub fn compile() {
    writeln!(std::io::stdout(), "cargo::rerun-if-changed={SOURCE}").expect("cargo reads us");
    let text = std::fs::read_to_string(SOURCE).expect(SOURCE);
    let source: Source = toml::from_str(&text).unwrap_or_else(|error| panic!("{SOURCE}: {error}"));
    let machines = machines();
    check_names(&source, &machines);
    let modules: String = machines.iter().map(|machine| render(machine, &source)).collect();
    let out = std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    std::fs::write(Path::new(&out).join("seccomp.rs"), modules).expect("OUT_DIR is writable");
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Source {
    group: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    why: String,
    syscalls: Vec<String>,
    #[serde(default = "allow")]
    action: String,
    errno: Option<u16>,
    #[serde(default)]
    capabilities: Vec<String>,
    #[serde(default)]
    without: Vec<String>,
    kernel: Option<String>,
    hosts: Option<Vec<String>>,
    argument: Option<u8>,
    mask: Option<u64>,
    #[serde(default)]
    values: Vec<u64>,
    #[serde(default)]
    ranges: Vec<(u64, u64)>,
}

fn allow() -> String {
    "ALLOW".to_owned()
}

struct Machine {
    /// Rust's name for it.
    arch: &'static str,
    /// Go's name, which docker's profiles use.
    goarch: &'static str,
    tables: Vec<Table>,
}

/// The system calls of a convention, ascending by number.
struct Table {
    abi: Abi,
    syscalls: Vec<(u32, &'static str)>,
}

impl Table {
    fn number(&self, name: &str) -> Option<u32> {
        self.syscalls.iter().find(|(_, known)| *known == name).map(|(number, _)| *number)
    }
}

/// The table of one module of the `syscalls` crate. Its own iterator leaves
/// out the last call.
macro_rules! table {
    ($abi:expr, $arch:ident) => {
        Table {
            abi: $abi,
            syscalls: (0..=syscalls::$arch::Sysno::last().id())
                .filter_map(|id| syscalls::$arch::Sysno::new(id as usize))
                .map(|call| (call.id() as u32, kernel_name(call.name())))
                .collect(),
        }
    };
}

/// The kernel's name of what the crate calls `name`: a keyword of Rust is
/// escaped there, and call 79 of arm64 is `newfstatat` in the kernel's
/// `include/uapi/asm-generic/unistd.h`.
fn kernel_name(name: &'static str) -> &'static str {
    match name {
        "fstatat" => "newfstatat",
        _ => name.trim_start_matches("r#"),
    }
}

fn machines() -> Vec<Machine> {
    let x86_64 = vec![table!(Abi::X86_64, x86_64), table!(Abi::I386, x86)];
    let aarch64 = vec![table!(Abi::Aarch64, aarch64)];
    vec![
        Machine { arch: "x86_64", goarch: "amd64", tables: x86_64 },
        Machine { arch: "aarch64", goarch: "arm64", tables: aarch64 },
    ]
}

fn check_names(source: &Source, machines: &[Machine]) {
    for name in source.group.iter().flat_map(|group| &group.syscalls) {
        let mut tables = machines.iter().flat_map(|machine| &machine.tables);
        assert!(
            tables.any(|table| table.number(name).is_some()),
            "{SOURCE}: no system call is named {name:?}"
        );
    }
}

fn policy_of(machine: &Machine, source: &Source) -> Policy {
    let is_here = |group: &&Group| {
        group.hosts.as_ref().is_none_or(|hosts| hosts.iter().any(|host| host == machine.arch))
    };
    Policy {
        default_action: Action::Errno(EPERM),
        abis: machine.tables.iter().map(|table| table.abi).collect(),
        rules: source.group.iter().filter(is_here).flat_map(|g| rules_of(g, machine)).collect(),
    }
}

/// One rule, or one for each value and range of the argument.
fn rules_of(group: &Group, machine: &Machine) -> Vec<Rule> {
    let syscalls: Vec<Syscall> = machine
        .tables
        .iter()
        .flat_map(|table| {
            let numbers = group.syscalls.iter().filter_map(|name| table.number(name));
            numbers.map(|number| Syscall(table.abi, number))
        })
        .collect();
    let rule = |tests: Vec<Test>| Rule {
        syscalls: syscalls.clone().into(),
        action: Action::from_name(&group.action, group.errno.unwrap_or(EPERM))
            .unwrap_or_else(|| panic!("{SOURCE}: {}: action {:?}", group.why, group.action)),
        tests: tests.into(),
        condition: condition_of(group),
    };
    if syscalls.is_empty() {
        return Vec::new();
    }
    let Some(argument) = group.argument else {
        return vec![rule(Vec::new())];
    };
    let mask = group.mask.unwrap_or(u64::MAX);
    let values = group.values.iter().map(|&value| (value, value));
    let mut ranges: Vec<_> = values.chain(group.ranges.iter().copied()).collect();
    ranges.sort_unstable();
    assert!(!ranges.is_empty(), "{SOURCE}: {}: no values", group.why);
    let test = |(low, high)| Test { argument, mask, low, high, inside: true };
    ranges.into_iter().map(|range| rule(vec![test(range)])).collect()
}

fn condition_of(group: &Group) -> Condition {
    let since = group.kernel.as_deref().map(|release| {
        KernelVersion::from_release(release).unwrap_or_else(|| panic!("{SOURCE}: {release:?}"))
    });
    let since = since.unwrap_or_default();
    assert!(since <= Subject::USUAL.kernel, "{SOURCE}: {}: raise USUAL.kernel", group.why);
    Condition {
        required: capabilities(&group.capabilities),
        forbidden: capabilities(&group.without),
        since,
        before: None,
    }
}

fn capabilities(names: &[String]) -> CapabilitySet {
    let list: Vec<Capability> = names
        .iter()
        .map(|name| {
            let found = Capability::ALL.iter().find(|capability| capability.name() == name);
            *found.unwrap_or_else(|| panic!("{SOURCE}: no capability is named {name:?}"))
        })
        .collect();
    CapabilitySet::of(&list)
}

/// The module of a machine. It uses the names of the library's own module.
fn render(machine: &Machine, source: &Source) -> String {
    let policy = policy_of(machine, source);
    let numbers: Vec<Vec<u32>> = machine
        .tables
        .iter()
        .map(|table| table.syscalls.iter().map(|(number, _)| *number).collect())
        .collect();
    let known: Vec<Known<'_>> = machine
        .tables
        .iter()
        .zip(&numbers)
        .map(|(table, numbers)| Known { abi: table.abi, numbers })
        .collect();
    let program = emit(&policy, &known, &Subject::USUAL, &[]);
    assert!(program.len() <= MAX_INSTRUCTIONS, "{}: the program is too long", machine.arch);

    let tables: String = machine.tables.iter().zip(&numbers).map(render_table).collect();
    let rules: String = policy.rules.iter().map(render_rule).collect();
    let (arch, goarch) = (machine.arch, machine.goarch);
    format!(
        "#[cfg(any(test, target_arch = {arch:?}))]\n\
         pub static HOST_{}: Machine = Machine {{\n\
         goarch: {goarch:?},\n\
         tables: &[{tables}],\n\
         policy: Policy {{ default_action: {:?}, abis: Cow::Borrowed(&{:?}), \
         rules: Cow::Borrowed(&[\n{rules}]) }},\n\
         program: &{program:?},\n}};\n",
        arch.to_uppercase(),
        policy.default_action,
        policy.abis,
    )
}

fn render_table((table, numbers): (&Table, &Vec<u32>)) -> String {
    let names: Vec<&str> = table.syscalls.iter().map(|(_, name)| *name).collect();
    let names = names.join(" ");
    format!("Table {{ abi: {:?}, numbers: &{numbers:?}, names: {names:?} }},", table.abi)
}

fn render_rule(rule: &Rule) -> String {
    let Condition { required, forbidden, since, before } = rule.condition;
    let mut text = String::new();
    writeln!(
        text,
        "Rule {{ syscalls: Cow::Borrowed(&{:?}), action: {:?}, tests: Cow::Borrowed(&{:?}), \
         condition: Condition {{ required: CapabilitySet::from_bits({}), \
         forbidden: CapabilitySet::from_bits({}), since: {since:?}, before: {before:?} }} }},",
        rule.syscalls,
        rule.action,
        rule.tests,
        required.bits(),
        forbidden.bits(),
    )
    .expect("a String takes everything");
    text
}
