//! Images for the tests of the verbs on images: small ones, told apart by
//! their times.

use crate::harness::Room;

/// Imports a tree of a few files under `name`, created `epoch` seconds after
/// 1970; with `-` under no name. Returns the image's ID.
pub fn imported(room: &Room, name: &str, epoch: u32) -> String {
    let tree = room.work().join("tree");
    if !tree.exists() {
        std::fs::create_dir_all(tree.join("etc")).unwrap();
        std::fs::create_dir_all(tree.join("bin")).unwrap();
        std::fs::write(tree.join("etc/passwd"), "root:x:0:0::/:/bin/sh\n").unwrap();
        std::fs::hard_link(tree.join("etc/passwd"), tree.join("etc/again")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", tree.join("bin/link")).unwrap();
        room.give(&tree);
    }
    let tree = tree.to_str().unwrap().to_owned();
    let mut words = vec!["import", "-c", "LABEL year=2001", "-c", "CMD [\"sh\", \"-l\"]", &tree];
    if name != "-" {
        words.push(name);
    }
    let mut import = room.command(&words);
    import.env("SOURCE_DATE_EPOCH", epoch.to_string());
    room.run(import).succeeds().stdout().trim().to_owned()
}

/// The beginning of an ID that lists show.
pub fn short(id: &str) -> &str {
    &id["sha256:".len()..][..12]
}
