//! Trees and configs side by side, without mounts.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::*;
use crate::fs::{Dir, Timestamp};

/// Two empty trees, `old` and `new`.
fn room() -> tempfile::TempDir {
    let room = tempfile::tempdir().unwrap();
    for tree in ["old", "new"] {
        std::fs::create_dir(room.path().join(tree)).unwrap();
    }
    room
}

fn compare(room: &Path, times: Times) -> Vec<PathChange> {
    let open = |name: &str| Dir::open(&room.join(name)).unwrap();
    tree::compare(&open("old"), &open("new"), times).unwrap()
}

fn told(room: &Path) -> Vec<String> {
    let line = |change: PathChange| {
        format!("{:?} {} {:?}", change.kind(), change.path.display(), change.aspects)
    };
    compare(room, Times::Ignored).into_iter().map(line).collect()
}

#[test]
fn a_directory_that_is_gone_stands_for_all_in_it_and_a_new_one_does_not() {
    let room = room();
    for tree in ["old/gone/deep/er", "new/fresh/deep"] {
        std::fs::create_dir_all(room.path().join(tree)).unwrap();
    }
    for file in ["old/gone/deep/er/a", "old/gone/b", "new/fresh/deep/c"] {
        std::fs::write(room.path().join(file), "12345").unwrap();
    }
    let expected =
        ["Added /fresh []", "Added /fresh/deep []", "Added /fresh/deep/c []", "Deleted /gone []"];
    assert_eq!(told(room.path()), expected);
    let gone = compare(room.path(), Times::Ignored).pop().unwrap();
    assert_eq!(gone.old, Some(FileFound { kind: FileKind::Directory, size: 10 }));
}

#[test]
fn another_type_is_told_with_what_was_below() {
    let room = room();
    let path = |name: &str| room.path().join(name);
    std::fs::create_dir_all(path("old/a/b")).unwrap();
    std::fs::write(path("new/a"), "").unwrap();
    std::fs::set_permissions(path("new/a"), PermissionsExt::from_mode(0o755)).unwrap();
    symlink("one", path("old/link")).unwrap();
    symlink("two", path("new/link")).unwrap();
    let expected = [
        "Changed /a [Kind(Directory, Regular)]",
        "Deleted /a/b []",
        "Changed /link [Target([111, 110, 101], [116, 119, 111])]",
    ];
    assert_eq!(told(room.path()), expected);
}

#[test]
fn times_count_only_if_they_are_asked_for() {
    let room = room();
    for tree in ["old", "new"] {
        std::fs::write(room.path().join(tree).join("file"), "same").unwrap();
    }
    let old = Dir::open(&room.path().join("old")).unwrap();
    for name in ["file", "."] {
        old.set_mtime(OsStr::new(name), Timestamp::from_seconds(1)).unwrap();
    }
    assert_eq!(compare(room.path(), Times::Ignored), []);
    let changes = compare(room.path(), Times::Compared);
    let paths: Vec<&Path> = changes.iter().map(|change| change.path.as_path()).collect();
    assert_eq!(paths, [Path::new("/"), Path::new("/file")]);
    assert!(changes.iter().all(|change| change.aspects == [Aspect::Mtime]));
}

#[test]
fn one_byte_behind_a_terabyte_of_nothing_is_found() {
    const SIZE: u64 = 1 << 40;
    let room = room();
    for (tree, byte) in [("old", 1), ("new", 2)] {
        let file = std::fs::File::create(room.path().join(tree).join("log")).unwrap();
        file.set_len(SIZE).unwrap();
        std::fs::File::create(room.path().join(tree).join("empty")).unwrap().set_len(SIZE).unwrap();
        file.write_all_at(&[byte], SIZE - 5_000_000).unwrap();
    }
    assert_eq!(told(room.path()), ["Changed /log [Content]"]);
}

#[test]
fn content_is_compared_beyond_the_first_piece_and_by_bytes_not_by_holes() {
    let room = room();
    let old = vec![0; 1_000_001];
    let file = std::fs::File::create(room.path().join("new/zero")).unwrap();
    file.set_len(old.len() as u64).unwrap();
    std::fs::write(room.path().join("old/zero"), &old).unwrap();
    let mut new = old.clone();
    new[1_000_000] = 1;
    std::fs::write(room.path().join("old/file"), old).unwrap();
    std::fs::write(room.path().join("new/file"), new).unwrap();
    assert_eq!(told(room.path()), ["Changed /file [Content]"]);
}

#[test]
fn names_are_bytes_and_come_in_the_order_of_a_walk() {
    let room = room();
    std::fs::create_dir(room.path().join("new/a")).unwrap();
    for name in [&b"a/z"[..], b"a-b", b"\xff"] {
        std::fs::write(room.path().join("new").join(OsStr::from_bytes(name)), "").unwrap();
    }
    let paths: Vec<PathBuf> =
        compare(room.path(), Times::Ignored).into_iter().map(|change| change.path).collect();
    let expected = [&b"/a"[..], b"/a/z", b"/a-b", b"/\xff"];
    assert_eq!(paths, expected.map(|name| PathBuf::from(OsStr::from_bytes(name))));
}

fn parameters(old: &str, new: &str) -> Vec<String> {
    let config = |config: &str| {
        format!(
            r#"{{"architecture":"amd64","os":"linux","config":{config},"rootfs":{{"type":"layers","diff_ids":[]}}}}"#
        )
    };
    let (old, new) = (config(old), config(new));
    let parse = |text: &str| serde_json::from_str::<ImageConfig>(text).unwrap();
    let changes =
        parameters::compare((&parse(&old), old.as_bytes()), (&parse(&new), new.as_bytes()));
    let side = |side: Option<String>| side.unwrap_or_else(|| "none".to_owned());
    let line = |change: ParameterChange| {
        format!("{} {} {}", change.name, side(change.old), side(change.new))
    };
    changes.unwrap().into_iter().map(line).collect()
}

#[test]
fn lists_of_names_are_compared_name_by_name() {
    assert_eq!(
        parameters(
            r#"{"Env":["PATH=/bin","A=1","A=2","GONE"],"Cmd":["sh"],"ExposedPorts":{"80/tcp":{}}}"#,
            r#"{"Env":["A=2","PATH=/sbin","B=\""],"Cmd":["sh","-c"],"ExposedPorts":{"81/tcp":{}},"Labels":{"a":""},"Odd":{"k":[1]}}"#,
        ),
        [
            r#"Cmd ["sh"] ["sh","-c"]"#,
            r#"Env.B none "\"""#,
            r#"Env.GONE "" none"#,
            r#"Env.PATH "/bin" "/sbin""#,
            "ExposedPorts.80/tcp {} none",
            "ExposedPorts.81/tcp none {}",
            r#"Labels.a none """#,
            "Odd.k none [1]",
        ]
    );
}

#[test]
fn what_is_not_set_is_the_same_however_it_is_written() {
    let docker = r#"{"Hostname":"","AttachStdin":false,"Env":null,"Volumes":null,"OnBuild":[],"Labels":{},"MemorySwap":0}"#;
    assert_eq!(parameters(docker, "{}"), [""; 0]);
    assert_eq!(parameters("{}", docker), [""; 0]);
}
