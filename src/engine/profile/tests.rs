//! Profiles as a whole: the built-in ones, merging, errors, and what is shown.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::apply::{FALLBACK_KEYS, IMPORT_KEYS, KEYS, MATCH_KEYS, SHELL_KEYS};
use super::*;
use crate::error::Kind;
use proptest::prelude::*;

fn parse(text: &str) -> Result<Profile> {
    Profile::parse("mine", "mine.toml", text)
}

/// Resolves `name` among files given as (name, text); files of one name stand
/// in the order of search, before the built-in ones.
fn resolve(name: &str, files: &[(&str, &str)]) -> Result<Profile> {
    Profile::resolve(name, &|wanted| {
        let own = files.iter().enumerate().filter(|(_, (name, _))| *name == wanted);
        let own = own.map(|(index, (name, text))| Source {
            label: format!("{index}/{name}.toml"),
            text: (*text).to_owned(),
        });
        Ok(own.chain(search::embedded_source(wanted)).collect())
    })
}

#[test]
fn default_is_what_the_documents_say() {
    let profile = Profile::resolve("default", &|name| {
        Ok(search::embedded_source(name).into_iter().collect())
    })
    .unwrap();
    let shell = &profile.shell;
    assert_eq!(shell.command, [["/bin/bash"], ["/bin/sh"]]);
    assert_eq!((shell.builddir.as_str(), shell.workdir()), ("/builddir", "/builddir"));
    assert_eq!(shell.tmp.as_deref(), Some("/var/tmp"));
    assert_eq!((shell.network, shell.init), (NetworkMode::None, true));
    assert_eq!(profile.limits[0].to_string(), "nofile=1024:524288");
    assert_eq!(profile.fallback.locale, ["C.UTF-8", "en_US.UTF-8", "C"]);
    assert_eq!(profile.sources, ["built-in default.toml"]);
    assert!(profile.is_for("default", None) && !profile.is_for("centos", Some("6")));
}

#[test]
fn vmibuild_is_what_the_first_user_does_by_hand() {
    let profile = resolve("vmibuild", &[]).unwrap();
    assert_eq!(profile.shell.command, [["/bin/bash"]]);
    assert_eq!(profile.shell.builddir, "/builddir");
    assert_eq!(profile.shell.tmp.as_deref(), Some("/var/tmp"));
    assert_eq!(profile.limits[0].to_string(), "nofile=1024");
    assert_eq!(
        profile.import.clean,
        ["tmp/*", "var/cache/*", "var/run/*", "root/*", "root/.[^b]*"]
    );
    for pattern in ["/proc/*", "/sys/*", "/vmlinuz", "/initrd.img", "/boot/*"] {
        assert!(profile.import.exclude.iter().any(|known| known == pattern), "{pattern}");
    }
    assert_eq!(profile.import.changes, ["CMD [\"/bin/bash\"]"]);
    assert_eq!(profile.sources, ["built-in vmibuild.toml", "built-in default.toml"]);
    assert!(profile.is_for("vmibuild", Some("latest")) && profile.is_for("centos", Some("6.10")));
}

#[test]
fn a_file_merges_into_what_it_extends() {
    let base = r#"
        extends = false
        description = "base"
        [shell]
        workdir = "/src"
        tmp = "/tmp"
        hostname = "old"
        mounts = ["/a:/x", "/b:/y", "type=tmpfs,target=/z"]
        [environment]
        A = "1"
        B = "1"
        [limits]
        nofile = 10
        core = "unlimited"
        [import]
        exclude = ["one", "two"]
    "#;
    let child = r#"
        extends = "base"
        [shell]
        command = ["/bin/ls", "-l"]
        tmp = false
        hostname = false
        user = "builder:100"
        mounts = ["/c:/x:ro", "data:/z"]
        tmpfs = ["/y:exec"]
        [environment]
        B = false
        [limits]
        nofile = "20:30"
        [import]
        exclude = ["two", "three"]
    "#;
    let profile = resolve("child", &[("base", base), ("child", child)]).unwrap();
    let shell = &profile.shell;
    let printed = |mounts: &[MountOption]| -> Vec<String> {
        mounts.iter().map(ToString::to_string).collect()
    };
    assert_eq!(shell.command, [["/bin/ls", "-l"]]);
    assert_eq!((shell.workdir(), &shell.tmp, &shell.hostname), ("/src", &None, &None));
    assert_eq!(shell.user.as_ref().unwrap().to_string(), "builder:100");
    assert_eq!(printed(&shell.mounts), ["/c:/x:ro", "type=volume,source=data,target=/z"]);
    assert_eq!(printed(&shell.tmpfs), ["/y:exec"]);
    assert_eq!(profile.environment["A"], Variable::Set("1".into()));
    assert_eq!(profile.environment["B"], Variable::Unset);
    let limits: Vec<String> = profile.limits.iter().map(ToString::to_string).collect();
    assert_eq!(limits, ["core=unlimited", "nofile=20:30"]);
    assert_eq!(profile.import.exclude, ["one", "two", "three"]);
    assert_eq!((profile.name.as_str(), profile.description.as_str()), ("child", ""));
    assert_eq!(profile.matching.images[0].as_str(), "child");
    assert_eq!(profile.sources, ["1/child.toml", "0/base.toml"]);
}

#[test]
fn a_users_default_amends_the_built_in_one_for_every_profile() {
    let files = [("default", "[environment]\nTZ = 'UTC'")];
    for name in ["default", "vmibuild"] {
        let profile = resolve(name, &files).unwrap();
        assert_eq!(profile.environment["TZ"], Variable::Set("UTC".into()), "{name}");
        assert_eq!(profile.shell.tmp.as_deref(), Some("/var/tmp"), "{name}");
        assert_eq!(profile.sources.last().unwrap(), "built-in default.toml");
    }
}

#[test]
fn extends_is_followed_until_it_makes_no_sense() {
    for (files, message, hint) in [
        (
            &[("a", "extends = 'b'"), ("b", "extends = 'a'")][..],
            "1/b.toml:1:11: extends: the profiles extend each other: a -> b -> a",
            "write `extends = false` in the one that is to stand alone",
        ),
        (
            &[("a", "extends = 'vmibiuld'")],
            "0/a.toml:1:11: extends: there is no profile \"vmibiuld\"",
            "write `vmibuild`",
        ),
        (
            &[("a", "extends = 'a'")],
            "0/a.toml:1:11: extends: there is no further profile \"a\" to extend",
            "write `extends = \"default\"`, or leave the key out",
        ),
        (
            &[("a", "extends = '../a'")],
            "0/a.toml:1:11: extends: invalid profile name \"../a\"",
            "write the name alone, without folder and `.toml`, as in `vmibuild`",
        ),
        (&[], "there is no profile \"a\"", "write `default` or `vmibuild`"),
    ] {
        let error = resolve("a", files).unwrap_err();
        assert_eq!((error.chain().as_str(), error.hint_text()), (message, Some(hint)));
    }
    assert_eq!(resolve("a", &[]).unwrap_err().kind(), Kind::NotFound);
    let long: Vec<(String, String)> =
        (0..20).map(|i| (format!("p{i}"), format!("extends = 'p{}'", i + 1))).collect();
    let long: Vec<(&str, &str)> = long.iter().map(|(n, t)| (n.as_str(), t.as_str())).collect();
    assert!(resolve("p0", &long).unwrap_err().chain().contains("the chain is too long"));
}

const FAULTS: &[(&str, &str, &str)] = &[
    ("descripton = 'x'", "1:1: there is no key `descripton`", "write `description`"),
    ("[shell]\n  comand = ['x']", "2:3: there is no key `shell.comand`", "write `command`"),
    (
        "shell.network = 'hots'",
        "1:17: shell.network: network mode \"hots\" is not there: the modes are `none` and `host`",
        "write `host` to share the network of the host",
    ),
    (
        "[shell]\ninit = 'yes'",
        "2:8: shell.init: this is text, not a boolean",
        "write `true` or `false`",
    ),
    (
        "shell = 1",
        "1:9: shell: this is a number, not a table",
        "write `[shell]` on a line of its own",
    ),
    (
        "[shell]\ncommand = [[]]",
        "2:12: shell.command: the command is empty",
        "write a program and its arguments, as in `[\"/bin/bash\", \"-l\"]`",
    ),
    (
        "[shell]\nbuilddir = 'src'",
        "2:12: shell.builddir: \"src\" is not an absolute path below `/`",
        "write a path of the container, as in `/builddir`",
    ),
    (
        "[shell]\nmounts = [\n  '/ü:/b',  './a:/b',\n]",
        "3:13: shell.mounts: the host path ./a is not absolute",
        "write the whole path; a profile is used from any directory",
    ),
    (
        "[limits]\nnofiles = 1",
        "2:11: limits.nofiles: invalid ulimit type \"nofiles\"",
        "write `nofile`",
    ),
    (
        "[limits]\nnofile = '9:1'",
        "2:10: limits.nofile: invalid ulimit nofile=9:1: the soft limit is above the hard limit",
        "write `nofile=1:9`",
    ),
    (
        "[import]\nchanges = ['CMB ls']",
        "2:12: import.changes: \"CMB\" is no instruction that an import takes",
        "write `CMD`",
    ),
    (
        "[match]\nimages = ['a b']",
        "2:11: match.images: invalid image name \"a b\"",
        "write a repository and perhaps a tag, as in `vmibuild` or `centos:6*`",
    ),
    (
        "[environment]\nA = 1",
        "2:5: environment.A: this is a number, not text",
        "write it in quotes",
    ),
    (
        "[fallback]\nterm = ['a/b']",
        "2:9: fallback.term: \"a/b\" is no name",
        "write names as in `C.UTF-8` or `xterm`",
    ),
];

#[test]
fn says_where_and_what_is_wrong() {
    for (text, message, hint) in FAULTS {
        let error = parse(text).unwrap_err();
        assert_eq!(error.chain(), format!("mine.toml:{message}"));
        assert_eq!(error.hint_text(), Some(*hint), "{text}");
    }
}

#[test]
fn broken_toml_is_told_by_place() {
    let error = parse("[shell]\ninit = \n").unwrap_err();
    assert!(error.chain().starts_with("mine.toml:2:8: this is not TOML: "), "{}", error.chain());
    let error = parse("a = 1\na = 2").unwrap_err();
    assert_eq!(error.chain(), "mine.toml:2:1: this is not TOML: duplicate key");
}

#[test]
fn integers_may_be_written_as_toml_allows() {
    for text in ["nofile = 1_024", "nofile = 0x400", "nofile = '1024'"] {
        let profile = parse(&format!("[limits]\n{text}")).unwrap();
        assert_eq!(profile.limits[0].to_string(), "nofile=1024", "{text}");
    }
    let error = parse("[limits]\nnofile = -2").unwrap_err();
    assert!(error.chain().ends_with("\"-2\" is not a number"), "{}", error.chain());
}

#[test]
fn what_is_shown_parses_to_the_same() {
    let rich = r#"
        description = "ünusual \"text\""
        [shell]
        hostname = "build-1"
        user = "1000"
        network = "host"
        init = false
        mounts = ["/a:/b:ro,z", "type=bind,source=/c,target=/d", "data:/e"]
        tmpfs = ["/run:exec,size=50%", "/x:size=4096"]
        [environment]
        A = "line\nbreak"
        B = false
        "odd name" = ""
        [limits]
        core = 0
        stack = "1:unlimited"
        [match]
        images = ["a/b", "c:*"]
    "#;
    for (name, files) in [("default", &[][..]), ("vmibuild", &[]), ("rich", &[("rich", rich)])] {
        let profile = resolve(name, files).unwrap();
        let text = profile.to_toml().unwrap();
        assert!(text.contains("extends = false"), "{text}");
        let again = Profile::parse(name, "again", &text).unwrap();
        assert_eq!(again, Profile { sources: vec!["again".into()], ..profile }, "{text}");
    }
}

#[test]
fn json_has_the_keys_of_the_file() {
    let profile = parse("[limits]\ncore = 0\n[environment]\nA = false\nB = 'x'").unwrap();
    let json = serde_json::to_value(&profile).unwrap();
    assert_eq!(json["name"], "mine");
    assert_eq!(json["shell"]["network"], "none");
    assert_eq!(json["limits"]["core"], 0);
    assert_eq!(json["limits"]["nofile"], "1024:524288");
    assert_eq!(json["environment"]["A"], false);
    assert_eq!(json["environment"]["B"], "x");
    assert_eq!(json["match"]["images"][0], "mine");
}

#[test]
fn folders_come_before_the_built_in_profiles() {
    let files: HashMap<PathBuf, &str> =
        [("/site/vmibuild.toml".into(), "site"), ("/user/vmibuild.toml".into(), "user")].into();
    let path = SearchPath { folders: vec!["/user".into(), "/none".into(), "/site".into()] };
    let read = |file: &Path| Ok(files.get(file).map(|text| (*text).to_owned()));
    let labels: Vec<String> =
        path.sources("vmibuild", &read).unwrap().into_iter().map(|source| source.label).collect();
    assert_eq!(labels, ["/user/vmibuild.toml", "/site/vmibuild.toml", "built-in vmibuild.toml"]);
    assert!(path.sources("../etc/x", &read).is_err());
    for (file, name) in [
        ("/user/a.toml", Some("a")),
        ("/user/a.toml~", None),
        ("/user/.toml", None),
        ("/user/a b.toml", None),
    ] {
        assert_eq!(SearchPath::name_of(Path::new(file)), name, "{file}");
    }
}

#[test]
fn every_key_is_documented() {
    let text = include_str!("../../../docs/profiles.md");
    let tables = [
        ("", KEYS),
        ("shell.", SHELL_KEYS),
        ("fallback.", FALLBACK_KEYS),
        ("import.", IMPORT_KEYS),
        ("match.", MATCH_KEYS),
    ];
    for (table, keys) in tables {
        for key in keys {
            assert!(text.contains(&format!("`{table}{key}`")), "{table}{key}");
        }
    }
}

proptest! {
    #[test]
    fn never_panics(text in "((\\[shell\\]|\\[limits\\]|\\[import\\]|command|nofile|mounts|tmp|extends|clean)( = |\n)?(\\[|\\]|'[a-z:/.]{0,6}'|1|false)?\n?){0,6}\\PC{0,4}") {
        let _ = parse(&text);
    }
}
