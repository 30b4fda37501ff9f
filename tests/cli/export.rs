//! `envbox export` of an image.

use std::os::unix::fs::symlink;
use std::process::Command;

use super::imported::imported;
use crate::harness::{Room, Who, for_everyone, skip};

/// The members of a tar in the room's folder.
fn members(room: &Room, tar: &str) -> Vec<String> {
    let list = Command::new("tar").arg("-tf").arg(room.work().join(tar)).output().unwrap();
    String::from_utf8(list.stdout).unwrap().lines().map(str::to_owned).collect()
}

for_everyone! {
    fn export_of_an_image_is_imported_as_the_same(room) {
        let tree = room.rootfs();
        let id = room.envbox(&["import", tree.to_str().unwrap(), "base"]).succeeds().stdout();
        room.envbox(&["export", "-o", "base.tar", "base"]).succeeds().quietly();
        let again = room.envbox(&["import", "base.tar"]).succeeds().stdout();
        assert_eq!(again, id);
        let streamed = room.run(room.command(&["export", "base"])).succeeds();
        assert!(streamed.stdout().contains("ustar"), "a tar on stdout");
    }

    fn export_leaves_out_what_is_excluded(room) {
        imported(room, "a", 1_000_000_000);
        std::fs::write(room.work().join("patterns"), "bin/*\nnone\n").unwrap();
        let words = ["export", "-o", "a.tar", "--exclude", "passwd", "--exclude-from", "patterns"];
        room.envbox(&[&words[..], &["a"]].concat()).succeeds().quietly();
        assert_eq!(members(room, "a.tar"), ["./", "bin/", "etc/", "etc/again"]);
        room.envbox(&["export", "--exclude-from", "gone", "a"])
            .exits(1)
            .warns("gone: No such file")
            .warns("hint: ");
    }

    fn export_reads_patterns_as_import_does(room) {
        imported(room, "a", 1_000_000_000);
        let list = room.work().join("patterns");
        std::fs::write(&list, "bin/*\npasswd\n").unwrap();
        let mut command = room.command(&["export", "-o", "a.tar", "--exclude-from=-", "a"]);
        command.stdin(std::fs::File::open(&list).unwrap());
        room.run(command).succeeds().quietly();
        assert_eq!(members(room, "a.tar"), ["./", "bin/", "etc/", "etc/again"]);
        room.envbox(&["export", "-o", "b.tar", "--exclude=etc/", "a"])
            .succeeds()
            .warns("match nothing: etc/");
        std::fs::File::create(&list).unwrap().set_len((16 << 20) + 1).unwrap();
        room.envbox(&["export", "--exclude-from=patterns", "a"]).exits(1).warns("is larger than");
    }

    fn export_replaces_files_and_nothing_else(room) {
        imported(room, "a", 1_000_000_000);
        let work = room.work();
        std::fs::write(work.join("old.tar"), "old").unwrap();
        room.give(&work.join("old.tar"));
        room.envbox(&["export", "-o", "old.tar", "gone"]).exits(1).warns("no such container or image");
        assert_eq!(std::fs::read(work.join("old.tar")).unwrap(), b"old");
        room.envbox(&["export", "-o", "old.tar", "a"]).succeeds();
        assert_eq!(members(room, "old.tar").len(), 6);
        symlink("old.tar", work.join("link")).unwrap();
        for target in ["link", "tree", "/dev/null"] {
            room.envbox(&["export", "-o", target, "a"]).exits(1).warns("is not a regular file");
        }
        assert!(work.join("link").is_symlink());
    }
}

#[test]
fn owners_without_a_number_in_a_users_container_are_told() {
    if !nix::unistd::geteuid().is_root() {
        return skip("needs root");
    }
    Room::with(Who::User, |room| {
        let tree = room.rootfs();
        room.envbox(&["import", tree.to_str().unwrap(), "base"]).succeeds();
        room.envbox(&["run", "--name", "box", "base", "sh", "-c", "echo >/made"]).succeeds();
        room.envbox(&["export", "-o", "box.tar", "box"]).succeeds().quietly();
        let containers = std::fs::read_dir(room.path().join("store/containers")).unwrap();
        let made = containers.map(|entry| entry.unwrap().path().join("upper/made"));
        let made: Vec<_> = made.filter(|path| path.exists()).collect();
        std::os::unix::fs::lchown(&made[0], Some(3_000_000_000), None).unwrap();
        room.envbox(&["export", "-o", "box.tar", "box"])
            .succeeds()
            .warns("note: 1 file belongs to users or groups that this user's sub-IDs do not")
            .warns("(made)");
    });
}
