//! Pairs of trees that differ at random: what lies upon the first one's layer
//! must give the second. What the kernel shows of it is seen from outside, in
//! `tests/cli/import/parent`.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::Path;

use super::*;
use crate::fs::{self, Timestamp};
use crate::image::entry::{Attributes, EntryKind, split};
use crate::image::import::{import_directory, write_canonical};
use crate::image::layer::rewrite_layer;
use crate::image::load::below::Trees;
use crate::mount::LayerForm;

mod tree;

use tree::{Random, Spec};

/// A path and what is there; two names of one file have one number.
type Model = BTreeMap<Vec<u8>, (EntryKind, Attributes, Vec<u8>, Option<usize>)>;

/// Reads `tar` on top of `model`, as a layer. Files get numbers from `number`
/// on.
fn read(model: &mut Model, tar: &[u8], mut number: usize) {
    let mut reader = TarReader::new(Cursor::new(tar));
    let mut own = BTreeMap::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        let (dir, name) = split(&entry.path);
        if let Some(removed) = name.strip_prefix(b".wh.") {
            let slash: &[u8] = if dir.is_empty() { b"" } else { b"/" };
            let path = [dir, slash, removed].concat();
            assert!(remove(model, &path) > 0, "{} removes nothing", entry.display_path());
            continue;
        }
        assert!(entry.path.is_empty() || own.contains_key(dir), "{}", entry.display_path());
        if entry.kind != EntryKind::Directory {
            remove(model, &entry.path);
        }
        let mut data = Vec::new();
        reader
            .copy_data(&mut |offset, bytes| {
                data.resize(usize::try_from(offset).unwrap(), 0);
                data.extend_from_slice(bytes);
                Ok(())
            })
            .unwrap();
        number += 1;
        let found = match &entry.kind {
            EntryKind::HardLink { target } => {
                let found: &(_, _, _, _) = own.get(target).expect("the layer has what it links");
                assert_eq!(found.1, entry.attributes);
                found.clone()
            }
            EntryKind::Regular { .. } | EntryKind::Symlink { .. } => {
                (entry.kind, entry.attributes, data, Some(number))
            }
            _ => (entry.kind, entry.attributes, data, None),
        };
        own.insert(entry.path.clone(), found.clone());
        model.insert(entry.path, found);
    }
}

fn remove(model: &mut Model, path: &[u8]) -> usize {
    let before = model.len();
    model.retain(|other, _| {
        !other.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    });
    before - model.len()
}

/// The same with the numbers of files in the order of their first names.
fn numbered(model: Model) -> Model {
    let mut known = BTreeMap::new();
    let mut model = model;
    for value in model.values_mut() {
        if let Some(number) = value.3 {
            let next = known.len();
            value.3 = Some(*known.entry(number).or_insert(next));
        }
    }
    model
}

struct Pair {
    room: tempfile::TempDir,
}

impl Pair {
    fn of(old: impl Fn(&Path), new: impl Fn(&Path)) -> Self {
        let pair = Self { room: tempfile::tempdir().unwrap() };
        old(&pair.path("old"));
        new(&pair.path("new"));
        pair.import("old", &pair.target("base"));
        pair
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.room.path().join(name)
    }

    fn target(&self, name: &str) -> LayerTarget {
        let target = LayerTarget::within(&self.path(name), LayerForm::Tree);
        fs::ensure_dir(&target.tree, 0o755).unwrap();
        target
    }

    fn import(&self, tree: &str, target: &LayerTarget) {
        let dir = Dir::open(&self.path(tree)).unwrap();
        import_directory(&dir, target, &ImportOptions::default()).unwrap();
    }

    fn tar(&self, tree: &str) -> Vec<u8> {
        let mut tar = Vec::new();
        let dir = Dir::open(&self.path(tree)).unwrap();
        write_canonical(&dir, &ImportOptions::default(), &mut tar).unwrap();
        tar
    }

    fn view(&self) -> ParentView {
        let base = self.target("base");
        ParentView { root: Dir::open(&base.tree).unwrap(), overrides: vec![base.overrides] }
    }

    /// The layer of what the new tree has, if there is one.
    fn difference(&self, source: DifferenceSource<'_>) -> Option<(LayerSummary, LayerTarget)> {
        let base = self.target("base");
        let lower = [base];
        let below = Trees(&lower);
        let (first, second) = (self.target("first"), self.target("second"));
        let to = |layer| DifferenceTarget { layer, below: &below, marks: MarkSpace::User };
        let options = ImportOptions::default();
        let made = import_difference(source, &self.view(), &to(&first), &options).unwrap();
        if made.late.is_empty() {
            return made.layer.map(|layer| (layer, first));
        }
        let late = (&first, made.late);
        Some((amend_difference(late, &self.view(), &to(&second)).unwrap(), second))
    }
}

fn rewritten(target: &LayerTarget) -> Vec<u8> {
    let mut tar = Vec::new();
    rewrite_layer(target, &mut tar).unwrap();
    tar
}

#[track_caller]
fn check(old: impl Fn(&Path), new: impl Fn(&Path), hint: &str) {
    let pair = Pair::of(old, new);
    let dir = Dir::open(&pair.path("new")).unwrap();
    let made = pair.difference(DifferenceSource::Directory(&dir));
    let (old_tar, new_tar) = (pair.tar("old"), pair.tar("new"));
    assert_eq!(made.is_none(), old_tar == new_tar, "{hint}");
    let Some((layer, target)) = made else { return };
    let tar = rewritten(&target);
    let (mut model, mut expected) = (Model::new(), Model::new());
    read(&mut model, &old_tar, 0);
    read(&mut model, &tar, 1 << 20);
    read(&mut expected, &new_tar, 0);
    assert_eq!(numbered(model), numbered(expected), "{hint}");
    assert_eq!(tar.len() as u64, layer.tar_size, "{hint}");
    // The tree alone says as much: the form is the canonical one.
    std::fs::remove_file(&target.frame).unwrap();
    assert!(rewritten(&target) == tar, "{hint}: another form");
}

#[test]
fn a_layer_upon_the_old_tree_gives_the_new_one() {
    for seed in 0..80 {
        let mut random = Random::new(seed);
        let old = Spec::any(&mut random);
        let mut new = old.clone();
        for _ in 0..random.below(6) {
            new.change(&mut random);
        }
        check(|at| old.write(at), |at| new.write(at), &format!("seed {seed}"));
    }
}

#[test]
fn trees_that_have_little_in_common_are_told_apart_too() {
    for seed in 1000..1020 {
        let mut random = Random::new(seed);
        let (old, new) = (Spec::any(&mut random), Spec::any(&mut random));
        check(|at| old.write(at), |at| new.write(at), &format!("seed {seed}"));
    }
}

#[test]
fn content_is_compared_to_its_end_and_in_its_holes() {
    use std::os::unix::fs::FileExt;

    let file = |bytes: &'static [u8], offset: u64| {
        move |root: &Path| {
            std::fs::create_dir(root).unwrap();
            let file = std::fs::File::create(root.join("file")).unwrap();
            file.write_all_at(&[b'x'; 4096], 0).unwrap();
            file.set_len(5 << 20).unwrap();
            file.write_all_at(bytes, offset).unwrap();
            settle(root);
            let above = Dir::open(root.parent().unwrap()).unwrap();
            above.set_mtime(root.file_name().unwrap(), Timestamp::from_seconds(7)).unwrap();
        }
    };
    let (hole, last) = (2 << 20, (5 << 20) - 1);
    let full: &'static [u8] = &[b'y'; 5 << 20];
    check(file(b"", 0), file(b"y", hole), "a hole was filled");
    check(file(b"y", hole), file(b"", 0), "a hole was made");
    check(file(b"y", hole), file(b"y", hole + (1 << 20)), "a hole is elsewhere");
    check(file(b"y", last), file(b"z", last), "the last byte");
    check(file(full, 0), file(&full[1..], 0), "the last byte, without holes");
}

#[test]
fn the_way_a_source_comes_does_not_matter() {
    for seed in 2000..2008 {
        let mut random = Random::new(seed);
        let old = Spec::any(&mut random);
        let mut new = old.clone();
        for _ in 0..4 {
            new.change(&mut random);
        }
        let made = [0, 1, 2].map(|way| {
            let pair = Pair::of(|at| old.write(at), |at| new.write(at));
            let tar = Cursor::new(pair.tar("new"));
            let dir = Dir::open(&pair.path("new")).unwrap();
            let scratch = pair.target("scratch");
            let source = match way {
                0 => DifferenceSource::Directory(&dir),
                1 => DifferenceSource::Canonical(Box::new(tar)),
                _ => DifferenceSource::Archive(Box::new(tar), &scratch),
            };
            pair.difference(source).map(|(layer, _)| (layer.diff_id, layer.entries))
        });
        assert_eq!((made[0], made[0]), (made[1], made[2]), "seed {seed}");
    }
}

/// The members of the layer.
fn members(old: &Path, new: &Path) -> Vec<String> {
    let room = tempfile::tempdir().unwrap();
    let pair = Pair { room };
    let target = pair.target("base");
    import_directory(&Dir::open(old).unwrap(), &target, &ImportOptions::default()).unwrap();
    let dir = Dir::open(new).unwrap();
    let Some((_, target)) = pair.difference(DifferenceSource::Directory(&dir)) else {
        return Vec::new();
    };
    let tar = rewritten(&target);
    let mut reader = TarReader::new(tar.as_slice());
    let mut members = Vec::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        members.push(match &entry.kind {
            EntryKind::HardLink { target } => {
                format!("{} -> {}", entry.display_path(), String::from_utf8_lossy(target))
            }
            _ => entry.display_path(),
        });
    }
    members
}

/// Two equal trees, of which `change` is given the second.
fn changed(change: impl FnOnce(&Path)) -> Vec<String> {
    let room = tempfile::tempdir().unwrap();
    let (old, new) = (room.path().join("old"), room.path().join("new"));
    for tree in [&old, &new] {
        std::fs::create_dir_all(tree.join("d/e")).unwrap();
        for file in ["d/e/one", "d/two", "three", "z"] {
            std::fs::write(tree.join(file), file).unwrap();
        }
        std::fs::hard_link(tree.join("three"), tree.join("d/link")).unwrap();
        settle(tree);
    }
    change(&new);
    settle(&new);
    members(&old, &new)
}

fn settle(tree: &Path) {
    for entry in walkdir::WalkDir::new(tree).contents_first(true) {
        let entry = entry.unwrap();
        let parent = Dir::open(entry.path().parent().unwrap()).unwrap();
        parent.set_mtime(entry.file_name(), Timestamp::from_seconds(7)).unwrap();
    }
}

#[test]
fn a_layer_has_what_changed_and_the_way_to_it() {
    assert_eq!(changed(|_| ()), [""; 0]);
    assert_eq!(
        changed(|new| std::fs::write(new.join("d/e/one"), "d/e/0ne").unwrap()),
        ["./", "d", "d/e", "d/e/one"]
    );
    assert_eq!(
        changed(|new| std::fs::remove_dir_all(new.join("d/e")).unwrap()),
        ["./", "d", "d/.wh.e"]
    );
    assert_eq!(
        changed(|new| {
            std::fs::remove_file(new.join("z")).unwrap();
            std::fs::create_dir(new.join("z")).unwrap();
        }),
        ["./", "z"]
    );
}

#[test]
fn all_names_of_a_file_are_in_a_layer_or_none() {
    // A file gets one more name.
    assert_eq!(
        changed(|new| std::fs::hard_link(new.join("d/two"), new.join("y")).unwrap()),
        ["./", "d", "d/two", "y -> d/two"]
    );
    assert_eq!(
        changed(|new| std::fs::hard_link(new.join("three"), new.join("y")).unwrap()),
        ["./", "d", "d/link", "three -> d/link", "y -> d/link"]
    );
    // It loses one: the others stay what they are.
    assert_eq!(
        changed(|new| std::fs::remove_file(new.join("three")).unwrap()),
        ["./", ".wh.three"]
    );
    // A copy is not a second name.
    let copied = changed(|new| {
        std::fs::remove_file(new.join("three")).unwrap();
        std::fs::write(new.join("three"), "three").unwrap();
    });
    assert_eq!(copied, ["./", "three"]);
}
