//! Facts about the default policy, on every machine, and the emitter against
//! a linear reading of the policy.

use proptest::prelude::*;

use super::emit::X32_BIT;
use super::generated::{HOST_AARCH64, HOST_X86_64};
use super::interpreter::{Call, assert_loadable, run};
use super::policy::{ENOSYS, EPERM};
use super::*;
use crate::runtime::capability::Capability;

const ALLOW: u32 = Action::Allow.return_value();
const NOT_PERMITTED: u32 = Action::Errno(EPERM).return_value();
const NO_SUCH_CALL: u32 = Action::Errno(ENOSYS).return_value();
const SUCCESS: u32 = Action::Errno(0).return_value();
const KILL: u32 = Action::KillProcess.return_value();

const CLONE_THREAD_FLAGS: u64 = 0x003d_0f00;
const CLONE_NEWUSER: u64 = 0x1000_0000;

static MACHINES: [&Machine; 2] = [&HOST_X86_64, &HOST_AARCH64];

fn subject(added: &[Capability]) -> Subject {
    let capabilities = CapabilitySet::DEFAULT.union(CapabilitySet::of(added));
    Subject { capabilities, ..Subject::USUAL }
}

fn machine_of(abi: Abi) -> &'static Machine {
    if abi == Abi::Aarch64 { &HOST_AARCH64 } else { &HOST_X86_64 }
}

fn number(abi: Abi, name: &str) -> u32 {
    let mut calls = machine_of(abi).syscalls();
    let found = calls.find(|(known, syscall)| *known == name && syscall.0 == abi);
    found.unwrap_or_else(|| panic!("{abi:?} has no {name}")).1.1
}

/// The answer of the default policy to a call by name.
fn answer(abi: Abi, added: &[Capability], name: &str, arguments: &[u64]) -> u32 {
    let machine = machine_of(abi);
    let program = machine.emit(&machine.policy, &subject(added), &[]);
    assert_loadable(&program);
    run(&program, &Call::new(abi, number(abi, name), arguments))
}

const ABIS: [Abi; 3] = [Abi::X86_64, Abi::I386, Abi::Aarch64];

#[test]
fn tables_hold_the_numbers_of_the_kernel() {
    assert_eq!(number(Abi::X86_64, "read"), 0);
    assert_eq!(number(Abi::X86_64, "uretprobe"), 335);
    assert_eq!(number(Abi::I386, "read"), 3);
    assert_eq!(number(Abi::I386, "break"), 17);
    assert_eq!(number(Abi::Aarch64, "read"), 63);
    assert_eq!(number(Abi::Aarch64, "newfstatat"), 79);
    for abi in ABIS {
        assert_eq!(number(abi, "clone3"), 435);
        assert_eq!(number(abi, "file_setattr"), 469);
    }
    for table in MACHINES.iter().flat_map(|machine| machine.tables) {
        assert_eq!(table.names.split(' ').count(), table.numbers.len());
        assert!(table.numbers.is_sorted_by(|a, b| a < b));
    }
}

#[test]
fn embedded_program_is_what_the_compiler_makes() {
    for machine in MACHINES {
        let made = machine.emit(&machine.policy, &Subject::USUAL, &[]);
        assert_eq!(machine.program, made);
        assert_loadable(machine.program);
    }
}

#[test]
fn usual_subject_gets_the_embedded_program() {
    let newer = Subject { kernel: KernelVersion { major: 6, minor: 1 }, ..Subject::USUAL };
    let usual = program(default_policy(), &newer, Overrides::default()).unwrap();
    assert!(matches!(usual, Cow::Borrowed(_)));
    let more = subject(&[Capability::SysAdmin]);
    let compiled = program(default_policy(), &more, Overrides::default()).unwrap();
    assert!(matches!(compiled, Cow::Owned(_)));
}

#[test]
fn instructions_are_laid_out_as_the_kernel_reads_them() {
    assert_eq!((size_of::<SockFilter>(), align_of::<SockFilter>()), (8, 4));
    assert_eq!(std::mem::offset_of!(SockFilter, jt), 2);
    assert_eq!(std::mem::offset_of!(SockFilter, jf), 3);
    assert_eq!(std::mem::offset_of!(SockFilter, k), 4);
}

#[test]
fn programs_are_short() {
    for machine in MACHINES {
        assert!(machine.program.len() < 500, "{}", machine.program.len());
    }
}

#[test]
fn everyday_calls_are_allowed() {
    let names = ["read", "write", "openat", "execve", "mmap", "futex_wake", "statx", "ptrace"];
    for abi in ABIS {
        for name in names {
            assert_eq!(answer(abi, &[], name, &[]), ALLOW, "{abi:?} {name}");
        }
    }
    for (abi, name) in [
        (Abi::X86_64, "newfstatat"),
        (Abi::I386, "fstatat64"),
        (Abi::Aarch64, "newfstatat"),
        (Abi::X86_64, "arch_prctl"),
    ] {
        assert_eq!(answer(abi, &[], name, &[]), ALLOW, "{abi:?} {name}");
    }
    assert_eq!(answer(Abi::I386, &[], "socketcall", &[]), ALLOW);
}

#[test]
fn known_calls_that_are_not_allowed_are_not_permitted() {
    let names = ["io_uring_setup", "keyctl", "add_key", "kexec_load", "swapon", "pivot_root"];
    for abi in ABIS {
        for name in names.iter().chain(&["userfaultfd", "move_pages", "unshare", "setns"]) {
            assert_eq!(answer(abi, &[], name, &[]), NOT_PERMITTED, "{abi:?} {name}");
        }
    }
}

#[test]
fn capabilities_open_their_calls() {
    let pairs = [
        (Capability::SysAdmin, "mount"),
        (Capability::SysAdmin, "unshare"),
        (Capability::SysAdmin, "bpf"),
        (Capability::SysAdmin, "perf_event_open"),
        (Capability::Bpf, "bpf"),
        (Capability::Perfmon, "perf_event_open"),
        (Capability::DacReadSearch, "open_by_handle_at"),
        (Capability::SysModule, "finit_module"),
        (Capability::SysTime, "clock_settime"),
        (Capability::SysNice, "mbind"),
        (Capability::Syslog, "syslog"),
        (Capability::SysPtrace, "kcmp"),
        (Capability::SysPacct, "acct"),
        (Capability::SysBoot, "reboot"),
        (Capability::SysTtyConfig, "vhangup"),
    ];
    for abi in ABIS {
        for (capability, name) in pairs {
            assert_eq!(answer(abi, &[], name, &[]), NOT_PERMITTED, "{abi:?} {name}");
            assert_eq!(answer(abi, &[capability], name, &[]), ALLOW, "{abi:?} {name}");
        }
    }
    assert_eq!(answer(Abi::X86_64, &[Capability::SysRawio], "iopl", &[]), ALLOW);
}

#[test]
fn dropped_chroot_is_not_permitted() {
    let capabilities =
        CapabilitySet::DEFAULT.difference(CapabilitySet::of(&[Capability::SysChroot]));
    let subject = Subject { capabilities, ..Subject::USUAL };
    let filter = HOST_X86_64.emit(&HOST_X86_64.policy, &subject, &[]);
    let call = Call::new(Abi::X86_64, number(Abi::X86_64, "chroot"), &[]);
    assert_eq!(run(&filter, &call), NOT_PERMITTED);
    assert_eq!(run(HOST_X86_64.program, &call), ALLOW);
}

#[test]
fn tracing_waits_for_the_kernel_that_made_it_safe() {
    let old = Subject { kernel: KernelVersion { major: 3, minor: 10 }, ..Subject::USUAL };
    let filter = HOST_X86_64.emit(&HOST_X86_64.policy, &old, &[]);
    let call = Call::new(Abi::X86_64, number(Abi::X86_64, "ptrace"), &[]);
    assert_eq!(run(&filter, &call), NOT_PERMITTED);
}

#[test]
fn clone3_does_not_exist_without_sys_admin() {
    for abi in ABIS {
        assert_eq!(answer(abi, &[], "clone3", &[]), NO_SUCH_CALL);
        assert_eq!(answer(abi, &[Capability::SysAdmin], "clone3", &[]), ALLOW);
    }
}

#[test]
fn clone_makes_threads_but_no_namespaces() {
    for abi in ABIS {
        assert_eq!(answer(abi, &[], "clone", &[CLONE_THREAD_FLAGS]), ALLOW);
        assert_eq!(answer(abi, &[], "clone", &[CLONE_NEWUSER | 17]), NOT_PERMITTED);
        assert_eq!(answer(abi, &[Capability::SysAdmin], "clone", &[CLONE_NEWUSER]), ALLOW);
    }
}

#[test]
fn newer_and_unknown_numbers_do_not_exist() {
    for abi in ABIS {
        let program = machine_of(abi).program;
        // 467 to 469 are newer than docker's policy, though not than our table.
        for number in [467, 469, 470, 600, 9999, X32_BIT - 1, X32_BIT, u32::MAX] {
            assert_eq!(run(program, &Call::new(abi, number, &[])), NO_SUCH_CALL, "{number}");
        }
    }
    // A hole in the table of arm64.
    assert_eq!(run(HOST_AARCH64.program, &Call::new(Abi::Aarch64, 300, &[])), NO_SUCH_CALL);
}

#[test]
fn x32_calls_do_not_exist() {
    for number in [0, 1, 59, 520] {
        let call = Call::new(Abi::X86_64, X32_BIT | number, &[]);
        assert_eq!(run(HOST_X86_64.program, &call), NO_SUCH_CALL);
    }
}

#[test]
fn thirty_two_bit_numbers_are_judged_by_their_own_table() {
    // 21 is access on x86-64 and mount on i386.
    let judge = |abi, number| run(HOST_X86_64.program, &Call::new(abi, number, &[]));
    assert_eq!(judge(Abi::X86_64, 21), ALLOW);
    assert_eq!(judge(Abi::I386, 21), NOT_PERMITTED);
}

#[test]
fn other_conventions_end_the_process() {
    assert_eq!(run(HOST_X86_64.program, &Call::new(Abi::Aarch64, 63, &[])), KILL);
    let arm = Call { arch: 0x4000_0028, number: 3, arguments: [0; 6] };
    assert_eq!(run(HOST_AARCH64.program, &arm), KILL);
}

#[test]
fn personality_takes_the_five_values() {
    for abi in ABIS {
        for value in [0, 8, 0x20000, 0x20008, 0xffff_ffff] {
            assert_eq!(answer(abi, &[], "personality", &[value]), ALLOW, "{value:#x}");
        }
        for value in [1, 9, 0x40000, 0x4_0008, 0xffff_fffe] {
            assert_eq!(answer(abi, &[], "personality", &[value]), NOT_PERMITTED, "{value:#x}");
        }
    }
    assert_eq!(answer(Abi::X86_64, &[], "personality", &[u64::MAX]), NOT_PERMITTED);
}

#[test]
fn socket_takes_the_families_of_docker() {
    let refused = [12, 19, 20, 23, 25, 34, 37, 38, 40];
    for abi in ABIS {
        for family in 0..64 {
            let expected =
                if family > 45 || refused.contains(&family) { NOT_PERMITTED } else { ALLOW };
            assert_eq!(answer(abi, &[], "socket", &[family]), expected, "{abi:?} {family}");
        }
    }
}

#[test]
fn high_halves_of_thirty_two_bit_arguments_do_not_count() {
    let high = 0xdead_beef << 32;
    assert_eq!(answer(Abi::I386, &[], "socket", &[high | 2]), ALLOW);
    assert_eq!(answer(Abi::I386, &[], "socket", &[high | 38]), NOT_PERMITTED);
    assert_eq!(answer(Abi::X86_64, &[], "socket", &[high | 2]), NOT_PERMITTED);
}

#[test]
fn overrides_succeed_without_doing() {
    for machine in MACHINES {
        let succeed = machine.named(CHOWN_SYSCALLS);
        let filter = machine.emit(&machine.policy, &Subject::USUAL, &succeed);
        assert_loadable(&filter);
        for &Syscall(abi, number) in &succeed {
            assert_eq!(run(&filter, &Call::new(abi, number, &[])), SUCCESS);
        }
        let mkdir = Call::new(machine.tables[0].abi, number(machine.tables[0].abi, "mkdirat"), &[]);
        assert_eq!(run(&filter, &mkdir), ALLOW);
    }
    // Four calls of 64 bits, seven of 32; arm64 lacks chown and lchown.
    assert_eq!(HOST_X86_64.named(CHOWN_SYSCALLS).len(), 11);
    assert_eq!(HOST_AARCH64.named(CHOWN_SYSCALLS).len(), 2);
}

#[test]
fn overrides_reach_the_public_program() {
    let overrides = Overrides { succeed: CHOWN_SYSCALLS };
    let filter = program(default_policy(), &Subject::USUAL, overrides).unwrap();
    let own = HOST.tables[0].abi;
    let call = Call::new(own, number(own, "fchownat"), &[]);
    assert_eq!(run(&filter, &call), SUCCESS);
}

#[test]
fn reads_kernel_releases() {
    let version = |major, minor| Some(KernelVersion { major, minor });
    assert_eq!(KernelVersion::from_release("6.18.44-fc-v595"), version(6, 18));
    assert_eq!(KernelVersion::from_release("4.8"), version(4, 8));
    assert_eq!(KernelVersion::from_release("5.4-rc1+"), version(5, 4));
    assert_eq!(KernelVersion::from_release("6"), None);
    assert_eq!(KernelVersion::from_release("a.b"), None);
    assert_eq!(KernelVersion::from_release("6."), None);
}

/// Reads the policy from top to bottom, as its documentation tells.
fn naive(policy: &Policy, machine: &Machine, subject: &Subject, call: &Call) -> Action {
    let table = machine
        .tables
        .iter()
        .find(|table| table.abi.audit_arch() == call.arch && policy.abis.contains(&table.abi));
    let Some(table) = table else { return Action::KillProcess };
    let this = Syscall(table.abi, call.number);
    if table.abi == Abi::X86_64 && call.number >= X32_BIT {
        return Action::Errno(ENOSYS);
    }
    let mentions = policy.rules.iter().flat_map(|rule| rule.syscalls.iter());
    let is_old = mentions.filter(|other| other.0 == this.0).any(|other| other.1 >= this.1);
    let is_known = is_old && table.numbers.contains(&this.1);
    if !is_known && !policy.default_action.is_permissive() {
        return Action::Errno(ENOSYS);
    }
    let stands = |rule: &&Rule| {
        rule.syscalls.contains(&this)
            && rule.condition.holds(subject)
            && rule.action != policy.default_action
    };
    let rules: Vec<&Rule> = policy.rules.iter().filter(stands).collect();
    let met = |test: &Test| {
        let mask = if table.abi == Abi::I386 { u64::from(u32::MAX) } else { u64::MAX };
        let value = call.arguments[usize::from(test.argument)] & test.mask & mask;
        (test.low <= value && value <= test.high) == test.inside
    };
    let alone = rules.iter().find(|rule| rule.tests.is_empty());
    let decides = alone.or_else(|| rules.iter().find(|rule| rule.tests.iter().all(met)));
    decides.map_or(policy.default_action, |rule| rule.action)
}

/// A machine, by its own convention.
fn arb_machine() -> impl Strategy<Value = Abi> {
    prop::sample::select(vec![Abi::X86_64, Abi::Aarch64])
}

fn arb_call() -> impl Strategy<Value = Call> {
    let arch = prop_oneof![
        8 => prop::sample::select(&ABIS[..]).prop_map(Abi::audit_arch),
        1 => any::<u32>(),
    ];
    let number = prop_oneof![8 => 0_u32..480, 1 => any::<u32>(), 1 => X32_BIT..X32_BIT + 600];
    (arch, number, prop::array::uniform6(arb_value())).prop_map(|(arch, number, arguments)| Call {
        arch,
        number,
        arguments,
    })
}

/// Values that are near each other, in either half.
fn arb_value() -> impl Strategy<Value = u64> {
    let near = prop_oneof![4 => 0_u64..4, 1 => 0xffff_fffe..=0xffff_ffff_u64, 1 => 0..64_u64];
    prop_oneof![
        (near.clone(), near).prop_map(|(high, low)| high << 32 | low),
        Just(CLONE_NEWUSER),
        any::<u64>(),
    ]
}

fn arb_action() -> impl Strategy<Value = Action> {
    prop::sample::select(vec![
        Action::Allow,
        Action::Log,
        Action::Errno(1),
        Action::Errno(13),
        Action::Trap,
        Action::KillThread,
        Action::KillProcess,
    ])
}

fn arb_test() -> impl Strategy<Value = Test> {
    let mask = prop_oneof![3 => Just(u64::MAX), 1 => arb_value(), 1 => Just(0xffff_ffff_0000_0000)];
    let high = prop_oneof![1 => Just(None), 3 => arb_value().prop_map(Some)];
    (0_u8..3, mask, arb_value(), high, any::<bool>()).prop_map(
        |(argument, mask, low, high, inside)| Test {
            argument,
            mask,
            low,
            high: high.unwrap_or(low),
            inside,
        },
    )
}

fn arb_rule() -> impl Strategy<Value = Rule> {
    let syscall = (prop::sample::select(&ABIS[..]), 0_usize..300).prop_map(|(abi, index)| {
        let tables = machine_of(abi).tables.iter();
        let numbers = tables.filter(|table| table.abi == abi).flat_map(|table| table.numbers);
        Syscall(abi, *numbers.collect::<Vec<_>>()[index])
    });
    let tests = prop_oneof![1 => Just(Vec::new()), 2 => prop::collection::vec(arb_test(), 1..4)];
    (prop::collection::vec(syscall, 1..60), arb_action(), tests).prop_map(
        |(calls, action, tests)| Rule {
            syscalls: calls.into(),
            action,
            tests: tests.into(),
            condition: HOST_X86_64.policy.rules[0].condition,
        },
    )
}

fn arb_policy() -> impl Strategy<Value = Policy> {
    let abis = prop::sample::subsequence(&ABIS[..], 0..=3);
    (arb_action(), abis, prop::collection::vec(arb_rule(), 0..20)).prop_map(
        |(default, abis, rules)| Policy {
            default_action: default,
            abis: abis.into(),
            rules: rules.into(),
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn default_programs_answer_as_the_policy_reads(
        own in arb_machine(),
        bits in any::<u64>(),
        calls in prop::collection::vec(arb_call(), 64),
    ) {
        let machine = machine_of(own);
        let subject = Subject { capabilities: CapabilitySet::from_bits(bits), ..Subject::USUAL };
        let filter = machine.emit(&machine.policy, &subject, &[]);
        assert_loadable(&filter);
        for call in calls {
            let expected = naive(&machine.policy, machine, &subject, &call);
            prop_assert_eq!(run(&filter, &call), expected.return_value(), "{:?}", call);
        }
    }

    #[test]
    fn any_program_answers_as_its_policy_reads(
        own in arb_machine(),
        policy in arb_policy(),
        calls in prop::collection::vec(arb_call(), 64),
    ) {
        let machine = machine_of(own);
        let filter = machine.emit(&policy, &Subject::USUAL, &[]);
        for call in &calls {
            let expected = naive(&policy, machine, &Subject::USUAL, call);
            prop_assert_eq!(run(&filter, call), expected.return_value(), "{:?}", call);
        }
        // Where rules on arguments pile up, calls that have them are few.
        for Syscall(abi, number) in policy.rules.iter().flat_map(|rule| rule.syscalls.iter()) {
            let call = Call { arch: abi.audit_arch(), number: *number, ..calls[0] };
            let expected = naive(&policy, machine, &Subject::USUAL, &call);
            prop_assert_eq!(run(&filter, &call), expected.return_value(), "{:?}", call);
        }
    }
}
