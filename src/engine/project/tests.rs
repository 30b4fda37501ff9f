//! The file of a project: every key, every error, and what `init` writes.

use super::*;
use crate::error::Kind;
use proptest::prelude::*;

const FULL: &str = r#"
image = "vmibuild@sha256:0123"
profile = "vmibuild"
command = ["make", "all"]
network = "host"
mounts = [".", "../shared:/shared:ro", "type=tmpfs,target=/run,tmpfs-size=1m", "vol:/data"]
pass_environment = ["MAKEFLAGS"]

[environment]
LANG = "C"
TZ = false
"#;

#[test]
fn reads_every_key_and_makes_paths_absolute() {
    let folder = Path::new("/home/me/rain");
    let project = Project::parse("envbox.toml", FULL).unwrap().absolute(folder);
    assert_eq!(project.image, "vmibuild@sha256:0123");
    assert_eq!(project.profile.as_deref(), Some("vmibuild"));
    assert_eq!(project.command, Some(vec!["make".to_owned(), "all".to_owned()]));
    assert_eq!(project.network, Some(NetworkMode::Host));
    assert_eq!(project.pass_environment, ["MAKEFLAGS"]);
    assert_eq!(project.environment["LANG"], Variable::Set("C".into()));
    assert_eq!(project.environment["TZ"], Variable::Unset);
    let mounts: Vec<String> = project.mounts.iter().map(ToString::to_string).collect();
    assert_eq!(
        mounts,
        [
            "/home/me/rain",
            "/home/me/rain/../shared:/shared:ro",
            "type=tmpfs,tmpfs-size=1048576,target=/run",
            "type=volume,source=vol,target=/data",
        ]
    );
    assert_eq!(project.builddir(Path::new("/other")), folder);
}

#[test]
fn the_folder_of_the_file_is_the_builddir_unless_another_is_named() {
    let project = Project::parse("envbox.toml", "image = 'x'").unwrap();
    assert_eq!(project.builddir(Path::new("/a")), Path::new("/a"));
    let project = Project::parse("envbox.toml", "image = 'x'\nmounts = ['./src']").unwrap();
    assert_eq!(project.absolute(Path::new("/a")).builddir(Path::new("/a")), Path::new("/a/src"));
}

#[test]
fn searches_upward_to_the_root() {
    let files: Vec<PathBuf> = candidates(Path::new("/a/b")).collect();
    assert_eq!(files, ["/a/b/envbox.toml", "/a/envbox.toml", "/envbox.toml"].map(PathBuf::from));
}

const FAULTS: &[(&str, &str, &str)] = &[
    ("", "envbox.toml: there is no `image`", "add a line as in `image = \"vmibuild\"`"),
    ("imgae = 'x'", "envbox.toml:1:1: there is no key `imgae`", "write `image`"),
    (
        "image = 'a b'",
        "envbox.toml:1:9: image: \"a b\" is no image",
        "write a name with a tag or a digest, as in `vmibuild:latest`",
    ),
    (
        "image = 'x'\ncommand = []",
        "envbox.toml:2:11: command: the command is empty",
        "write a program and its arguments, as in `[\"/bin/bash\", \"-l\"]`",
    ),
    (
        "image = 'x'\nmounts = [\n  '.',\n  '/a',\n]",
        "envbox.toml:4:3: mounts: a second directory is to be mounted at the builddir",
        "write SOURCE:TARGET for all directories but one",
    ),
    (
        "image = 'x'\nmounts = ['./a:b']",
        "envbox.toml:2:11: mounts: invalid volume \"./a:b\": the target is not an absolute path",
        "write SOURCE:TARGET[:OPTIONS], as in `/home/me/src:/builddir`",
    ),
    (
        "image = 'x'\npass_environment = ['A=1']",
        "envbox.toml:2:21: pass_environment: \"A=1\" is no name of a variable",
        "write the name alone; values go into `[environment]`",
    ),
    (
        "image = 'x'\n[environment]\nA = 1",
        "envbox.toml:3:5: environment.A: this is a number, not text",
        "write it in quotes",
    ),
];

#[test]
fn says_where_and_what_is_wrong() {
    for (text, message, hint) in FAULTS {
        let error = Project::parse("envbox.toml", text).unwrap_err();
        assert_eq!((error.chain().as_str(), error.hint_text()), (*message, Some(*hint)));
        assert_eq!(error.kind(), Kind::Invalid);
    }
}

#[test]
fn what_is_rendered_parses_to_the_same() {
    let full = Project::parse("envbox.toml", FULL).unwrap();
    let bare = Project { image: "vmibuild".into(), ..Project::default() };
    for project in [full, bare] {
        let text = render(&project);
        assert_eq!(Project::parse("envbox.toml", &text).unwrap(), project, "{text}");
    }
}

#[test]
fn every_key_is_in_what_is_rendered() {
    let text = render(&Project { image: "x".into(), ..Project::default() });
    for key in KEYS {
        assert!(text.contains(&format!("{key} =")) || text.contains(&format!("[{key}]")), "{key}");
    }
}

proptest! {
    #[test]
    fn never_panics(text in "((image|mounts|network|environment)( = |\\.|\n)?(\\[|\\]|'[a-z:/.]{0,6}'|1)?\n?){0,5}\\PC{0,4}") {
        let _ = Project::parse("envbox.toml", &text);
    }

    #[test]
    fn any_text_survives_rendering(value in "\\PC{0,12}", name in "[^=\\x00]{1,6}") {
        let value = value.replace('\0', "");
        let project = Project {
            image: "x".into(),
            command: Some(vec!["/bin/sh".into(), value.clone()]),
            environment: [(name, Variable::Set(value))].into(),
            ..Project::default()
        };
        prop_assert_eq!(Project::parse("f", &render(&project)).unwrap(), project);
    }
}

#[test]
fn every_key_is_documented() {
    let text = include_str!("../../../docs/profiles.md");
    let (_, text) = text.split_once("# Projects").unwrap();
    for key in KEYS {
        assert!(text.contains(&format!("| `{key}` |")), "{key}");
    }
}
