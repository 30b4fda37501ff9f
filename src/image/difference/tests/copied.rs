//! What is found of the changes of a copy.

use std::path::Path;

use super::*;
use crate::image::TarReader;
use crate::image::layer::{LayerTarget, regenerate};
use crate::image::load::below::Trees;
use crate::image::marks::MarkSpace;
use crate::image::merge::copy_merged;
use crate::mount::LayerForm;

/// The members of the layer of what `change` does to a copy, in which `left_out`
/// are made beside it.
fn members(left_out: &[&str], change: fn(&Path)) -> Vec<String> {
    let room = tempfile::tempdir().unwrap();
    let base = LayerTarget::within(&room.path().join("base"), LayerForm::Tree);
    let made = LayerTarget::within(&room.path().join("made"), LayerForm::Tree);
    let root = room.path().join("copy");
    for dir in [&base.tree, &base.tree.join("etc"), &base.tree.join("d"), &made.tree, &root] {
        std::fs::create_dir_all(dir).unwrap();
    }
    for file in ["etc/a", "d/a", "d/b"] {
        std::fs::write(base.tree.join(file), file).unwrap();
    }
    let image = Dir::open(&base.tree).unwrap();
    let copy = Dir::open(&root).unwrap();
    copy_merged(&[image.duplicate().unwrap()], &copy, &mut |_| {}).unwrap();
    for path in left_out {
        std::fs::create_dir(root.join(path)).unwrap();
    }
    change(&root);
    let view = ParentView { root: image, overrides: Vec::new() };
    let left_out = left_out.iter().map(|path| path.as_bytes().to_vec()).collect();
    let written = WrittenCopy { root: &copy, left_out: &left_out, epoch: None };
    let below = Trees(std::slice::from_ref(&base));
    let target = DifferenceTarget { layer: &made, below: &below, marks: MarkSpace::User };
    if copied_difference(written, &view, &target).unwrap().layer.is_none() {
        return Vec::new();
    }
    let mut tar = Vec::new();
    regenerate(&made, &mut tar).unwrap();
    let mut reader = TarReader::new(tar.as_slice());
    let mut members = Vec::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        members.push(String::from_utf8(entry.path).unwrap());
    }
    members
}

#[test]
fn what_only_holds_stubs_did_not_change() {
    assert_eq!(members(&[], |_| {}), [""; 0]);
    assert_eq!(members(&["proc", "etc/x", "d/x"], |_| {}), [""; 0]);
}

#[test]
fn changes_are_found_and_stubs_are_none() {
    let found = members(&["proc", "etc/x", "d/x"], |root| {
        std::fs::write(root.join("d/a"), "other").unwrap();
        std::fs::remove_file(root.join("d/b")).unwrap();
        std::fs::write(root.join("new"), "").unwrap();
    });
    assert_eq!(found, ["", "d", "d/a", "d/.wh.b", "new"]);
}
