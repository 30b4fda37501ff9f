//! `envbox image verify`: whatever is changed in a store is found, and told by
//! its place.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use walkdir::WalkDir;

use super::storage_driver;
use crate::harness::{Output, Room, Who, for_everyone, skip};

const WRITER: &str = include_str!("load/archive.py");

/// Two images of which one stands upon the other, with hard links, removals and
/// replaced members; and one that was imported.
fn fill(room: &Room, driver: &str) {
    let script = "
base = layer(('etc', 'd'), ('etc/a', 'f', 'one'), ('etc/b', 'f', 'b' * 3000), ('usr', 'd'),
             ('usr/tool', 'f', 'tool' * 500, 0o4755), ('bin', 'l', 'usr'))
top = layer(('etc/.wh.a', 'f'), ('etc/c', 'f', 'C'), ('etc/c', 'f', 'other'), ('h', 'h', 'etc/b'),
            ('usr', 'd'), ('usr/.wh..wh..opq', 'f'), ('usr/new', 'f', 'new'), form=tarfile.GNU_FORMAT)
docker('a.tar', image([base], ['base']), image([base, top], ['top']))
os.makedirs('rootfs/usr/bin')
open('rootfs/usr/bin/tool', 'w').write('tool' * 2000)
open('rootfs/hostname', 'w').write('box')";
    let mut python = room.program("python3");
    python.args(["-c", &format!("{WRITER}\n{script}")]);
    room.run(python).succeeds();
    for words in [&["load", "-i", "a.tar"][..], &["import", "rootfs", "whole"]] {
        room.envbox(&[&["--storage-driver", driver], words].concat()).succeeds();
    }
}

/// The files of all layers, and the blobs.
fn files(room: &Room) -> Vec<PathBuf> {
    let store = room.path().join("store");
    let walk = |folder: &str| WalkDir::new(store.join(folder)).sort_by_file_name();
    let entries = walk("layers").into_iter().chain(walk("blobs")).map(|entry| entry.unwrap());
    entries.filter(|entry| entry.file_type().is_file()).map(|entry| entry.into_path()).collect()
}

/// Flips one bit of the byte at `place`, and nothing else of the file: a write by
/// its user takes set-ID bits away.
fn flip(path: &Path, place: u64) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let before = file.metadata().unwrap();
    let modified = before.modified().unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, place).unwrap();
    file.write_all_at(&[byte[0] ^ 0x20], place).unwrap();
    file.set_permissions(before.permissions()).unwrap();
    file.set_modified(modified).unwrap();
}

fn verify_all(room: &Room) -> Output {
    room.envbox(&["image", "verify", "--all"])
}

/// Fails unless a change of the file `path` was told, by its layer or as a blob.
fn is_told(output: Output, path: &Path) {
    let output = output.exits(1).warns("image ").warns("hint: something changed it");
    let layer =
        path.ancestors().find(|above| above.parent().is_some_and(|p| p.ends_with("layers")));
    if let Some(layer) = layer {
        let chain = layer.file_name().unwrap().to_str().unwrap();
        output.warns(&format!("layer sha256:{chain}: "));
    } else {
        let blob = path.file_name().unwrap().to_str().unwrap();
        output.warns(&format!("blob sha256:{blob} "));
    }
}

fn finds_flipped_bytes(room: &Room, driver: &str) {
    fill(room, driver);
    verify_all(room).succeeds().quietly().says("base:latest: OK\n").says("whole:latest: OK\n");
    let mut count = 0;
    for path in files(room) {
        let size = path.metadata().unwrap().size();
        let mut places = vec![0, size / 2, size.saturating_sub(1)];
        places.dedup();
        for place in places.into_iter().filter(|&place| place < size) {
            flip(&path, place);
            is_told(verify_all(room), &path);
            flip(&path, place);
            count += 1;
        }
    }
    assert!(count > 40, "{count}");
    verify_all(room).succeeds().quietly();
}

#[test]
fn verify_finds_a_flipped_byte_in_any_file_of_an_archive() {
    match storage_driver::has_erofs() {
        true => Room::with(Who::Root, |room| finds_flipped_bytes(room, "erofs")),
        false => skip("the erofs driver cannot be had here"),
    }
}

#[test]
fn verify_takes_layers_of_both_drivers() {
    if !storage_driver::has_erofs() {
        return skip("the erofs driver cannot be had here");
    }
    Room::with(Who::Root, |room| {
        fill(room, "overlay");
        for driver in ["erofs", "overlay", "erofs"] {
            room.envbox(&["system", "migrate", driver]).succeeds();
            verify_all(room).succeeds().quietly();
        }
        let index = files(room).into_iter().find(|path| path.ends_with("index")).unwrap();
        let layer = index.parent().unwrap();
        fs::set_permissions(layer.join("root"), PermissionsExt::from_mode(0o700)).unwrap();
        verify_all(room).exits(1).warns(": its root has mode 0700, not 0755");
    });
}

for_everyone! {
    fn verify_finds_a_flipped_byte_in_any_file_of_a_tree(room) {
        finds_flipped_bytes(room, "overlay");
    }

    fn verify_finds_whatever_is_done_to_a_file_of_a_tree(room) {
        fill(room, "overlay");
        verify_all(room).succeeds().quietly();
        let of = |name: &str| files(room).into_iter().find(|path| path.ends_with(name)).unwrap();
        for name in ["usr/bin/tool", "usr/tool", "usr/new"] {
            let path = of(name);
            let kept = room.path().join("kept");
            copy(&path, &kept);
            let folder = File::open(path.parent().unwrap()).unwrap();
            let modified = folder.metadata().unwrap().modified().unwrap();
            let changes: [fn(&Path); 6] = [
                |path| fs::remove_file(path).unwrap(),
                |path| File::options().write(true).open(path).unwrap().set_len(1).unwrap(),
                |path| fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap(),
                |path| {
                    let time = UNIX_EPOCH + Duration::from_nanos(1);
                    File::open(path).unwrap().set_modified(time).unwrap();
                },
                |path| xattr::set(path, "user.envbox", b"x").unwrap(),
                |path| {
                    fs::remove_file(path).unwrap();
                    symlink("/etc/passwd", path).unwrap();
                },
            ];
            for (number, change) in changes.iter().enumerate() {
                change(&path);
                let output = verify_all(room).exits(1);
                // A file that is missing is told by its neighbor.
                let told = [name, "is missing"].iter().any(|text| output.stderr().contains(text));
                assert!(told, "{name} {number}: {}", output.stderr());
                copy(&kept, &path);
                folder.set_modified(modified).unwrap();
            }
            verify_all(room).succeeds().quietly();
        }
    }

    fn verify_names_files_that_are_new_or_missing(room) {
        fill(room, "overlay");
        let tool = files(room).into_iter().find(|path| path.ends_with("usr/bin/tool")).unwrap();
        fs::write(tool.with_file_name("zz"), "").unwrap();
        room.envbox(&["image", "verify", "whole"]).exits(1).warns(": usr/bin differs, usr/bin/zz is new");
        fs::remove_file(tool.with_file_name("zz")).unwrap();
        fs::remove_file(&tool).unwrap();
        room.envbox(&["image", "verify", "whole"]).exits(1).warns("1 after usr/bin is missing");
        let layer = tool.ancestors().nth(4).unwrap().to_owned();
        fs::remove_dir_all(&layer).unwrap();
        let output = verify_all(room).exits(1).warns("image whole:latest: layer sha256:");
        output.warns(": its tree is missing").says("base:latest: OK\n").says("top:latest: OK\n");
        // It comes back with its image.
        room.envbox(&["rmi", "whole"]).succeeds();
        verify_all(room).succeeds().quietly();
    }

    fn verify_tells_each_image_of_a_layer_that_they_share(room) {
        fill(room, "overlay");
        let path = files(room).into_iter().find(|path| path.ends_with("usr/tool")).unwrap();
        flip(&path, 5);
        let output = verify_all(room).exits(1).warns("image base:latest: layer").warns("image top:latest: layer");
        assert_eq!((output.stdout(), output.stderr().matches("usr/tool differs").count()),
            ("whole:latest: OK\n".to_owned(), 2));
        let output = room.envbox(&["image", "verify", "-q", "whole", "nothing", "top"]).exits(1);
        let output = output.warns("image top: layer").warns("no such image: nothing");
        assert_eq!(output.stdout(), "");
        flip(&path, 5);
        let output = room.envbox(&["image", "verify", "whole", "top"]).succeeds().quietly();
        assert_eq!(output.stdout(), "whole: OK\ntop: OK\n");
    }

    fn verify_at_a_terminal_says_the_same(room) {
        fill(room, "overlay");
        let mut session = room.terminal(&["image", "verify", "whole"]);
        session.expect("whole: OK");
        assert_eq!(session.wait(), 0);
        let mut session = room.terminal(&["image", "verify", "-q", "--all"]);
        assert_eq!(session.wait(), 0);
        assert_eq!(session.seen(), b"");
    }

    fn verify_needs_to_know_which(room) {
        room.envbox(&["image", "verify"]).exits(1).warns("Usage: envbox image verify");
        room.envbox(&["image", "verify", "--all", "x"]).exits(1);
        assert_eq!(verify_all(room).succeeds().quietly().stdout(), "");
        room.envbox(&["image", "verify", "x"]).exits(1).warns("no such image: x");
    }
}

/// Copies a file with all that it has.
fn copy(from: &Path, to: &Path) {
    let mut cp = std::process::Command::new("cp");
    cp.args(["-a", "--remove-destination"]).args([from, to]);
    assert!(cp.status().unwrap().success());
}
