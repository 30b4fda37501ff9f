//! What `system prune` finds that no name leads to, and what it leaves alone.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use super::{end, image, images, living, say};
use crate::harness::process::eventually;
use crate::harness::{Room, Who, for_everyone};

/// How many directories of layers the store has.
fn layers(room: &Room) -> usize {
    fs::read_dir(room.path().join("store/layers")).unwrap().count()
}

/// `envbox` for which nothing runs: its run directory is another one.
fn blind(room: &Room, words: &[&str]) -> crate::harness::Output {
    let run = room.work().join("blind");
    if !run.exists() {
        fs::create_dir(&run).unwrap();
        room.give(&run);
    }
    let mut command = room.command(words);
    command.env("ENVBOX_RUN", &run).env("XDG_RUNTIME_DIR", &run);
    room.run(command)
}

/// A name as layers, containers and blobs have one, of a digit's repetition.
fn stray(digit: &str) -> String {
    digit.repeat(64)
}

for_everyone! {
    fn what_has_no_record_goes(room) {
        let id = image(room, "kept", 10, &[]);
        let store = room.path().join("store");
        let (layer, container, digest) = (stray("1"), stray("2"), stray("3"));
        for (folder, name, file, bytes) in
            [("layers", &layer, "tree/file", 1000), ("containers", &container, "upper/file", 200)]
        {
            let path = store.join(folder).join(name);
            let file = path.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, vec![b'x'; bytes]).unwrap();
            room.give(&path);
        }
        let blob = store.join("blobs/sha256").join(&digest);
        fs::write(&blob, "blob").unwrap();
        room.give(&blob);
        let foreign = store.join("layers/of-somebody-else");
        fs::create_dir(&foreign).unwrap();
        let output = room.envbox(&["system", "prune", "-f"]).succeeds().quietly().stdout();
        let expected = format!(
            "Deleted Leftovers:\nsha256:{layer}\n{container}\nsha256:{digest}\n\n\
             Total reclaimed space: 1.204kB\n"
        );
        assert_eq!(output, expected);
        assert!(!blob.exists() && foreign.exists());
        assert_eq!(images(room), [id]);
        room.envbox(&["export", "-o", "kept.tar", "kept"]).succeeds();
        room.envbox(&["system", "prune"]).succeeds().says("Total reclaimed space: 0B\n");
        fs::remove_dir(foreign).unwrap();
    }

    fn a_layer_that_a_container_stands_on_goes_after_it(room) {
        let mut child = living(room, &[]);
        // As if the run directory were lost.
        blind(room, &["rmi", "base"]).succeeds().says("Deleted: ");
        assert!(images(room).is_empty());
        let output = room.envbox(&["system", "prune", "-a", "-f"]).succeeds().quietly().stdout();
        assert_eq!(output, "Total reclaimed space: 0B\n");
        assert_eq!(layers(room), 1);
        say(&mut child, "still here");
        end(child);
        // Its process may hold the snapshot for a moment longer.
        let mut output = String::new();
        eventually("the layer has gone", || {
            output = room.envbox(&["system", "prune", "-f"]).succeeds().quietly().stdout();
            layers(room) == 0
        });
        assert!(output.starts_with("Deleted Leftovers:\nsha256:"), "{output}");
        let (_, total) = output.split_once("Total reclaimed space: ").unwrap();
        assert!(total.contains("kB") || total.contains("MB"), "{total}");
    }

    fn a_kept_container_keeps_its_layers_whatever_becomes_of_its_image(room) {
        let rootfs = room.rootfs();
        room.envbox(&["import", rootfs.to_str().unwrap(), "base"]).succeeds();
        let line = "echo here >/file; while :; do sleep 0.05; done";
        room.envbox(&["run", "-d", "--name", "runs", "base", "sh", "-c", line]).succeeds();
        room.envbox(&["create", "--name", "made", "-l", "keep", "base", "true"]).succeeds();
        blind(room, &["rmi", "-f", "base"]).succeeds().says("Deleted: ");
        let words = ["system", "prune", "-a", "-f", "--filter", "label!=keep"];
        room.envbox(&words).succeeds().quietly().says("Total reclaimed space: 0B\n");
        eventually("the file is there", || {
            room.envbox(&["exec", "runs", "cat", "/file"]).stdout() == "here\n"
        });
        let made = room.path().join("made.tar");
        room.envbox(&["export", "-o", "made.tar", "made"]).succeeds();
        assert!(!made.exists() && layers(room) == 1);
        room.envbox(&["rm", "-f", "runs"]).succeeds();
        let output = room.envbox(&["system", "prune", "-f"]).succeeds().quietly().stdout();
        assert!(output.starts_with("Deleted Containers:\n"), "{output}");
        assert_eq!(layers(room), 0);
    }

    fn an_import_goes_on_beside_it(room) {
        let rootfs = room.rootfs();
        fs::write(rootfs.join("big"), vec![b'x'; 1 << 20]).unwrap();
        room.give(&rootfs.join("big"));
        let mut tar = room.program("tar");
        tar.arg("-C").arg(&rootfs).args(["-cf", "base.tar", "."]);
        room.run(tar).succeeds();
        let whole = fs::read(room.work().join("base.tar")).unwrap();
        let (first, second) = whole.split_at(whole.len() / 2);
        let mut import = room.command(&["import", "-", "base"]);
        let mut import = import.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        // More than a pipe holds: by then it works on it.
        import.stdin.as_mut().unwrap().write_all(first).unwrap();
        let mut prune = room.command(&["system", "prune", "-a", "-f"]);
        let prune = prune.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // It may find the import, wait for it and give up, or come first.
        import.stdin.as_mut().unwrap().write_all(second).unwrap();
        drop(import.stdin.take());
        assert!(import.wait().unwrap().success());
        let pruned = prune.wait_with_output().unwrap();
        let text = String::from_utf8(pruned.stdout).unwrap();
        assert!(pruned.status.success(), "{text}");
        assert!(!text.contains("Leftovers"), "{text}");
        // An image that was there in time for a prune of all is one of them.
        if !text.contains("deleted: ") {
            room.envbox(&["run", "--rm", "base", "true"]).succeeds();
        }
    }

    fn a_store_that_others_go_on_changing_is_left_for_later(room) {
        image(room, "-", 10, &[]);
        let stray = room.path().join("store/layers").join(stray("1"));
        fs::create_dir(&stray).unwrap();
        room.give(&stray);
        // As who imports does, for as long as that takes.
        let lock = fs::File::open(room.path().join("store/lock")).unwrap();
        lock.lock_shared().unwrap();
        let output = room.envbox(&["system", "prune", "-f"]).succeeds();
        let output = output.warns("another envbox is changing the store").warns("hint: run");
        output.says("Deleted Images:\n").says("Total reclaimed space: 10B\n");
        assert!(stray.exists());
        drop(lock);
        room.envbox(&["system", "prune", "-f"]).succeeds().quietly().says("Deleted Leftovers:\n");
        assert!(!stray.exists());
    }
}

#[test]
fn a_store_that_cannot_be_written_says_so() {
    Room::with(Who::Root, |room| {
        image(room, "-", 10, &[]);
        let mount = "mount --bind $ENVBOX_ROOT $ENVBOX_ROOT; \
            mount -o remount,bind,ro $ENVBOX_ROOT";
        for verb in ["image", "system"] {
            // The image cannot go.
            let command = room.mounted(mount, "exec \"$@\"", &[verb, "prune", "-f"]);
            room.run(command).exits(1).warns("Read-only file system").warns("hint: ");
        }
        let command = room.mounted(mount, "exec \"$@\"", &["system", "df"]);
        room.run(command).succeeds().quietly().says("Images          1         0         10B");
        assert_eq!(images(room).len(), 1);
    });
}
