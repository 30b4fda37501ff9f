//! `envbox system check`: what a hand in the store leaves behind.

use std::fs;

use crate::harness::{Room, for_everyone};

fn store(room: &Room) -> std::path::PathBuf {
    room.path().join("store")
}

/// A store with two images, a container and a volume.
fn fill(room: &Room) {
    for name in ["one", "two"] {
        let tree = room.work().join(name);
        fs::create_dir(&tree).unwrap();
        fs::write(tree.join("file"), name).unwrap();
        room.give(&tree);
        room.envbox(&["import", name, name]).succeeds();
    }
    room.envbox(&["create", "--name", "box", "one", "/file"]).succeeds();
    room.envbox(&["volume", "create", "kept"]).succeeds();
}

for_everyone! {
    fn check_says_so_if_database_and_disk_agree(room) {
        room.envbox(&["system", "check"]).succeeds().quietly().says("OK\n");
        assert!(!store(room).exists());
        fill(room);
        let output = room.envbox(&["system", "check"]).succeeds().quietly();
        assert_eq!(output.stdout(), "OK\n");
    }

    fn check_tells_what_is_missing_or_too_much_until_it_is_done_away_with(room) {
        fill(room);
        let chain = room.envbox(&["inspect", "-f", "{{(index .RootFS.Layers 0)}}", "two"]).succeeds().stdout();
        // The lowest layer's chain ID is its diff ID.
        let layer = format!("layers/{}", chain.trim().strip_prefix("sha256:").unwrap());
        fs::remove_dir_all(store(room).join(&layer)).unwrap();
        let stray = format!("blobs/sha256/{}", "0".repeat(64));
        fs::write(store(room).join(&stray), "{}").unwrap();
        let output = room.envbox(&["system", "check"]).exits(1).quietly();
        assert_eq!(output.stdout(), format!("\
{layer} is missing (remove the images that have it and their containers, and import or load them again)
{stray} belongs to nothing (envbox system prune removes it)
"));
        room.envbox(&["rmi", "two"]).succeeds();
        room.envbox(&["system", "prune", "-f"]).succeeds();
        assert_eq!(room.envbox(&["system", "check"]).succeeds().stdout(), "OK\n");
    }

    fn a_container_whose_folder_is_gone_can_be_removed(room) {
        fill(room);
        let id = room.envbox(&["inspect", "-f", "{{.Id}}", "box"]).succeeds().stdout();
        let path = format!("containers/{}", id.trim());
        fs::remove_dir_all(store(room).join(&path)).unwrap();
        let output = room.envbox(&["system", "check"]).exits(1).quietly();
        let line = format!("{path} is missing (remove the container: envbox rm {})\n", id.trim());
        assert_eq!(output.stdout(), line);
        room.envbox(&["rm", "box"]).succeeds().quietly();
        assert_eq!(room.envbox(&["system", "check"]).succeeds().stdout(), "OK\n");
        room.envbox(&["create", "--name", "box", "one", "/file"]).succeeds();
        let id = room.envbox(&["inspect", "-f", "{{.Id}}", "box"]).succeeds().stdout();
        fs::remove_dir_all(store(room).join("containers").join(id.trim())).unwrap();
        room.envbox(&["system", "prune", "-f"]).succeeds().quietly().says(id.trim());
        assert_eq!(room.envbox(&["system", "check"]).succeeds().stdout(), "OK\n");
    }

    fn a_volume_whose_folder_is_gone_can_be_removed(room) {
        fill(room);
        fs::remove_dir_all(store(room).join("volumes/kept")).unwrap();
        let output = room.envbox(&["system", "check"]).exits(1).quietly();
        let line = "volumes/kept/data is missing (remove the volume: envbox volume rm kept)\n";
        assert_eq!(output.stdout(), line);
        room.envbox(&["volume", "rm", "kept"]).succeeds().quietly();
        assert_eq!(room.envbox(&["system", "check"]).succeeds().stdout(), "OK\n");
    }

    fn check_tells_of_a_database_that_cannot_be_read(room) {
        fill(room);
        let path = store(room).join("envbox.db");
        for log in ["envbox.db-wal", "envbox.db-shm"] {
            fs::remove_file(path.with_file_name(log)).unwrap();
        }
        fs::File::options().write(true).open(&path).unwrap().set_len(5000).unwrap();
        room.envbox(&["system", "check"]).exits(1);
        fs::remove_file(&path).unwrap();
        room.envbox(&["system", "check"]).exits(1).warns("envbox.db is missing");
        // Looking makes none.
        assert!(!path.exists());
    }
}
