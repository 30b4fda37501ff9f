//! Layers of upper directories, made by hand, in the space of users: what an
//! overlay itself writes is tested by the command line.

use std::ffi::OsStr;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use super::*;
use crate::fs::{self, FileKind};
use crate::image::{TarReader, regenerate};

struct Room {
    folder: tempfile::TempDir,
}

impl Room {
    fn new() -> Self {
        let room = Self { folder: tempfile::tempdir().unwrap() };
        for name in ["upper", "image", "merged", "layer"] {
            std::fs::create_dir(room.path(name)).unwrap();
        }
        room
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn dir(&self, name: &str) -> Dir {
        Dir::open(&self.path(name)).unwrap()
    }

    fn target(&self) -> LayerTarget {
        LayerTarget {
            tree: self.path("layer"),
            ..LayerTarget::within(self.folder.path(), LayerForm::Tree)
        }
    }

    fn copy(&self, left_out: &[&str], epoch: Option<i64>) -> Result<CopiedChanges> {
        let left_out = left_out.iter().map(|path| path.as_bytes().to_vec()).collect();
        copy_changes(
            &Changes {
                upper: &self.dir("upper"),
                image: Some(&self.dir("image")),
                merged: &|| Dir::open(&self.path("merged")),
                space: MarkSpace::User,
                left_out: &left_out,
                epoch: epoch.map(Timestamp::from_seconds),
            },
            &self.target(),
        )
    }

    /// The members of the layer's tar.
    fn members(&self) -> Vec<String> {
        let mut tar = Vec::new();
        let (diff_id, _) = regenerate(&self.target(), &mut tar).unwrap();
        assert_eq!(finish_layer(&self.target(), None).unwrap().diff_id, diff_id);
        let mut reader = TarReader::new(tar.as_slice());
        let mut members = Vec::new();
        while let Some(entry) = reader.next_entry().unwrap() {
            members.push(String::from_utf8(entry.path).unwrap());
        }
        members
    }

    /// False where the file system has no attributes of users.
    fn mark(&self, path: &str, mark: &str, value: &[u8]) -> bool {
        let name = format!("user.overlay.{mark}");
        let attribute = (OsStr::new(&name), value);
        fs::offer_xattr(&self.dir("upper"), OsStr::new(path), attribute).unwrap()
    }

    /// False where a removal cannot be made.
    fn whiteout(&self, path: &str) -> bool {
        let kind = FileKind::CharDevice;
        self.dir("upper").create_node(OsStr::new(path), kind, (0, 0)).is_ok()
    }
}

fn make(path: &Path) {
    std::fs::create_dir_all(path).unwrap();
}

#[test]
fn files_links_and_holes_are_copied_as_they_are() {
    let room = Room::new();
    let upper = room.path("upper");
    make(&upper.join("d"));
    std::fs::write(upper.join("d/b"), "b").unwrap();
    std::fs::hard_link(upper.join("d/b"), upper.join("c")).unwrap();
    symlink("d/b", upper.join("link")).unwrap();
    std::fs::File::create(upper.join("hole")).unwrap().set_len(4 << 20).unwrap();
    std::fs::set_permissions(upper.join("d"), PermissionsExt::from_mode(0o2750)).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(upper.join("socket")).unwrap();
    let copied = room.copy(&[], None).unwrap();
    assert_eq!((copied.members, copied.report.count(crate::image::Topic::Socket)), (5, 1));
    assert_eq!(room.members(), ["", "c", "d", "d/b", "hole", "link"]);
    let layer = room.path("layer");
    let (b, c) = (layer.join("d/b").metadata().unwrap(), layer.join("c").metadata().unwrap());
    assert_eq!(b.ino(), c.ino());
    assert_eq!(layer.join("d").metadata().unwrap().mode() & 0o7777, 0o2750);
    assert_eq!(layer.join("hole").metadata().unwrap().blocks(), 0);
    let mtime = |root: &Path| root.join("d").metadata().unwrap().mtime_nsec();
    assert_eq!(mtime(&upper), mtime(&layer));
}

#[test]
fn marks_become_whiteouts_and_only_where_there_is_something_to_hide() {
    let room = Room::new();
    for path in ["upper/old", "upper/new", "image/old"] {
        make(&room.path(path));
    }
    std::fs::write(room.path("upper/old/x"), "x").unwrap();
    if !room.mark("old", "opaque", b"y") || !room.mark("new", "opaque", b"y") {
        return;
    }
    room.mark("old", "origin", b"z");
    let mut expected = vec!["", "new", "old", "old/.wh..wh..opq", "old/x"];
    if room.whiteout("gone") {
        expected.insert(1, ".wh.gone");
    }
    let copied = room.copy(&[], None).unwrap();
    assert!(copied.report.topics.is_empty());
    assert_eq!(room.members(), expected);
    let names = fs::list_xattrs(&room.dir("layer"), OsStr::new("old")).unwrap();
    assert_eq!(names, ["user.overlay.opaque"]);
}

#[test]
fn what_refers_to_lower_layers_is_copied_whole() {
    let room = Room::new();
    for path in ["upper/moved", "merged/moved/deep", "image/moved"] {
        make(&room.path(path));
    }
    std::fs::write(room.path("merged/moved/deep/x"), "data").unwrap();
    std::fs::write(room.path("merged/thin"), "data").unwrap();
    std::fs::File::create(room.path("upper/thin")).unwrap().set_len(4).unwrap();
    if !room.mark("moved", "redirect", b"/from") || !room.mark("thin", "metacopy", b"") {
        return;
    }
    assert_eq!(room.copy(&[], None).unwrap().members, 4);
    let expected = ["", "moved", "moved/.wh..wh..opq", "moved/deep", "moved/deep/x", "thin"];
    assert_eq!(room.members(), expected);
    let read = |path: &str| std::fs::read_to_string(room.path("layer").join(path)).unwrap();
    assert_eq!((read("moved/deep/x"), read("thin")), ("data".into(), "data".into()));
}

#[test]
fn an_epoch_bounds_times_and_what_is_left_out_is_not_there() {
    let room = Room::new();
    make(&room.path("upper/dev/pts"));
    std::fs::write(room.path("upper/file"), "x").unwrap();
    assert_eq!(room.copy(&["dev"], Some(5)).unwrap().members, 1);
    assert_eq!(room.members(), ["", "file"]);
    for path in ["layer", "layer/file"] {
        let found = room.path(path).metadata().unwrap();
        assert_eq!((found.mtime(), found.mtime_nsec()), (5, 0));
    }
}

#[test]
fn a_layer_may_have_nothing_but_its_root() {
    let room = Room::new();
    assert_eq!(room.copy(&[], None).unwrap().members, 0);
    assert_eq!(room.members(), [""]);
}

#[test]
fn a_name_that_means_a_removal_is_refused() {
    let room = Room::new();
    std::fs::write(room.path("upper/.wh.x"), "").unwrap();
    let error = room.copy(&[], None).unwrap_err();
    assert!(error.to_string().contains(".wh.x cannot be in a layer"), "{error}");
}

#[test]
fn a_tree_deeper_than_descriptors_reach_is_copied() {
    let room = Room::new();
    let mut path = room.path("upper");
    for _ in 0..200 {
        path.push("d");
    }
    make(&path);
    assert_eq!(room.copy(&[], None).unwrap().members, 200);
}
