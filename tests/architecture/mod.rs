//! The house rules as facts over the source tree, found by reading the files:
//! who imports whom, where `unsafe`, files, output and the environment may be
//! touched, how long a file is, what things may be called. Clippy holds what it
//! can (function length, parameters, lints); this holds the rest.
//!
//! It reads tokens, not meaning: a rule that is worth having is one that can be
//! checked by looking.

mod floors;
mod source;

use source::{File, words};

/// The true exceptions: rule, file or folder, and why. One that is not needed
/// any more fails a test.
const EXCEPTIONS: [(Rule, &str, &str); 3] = [
    (Rule::Unsafe, "src/sys/", "the fence around the kernel is where it may stand"),
    (Rule::Floors, "src/sys/init/", "a program of its own: its `crate` is not this one"),
    (Rule::Environment, "src/build/", "cargo speaks to a build script by variables"),
];

/// What an exception can be made from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Rule {
    Floors,
    Unsafe,
    Files,
    Output,
    Environment,
    Length,
    Comment,
    Name,
    Allow,
}

/// One broken rule, as a test reports it.
struct Breach {
    rule: Rule,
    path: String,
    what: String,
}

impl Breach {
    fn excepted(&self) -> bool {
        EXCEPTIONS.iter().any(|(rule, path, _)| *rule == self.rule && self.path.starts_with(path))
    }
}

/// Fails with every breach that is not an exception.
fn hold(breaches: impl IntoIterator<Item = Breach>) {
    let breaches = breaches.into_iter().filter(|breach| !breach.excepted());
    let lines: Vec<String> =
        breaches.map(|breach| format!("{}: {}", breach.path, breach.what)).collect();
    assert!(lines.is_empty(), "{} breaches:\n{}", lines.len(), lines.join("\n"));
}

fn all_breaches() -> Vec<Breach> {
    let mut all = floors::breaches();
    all.extend(unsafe_code());
    all.extend(file_access());
    all.extend(output());
    all.extend(environment());
    all.extend(long_files());
    all.extend(without_design());
    all.extend(forbidden_names());
    all.extend(allowed_lints());
    all
}

/// Breaches of a rule in `src/` outside `home`: `find` names what is wrong with
/// a line of the `view` of a file.
fn lines_in_src(
    rule: Rule,
    home: &[&str],
    view: impl Fn(&File) -> String,
    find: impl Fn(&str) -> Option<String>,
) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for file in source::rust_files("src") {
        if home.iter().any(|home| file.path.starts_with(home)) {
            continue;
        }
        for (index, line) in view(&file).lines().enumerate() {
            if let Some(what) = find(line) {
                let path = file.path.clone();
                breaches.push(Breach { rule, path, what: format!("{}: {what}", index + 1) });
            }
        }
    }
    breaches
}

fn unsafe_code() -> Vec<Breach> {
    lines_in_src(Rule::Unsafe, &[], File::code, |line| {
        words(line).any(|word| word == "unsafe").then(|| "unsafe".to_owned())
    })
}

fn file_access() -> Vec<Breach> {
    let home = ["src/fs.rs", "src/fs/", "src/build/"];
    // An import in a group is on one line once the lines are joined at `;`.
    let statements = |file: &File| {
        let code = file.code_without_tests().replace('\n', " ");
        code.replace(';', ";\n")
    };
    lines_in_src(Rule::Files, &home, statements, |statement| {
        let grouped = statement.split_once("std::{").is_some_and(|(before, group)| {
            before.trim_end().ends_with("use") && words(group).any(|word| word == "fs")
        });
        (grouped || statement.contains("std::fs")).then(|| "std::fs: use crate::fs".to_owned())
    })
}

fn output() -> Vec<Breach> {
    let home = ["src/cli/", "src/main.rs", "src/build/"];
    lines_in_src(Rule::Output, &home, File::code_without_tests, |line| {
        let macros = ["println", "print", "eprintln", "eprint", "dbg"];
        let found = macros.into_iter().find(|name| {
            words(line).any(|word| word == *name) && line.contains(&format!("{name}!"))
        });
        found.map(|name| format!("{name}!: only the cli prints"))
    })
}

fn environment() -> Vec<Breach> {
    lines_in_src(Rule::Environment, &["src/cli/"], File::code_without_tests, |line| {
        let calls = ["env::var", "env::vars", "env::set_var", "env::args", "process::exit"];
        let found = calls.into_iter().find(|call| line.contains(call));
        found.map(|call| format!("{call}: only the cli sees it"))
    })
}

fn long_files() -> Vec<Breach> {
    const LIMIT: usize = 500;
    let files = ["src", "tests", "benches", "fuzz"].into_iter().flat_map(source::rust_files);
    let long = files.map(|file| (file.text.lines().count(), file)).filter(|(n, _)| *n >= LIMIT);
    let breach = |lines, path| Breach { rule: Rule::Length, path, what: format!("{lines} lines") };
    long.map(|(lines, file)| breach(lines, file.path)).collect()
}

fn without_design() -> Vec<Breach> {
    let files = ["src", "tests", "benches", "fuzz"].into_iter().flat_map(source::rust_files);
    let bare = files.filter(|file| !file.text.starts_with("//! "));
    let what = "does not open with what it is (`//!`)";
    bare.map(|file| Breach { rule: Rule::Comment, path: file.path, what: what.to_owned() })
        .collect()
}

fn forbidden_names() -> Vec<Breach> {
    const NAMES: [&str; 9] =
        ["util", "utils", "common", "helper", "helpers", "manager", "misc", "stuff", "handler"];
    let mut breaches = Vec::new();
    for file in ["src", "tests"].into_iter().flat_map(source::rust_files) {
        let parts = file.path.trim_end_matches(".rs").split(['/', '_']).map(str::to_owned);
        let code = file.code();
        let modules = code.lines().filter_map(|line| {
            let rest = line.trim_start().trim_start_matches("pub ").strip_prefix("mod ")?;
            words(rest).next().map(str::to_owned)
        });
        for name in parts.chain(modules).filter(|name| NAMES.contains(&name.as_str())) {
            let what = format!("`{name}` says nothing");
            breaches.push(Breach { rule: Rule::Name, path: file.path.clone(), what });
        }
    }
    breaches
}

fn allowed_lints() -> Vec<Breach> {
    lines_in_src(Rule::Allow, &[], File::code, |line| {
        // `unsafe_code` has a rule of its own.
        let line = line.replace("#![allow(unsafe_code)]", "");
        let found = line.contains("#[allow(") || line.contains("#![allow(");
        found.then(|| "a lint is allowed: mend what it says".to_owned())
    })
}

#[test]
fn modules_import_only_from_floors_below() {
    hold(floors::breaches());
}

#[test]
fn unsafe_stands_only_in_sys() {
    hold(unsafe_code());
}

#[test]
fn files_are_touched_only_behind_their_fence() {
    hold(file_access());
}

#[test]
fn only_the_cli_prints() {
    hold(output());
}

#[test]
fn only_the_cli_sees_environment_and_exit() {
    hold(environment());
}

#[test]
fn files_are_short() {
    hold(long_files());
}

#[test]
fn every_file_says_what_it_is() {
    hold(without_design());
}

#[test]
fn names_say_something() {
    hold(forbidden_names());
}

#[test]
fn lints_are_not_allowed_away() {
    hold(allowed_lints());
}

#[test]
fn nothing_is_left_for_later() {
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX")];
    for folder in ["src", "tests", "benches", "fuzz", "scripts", "profiles", "docs", ".ci"] {
        for file in source::text_files(folder) {
            let mut found = words(&file.text).filter(|word| marks.contains(word));
            assert_eq!(found.next(), None, "{}", file.path);
        }
    }
}

#[test]
fn nothing_lies_about_at_the_top() {
    const PLACES: [&str; 18] = [
        "Cargo.toml",
        "Cargo.lock",
        "src",
        "profiles",
        "tests",
        "scripts",
        "README.md",
        "CHANGELOG.md",
        "LICENSE-MIT",
        "LICENSE-APACHE",
        "docs",
        "benches",
        "fuzz",
        ".ci",
        ".gitignore",
        "clippy.toml",
        "rustfmt.toml",
        "deny.toml",
    ];
    // Not part of the tree: git's own, and what .gitignore names.
    const OUTSIDE: [&str; 2] = [".git", "target"];
    for entry in source::root().read_dir().expect("the root can be read") {
        let name = entry.expect("the root can be read").file_name();
        let name = name.to_str().expect("names are text");
        assert!(PLACES.contains(&name) || OUTSIDE.contains(&name), "{name} has no place here");
    }
}

#[test]
fn every_exception_is_needed() {
    let breaches = all_breaches();
    for (rule, path, reason) in EXCEPTIONS {
        let mut found = breaches.iter().filter(|b| b.rule == rule && b.path.starts_with(path));
        assert!(found.next().is_some(), "no longer needed: {rule:?} for {path} ({reason})");
    }
}
