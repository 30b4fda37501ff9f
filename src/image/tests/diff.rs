//! What a layer's directory holds for overlayfs. How it looks when it is
//! mounted is seen from outside, in `tests/cli/load`.

use std::io::Cursor;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::*;
use crate::image::load::below::Trees;
use crate::image::{Counters, LayerLimits, LoadOptions, load_layer};
use crate::mount::LayerForm;

fn layer(room: &Path, name: &str) -> LayerTarget {
    let folder = room.join(name);
    fs::create_dir(&folder, 0o700).unwrap();
    let target = LayerTarget::within(&folder, LayerForm::Tree);
    fs::create_dir(&target.tree, 0o755).unwrap();
    target
}

fn archive(members: &[&str]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for name in members {
        let (name, link) = name.split_once(" -> ").unwrap_or((name, ""));
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_mode(0o640);
        header.set_entry_type(match (name.ends_with('/'), link) {
            (true, _) => tar::EntryType::Directory,
            (_, "") => tar::EntryType::Regular,
            _ => tar::EntryType::Link,
        });
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_size(0);
        header.set_cksum();
        builder.append(&header, &[][..]).unwrap();
    }
    builder.into_inner().unwrap()
}

fn load(target: &LayerTarget, members: &[&str], lower: &[LayerTarget]) -> Result<()> {
    let counters = Counters::default();
    // An ordinary user may set these.
    let options = LoadOptions {
        below: &Trees(lower),
        marks: MarkSpace::User,
        limits: LayerLimits::NONE,
        counters: &counters,
    };
    load_layer(Box::new(Cursor::new(archive(members))), target, &options).map(drop)
}

/// The names in a tree; whiteouts with a `-`, opaque directories with a `!`.
fn shown(target: &LayerTarget) -> Vec<String> {
    let entries = walkdir::WalkDir::new(&target.tree).min_depth(1).sort_by_file_name();
    let line = |entry: walkdir::DirEntry| {
        let path = entry.path().strip_prefix(&target.tree).unwrap().display().to_string();
        let dir = Dir::open(entry.path());
        let mark = match dir {
            Ok(dir) if MarkSpace::User.is_opaque(&dir).unwrap() => "!",
            Ok(_) => "/",
            Err(_) if entry.file_type().is_file() => "",
            Err(_) => "-",
        };
        path + mark
    };
    entries.into_iter().map(|entry| line(entry.unwrap())).collect()
}

#[test]
fn whiteouts_stand_only_where_something_is_below() {
    let room = tempfile::tempdir().unwrap();
    let (base, top) = (layer(room.path(), "base"), layer(room.path(), "top"));
    let third = layer(room.path(), "third");
    load(&base, &["a", "d/", "d/x", "d/s/y", ".wh.none"], &[]).unwrap();
    assert_eq!(shown(&base), ["a", "d/", "d/s/", "d/s/y", "d/x"]);
    let members = [".wh.a", ".wh.b", "n/", "n/.wh.x", "no/.wh.x", "d/s/.wh.y", "d/.wh..wh..opq"];
    load(&top, &members, std::slice::from_ref(&base)).unwrap();
    assert_eq!(shown(&top), ["a-", "d!", "d/s/", "n/"]);
    let lower = [top, base];
    load(&third, &[".wh.a", "d/.wh.x", ".wh.d", "a/", "d/s/", "d/q"], &lower).unwrap();
    assert_eq!(shown(&third), ["a/", "d!", "d/q", "d/s/"]);
}

#[test]
fn a_directory_that_is_not_listed_looks_as_the_one_below() {
    let room = tempfile::tempdir().unwrap();
    let (base, top) = (layer(room.path(), "base"), layer(room.path(), "top"));
    load(&base, &["d/", "d/x"], &[]).unwrap();
    load(&top, &["d/y"], std::slice::from_ref(&base)).unwrap();
    let mode = |target: &LayerTarget| std::fs::metadata(target.tree.join("d")).unwrap().mode();
    assert_eq!(mode(&top), mode(&base));
    assert_eq!(
        mode(&top) & 0o777,
        0o640 | if rustix::process::geteuid().is_root() { 0 } else { 0o500 }
    );
}

#[test]
fn hard_links_do_not_pass_what_hides() {
    let room = tempfile::tempdir().unwrap();
    let (base, top) = (layer(room.path(), "base"), layer(room.path(), "top"));
    load(&base, &["a", "d/", "d/x"], &[]).unwrap();
    let lower = std::slice::from_ref(&base);
    load(&top, &["h -> d/x"], lower).unwrap();
    assert_eq!(shown(&top), ["d/", "d/x", "h"]);
    let cases: [&[&str]; 4] = [
        &[".wh.d", "h -> d/x"],
        &["d/.wh..wh..opq", "h -> d/x"],
        &[".wh.a", "h -> a"],
        &["d/.wh.x", "h -> d/x"],
    ];
    for (index, members) in cases.iter().enumerate() {
        let top = layer(room.path(), &index.to_string());
        let error = load(&top, members, lower).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid, "{members:?}");
    }
}
