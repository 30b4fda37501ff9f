//! The storage driver `copy`: containers that stand on no overlay see, do and
//! become the same, and what is cut short leaves nothing.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::geteuid;

use crate::harness::process::eventually;
use crate::harness::{Output, Room, Who, for_everyone, skip};

/// What a container may do to its files.
const WORK: &str = "echo new >/new; ln /new /also; rm /etc/issue; rm -r /home; mkdir /home; \
    echo x >/home/x; mkdir -p /a/b; chmod 1755 /a; ln -s new /link; echo more >>/etc/passwd; \
    rm -r /srv; echo file >/srv; mv /opt /opt2";

fn by(room: &Room, driver: &str, words: &[&str]) -> Output {
    room.envbox(&[&["--storage-driver", driver], words].concat())
}

/// Puts something to change into the tree of the room, and what envbox mounts upon,
/// which an image that is made of a container does not have.
fn fill(room: &Room, tree: &Path) {
    let stubs = ["etc/hosts", "etc/hostname", "etc/resolv.conf"];
    for file in ["etc/issue", "home/old/file", "srv/data/file", "opt/tool"].iter().chain(&stubs) {
        let path = tree.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, if stubs.contains(file) { "" } else { file }).unwrap();
    }
    room.give(tree);
}

/// Imports the tree of the room, with something to change in it.
fn import(room: &Room, driver: &str) {
    let tree = room.rootfs();
    fill(room, &tree);
    by(room, driver, &["import", tree.to_str().unwrap(), "base"]).succeeds();
}

/// What `name` has in it, with no time of this run.
fn exported(room: &Room, name: &str) -> Vec<u8> {
    let mut export = room.command(&["export", "-o", "exported.tar", name]);
    export.env("SOURCE_DATE_EPOCH", "1");
    room.run(export).succeeds().quietly();
    let file = room.work().join("exported.tar");
    let bytes = std::fs::read(&file).unwrap();
    std::fs::remove_file(file).unwrap();
    bytes
}

fn entries(room: &Room, folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(room.path().join("store").join(folder)).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

for_everyone! {
    fn a_container_on_a_copy_becomes_what_one_on_an_overlay_becomes(room) {
        import(room, "overlay");
        for driver in ["overlay", "copy"] {
            by(room, driver, &["run", "--name", driver, "base", "sh", "-ec", WORK]).succeeds();
            let name = ["inspect", "-f", "{{.GraphDriver.Name}}", driver];
            assert_eq!(room.envbox(&name).succeeds().stdout(), format!("{driver}\n"));
            room.envbox(&["commit", driver, &format!("{driver}-image")]).succeeds();
        }
        let expected = exported(room, "overlay");
        for name in ["copy", "overlay-image", "copy-image"] {
            assert!(exported(room, name) == expected, "{name}");
        }
        let diff = |name: &str| room.envbox(&["diff", name]).succeeds().stdout();
        assert_eq!(diff("copy"), diff("overlay"));
        room.envbox(&["image", "verify", "copy-image"]).succeeds();
        // Layers upon layers, and what they removed.
        by(room, "copy", &["run", "--name", "again", "copy-image", "sh", "-ec", "rm /new; ls /home"])
            .succeeds()
            .says("x");
        room.envbox(&["commit", "again", "third"]).succeeds();
        let look = "ls / /home; test ! -e /etc/issue";
        let seen = |driver| by(room, driver, &["run", "--rm", "third", "sh", "-ec", look]).succeeds();
        assert_eq!(seen("copy").stdout(), seen("overlay").stdout());
        room.envbox(&["rm", "copy", "overlay", "again"]).succeeds();
        assert!(entries(room, "containers").is_empty());
        eventually("the copies are gone", || entries(room, "tmp").is_empty());
    }

    fn a_container_that_changes_nothing_has_no_layer(room) {
        import(room, "copy");
        by(room, "copy", &["run", "--name", "idle", "base", "true"]).succeeds();
        assert_eq!(room.envbox(&["diff", "idle"]).succeeds().stdout(), "");
        room.envbox(&["commit", "idle", "same"]).succeeds();
        let layers = |name| {
            room.envbox(&["inspect", "-f", "{{.RootFS.Layers}}", name]).succeeds().stdout()
        };
        assert_eq!(layers("same"), layers("base"));
        let size = room.envbox(&["ps", "-as", "--format", "{{.Size}}"]).succeeds();
        assert!(size.stdout().starts_with("0B (virtual "), "{}", size.stdout());
    }

    fn a_kept_container_keeps_its_copy_whatever_is_chosen_later(room) {
        import(room, "copy");
        let script = "echo run >>/log; cat /log";
        let words = ["run", "--name", "kept", "base", "sh", "-c", script];
        by(room, "copy", &words).succeeds().says("run");
        let written = room.envbox(&["ps", "-as", "--format", "{{.Size}}"]).succeeds().stdout();
        assert!(written.starts_with("4B (virtual "), "{written}");
        let again = by(room, "overlay", &["start", "-a", "kept"]).succeeds();
        assert_eq!(again.stdout(), "run\nrun\n");
        std::fs::write(room.work().join("in"), "in").unwrap();
        room.envbox(&["cp", "in", "kept:/in"]).succeeds();
        room.envbox(&["cp", "kept:/log", "out"]).succeeds();
        assert_eq!(std::fs::read_to_string(room.work().join("out")).unwrap(), "run\nrun\n");
        room.envbox(&["diff", "kept"]).succeeds().says("A /in");
        room.envbox(&["rm", "kept"]).succeeds();
        assert!(entries(room, "containers").is_empty());
    }

    fn every_file_of_an_image_is_a_file_on_a_copy(room) {
        let tree = room.rootfs();
        nix::unistd::mkfifo(&tree.join("home/pipe"), nix::sys::stat::Mode::empty()).unwrap();
        room.give(&tree);
        let mode = PermissionsExt::from_mode(0o7000);
        std::fs::set_permissions(tree.join("home/pipe"), mode).unwrap();
        let tree = tree.to_str().unwrap();
        for driver in ["copy", "overlay"] {
            by(room, driver, &["import", tree, driver]).succeeds().quietly();
            for on in ["copy", "overlay"] {
                let words = ["run", "--name", "box", driver, "test", "-p", "/home/pipe"];
                by(room, on, &words).succeeds();
                assert_eq!(room.envbox(&["diff", "box"]).succeeds().stdout(), "");
                room.envbox(&["rm", "box"]).succeeds();
            }
        }
    }

    fn who_looks_before_there_is_a_copy_makes_no_overlay_of_it(room) {
        import(room, "overlay");
        by(room, "copy", &["create", "--name", "kept", "base", "sh", "-c", "echo run >/log"]).succeeds();
        let container = entries(room, "containers").remove(0);
        // As while it is still being made.
        std::fs::rename(container.join("copy"), room.work().join("taken")).unwrap();
        for words in [&["ps", "-as"][..], &["inspect", "-s", "kept"], &["diff", "kept"]] {
            room.envbox(words);
        }
        assert!(!container.join("upper").exists());
        room.envbox(&["start", "-a", "kept"]).succeeds();
        room.envbox(&["diff", "kept"]).succeeds().says("A /log");
        assert!(container.join("copy").exists());
    }

    fn a_copy_is_read_only_and_has_volumes_like_any_root(room) {
        import(room, "copy");
        let words = ["run", "--rm", "--read-only", "base", "sh", "-c", "echo x >/x"];
        by(room, "copy", &words).exits(1).warns("Read-only file system");
        let words = ["run", "--rm", "-v", "data:/home", "base", "sh", "-c", "cat /home/old/file"];
        by(room, "copy", &words).succeeds().says("home/old/file");
        let words = ["run", "-d", "--name", "busy", "base", "sleep", "600"];
        by(room, "copy", &words).succeeds();
        room.envbox(&["exec", "busy", "sh", "-c", "echo x >/x"]).succeeds();
        room.envbox(&["diff", "busy"]).succeeds().says("A /x");
        room.envbox(&["commit", "busy", "stopped"]).succeeds();
        room.envbox(&["rm", "-f", "busy"]).succeeds();
        by(room, "overlay", &["run", "--rm", "stopped", "cat", "/x"]).succeeds().says("x");
    }

    fn a_shell_on_a_copy_of_a_directory_leaves_it_alone(room) {
        let tree = room.rootfs();
        let secret = tree.join("etc/shadow");
        std::fs::write(&secret, "").unwrap();
        std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o600)).unwrap();
        let script = "echo new >/new; rm /etc/passwd";
        let words = ["shell", tree.to_str().unwrap(), "--", "sh", "-c", script];
        let output = by(room, "copy", &words).succeeds();
        let others = secret.metadata().unwrap().uid() != tree.metadata().unwrap().uid();
        if others {
            output.warns("1 file or directory that this user may not read was left out (etc/shadow)");
        } else {
            output.quietly();
        }
        assert!(tree.join("etc/passwd").exists() && !tree.join("new").exists());
        eventually("the copy is gone", || entries(room, "tmp").is_empty());
    }

    fn a_store_changes_to_copies_and_back(room) {
        import(room, "overlay");
        by(room, "overlay", &["run", "--name", "made", "base", "sh", "-ec", WORK]).succeeds();
        by(room, "overlay", &["commit", "made", "child"]).succeeds();
        let before = exported(room, "child");
        for driver in ["copy", "overlay"] {
            // Trees serve both.
            room.envbox(&["system", "migrate", driver]).succeeds().quietly();
            let name = ["inspect", "-f", "{{.GraphDriver.Name}}", "child"];
            assert_eq!(room.envbox(&name).succeeds().stdout(), format!("{driver}\n"));
            assert!(exported(room, "child") == before, "{driver}");
            room.envbox(&["run", "--name", "new", "child", "true"]).succeeds();
            let folder = entries(room, "containers").into_iter().any(|c| c.join("copy").exists());
            assert_eq!(folder, driver == "copy");
            room.envbox(&["rm", "new"]).succeeds();
        }
        if super::storage_driver::has_erofs() && geteuid().is_root() && room.work().metadata().unwrap().uid() == 0 {
            for driver in ["erofs", "copy"] {
                room.envbox(&["system", "migrate", driver]).succeeds();
                assert!(exported(room, "child") == before, "{driver}");
                // Of archives as well.
                let words = ["create", "--name", driver, "child", "true"];
                by(room, "copy", &words).succeeds();
                assert!(exported(room, driver) == before, "{driver}");
            }
            room.envbox(&["image", "verify", "child"]).succeeds();
        }
    }

    fn a_copy_that_is_killed_is_none(room) {
        import(room, "copy");
        let tree = room.work().join("rootfs");
        for folder in 0..60 {
            let folder = tree.join(format!("many/{folder}"));
            std::fs::create_dir_all(&folder).unwrap();
            (0..50).for_each(|file| std::fs::write(folder.join(file.to_string()), "x").unwrap());
        }
        room.give(&tree);
        by(room, "copy", &["import", tree.to_str().unwrap(), "base"]).succeeds();
        for words in [&["run", "--rm"][..], &["create", "--name", "kept"]] {
            let words = [&["--storage-driver", "copy"], words, &["base", "true"]].concat();
            let mut child = room.command(&words).spawn().unwrap();
            let mut ended = None;
            eventually("it copies", || {
                ended = child.try_wait().unwrap();
                ended.is_some() || entries(room, "tmp").iter().any(|made| made.join("copy").exists())
            });
            child.kill().unwrap();
            let status = ended.unwrap_or_else(|| child.wait().unwrap());
            assert!(status.success() || status.signal() == Some(9), "{status}");
            eventually("nothing is left", || {
                room.envbox(&["ps", "-aq"]).succeeds();
                entries(room, "tmp").is_empty()
            });
        }
        // All of it is there, or it is made anew.
        let found = by(room, "copy", &["export", "kept"]).succeeds();
        assert!(found.stdout().contains("many/59/49"));
        room.envbox(&["rm", "kept"]).succeeds();
    }

    fn a_disk_too_full_for_a_copy_is_told(room) {
        if !geteuid().is_root() {
            return skip("needs root");
        }
        room.rootfs();
        let script = "
            export ENVBOX_STORAGE_DRIVER=copy
            \"$@\" import rootfs base >/dev/null
            \"$@\" create --name one base true >/dev/null; echo one $?
            \"$@\" create --name two base true; echo two $?
            \"$@\" run --rm base true; echo three $?
            \"$@\" ps -a --format '{{.Names}}'; ls $ENVBOX_ROOT/tmp
            \"$@\" rm one >/dev/null
            \"$@\" run --rm base true; echo four $?";
        let output = room.run(room.small_store("5500k", script, &[]));
        assert_eq!(output.stdout(), "one 0\ntwo 1\nthree 125\none\nfour 0\n", "{output}");
        let hint = "hint: with the storage driver copy each container takes as much room";
        assert_eq!(output.stderr().matches(hint).count(), 2, "{output}");
    }
}

/// A script in a room whose store lies on an overlay, in which no other can have
/// what is written.
fn on_an_overlay(room: &Room, script: &str) -> Command {
    let mount = "mkdir -p $ENVBOX_ROOT; mount -t tmpfs -o mode=0755 none $ENVBOX_ROOT; \
        (cd $ENVBOX_ROOT; mkdir -m 0777 lower upper work merged; \
        mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work none merged); \
        export ENVBOX_ROOT=$ENVBOX_ROOT/merged/store";
    room.mounted(mount, script, &[])
}

for_everyone! {
    fn a_store_on_an_overlay_has_copies_without_asking(room) {
        if !geteuid().is_root() {
            return skip("needs root");
        }
        let tree = room.rootfs();
        fill(room, &tree);
        let script = format!(
            "set -e
            \"$@\" import rootfs base >/dev/null
            cat $ENVBOX_ROOT/driver
            \"$@\" import --exclude opt rootfs other >/dev/null
            \"$@\" run --name made base sh -ec '{WORK}'
            \"$@\" commit made child >/dev/null
            find $ENVBOX_ROOT/layers -type s | wc -l
            \"$@\" run --rm child sh -ec 'cat /home/x /srv; ls /home; test ! -e /etc/issue'
            \"$@\" save -o child.tar child
            \"$@\" image verify child
            \"$@\" export child >child-root.tar
            \"$@\" export made >made-root.tar
            cmp child-root.tar made-root.tar
            \"$@\" rm made >/dev/null
            \"$@\" rmi child base other >/dev/null
            ls $ENVBOX_ROOT/layers $ENVBOX_ROOT/tmp | grep -v : | wc -w
            \"$@\" load -i child.tar >/dev/null
            \"$@\" image verify child
            \"$@\" export child | cmp - child-root.tar
            \"$@\" run --rm child cat /home/x
            \"$@\" system check
            \"$@\" shell ./rootfs -- cat /opt/tool; echo
            set +e
            \"$@\" import rootfs base >/dev/null
            \"$@\" --storage-driver overlay run --rm base true; echo $?
            \"$@\" system migrate overlay; echo $?"
        );
        let output = room.run(on_an_overlay(room, &script));
        let said = output.stdout();
        let expected = ["copy", "3", "x", "file", "x"];
        assert_eq!(said.lines().take(5).collect::<Vec<_>>(), expected, "{output}");
        assert!(said.ends_with("opt/tool\n125\n1\n"), "{output}");
        let told = output.stderr();
        assert_eq!(told.matches("each container gets a copy of its image's files, for want of an overlay: ").count(), 1, "{output}");
        assert!(told.contains("do without one: envbox --storage-driver copy"), "{output}");
        assert!(told.contains("the storage driver overlay cannot be used"), "{output}");
    }
}

/// A memory file system that has no extended attributes: an opaque directory cannot
/// be marked as overlayfs does.
fn without_attributes(room: &Room) {
    import(room, "overlay");
    by(room, "overlay", &["run", "--name", "made", "base", "sh", "-ec", WORK]).succeeds();
    by(room, "overlay", &["commit", "made", "child"]).succeeds();
    let before = exported(room, "child");
    room.envbox(&["save", "-o", "child.tar", "child"]).succeeds();
    let mount = "mkdir -p $ENVBOX_ROOT/other; mount -t ramfs none $ENVBOX_ROOT/other; \
        export ENVBOX_ROOT=$ENVBOX_ROOT/other/store SOURCE_DATE_EPOCH=1";
    let script = "set -e
        \"$@\" load -i child.tar >/dev/null
        cat $ENVBOX_ROOT/driver
        find $ENVBOX_ROOT/layers -name .wh..wh..opq -type s | wc -l
        \"$@\" image verify child
        \"$@\" run --rm child ls /home
        \"$@\" export child >exported.tar
        \"$@\" save -o again.tar child
        cmp child.tar again.tar";
    let output = room.run(room.mounted(mount, script, &[])).succeeds();
    assert_eq!(output.stdout(), "copy\n1\nchild: OK\nx\n", "{output}");
    assert!(std::fs::read(room.work().join("exported.tar")).unwrap() == before);
}

#[test]
fn a_store_without_attributes_keeps_what_is_opaque() {
    Room::with(Who::Root, without_attributes);
}
