//! A real root filesystem: Debian bookworm, as debootstrap makes it.
//! `scripts/test` makes one and names it in `ENVBOX_TEST_ROOTFS`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{Room, Who, skip};

/// The root filesystem, in a room of root's; the test is skipped without one.
fn with_rootfs(test: impl FnOnce(&Room, &Path)) {
    let Some(rootfs) = std::env::var_os("ENVBOX_TEST_ROOTFS").map(PathBuf::from) else {
        return skip("no root filesystem is named in ENVBOX_TEST_ROOTFS");
    };
    Room::with(Who::Root, |room| test(room, &rootfs));
}

/// Imports `source` and returns the image's ID.
fn import(room: &Room, source: &Path, name: &str) -> String {
    room.envbox(&["import", source.to_str().unwrap(), name]).succeeds().stdout()
}

/// Makes a tar of `rootfs` with GNU tar, its members in the order that `order`
/// gives a list of names that end in NUL.
fn tar(room: &Room, rootfs: &Path, order: &str) -> PathBuf {
    let path = room.work().join("rootfs.tar");
    let mut shell = room.program("sh");
    let line = format!(
        "cd \"$0\" && find . -print0 | {order} | tar --no-recursion --null --files-from=- \
         --format=posix --numeric-owner --xattrs --xattrs-include='*' --sparse -cf \"$1\""
    );
    shell.arg("-c").arg(line).arg(rootfs).arg(&path);
    room.run(shell).succeeds();
    path
}

#[test]
fn directory_tar_and_shuffled_tar_are_one_image_for_root_and_user() {
    with_rootfs(|room, rootfs| {
        let id = import(room, rootfs, "directory");
        let sorted = tar(room, rootfs, "sort --zero-terminated");
        assert_eq!(import(room, &sorted, "sorted"), id);
        let shuffled = tar(room, rootfs, "shuf --zero-terminated");
        assert_eq!(import(room, &shuffled, "shuffled"), id);
        Room::with(Who::User, |user| {
            let tar = user.work().join("rootfs.tar");
            std::fs::rename(&shuffled, &tar).unwrap();
            user.give(&tar);
            assert_eq!(import(user, &tar, "shuffled"), id);
        });
    });
}

#[test]
fn a_shell_in_the_directory_builds_for_the_caller() {
    with_rootfs(|room, rootfs| {
        let project = room.work().join("project");
        std::fs::create_dir(&project).unwrap();
        let line = "cat /etc/debian_version >version; dpkg --version | head -1";
        let words = ["shell", rootfs.to_str().unwrap(), "--mount", "project", "-c", line];
        room.envbox(&words).succeeds().says("dpkg");
        assert!(std::fs::read_to_string(project.join("version")).unwrap().starts_with("12"));
    });
}

#[test]
fn peers_read_the_saved_layout_and_unpack_the_same_tree() {
    with_rootfs(|room, rootfs| {
        for peer in ["skopeo", "umoci"] {
            if Command::new(peer).arg("--version").output().is_err() {
                return skip(&format!("{peer} is not installed"));
            }
        }
        let id = import(room, rootfs, "bookworm:12");
        let words = ["save", "--format", "oci-dir", "-o", "layout", "bookworm:12"];
        room.envbox(&words).succeeds();
        let mut skopeo = room.program("skopeo");
        skopeo.args(["inspect", "--config", "oci:layout:12"]);
        let config = room.run(skopeo).succeeds().json();
        assert_eq!(config["os"], "linux");
        let mut umoci = room.program("umoci");
        umoci.args(["unpack", "--image", "layout:12", "bundle"]);
        room.run(umoci).succeeds();
        // The same tree is the same image.
        assert_eq!(import(room, &room.work().join("bundle/rootfs"), "unpacked"), id);
    });
}
