//! What is no root filesystem, or not asked for in words that mean something:
//! status 1, one line that names it, a hint, and nothing half-done.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{fails, identity_of, import, tar, text, tree};
use crate::harness::{Room, for_everyone};

/// A file of the room's user in its work folder.
fn file(room: &Room, name: &str, content: &[u8]) -> PathBuf {
    let path = room.work().join(name);
    fs::write(&path, content).unwrap();
    room.give(&path);
    path
}

/// A tar of one regular member of this name and of a link of that target.
fn hostile(room: &Room, name: &str, link: (u8, &str)) -> PathBuf {
    let mut bytes = member(name, b'0', "");
    bytes.extend(member("link", link.0, link.1));
    bytes.extend([0; 1024]);
    file(room, "hostile.tar", &bytes)
}

/// A ustar header (POSIX pax, "ustar Interchange Format").
fn member(name: &str, flag: u8, target: &str) -> Vec<u8> {
    let mut block = vec![0; 512];
    let fields: [(usize, &str); 8] = [
        (0, name),
        (100, "0000644"),
        (108, "0000000"),
        (116, "0000000"),
        (124, "00000000000"),
        (136, "00000000000"),
        (157, target),
        (257, "ustar\x0000"),
    ];
    for (offset, value) in fields {
        block[offset..offset + value.len()].copy_from_slice(value.as_bytes());
    }
    block[148..156].fill(b' ');
    block[156] = flag;
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    block
}

for_everyone! {
    fn an_archive_of_more_members_than_are_allowed(room) {
        let names = ["a", "b", "c", "d"];
        let mut bytes: Vec<u8> = names.iter().flat_map(|name| member(name, b'0', "")).collect();
        bytes.extend([0; 1024]);
        let many = file(room, "many.tar", &bytes);
        fails(room, &[text(&many), "x", "--max-entries", "3"])
            .warns("more than 3 members, at last \"d\"")
            .warns("--max-entries");
        room.envbox(&["import", "-q", text(&many), "x", "--max-entries", "4"]).succeeds();
    }

    fn a_source_that_is_missing_or_empty(room) {
        fails(room, &["/no/such/tree", "x"]).warns("/no/such/tree does not exist").warns("hint: ");
        fails(room, &["", "x"]).warns("the source is an empty word").warns("hint: ");
        let empty = room.work().join("empty");
        fs::create_dir(&empty).unwrap();
        room.give(&empty);
        fails(room, &["empty", "x"]).warns("empty is empty").warns("hint: ");
        fails(room, &[text(&file(room, "nothing", b"")), "x"]).warns("hint: ");
        fails(room, &["/dev/null", "x"]).warns("hint: ");
        fails(room, &["-", "x"]).warns("hint: ");
        fails(room, &[text(&file(room, "end", &[0; 1024])), "x"]).warns("is empty").warns("hint: ");
    }

    fn a_source_that_is_no_tar(room) {
        let prose = file(room, "prose", &b"no archive at all\n".repeat(100));
        fails(room, &["prose", "x"])
            .warns("cannot import prose: not a tar archive")
            .warns("hint: ");
        let packed = Command::new("gzip").arg("-c").arg(&prose).output().unwrap();
        let packed = file(room, "prose.gz", &packed.stdout);
        fails(room, &[text(&packed), "x"]).warns("not a tar archive").warns("hint: ");
        let socket = room.work().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        room.give(&socket);
        fails(room, &[text(&socket), "x"]).warns("socket");
    }

    fn a_source_that_is_cut_off(room) {
        let tree = tree(room);
        let whole = fs::read(tar(room, &tree, &["."])).unwrap();
        let cut = file(room, "cut.tar", &whole[..whole.len() / 2]);
        fails(room, &[text(&cut), "x"]).warns("cut off").warns("hint: ");
        for program in ["gzip", "bzip2", "xz", "zstd"] {
            let mut command = Command::new(program);
            command.arg("-c").arg(room.work().join("archive.tar"));
            let packed = command.output().unwrap().stdout;
            let cut = file(room, "cut.packed", &packed[..packed.len() - 20]);
            fails(room, &[text(&cut), "x"])
                .warns(&format!("the {program} stream is truncated or damaged"))
                .warns("hint: ");
        }
    }

    fn an_archive_that_reaches_out_of_itself(room) {
        let plain = (b'2', "bin");
        let absolute = room.work().join("absolute");
        for name in ["../escaped", "a/../../escaped", text(&absolute)] {
            fails(room, &[text(&hostile(room, name, plain)), "x"])
                .warns(&format!("hostile.tar: the member {name:?}"))
                .warns("hint: ");
        }
        let beside = room.work().join("beside");
        fails(room, &[text(&hostile(room, "a", (b'1', "../../../../etc/passwd"))), "x"])
            .warns("../../../../etc/passwd")
            .warns("hint: ");
        // Through a link that the archive made before.
        let mut bytes = member("out", b'2', text(&room.work()));
        bytes.extend(member("out/beside", b'0', ""));
        bytes.extend([0; 1024]);
        fails(room, &[text(&file(room, "through.tar", &bytes)), "x"])
            .warns("out/beside")
            .warns("hint: ");
        assert!(!absolute.exists() && !beside.exists() && !room.path().join("escaped").exists());
    }

    fn a_path_that_is_too_long(room) {
        let tree = tree(room);
        let renamed = |length: usize| {
            let folders = format!("{}/", "d".repeat(199)).repeat(length / 200);
            let name = "f".repeat(length % 200);
            let transform = format!("--transform=s,^./bin/bash$,{folders}{name},S");
            fs::read(tar(room, &tree, &[&transform, "--exclude=./bin/sh", "."])).unwrap()
        };
        let long = file(room, "long.tar", &renamed(4090));
        identity_of(&room.envbox(&["import", text(&long)]).succeeds());
        let longer = file(room, "longer.tar", &renamed(4100));
        room.envbox(&["import", text(&longer)]).exits(1).warns("longer").warns("hint: ");
    }

    fn a_store_of_a_newer_version(room) {
        let tree = tree(room);
        import(room, &[text(&tree)]);
        fs::write(room.path().join("store/version"), "99\n").unwrap();
        room.envbox(&["import", text(&tree)])
            .exits(1)
            .warns("was made by a newer envbox")
            .warns("hint: ");
    }

    fn a_name_that_cannot_be_in_a_layer(room) {
        let tree = tree(room);
        fs::write(tree.join("etc/.wh.passwd"), "").unwrap();
        room.give(&tree);
        fails(room, &[text(&tree), "x"])
            .warns("etc/.wh.passwd cannot be in a layer")
            .warns("hint: ");
        import(room, &[text(&tree), "--exclude=.wh.*"]);
    }

    fn a_reference_that_is_malformed(room) {
        let tree = tree(room);
        fails(room, &[text(&tree), "VmiBuild:V2"])
            .warns("invalid reference \"VmiBuild:V2\": the repository name must be lower case")
            .warns("hint: use lower case: vmibuild:v2");
        fails(room, &[text(&tree), "a b"]).warns("hint: a reference is");
        fails(room, &[text(&tree), ""]).warns("the repository name is missing");
    }

    fn an_instruction_that_is_none(room) {
        let tree = tree(room);
        fails(room, &[text(&tree), "-c", "RUN make"]).warns("RUN").warns("hint: ");
        fails(room, &[text(&tree), "-c", "CDM x"]).warns("CDM").warns("hint: ");
        fails(room, &[text(&tree), "-c", "EXPOSE 70000"]).warns("70000").warns("hint: ");
        fails(room, &[text(&tree), "--change="]).warns("hint: ");
    }

    fn a_platform_or_a_profile_that_is_none(room) {
        let tree = tree(room);
        fails(room, &[text(&tree), "--platform", "linux/amd64/v2/x"])
            .warns("invalid platform \"linux/amd64/v2/x\"")
            .warns("hint: write os/architecture");
        fails(room, &[text(&tree), "--profile", "vmibiuld"])
            .warns("there is no profile \"vmibiuld\"")
            .warns("vmibuild");
        let profiles = room.path().join("home/.config/envbox/profiles");
        fs::create_dir_all(&profiles).unwrap();
        fs::write(profiles.join("broken.toml"), "[import]\nexlude = [\"a\"]\n").unwrap();
        room.give(&room.path().join("home"));
        fails(room, &[text(&tree), "--profile", "broken"])
            .warns("broken.toml:2")
            .warns("exclude");
    }

    fn a_command_line_that_means_nothing(room) {
        fails(room, &[]).warns("SOURCE");
        fails(room, &["a", "b", "c"]).warns("'c'");
        fails(room, &["a", "--exlude=b"]).warns("--exclude");
        fails(room, &["a", "--platform"]).warns("--platform");
        fails(room, &["ftp://host/a.tar", "x"]).warns("ftp:// addresses cannot be fetched");
        fails(room, &["https://", "x"]).warns("malformed URL").warns("hint: ");
        room.envbox(&["shell", "--no-such"]).exits(125);
        room.envbox(&["images", "--no-such"]).exits(1);
        room.envbox(&["no-such"]).exits(1);
        room.envbox(&["--version"]).exits(0);
        room.envbox(&["import", "--help"]).exits(0).says("--exclude-from");
    }

    fn a_store_that_cannot_be_made(room) {
        let tree = tree(room);
        let blocked = file(room, "blocked", b"");
        room.envbox(&["--root", text(&blocked), "import", text(&tree)])
            .exits(1)
            .warns("blocked");
    }

    fn a_dangling_link_is_no_source_and_a_link_to_one_is(room) {
        let tree = tree(room);
        let link = room.work().join("link");
        symlink("no-such", &link).unwrap();
        fails(room, &["link", "x"]).warns("link does not exist");
        fs::remove_file(&link).unwrap();
        symlink("tree", &link).unwrap();
        assert_eq!(import(room, &["link"]), import(room, &[text(&tree)]));
    }
}

#[test]
fn a_file_that_may_not_be_read_is_named() {
    Room::with(crate::harness::Who::User, |room| {
        let tree = tree(room);
        let secret = tree.join("etc/shadow");
        fs::write(&secret, "").unwrap();
        fs::set_permissions(&secret, PermissionsExt::from_mode(0o000)).unwrap();
        room.give(&secret);
        // In its own namespace the user is root and may read all that is its.
        import(room, &[text(&tree)]);
        let archive = tar(room, &tree, &["--exclude=shadow", "."]);
        fs::set_permissions(&archive, PermissionsExt::from_mode(0o000)).unwrap();
        room.envbox(&["import", text(&archive)]).exits(1).warns("archive.tar: Permission denied");
        let closed = Path::new("/root");
        if fs::read_dir(closed).is_err() || nix::unistd::geteuid().is_root() {
            room.envbox(&["import", text(&closed)])
                .exits(1)
                .warns("/root: Permission denied")
                .warns("hint: ");
        }
    });
}
