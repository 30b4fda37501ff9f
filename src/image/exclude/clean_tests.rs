//! The rules against their model: what bash's expansion in a real tree names.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use super::super::ExcludeSet;
use crate::error::Kind;
use crate::fs;

const FILES: &[&str] = &[
    "tmp/a",
    "tmp/.X11-unix/X0",
    "tmp/..data",
    "tmp/d/.e",
    "root/.bashrc",
    "root/.cache/x",
    "root/.ssh/id",
    "root/work",
    "var/cache/yum/db",
    "var/cache/.lock",
    "var/tmp/t",
    "var/log/messages",
    "var/log/messages.1",
    "etc/passwd-",
    "etc/[x",
    "home/a b",
    "home/z9",
    "home/star*",
    "tmp.old/a",
    ".hidden/tmp/a",
];

const PATTERNS: &[&str] = &[
    "tmp/*",
    "tmp/.*",
    "tmp/.[^.]*",
    "tmp/..?*",
    "tmp/?",
    "tmp",
    "./tmp/*",
    "tmp//*",
    "tmp/./*",
    "*",
    "*/*",
    "*/*/*",
    ".*",
    ".*/*",
    "var/cache/*",
    "var/{cache,tmp}/*",
    "{tmp,var/log}/*[!1]",
    "root/.[^b]*",
    "root/.[!bc]*",
    "root/[.]*",
    "root/?cache",
    "root/\\.c*",
    "etc/[[]x",
    "etc/[x",
    "etc/\\[x",
    "v*r/l?g/mess*",
    "var/log/messages[.]1",
    "home/[[:alpha:]][[:digit:]]",
    "home/star\\*",
    "home/*\\*",
    "no/such",
    "messages",
    "var[/]log",
];

/// Every name of the tree, directories too.
fn names() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for file in FILES {
        let ends = file.match_indices('/').map(|(end, _)| end).chain([file.len()]);
        names.extend(ends.map(|end| file[..end].to_owned()));
    }
    names
}

fn make_tree(root: &Path) {
    for file in FILES {
        let path = root.join(file);
        fs::ensure_dir(path.parent().unwrap(), 0o755).unwrap();
        fs::write_volatile(&path, b"").unwrap();
    }
}

/// What `rm -rf PATTERN` in `root` is told to remove, as member names.
fn by_bash(root: &Path, pattern: &str) -> BTreeSet<String> {
    let script = format!("shopt -s nullglob; LC_ALL=C; printf '%s\\n' {pattern}");
    let output = Command::new("bash").args(["-c", &script]).current_dir(root).output().unwrap();
    assert!(output.status.success(), "{pattern}");
    let text = String::from_utf8(output.stdout).unwrap();
    let clean = |line: &str| {
        let parts: Vec<&str> = line.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
        parts.join("/")
    };
    // rm itself refuses `.` and `..`, which older shells make of `.*`.
    let is_dots = |name: &str| name.split('/').any(|part| part == "..");
    let names = names();
    text.lines().map(clean).filter(|name| !is_dots(name) && names.contains(name)).collect()
}

fn set(patterns: &[&str]) -> ExcludeSet {
    ExcludeSet::default().with_clean(patterns.iter().map(|pattern| pattern.as_bytes())).unwrap()
}

#[test]
fn matches_what_bash_expands() {
    let tree = tempfile::tempdir().unwrap();
    make_tree(tree.path());
    for pattern in PATTERNS {
        let set = set(&[pattern]);
        let ours: BTreeSet<String> =
            names().into_iter().filter(|name| set.excludes(name.as_bytes())).collect();
        assert_eq!(ours, by_bash(tree.path(), pattern), "{pattern}");
    }
}

#[test]
fn a_match_takes_its_children_along() {
    let set = set(&["/tmp/*", "root/.[^b]*/"]);
    for gone in ["tmp/d", "tmp/d/.e", "root/.ssh", "root/.ssh/id"] {
        assert!(set.excludes_with_parents(gone.as_bytes()), "{gone}");
    }
    for kept in ["", "tmp", "tmp/.X11-unix/X0", "root/.bashrc", "usr/tmp/d", "root/work"] {
        assert!(!set.excludes_with_parents(kept.as_bytes()), "{kept}");
    }
}

#[test]
fn stands_beside_the_other_rules() {
    let set = ExcludeSet::parse([&b"*.o"[..]]).unwrap().with_clean([&b"tmp/*"[..]]).unwrap();
    assert!(set.excludes(b"src/deep/a.o"));
    assert!(set.excludes(b"tmp/a"));
    assert!(!set.excludes(b"src/tmp/a"));
    assert!(!set.is_empty());
    let set = ExcludeSet::default().with_clean([&b"tmp"[..]]).unwrap();
    assert!(!set.is_empty());
}

#[test]
fn dots_and_nothing_are_dead() {
    for name in ["", ".", ".."] {
        assert!(!set(&["*", ".*", "?", "{,.}"]).excludes(name.as_bytes()), "{name:?}");
    }
    for dead in ["", "/", "./", ".", "..", "../x", "tmp/../etc", "a/[[:foo:]]"] {
        let set = set(&[dead]);
        assert!(set.is_empty(), "{dead}");
        assert_eq!(set.dead_patterns().collect::<Vec<_>>(), [dead.as_bytes()]);
    }
}

#[test]
fn refuses_what_is_too_large() {
    for pattern in ["x".repeat(16 * 1024 + 1), "{a,b}".repeat(13)] {
        let error = ExcludeSet::default().with_clean([pattern.as_bytes()]).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid);
    }
}
