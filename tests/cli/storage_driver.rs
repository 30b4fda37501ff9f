//! How layers are kept: as archives and as trees, both at once, and changed from
//! one to the other. Copies of them have their own file.

use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

use crate::harness::{Output, Room, Who, for_everyone, skip};

/// True if root can have the erofs driver in a room.
pub(super) fn has_erofs() -> bool {
    // Whoever is not root skips for that.
    !geteuid().is_root()
        || !Room::new().envbox(&["system", "migrate", "erofs"]).stderr().contains("cannot be used")
}

/// Runs envbox by `driver`.
fn by(room: &Room, driver: &str, words: &[&str]) -> Output {
    room.envbox(&[&["--storage-driver", driver], words].concat())
}

fn imported(room: &Room, driver: &str, name: &str) -> String {
    let tree = room.work().join("rootfs");
    if !tree.exists() {
        room.rootfs();
        // What envbox mounts upon would be a change.
        for file in ["etc/hosts", "etc/hostname", "etc/resolv.conf"] {
            std::fs::write(tree.join(file), "").unwrap();
        }
        room.give(&tree);
    }
    by(room, driver, &["import", tree.to_str().unwrap(), name]).succeeds().stdout()
}

/// The folders of all layers.
fn layers(room: &Room) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(room.path().join("store/layers")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn has(folder: &Path, name: &str) -> bool {
    folder.join(name).symlink_metadata().is_ok()
}

/// How each layer is kept: all are the same.
fn form(room: &Room) -> &'static str {
    let forms: Vec<&str> = layers(room)
        .iter()
        .map(|folder| match (has(folder, "tree"), has(folder, "tar"), has(folder, "index")) {
            (true, false, false) => "tree",
            (false, true, true) => "archive",
            _ => panic!("{}", folder.display()),
        })
        .collect();
    assert!(forms.windows(2).all(|pair| pair[0] == pair[1]), "{forms:?}");
    forms[0]
}

/// What `name` has in it, to the byte.
fn exported(room: &Room, name: &str) -> Vec<u8> {
    let file = room.work().join("exported.tar");
    room.envbox(&["export", "-o", "exported.tar", name]).succeeds().quietly();
    let bytes = std::fs::read(&file).unwrap();
    std::fs::remove_file(file).unwrap();
    bytes
}

fn as_root(test: fn(&Room)) {
    match has_erofs() {
        true => Room::with(Who::Root, test),
        false => skip("the erofs driver cannot be had here"),
    }
}

#[test]
fn root_has_archives_where_the_kernel_mounts_them() {
    as_root(|room| {
        let tree = room.rootfs();
        room.envbox(&["import", tree.to_str().unwrap(), "box"]).succeeds();
        assert_eq!(form(room), "archive");
        let chosen = std::fs::read_to_string(room.path().join("store/driver")).unwrap();
        assert_eq!(chosen, "erofs\n");
        let name = room.envbox(&["inspect", "-f", "{{.GraphDriver.Name}}", "box"]).succeeds();
        assert_eq!(name.stdout(), "erofs\n");
        let script = "cat /etc/passwd >/new && rm /etc/group && ls -ld /tmp && cat /new";
        let output = room.envbox(&["run", "--rm", "box", "sh", "-ec", script]).succeeds();
        assert!(output.stdout().contains("drwxrwxrwt"), "{}", output.stdout());
        assert!(output.stdout().contains("root:x:0:0"), "{}", output.stdout());
    });
}

#[test]
fn both_drivers_make_the_same_image() {
    as_root(|room| {
        let archive = imported(room, "erofs", "one");
        let exported_archive = exported(room, "one");
        room.envbox(&["save", "--format", "oci-archive", "-o", "one.tar", "one"]).succeeds();
        room.envbox(&["rmi", "one"]).succeeds();
        let tree = imported(room, "overlay", "one");
        assert_eq!((form(room), tree), ("tree", archive));
        assert!(exported(room, "one") == exported_archive);
        room.envbox(&["save", "--format", "oci-archive", "-o", "two.tar", "one"]).succeeds();
        let read = |name: &str| std::fs::read(room.work().join(name)).unwrap();
        assert!(read("one.tar") == read("two.tar"));
    });
}

#[test]
fn an_image_may_have_layers_of_both() {
    as_root(|room| {
        for (below, above) in [("erofs", "overlay"), ("overlay", "erofs")] {
            imported(room, below, "base");
            let script = "echo new >/new; rm /etc/group; rm -r /home; mkdir /home; echo x >/home/x";
            room.envbox(&["run", "--name", "made", "base", "sh", "-ec", script]).succeeds();
            let before = exported(room, "made");
            by(room, above, &["commit", "made", "both"]).succeeds();
            assert!(exported(room, "both") == before, "{above} upon {below}");
            let look = "cat /new /home/x; ls /home; test ! -e /etc/group";
            let output = room.envbox(&["run", "--rm", "both", "sh", "-ec", look]).succeeds();
            assert_eq!(output.stdout(), "new\nx\nx\n");
            room.envbox(&["rm", "made"]).succeeds();
            room.envbox(&["rmi", "both", "base"]).succeeds();
            assert_eq!(layers(room).len(), 0);
        }
    });
}

#[test]
fn a_store_changes_its_driver() {
    as_root(|room| {
        imported(room, "erofs", "base");
        let script = "echo new >/new; rm -r /home; mkdir /home; ln /bin/busybox /busy";
        room.envbox(&["run", "--name", "made", "base", "sh", "-ec", script]).succeeds();
        room.envbox(&["commit", "made", "child"]).succeeds();
        let before = (exported(room, "child"), exported(room, "made"));
        let digests = |room: &Room| {
            let words = ["inspect", "-f", "{{.Id}} {{.RepoDigests}}", "base", "child"];
            room.envbox(&words).succeeds().stdout()
        };
        let known = digests(room);
        for (driver, kept) in [("overlay", "tree"), ("erofs", "archive"), ("overlay", "tree")] {
            let output = room.envbox(&["system", "migrate", driver]).succeeds();
            let count = output.stdout().lines().count();
            assert_eq!((count, form(room)), (layers(room).len(), kept));
            room.envbox(&["system", "migrate", driver]).succeeds().quietly();
            assert!((exported(room, "child"), exported(room, "made")) == before, "{driver}");
            assert_eq!(digests(room), known);
            let output = room.envbox(&["run", "--rm", "child", "cat", "/new"]).succeeds();
            assert_eq!(output.stdout(), "new\n");
            // What is made from now on follows.
            room.envbox(&["commit", "-m", driver, "made", "other"]).succeeds();
            assert_eq!(form(room), kept);
        }
    });
}

#[test]
fn no_layer_is_converted_while_containers_run() {
    as_root(|room| {
        imported(room, "erofs", "base");
        room.envbox(&["run", "-d", "--name", "busy", "base", "sleep", "600"]).succeeds();
        room.envbox(&["system", "migrate", "overlay"])
            .exits(1)
            .warns("container busy is running")
            .warns("hint: stop what runs first: envbox ps");
        assert_eq!(form(room), "archive");
        room.envbox(&["rm", "-f", "busy"]).succeeds();
        room.envbox(&["system", "migrate", "overlay"]).succeeds();
        assert_eq!(form(room), "tree");
    });
}

#[test]
fn a_user_has_directories() {
    Room::with(Who::User, |room| {
        let tree = room.rootfs();
        room.envbox(&["import", tree.to_str().unwrap(), "box"]).succeeds();
        assert_eq!(form(room), "tree");
        by(room, "erofs", &["import", tree.to_str().unwrap(), "other"])
            .exits(1)
            .warns("the storage driver erofs cannot be used: only root may mount EROFS images")
            .warns("hint: choose another");
        room.envbox(&["system", "migrate", "erofs"]).exits(1).warns("cannot be used");
    });
}

for_everyone! {
    fn a_driver_that_is_not_known_is_refused(room) {
        by(room, "vfs", &["images"]).exits(1).warns("no storage driver is called \"vfs\"");
        let mut images = room.command(&["images"]);
        images.env("ENVBOX_STORAGE_DRIVER", "vfs");
        room.run(images).exits(1).warns("choose one of erofs, overlay, copy");
    }

    fn an_unchanged_tree_is_not_written_again(room) {
        let tree = room.rootfs();
        let source = tree.to_str().unwrap();
        let id = room.envbox(&["import", source, "box"]).succeeds().stdout();
        let inode = |folder: &Path| {
            std::os::unix::fs::MetadataExt::ino(&folder.symlink_metadata().unwrap())
        };
        let before: Vec<u64> = layers(room).iter().map(|layer| inode(layer)).collect();
        let again = room.envbox(&["import", source, "box"]).succeeds().stdout();
        assert_eq!(again, id);
        assert_eq!(layers(room).iter().map(|layer| inode(layer)).collect::<Vec<_>>(), before);
        std::fs::write(tree.join("etc/new"), "x").unwrap();
        room.give(&tree);
        let changed = room.envbox(&["import", source, "box"]).succeeds().stdout();
        assert_ne!(changed, id);
        assert_eq!(layers(room).len(), 2);
        room.envbox(&["run", "--rm", "box", "cat", "/etc/new"]).succeeds();
    }
}
