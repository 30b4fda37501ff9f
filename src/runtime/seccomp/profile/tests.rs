//! Facts about profiles: what is read, what is refused, and what the filter
//! made of them answers.

use super::*;
use crate::error::Kind;
use crate::runtime::seccomp::generated::{HOST_AARCH64, HOST_X86_64};
use crate::runtime::seccomp::interpreter::{Call, assert_loadable, run};
use crate::runtime::seccomp::policy::{ENOSYS, Subject};

const ALLOW: u32 = Action::Allow.return_value();

/// The answer to a 64-bit x86 call.
fn answer(json: &str, number: u32, arguments: &[u64]) -> u32 {
    answer_to(json, &Subject::USUAL, &Call::new(Abi::X86_64, number, arguments))
}

fn answer_to(json: &str, subject: &Subject, call: &Call) -> u32 {
    let policy = parse_for(&HOST_X86_64, json.as_bytes()).unwrap();
    let filter = HOST_X86_64.emit(&policy, subject, &[]);
    assert_loadable(&filter);
    run(&filter, call)
}

fn errno(number: u16) -> u32 {
    Action::Errno(number).return_value()
}

fn refusal(json: &str) -> Error {
    parse_profile(json.as_bytes()).unwrap_err()
}

/// A profile that refuses everything but what `entry` says.
fn denying(entry: &str) -> String {
    format!(r#"{{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{entry}]}}"#)
}

/// A profile that allows socket (41) where `args` are met.
fn socket_where(args: &str) -> String {
    denying(&format!(r#"{{"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{args}]}}"#))
}

#[test]
fn allows_the_named_and_refuses_the_rest() {
    let json =
        denying(r#"{"names": ["write", "not_of_this_machine"], "action": "SCMP_ACT_ALLOW"}"#);
    assert_eq!(answer(&json, 1, &[]), ALLOW);
    assert_eq!(answer(&json, 0, &[]), errno(EPERM));
    assert_eq!(answer(&json, 2, &[]), errno(ENOSYS), "newer than what the profile knows");
}

#[test]
fn allows_by_default_and_refuses_the_named() {
    let json = r#"{
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [
            {"name": "chmod", "action": "SCMP_ACT_ERRNO", "errnoRet": 13, "args": null},
            {"names": ["fchmod"], "action": "SCMP_ACT_KILL_PROCESS", "comment": "for readers"},
            {"names": ["umask"], "action": "SCMP_ACT_TRAP", "args": [], "includes": {}}
        ]
    }"#;
    assert_eq!(answer(json, 90, &[]), errno(13));
    assert_eq!(answer(json, 91, &[]), Action::KillProcess.return_value());
    assert_eq!(answer(json, 95, &[]), Action::Trap.return_value());
    assert_eq!(answer(json, 9999, &[]), ALLOW);
    assert_eq!(answer(json, 0x4000_0000, &[]), errno(ENOSYS), "x32");
}

#[test]
fn default_errno_is_the_profiles() {
    let json = r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38,
        "syscalls": [{"names": ["umask"], "action": "SCMP_ACT_LOG"}]}"#;
    assert_eq!(answer(json, 0, &[]), errno(38));
    assert_eq!(answer(json, 95, &[]), Action::Log.return_value());
}

#[test]
fn compares_arguments_by_every_operator() {
    let big = 1 << 40;
    for (op, value, met, unmet) in [
        ("EQ", big, vec![big], vec![0, big + 1, 1 << 8]),
        ("NE", big, vec![0, big + 1], vec![big]),
        ("LT", big, vec![0, big - 1], vec![big, u64::MAX]),
        ("LT", 0, vec![], vec![0, 1]),
        ("LE", big, vec![0, big], vec![big + 1]),
        ("GE", big, vec![big, u64::MAX], vec![0, big - 1]),
        ("GT", big, vec![big + 1], vec![big, 0]),
        ("GT", u64::MAX, vec![], vec![u64::MAX]),
    ] {
        let json =
            socket_where(&format!(r#"{{"index": 0, "value": {value}, "op": "SCMP_CMP_{op}"}}"#));
        for argument in met {
            assert_eq!(answer(&json, 41, &[argument]), ALLOW, "{argument} {op} {value}");
        }
        for argument in unmet {
            assert_eq!(answer(&json, 41, &[argument]), errno(EPERM), "{argument} {op} {value}");
        }
    }
    let json =
        socket_where(r#"{"index": 2, "value": 12, "valueTwo": 8, "op": "SCMP_CMP_MASKED_EQ"}"#);
    assert_eq!(answer(&json, 41, &[0, 0, 0b1_1011]), ALLOW);
    assert_eq!(answer(&json, 41, &[0, 0, 0b1_1111]), errno(EPERM));
}

#[test]
fn tests_of_two_arguments_must_both_be_met() {
    let json = socket_where(
        r#"{"index": 0, "value": 2, "op": "SCMP_CMP_EQ"}, {"index": 1, "value": 1, "op": "SCMP_CMP_EQ"}"#,
    );
    assert_eq!(answer(&json, 41, &[2, 1]), ALLOW);
    assert_eq!(answer(&json, 41, &[2, 3]), errno(EPERM));
}

#[test]
fn tests_of_one_argument_are_alternatives() {
    let json = socket_where(
        r#"{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}, {"index": 0, "value": 2, "op": "SCMP_CMP_EQ"}"#,
    );
    assert_eq!(answer(&json, 41, &[1]), ALLOW);
    assert_eq!(answer(&json, 41, &[2]), ALLOW);
    assert_eq!(answer(&json, 41, &[3]), errno(EPERM));
}

#[test]
fn conditions_are_heeded() {
    let entry = |filter: &str| {
        denying(&format!(r#"{{"names": ["umask"], "action": "SCMP_ACT_ALLOW", {filter}}}"#))
    };
    let call = Call::new(Abi::X86_64, 95, &[]);
    for (filter, expected) in [
        (r#""includes": {"caps": ["CAP_CHOWN"]}"#, ALLOW),
        (r#""includes": {"caps": ["CAP_CHOWN", "CAP_SYS_ADMIN"]}"#, errno(EPERM)),
        (r#""excludes": {"caps": ["CAP_CHOWN"]}"#, errno(EPERM)),
        (r#""excludes": {"caps": ["CAP_SYS_ADMIN"]}"#, ALLOW),
        (r#""includes": {"minKernel": "4.8"}"#, ALLOW),
        (r#""includes": {"minKernel": "4.9"}"#, errno(EPERM)),
        (r#""excludes": {"minKernel": "4.9"}"#, ALLOW),
        (r#""excludes": {"minKernel": "4.8"}"#, errno(EPERM)),
        (r#""includes": {"arches": ["amd64", "x32"]}"#, ALLOW),
        (r#""excludes": {"arches": ["s390"]}"#, ALLOW),
    ] {
        assert_eq!(answer_to(&entry(filter), &Subject::USUAL, &call), expected, "{filter}");
    }
    for filter in [r#""includes": {"arches": ["arm64"]}"#, r#""excludes": {"arches": ["amd64"]}"#] {
        let policy = parse_for(&HOST_X86_64, entry(filter).as_bytes()).unwrap();
        assert!(policy.rules.is_empty(), "{filter}");
        let policy = parse_for(&HOST_AARCH64, entry(filter).as_bytes()).unwrap();
        assert_eq!(policy.rules.len(), 1, "{filter}");
    }
}

#[test]
fn rule_without_tests_decides_alone() {
    let json = denying(
        r#"{"names": ["socket"], "action": "SCMP_ACT_TRAP",
            "args": [{"index": 0, "value": 38, "op": "SCMP_CMP_EQ"}]},
           {"names": ["socket"], "action": "SCMP_ACT_ALLOW"}"#,
    );
    assert_eq!(answer(&json, 41, &[38]), ALLOW);
}

#[test]
fn rule_that_says_what_the_default_says_is_nothing() {
    let json = denying(
        r#"{"names": ["socket"], "action": "SCMP_ACT_ERRNO"},
           {"names": ["socket"], "action": "SCMP_ACT_ALLOW",
            "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]}"#,
    );
    assert_eq!(answer(&json, 41, &[1]), ALLOW);
    assert_eq!(answer(&json, 41, &[2]), errno(EPERM));
}

#[test]
fn thirty_two_bit_calls_need_their_convention() {
    let with = |more: &str| {
        format!(
            r#"{{"defaultAction": "SCMP_ACT_ALLOW", {more} "syscalls": [
                {{"names": ["umask"], "action": "SCMP_ACT_ERRNO"}}]}}"#
        )
    };
    let call = Call::new(Abi::I386, 60, &[]);
    let map = r#""archMap": [
        {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
        {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]},
        {"architecture": "SCMP_ARCH_RISCV64", "subArchitectures": null}],"#;
    let list = r#""architectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X86_64"],"#;
    for more in [map, list] {
        assert_eq!(answer_to(&with(more), &Subject::USUAL, &call), errno(EPERM));
    }
    let killed = Action::KillProcess.return_value();
    assert_eq!(answer_to(&with(""), &Subject::USUAL, &call), killed);
    let error = refusal(&with(&format!("{map} {list}")));
    assert_eq!(error.kind(), Kind::Invalid);
}

#[test]
fn names_what_it_does_not_know() {
    for (json, said) in [
        (r#"{"defaultAction": "ALLOW"}"#.to_owned(), r#"there is no seccomp action "ALLOW""#),
        (
            denying(r#"{"names": ["read"], "action": "SCMP_ACT_MAYBE"}"#),
            r#"seccomp profile: the entry that starts with read: there is no seccomp action "SCMP_ACT_MAYBE""#,
        ),
        (
            socket_where(r#"{"index": 0, "value": 1, "op": "SCMP_CMP_ISH"}"#),
            r#"seccomp profile: the entry that starts with socket: there is no operator "SCMP_CMP_ISH""#,
        ),
        (
            socket_where(r#"{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}"#),
            "seccomp profile: the entry that starts with socket: there is no argument 6, 5 is the last",
        ),
        (
            denying(
                r#"{"names": ["read"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_X"]}}"#,
            ),
            r#"seccomp profile: the entry that starts with read: there is no capability "CAP_X""#,
        ),
        (
            denying(
                r#"{"names": ["read"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "new"}}"#,
            ),
            r#"seccomp profile: the entry that starts with read: minKernel "new" is not a version such as "4.8""#,
        ),
        (
            denying(r#"{"names": [], "action": "SCMP_ACT_ALLOW"}"#),
            "seccomp profile: the entry that starts with nothing: an entry names no system call",
        ),
        (
            denying(r#"{"names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": 4096}"#),
            "seccomp profile: the entry that starts with read: there is no errno 4096, 4095 is the last",
        ),
        (
            denying(r#"{"names": ["read"], "action": "SCMP_ACT_ALLOW", "errnoRet": 1}"#),
            "seccomp profile: the entry that starts with read: SCMP_ACT_ALLOW answers no errno",
        ),
    ] {
        let error = refusal(&json);
        assert_eq!((error.kind(), error.chain().as_str()), (Kind::Invalid, said));
    }
}

#[test]
fn refuses_misspelt_keys_and_broken_json() {
    for json in [
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscall": []}"#,
        &denying(r#"{"names": ["read"], "action": "SCMP_ACT_ALLOW", "arg": []}"#),
        "{",
        "[]",
        "",
    ] {
        let error = refusal(json);
        assert_eq!(error.kind(), Kind::Invalid);
        assert!(error.chain().starts_with("malformed seccomp profile: "), "{}", error.chain());
    }
}

#[test]
fn refuses_what_needs_a_listener() {
    for json in [
        r#"{"defaultAction": "SCMP_ACT_TRACE"}"#.to_owned(),
        denying(r#"{"names": ["read"], "action": "SCMP_ACT_NOTIFY"}"#),
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/run/agent"}"#.to_owned(),
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_LOG"]}"#.to_owned(),
    ] {
        assert_eq!(refusal(&json).kind(), Kind::Unsupported, "{json}");
    }
}

#[test]
fn reads_the_errno_names_of_podman_beside_numbers() {
    let json = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["umask"], "action": "SCMP_ACT_ERRNO", "errno": "EINVAL", "errnoRet": 22}]}"#;
    assert_eq!(answer(json, 95, &[]), errno(22));
    let bare = r#"{"names": ["umask"], "action": "SCMP_ACT_ERRNO", "errno": "EINVAL"}"#;
    assert_eq!(refusal(&denying(bare)).kind(), Kind::Unsupported);
}

#[test]
fn refuses_a_profile_that_is_too_long_for_the_kernel() {
    use crate::runtime::seccomp::{Overrides, program};
    let entry = |value: u64| {
        format!(
            r#"{{"names": ["socket"], "action": "SCMP_ACT_ALLOW",
                "args": [{{"index": 0, "value": {value}, "op": "SCMP_CMP_EQ"}}]}}"#
        )
    };
    let entries: Vec<String> = (0..2000).map(entry).collect();
    let policy = parse_profile(denying(&entries.join(",")).as_bytes()).unwrap();
    let error = program(&policy, &Subject::USUAL, Overrides::default()).unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
}
