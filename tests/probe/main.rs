//! The probe: a static program that tells, as one line of JSON, how the world
//! looks to it. Tests run it as a container's command or init and compare. It
//! reads what the kernel says of it under `/proc` and judges nothing.
//!
//! `probe` prints the report; `probe exit N` ends with N; `probe FILE...`
//! prints the report and then fails with 1 unless every file exists.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, code] = arguments.as_slice()
        && word == "exit"
    {
        return code.parse::<u8>().map_or(ExitCode::FAILURE, ExitCode::from);
    }
    println!("{}", report());
    let all = arguments.iter().all(|path| fs::symlink_metadata(path).is_ok());
    if all { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The report; values are text as the kernel prints it.
fn report() -> String {
    let arguments: Vec<String> =
        std::env::args_os().map(|word| quoted(&word.to_string_lossy())).collect();
    let environment = std::env::vars_os();
    let environment = environment.map(|(k, v)| (lossy(&k), quoted(&lossy(&v)))).collect();
    let directory = std::env::current_dir().map(|path| lossy(path.as_os_str()));
    let parts = [
        ("argv", format!("[{}]", arguments.join(","))),
        ("env", object(&environment)),
        ("cwd", quoted(&directory.unwrap_or_default())),
        ("hostname", quoted(read("/proc/sys/kernel/hostname").trim())),
        ("personality", quoted(read("/proc/self/personality").trim())),
        ("oom_score_adj", quoted(read("/proc/self/oom_score_adj").trim())),
        ("stat", object(&stat())),
        ("status", object(&pairs(&read("/proc/self/status")))),
        ("limits", object(&limits())),
        ("fds", object(&descriptors())),
        ("mounts", lines("/proc/self/mountinfo")),
        ("cgroup", lines("/proc/self/cgroup")),
        ("uid_map", lines("/proc/self/uid_map")),
        ("gid_map", lines("/proc/self/gid_map")),
    ];
    object(&parts.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

fn lossy(text: &std::ffi::OsStr) -> String {
    text.to_string_lossy().into_owned()
}

/// A file under /proc; empty if it cannot be read, which is a finding too.
fn read(path: &str) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// `Key: value` lines, as in proc_pid_status(5): uids, groups, capabilities,
/// seccomp mode, signal masks, umask.
fn pairs(text: &str) -> BTreeMap<String, String> {
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs.map(|(key, value)| (key.to_owned(), quoted(value.trim()))).collect()
}

/// The first fields of proc_pid_stat(5), by their names there.
fn stat() -> BTreeMap<String, String> {
    const NAMES: [&str; 6] = ["state", "ppid", "pgrp", "session", "tty_nr", "tpgid"];
    let text = read("/proc/self/stat");
    let Some((head, rest)) = text.rsplit_once(") ") else { return BTreeMap::new() };
    let mut fields: BTreeMap<String, String> =
        NAMES.into_iter().zip(rest.split(' ')).map(|(k, v)| (k.to_owned(), quoted(v))).collect();
    let pid = head.split(' ').next().unwrap_or_default();
    fields.insert("pid".to_owned(), quoted(pid));
    fields
}

/// Name to `soft hard`, from the columns of /proc/self/limits.
fn limits() -> BTreeMap<String, String> {
    const NAME_WIDTH: usize = 26;
    let text = read("/proc/self/limits");
    let rows = text.lines().skip(1).filter_map(|line| line.split_at_checked(NAME_WIDTH));
    let value = |columns: &str| {
        let words: Vec<&str> = columns.split_whitespace().take(2).collect();
        quoted(&words.join(" "))
    };
    rows.map(|(name, columns)| (name.trim().to_owned(), value(columns))).collect()
}

/// Number to target of every open descriptor, but the one that reads the list.
fn descriptors() -> BTreeMap<String, String> {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else { return BTreeMap::new() };
    let entries: Vec<_> = entries.flatten().collect();
    let open = entries.iter().filter_map(|entry| {
        let target = fs::read_link(entry.path()).ok()?;
        Some((lossy(&entry.file_name()), quoted(&lossy(target.as_os_str()))))
    });
    open.collect()
}

/// The lines of a file, as an array.
fn lines(path: &str) -> String {
    let lines: Vec<String> = read(path).lines().map(quoted).collect();
    format!("[{}]", lines.join(","))
}

/// An object of values that are JSON already.
fn object(entries: &BTreeMap<String, String>) -> String {
    let entries: Vec<String> =
        entries.iter().map(|(key, value)| format!("{}:{value}", quoted(key))).collect();
    format!("{{{}}}", entries.join(","))
}

/// A JSON string (RFC 8259, 7).
fn quoted(text: &str) -> String {
    let mut result = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => result.extend(['\\', character]),
            '\0'..'\x20' => write!(result, "\\u{:04x}", u32::from(character)).unwrap_or_default(),
            _ => result.push(character),
        }
    }
    result + "\""
}
