//! `envbox import`, and a shell in the image.

use std::process::Command;

use crate::harness::{for_everyone, skip};

for_everyone! {
    fn the_two_commands_work(room) {
        let rootfs = room.rootfs();
        let id = room.envbox(&["import", rootfs.to_str().unwrap(), "base"]).succeeds().stdout();
        assert!(id.starts_with("sha256:") && id.trim().len() == 71, "{id}");
        room.envbox(&["images", "-q", "--no-trunc"]).succeeds().says(id.trim());
        room.envbox(&["shell", "base", "-c", "exit 5"]).exits(5);
    }

    fn a_directory_and_a_tar_of_it_are_one_image(room) {
        let rootfs = room.rootfs();
        let tar = room.work().join("rootfs.tar");
        let made = Command::new("tar")
            .args(["--format=posix", "--pax-option=delete=atime,delete=ctime", "-C"])
            .arg(&rootfs)
            .arg("-cf")
            .arg(&tar)
            .arg(".")
            .status();
        assert!(made.unwrap().success());
        room.give(&tar);
        // As the user the tree is read inside the user namespace, where its
        // owner is root; the tar has the number that the host knows.
        if rootfs_owner(&rootfs) != 0 {
            return skip("only root's tree has the same owners in the tar");
        }
        let one = room.envbox(&["import", rootfs.to_str().unwrap()]).succeeds().stdout();
        let other = room.envbox(&["import", tar.to_str().unwrap()]).succeeds().stdout();
        assert_eq!(one, other);
    }

    fn what_is_no_root_filesystem_is_refused(room) {
        let text = room.work().join("text");
        std::fs::write(&text, "x".repeat(2000)).unwrap();
        room.give(&text);
        room.envbox(&["import", text.to_str().unwrap(), "x"]).exits(1);
        room.envbox(&["import", "/no/such", "x"]).exits(1);
        room.envbox(&["import", text.to_str().unwrap(), "UPPER"]).exits(125);
        assert_eq!(room.envbox(&["images", "-q"]).succeeds().stdout(), "");
    }
}

fn rootfs_owner(path: &std::path::Path) -> u32 {
    std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(path).unwrap())
}
