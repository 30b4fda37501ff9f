//! `envbox rmi`, `envbox image rm`.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use super::imported::{imported, short};
use crate::harness::{Room, for_everyone};

/// How many files and directories lie in a folder of the store.
fn count(room: &Room, folder: &str) -> usize {
    // The store is its user's own.
    let mut find = room.program("find");
    find.arg(room.path().join("store").join(folder)).args(["-mindepth", "1", "-maxdepth", "1"]);
    room.run(find).succeeds().stdout().lines().count()
}

for_everyone! {
    fn image_removal_untags_first_and_deletes_with_the_last_name(room) {
        let id = imported(room, "a:1", 1_000_000_000);
        room.envbox(&["tag", "a:1", "a:2"]).succeeds();
        let untagged = room.envbox(&["rmi", "a:2"]).succeeds().quietly().stdout();
        assert_eq!(untagged, "Untagged: a:2\n");
        let layer = room.envbox(&["inspect", "-f", "{{index .RootFS.Layers 0}}", "a:1"]);
        let layer = layer.succeeds().stdout();
        let deleted = room.envbox(&["image", "rm", "--no-prune", "a:1"]).succeeds().stdout();
        assert_eq!(deleted, format!("Untagged: a:1\nDeleted: {id}\nDeleted: {layer}"));
        assert_eq!(room.envbox(&["images", "-q"]).succeeds().stdout(), "");
        assert_eq!((count(room, "layers"), count(room, "blobs/sha256")), (0, 0));
    }

    fn image_layers_that_another_image_has_stay(room) {
        imported(room, "a", 1_000_000_000);
        let tree = room.work().join("tree");
        let mut import = room.command(&["import", tree.to_str().unwrap(), "plain"]);
        import.env("SOURCE_DATE_EPOCH", "1000000000");
        room.run(import).succeeds();
        let deleted = room.envbox(&["image", "remove", "a"]).succeeds().stdout();
        assert_eq!(deleted.lines().count(), 2, "{deleted}");
        assert_eq!((count(room, "layers"), count(room, "blobs/sha256")), (1, 2));
        room.envbox(&["export", "-o", "plain.tar", "plain"]).succeeds();
    }

    fn image_ids_with_several_names_are_removed_by_force_only(room) {
        let id = imported(room, "a", 1_000_000_000);
        room.envbox(&["tag", "a", "b"]).succeeds();
        room.envbox(&["rmi", short(&id)])
            .exits(1)
            .warns("it has several names: a:latest, b:latest")
            .warns("--force");
        let removed = room.envbox(&["rmi", "-f", &id]).succeeds().quietly().stdout();
        assert!(removed.starts_with("Untagged: a:latest\nUntagged: b:latest\nDeleted: sha256:"));
    }

    fn image_removal_goes_on_after_an_error(room) {
        imported(room, "a", 1_000_000_000);
        imported(room, "b", 1_100_000_000);
        let output = room.envbox(&["rmi", "a", "gone", "b"]).exits(1).warns("no such image: gone");
        assert_eq!(output.stdout().matches("Untagged: ").count(), 2);
        // What is to be gone and is gone is no failure.
        room.envbox(&["rmi", "--force", "gone"]).succeeds().warns("no such image: gone");
        room.envbox(&["rmi", "gone"]).exits(1);
    }

    fn image_of_a_running_container_is_not_removed(room) {
        let rootfs = room.rootfs();
        room.envbox(&["import", rootfs.to_str().unwrap(), "base"]).succeeds();
        let id = room.envbox(&["images", "-q", "base"]).succeeds().stdout().trim().to_owned();
        let mut shell = room.command(&["shell", "base", "-c", "echo ready; read line; exit 3"]);
        let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(shell.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        for words in [&["rmi", "base"][..], &["rmi", "-f", &id]] {
            room.envbox(words).exits(1).warns("the running container").warns("uses it");
        }
        room.envbox(&["tag", "base", "other"]).succeeds();
        room.envbox(&["rmi", "base"]).succeeds().says("Untagged: base:latest");
        shell.stdin.take().unwrap().write_all(b"\n").unwrap();
        assert_eq!(shell.wait().unwrap().code(), Some(3));
        room.envbox(&["rmi", "other"]).succeeds().says("Deleted: ");
    }
}
