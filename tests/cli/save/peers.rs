//! What other programs read: each takes the images for what they are.

use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};
use std::path::Path;
use std::process::Command;

use super::{imported, is_installed, shell};
use crate::harness::{Room, Who, for_everyone, skip};

/// The options that say how layers are compressed.
const FORMS: [&str; 3] = ["", "--compress", "--compress=zstd"];

/// Two images of which one stands upon the other: `a:1`, also `a:2`, and
/// `host:5000/b:3`; returns their IDs.
fn two_images(room: &Room) -> [String; 2] {
    let first = imported(room, "a:1", 1_000_000_000);
    let script = "\"$0\" tag a:1 a:2; \"$0\" create --name base a:1 true >log
        echo new >new; \"$0\" cp new base:/etc/new; \"$0\" commit base host:5000/b:3
        \"$0\" rm base >log";
    let second = shell(room, script).succeeds().stdout();
    [first, second.trim().to_owned()]
}

for_everyone! {
    fn skopeo_copies_the_images_of_all_forms(room) {
        if !is_installed("skopeo") {
            return skip("skopeo is not installed");
        }
        let [first, second] = two_images(room);
        for form in FORMS {
            shell(room, &format!("rm -f *.tar; \"$0\" save {form} -o a.tar a:1 a:2 host:5000/b:3
                \"$0\" save {form} --format oci-archive -o o.tar a:2 host:5000/b:3"))
                .succeeds().quietly();
            for (source, id) in [
                ("docker-archive:a.tar:a:1", &first),
                ("docker-archive:a.tar:a:2", &first),
                ("docker-archive:a.tar:host:5000/b:3", &second),
                ("oci-archive:a.tar:2", &first),
                ("oci-archive:a.tar:3", &second),
                ("oci-archive:o.tar:2", &first),
                ("oci-archive:o.tar:3", &second),
            ] {
                let copied = shell(room, &format!("rm -rf dir; mkdir dir
                    skopeo --insecure-policy --tmpdir . copy -q {source} dir:dir; cat dir/manifest.json"));
                assert_eq!(copied.succeeds().json()["config"]["digest"], **id, "{form} {source}");
            }
        }
    }

    fn umoci_unpacks_compressed_layers(room) {
        if !is_installed("umoci") {
            return skip("umoci is not installed");
        }
        two_images(room);
        // Debian's does not know zstd.
        let script = "\"$0\" save --compress --format oci-dir -o out host:5000/b:3
            umoci unpack $(test $(id -u) = 0 || echo --rootless) --image out:3 bundle
            cmp new bundle/rootfs/etc/new; test $(readlink bundle/rootfs/bin/link) = /etc/passwd";
        shell(room, script).succeeds();
    }
}

fn podman_loads(room: &Room) {
    if !is_installed("podman") {
        return skip("podman is not installed");
    }
    let podman =
        "p() { podman --root $PWD/p/root --runroot $PWD/p/run --storage-driver vfs \"$@\"; }";
    if !shell(room, &format!("{podman}; p info >log 2>&1")).stderr().is_empty()
        || shell(room, &format!("{podman}; p images >log 2>&1 || echo no")).stdout() == "no\n"
    {
        return skip("podman does not work here");
    }
    let [first, second] = two_images(room);
    for form in FORMS {
        let script = format!("{podman}; \"$0\" save {form} a:1 a:2 host:5000/b:3 >a.tar
            p load -q -i a.tar >log; p images --no-trunc --format '{{{{.ID}}}} {{{{.Repository}}}}:{{{{.Tag}}}}' | sort
            p rmi -af >log");
        let seen = shell(room, &script).succeeds().stdout();
        let mut expected = [
            format!("{first} localhost/a:1"),
            format!("{first} localhost/a:2"),
            format!("{second} host:5000/b:3"),
        ];
        expected.sort();
        assert_eq!(seen.lines().collect::<Vec<_>>(), expected, "{form}");
    }
}

// As an ordinary user podman leaves a process behind.
#[test]
fn podman_loads_the_images_of_all_forms() {
    Room::with(Who::Root, podman_loads);
}

/// A tree with one of everything that a layer can hold.
fn rich_tree(tree: &Path) {
    let path = |name: &str| tree.join(name);
    for folder in ["bin", "etc", "tmp", "dev"] {
        std::fs::create_dir_all(path(folder)).unwrap();
    }
    std::fs::write(path("bin/su"), "su").unwrap();
    lchown(path("bin/su"), Some(0), Some(42)).unwrap();
    std::fs::set_permissions(path("bin/su"), PermissionsExt::from_mode(0o6755)).unwrap();
    std::fs::write(path("etc/user"), "user").unwrap();
    lchown(path("etc/user"), Some(1000), Some(100_000)).unwrap();
    std::fs::hard_link(path("etc/user"), path("etc/linked")).unwrap();
    std::fs::hard_link(path("etc/user"), path("bin/linked")).unwrap();
    symlink("/etc/user", path("etc/symlink")).unwrap();
    lchown(path("etc/symlink"), Some(5), Some(6)).unwrap();
    std::fs::write(path("etc/na\u{ef}ve name"), vec![7; 100_000]).unwrap();
    std::fs::set_permissions(path("tmp"), PermissionsExt::from_mode(0o1777)).unwrap();
    let made = Command::new("sh")
        .current_dir(tree)
        .args([
            "-ec",
            "mknod dev/null c 1 3; mknod dev/loop0 b 7 0; mkfifo -m 600 dev/pipe;
             touch -d '1999-12-31 23:59:59.123456789 UTC' etc/user etc/linked;
             touch -h -d '1960-01-01 00:00:00.5 UTC' etc/symlink; touch -d @1 etc .",
        ])
        .status();
    assert!(made.unwrap().success());
    // cap_net_raw, permitted and effective (capabilities(7), revision 2).
    let mut capability = [0; 20];
    capability[..8].copy_from_slice(&[1, 0, 0, 2, 0, 0x20, 0, 0]);
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::lsetxattr(path("bin/linked"), "security.capability", &capability, flags).unwrap();
}

/// A line a file: what stat(2) tells of it.
fn lines(tree: &Path) -> Vec<String> {
    let entries = walkdir::WalkDir::new(tree).sort_by_file_name();
    let line = |entry: walkdir::DirEntry| {
        let found = entry.path().symlink_metadata().unwrap();
        let content = match found.file_type() {
            kind if kind.is_symlink() => format!("{:?}", std::fs::read_link(entry.path()).unwrap()),
            kind if kind.is_file() => format!("{:?}", std::fs::read(entry.path()).unwrap().len()),
            _ => format!("{}", found.rdev()),
        };
        format!(
            "{:?} {:o} {}:{} {}.{:09} {} {content}",
            entry.path().strip_prefix(tree).unwrap(),
            found.mode(),
            found.uid(),
            found.gid(),
            found.mtime(),
            found.mtime_nsec(),
            if found.is_dir() { 0 } else { found.nlink() },
        )
    };
    entries.into_iter().map(|entry| line(entry.unwrap())).collect()
}

#[test]
fn saved_image_unpacked_by_umoci_is_the_source() {
    Room::with(Who::Root, |room| {
        if !is_installed("umoci") {
            return skip("umoci is not installed");
        }
        let tree = room.work().join("tree");
        rich_tree(&tree);
        let id = room.envbox(&["import", tree.to_str().unwrap(), "rich"]).succeeds().stdout();
        room.envbox(&["save", "--format", "oci-dir", "-o", "out", "rich"]).succeeds().quietly();
        let mut umoci = room.program("umoci");
        umoci.args(["unpack", "--image", "out:latest", "bundle"]);
        room.run(umoci).succeeds();
        let unpacked = room.work().join("bundle/rootfs");
        assert_eq!(lines(&unpacked), lines(&tree));
        // Attributes included.
        let again = room.envbox(&["import", unpacked.to_str().unwrap()]).succeeds().stdout();
        assert_eq!(again, id);
    });
}
