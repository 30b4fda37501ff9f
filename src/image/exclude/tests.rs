//! The rules against their model: the same tree, the same patterns, GNU tar's
//! answer and ours.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use proptest::prelude::*;

use super::*;
use crate::error::Kind;

const FILES: &[&str] = &[
    ".hidden",
    "[ab",
    "[[ab",
    "]",
    "-",
    "a-b",
    "a\\b",
    "boot/grub/grub.cfg",
    "boot/initrd.img",
    "boot/vmlinuz",
    "etc/.git/HEAD",
    "etc/cache",
    "etc/passwd",
    "etc/passwd-",
    "home/build/A.o",
    "home/build/a.o",
    "home/build/b.c",
    "home/build/z9",
    "home/x y/file",
    "star*name",
    "usr/lib/cache/x/y/z",
    "usr/lib/libc.so.6",
    "usr/lib64/libc.so.6",
    "var/cache/apt/archives/lock",
    "var/cache/yum/db",
    "var/log/messages",
    "var/log/messages.1",
    "var/tmp/t1",
    "vmlinuz",
    "{a,b}",
];

const PATTERNS: &[&str] = &[
    "etc",
    "cache",
    "cache/",
    "c*e/",
    "var/cache",
    "var/cache/",
    "var/cache/*",
    "lib/cache",
    "ar/cache",
    "passwd",
    "passwd*",
    "passwd?",
    "*passwd",
    "*",
    "**",
    "?",
    ".*",
    "*/.*",
    "*.o",
    "[a-z].o",
    "[A-Z].o",
    "[!a-z].o",
    "[^a-z].o",
    "[[:upper:]].o",
    "[[:lower:][:digit:]].[co]",
    "[![:lower:]].o",
    "[[:alpha:]][[:digit:]]",
    "[[:foo:]]",
    "[a[:foo:]b].o",
    "[z-a]*",
    "[a\\-z].o",
    "[--b]",
    "[]]",
    "[!]]",
    "[a-]",
    "a[-]b",
    "[[=a=]-z].o",
    "[[.a.]-[.b.]].[co]",
    "[[.ab.]a].o",
    "[a-[:digit:]]",
    "[ab",
    "[[ab",
    "\\[ab",
    "[",
    "a\\\\b",
    "a\\b",
    "a\\",
    "a*\\",
    "star\\*name",
    "star*name",
    "\\{a,b\\}",
    "etc[/]passwd",
    "etc?passwd",
    "usr*libc.so.6",
    "usr/*/libc.so.6",
    "lib*/libc*",
    "u*b*c*6",
    "*/*/*/*",
    "*/lock",
    "x y",
    "y/z",
    "x/y",
    "",
    ".",
    "messages",
    "log/messages.[0-9]",
    "{vmlinuz,initrd.img}",
    "var/{cache,log,tmp}/*",
    "{usr,var}/{lib,cache}",
    "home/build/{[a-z],[A-Z]}.o",
    "{etc,{home,usr}/{build,lib}}",
];

fn make_tree(root: &Path) {
    let folders = FILES.iter().filter_map(|file| file.rsplit_once('/')).map(|(folder, _)| folder);
    let run = |program: &str, names: Vec<&str>| {
        let status = Command::new(program).current_dir(root).arg("--").args(names).status();
        assert!(status.unwrap().success());
    };
    for folder in folders {
        let mut above = String::new();
        for part in folder.split('/') {
            above.push_str(part);
            if !root.join(&above).exists() {
                run("mkdir", vec![&above]);
            }
            above.push('/');
        }
    }
    for file in FILES {
        std::fs::write(root.join(file), "").unwrap();
    }
}

/// The names that tar stores, given the options; without their leading `./` and
/// trailing slashes.
fn archived(root: &Path, options: &[Vec<u8>]) -> BTreeSet<Vec<u8>> {
    use std::os::unix::ffi::OsStrExt;
    let mut tar = Command::new("tar");
    tar.current_dir(root).env("LC_ALL", "C").env_remove("TAR_OPTIONS").args(["-c", "--no-unquote"]);
    tar.args(options.iter().map(|option| std::ffi::OsStr::from_bytes(option)));
    let output = tar.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut archive = ::tar::Archive::new(&output.stdout[..]);
    let names = archive.entries().unwrap().map(|entry| entry.unwrap().path_bytes().into_owned());
    let bare = names.map(|name| {
        let name = name.strip_suffix(b"/").unwrap_or(&name);
        name.strip_prefix(b"./").unwrap_or(name).to_vec()
    });
    bare.filter(|name| name != b".").collect()
}

fn surviving<'a>(
    all: impl IntoIterator<Item = &'a Vec<u8>>,
    is_excluded: impl Fn(&[u8]) -> bool,
) -> BTreeSet<Vec<u8>> {
    all.into_iter().filter(|name| !is_excluded(name)).cloned().collect()
}

/// What a walk from the top keeps: below an excluded directory it asks nothing.
fn walked(all: &BTreeSet<Vec<u8>>, set: &ExcludeSet) -> BTreeSet<Vec<u8>> {
    let mut kept = BTreeSet::new();
    for name in all {
        let parent = name.iter().rposition(|&byte| byte == b'/').map(|slash| &name[..slash]);
        if parent.is_none_or(|parent| kept.contains(parent)) && !set.excludes(name) {
            kept.insert(name.clone());
        }
    }
    kept
}

fn top_names(all: &BTreeSet<Vec<u8>>) -> impl Iterator<Item = Vec<u8>> {
    all.iter().filter(|name| !name.contains(&b'/')).cloned()
}

fn assert_agrees(root: &Path, all: &BTreeSet<Vec<u8>>, options: Vec<Vec<u8>>, set: &ExcludeSet) {
    let theirs = archived(root, &options);
    let shown: Vec<_> = options.iter().map(|option| String::from_utf8_lossy(option)).collect();
    assert_eq!(walked(all, set), theirs, "walk: {shown:?}");
    assert_eq!(surviving(all, |name| set.excludes_with_parents(name)), theirs, "{shown:?}");
}

fn set(patterns: &[&str]) -> ExcludeSet {
    ExcludeSet::parse(patterns.iter().map(|pattern| pattern.as_bytes())).unwrap()
}

#[test]
fn agrees_with_gnu_tar() {
    let tree = tempfile::tempdir().unwrap();
    make_tree(tree.path());
    let all = archived(tree.path(), &[b".".to_vec()]);
    for pattern in PATTERNS {
        let expanded = brace::expand(pattern.as_bytes()).unwrap();
        let mut options: Vec<_> =
            expanded.iter().map(|one| [b"--exclude=".as_slice(), one].concat()).collect();
        options.push(b"--".to_vec());
        options.extend(top_names(&all));
        assert_agrees(tree.path(), &all, options, &set(&[pattern]));
    }
}

#[test]
fn ties_leading_dot_slash_to_the_rootfs_as_tar_does_for_a_dot() {
    let tree = tempfile::tempdir().unwrap();
    make_tree(tree.path());
    let all = archived(tree.path(), &[b".".to_vec()]);
    for pattern in ["./etc", "./cache", "./*/cache", "./boot/vmlinuz", "./var/l*", "./etc/"] {
        let options = vec![format!("--exclude={pattern}").into_bytes(), b".".to_vec()];
        assert_agrees(tree.path(), &all, options, &set(&[pattern]));
    }
}

#[test]
fn reads_exclude_from_as_gnu_tar_does() {
    let tree = tempfile::tempdir().unwrap();
    make_tree(tree.path());
    let all = archived(tree.path(), &[b".".to_vec()]);
    let texts: [&[u8]; 6] = [
        b"cache\npasswd \t\r\n\n  \n*.o",
        b"  cache\n# boot\nlog\n",
        b"vmlinuz",
        b"",
        b"\n\n",
        b"x y\x0b\x0c\nboot",
    ];
    for text in texts {
        let list = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut list.as_file(), text).unwrap();
        let mut options = vec![b"-X".to_vec(), list.path().to_str().unwrap().into()];
        options.extend([b"--".to_vec()].into_iter().chain(top_names(&all)));
        let set = ExcludeSet::parse(exclude_from_lines(text)).unwrap();
        assert_agrees(tree.path(), &all, options, &set);
    }
}

#[test]
fn ties_a_leading_slash_to_the_rootfs() {
    let set = set(&["/proc", "/sys/", "//var/./x", "/home/*/secret", "/{dev,run}/*", "./tmp"]);
    for path in ["proc", "home/a/secret", "home/a/b/secret", "dev/null", "run/lock", "tmp"] {
        assert!(set.excludes(path.as_bytes()), "{path}");
    }
    for path in ["usr/proc", "proc/1", "sys", "dev", "x/home/a/secret", "usr/tmp", "var/x"] {
        assert!(!set.excludes(path.as_bytes()), "{path}");
    }
    assert!(set.excludes_with_parents(b"proc/1/fd"));
    assert!(!set.excludes_with_parents(b"usr/proc/1"));
}

#[test]
fn reports_patterns_that_can_match_nothing() {
    let set = set(&["tmp/", "", ".", "/", "./", "a//b", "{x,y}/", "[[:nope:]]", "good", "*ok"]);
    let dead: Vec<_> = set.dead_patterns().collect();
    let expected: [&[u8]; 9] =
        [b"tmp/", b"", b".", b"/", b"./", b"a//b", b"x/", b"y/", b"[[:nope:]]"];
    assert_eq!(dead, expected);
    assert!(!set.is_empty());
    assert!(ExcludeSet::parse([]).unwrap().is_empty());
}

#[test]
fn refuses_a_pattern_longer_than_any_path() {
    let long = vec![b'a'; MAX_PATTERN_BYTES + 1];
    assert!(ExcludeSet::parse([&long[1..]]).is_ok());
    assert_eq!(ExcludeSet::parse([&long[..]]).unwrap_err().kind(), Kind::Invalid);
}

/// The rules of fnmatch in their plainest form.
fn matches_naively(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, _) => name.is_empty(),
        (Some((b'*', rest)), _) => {
            (0..=name.len()).any(|taken| matches_naively(rest, &name[taken..]))
        }
        (Some((b'?', rest)), Some((_, tail))) => matches_naively(rest, tail),
        (Some((own, rest)), Some((byte, tail))) => own == byte && matches_naively(rest, tail),
        (Some(_), None) => false,
    }
}

proptest! {
    #[test]
    fn matches_what_the_plain_rules_match(
        pattern in "[ab/*?]{0,8}",
        path in "[ab]{1,3}(/[ab]{1,3}){0,3}",
    ) {
        let pattern = format!("{pattern}*");
        let name = path.as_bytes();
        let below = below_rootfs(pattern.as_bytes());
        let floats = below.len() == pattern.len();
        let starts = (1..name.len()).filter(|&at| floats && name[at - 1] == b'/');
        let expected =
            [0].into_iter().chain(starts).any(|at| matches_naively(below, &name[at..]));
        prop_assert_eq!(set(&[&pattern]).excludes(name), expected);
    }

    #[test]
    fn takes_any_bytes(
        pattern in proptest::collection::vec(any::<u8>(), 0..64),
        path in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        if let Ok(set) = ExcludeSet::parse([&pattern[..]]) {
            // Whatever excludes a name excludes what is below it.
            let below = [&path[..], b"/x"].concat();
            prop_assert!(!set.excludes(&path) || set.excludes_with_parents(&below));
        }
    }

    #[test]
    fn takes_any_metacharacters(
        pattern in "[\\]\\[!^a:.={},*?/\\\\$-]{0,24}",
        path in "[\\]a:./\\[{}-]{0,12}",
    ) {
        if let Ok(set) = ExcludeSet::parse([pattern.as_bytes()]) {
            let below = format!("{path}/x");
            let is_excluded = set.excludes(path.as_bytes());
            prop_assert!(!is_excluded || set.excludes_with_parents(below.as_bytes()));
        }
    }
}
