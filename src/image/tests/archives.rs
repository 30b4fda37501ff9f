//! Archives at their limits: sparse, large, cut off, damaged; and trees that
//! the file system or the caller's rights cannot hold as they are.

use std::ffi::OsStr;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use proptest::prelude::*;

use super::tests::{boxed, canonical, from_directory, from_tar, is_root, set, tar, target};
use super::*;
use crate::error::Kind;
use crate::image::canonical::{END, encode};
use crate::image::{Attributes, Entry, EntryKind, Topic, regenerate};

fn room() -> tempfile::TempDir {
    // /var/tmp lies on a disk file system, which keeps all attributes.
    tempfile::tempdir_in("/var/tmp").unwrap()
}

/// A member of the caller's own, without data.
fn member(path: &str, kind: EntryKind, mode: u32) -> Entry {
    let attributes = Attributes {
        mode,
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        mtime: Timestamp { seconds: 77, nanoseconds: 5 },
        ..Attributes::default()
    };
    Entry { path: path.as_bytes().to_vec(), kind, attributes }
}

fn directory(path: &str, mode: u32) -> Entry {
    member(path, EntryKind::Directory, mode)
}

fn file(path: &str, mode: u32) -> Entry {
    member(path, EntryKind::Regular { size: 0, sparse: None }, mode)
}

fn archive(members: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in members {
        encode(entry, &mut bytes);
    }
    bytes.extend(END);
    bytes
}

/// The members of the layer's own tar.
fn regenerated(room: &Path, name: &str) -> Vec<Entry> {
    let mut bytes = Vec::new();
    regenerate(&target(room, name), &mut bytes).unwrap();
    let mut reader = TarReader::new(bytes.as_slice());
    std::iter::from_fn(|| reader.next_entry().unwrap()).collect()
}

#[test]
fn a_tebibyte_of_nothing_is_small_in_every_sparse_form() {
    let room = room();
    let tree = room.path().join("source");
    std::fs::create_dir(&tree).unwrap();
    let lastlog = std::fs::File::create(tree.join("lastlog")).unwrap();
    lastlog.write_all_at(&[1; 4096], 1 << 30).unwrap();
    lastlog.set_len(1 << 40).unwrap();
    let dir = Dir::open(&tree).unwrap();
    set(&dir, "lastlog", (1, 0));
    set(&dir, ".", (1, 0));
    let expected = from_directory(&tree, room.path(), "directory");
    for (index, options) in [
        &["--format=oldgnu"][..],
        &["--format=gnu"],
        &["--format=pax", "--sparse-version=0.0"],
        &["--format=pax", "--sparse-version=0.1"],
        &["--format=pax", "--sparse-version=1.0"],
    ]
    .into_iter()
    .enumerate()
    {
        let bytes = tar(&tree, &[&["--sparse"][..], options].concat());
        assert!(bytes.len() < 100_000, "{options:?}");
        let name = format!("layer{index}");
        let summary = from_tar(&bytes, room.path(), &name);
        assert_eq!(summary.diff_id, expected.diff_id, "{options:?}");
        let copy = fs::metadata(&room.path().join(name).join("lastlog")).unwrap().unwrap();
        assert_eq!((copy.size, copy.blocks <= 16), (1 << 40, true), "{options:?}");
    }
}

#[test]
fn large_attributes_are_kept_beside_the_tree() {
    let room = room();
    let mut entry = file("f", 0o640);
    let xattrs = &mut entry.attributes.xattrs;
    // As ext4 has them: taken; no room; too large and too long for any.
    xattrs.insert(b"user.small".to_vec(), vec![1; 100]);
    xattrs.insert(b"user.8000".to_vec(), vec![2; 8000]);
    xattrs.insert(b"user.70000".to_vec(), vec![3; 70_000]);
    xattrs.insert([b"user.", &[b'n'; 300][..]].concat(), b"v".to_vec());
    let members = [directory("", 0o755), entry];
    let summary = from_tar(&archive(&members), room.path(), "layer");
    assert_eq!(summary.report.count(Topic::Overridden), 1);
    assert_eq!(regenerated(room.path(), "layer"), members);
    let ingested = target(room.path(), "ingested");
    let again = ingest_canonical(&archive(&members)[..], &ingested, &ImportOptions::default());
    assert_eq!(again.unwrap().diff_id, summary.diff_id);
}

#[test]
fn attributes_that_wait_are_bounded() {
    let large = |path: String| {
        let mut entry = directory(&path, 0o755);
        entry.attributes.xattrs.insert(b"user.x".to_vec(), vec![1; 100_000]);
        entry
    };
    let room = room();
    let wide: Vec<Entry> = (0..170).map(|index| large(format!("d/{index}"))).collect();
    from_tar(&archive(&wide), room.path(), "wide");
    let deep: Vec<Entry> = (1..170).map(|depth| large(vec!["d"; depth].join("/"))).collect();
    let layer = target(room.path(), "deep");
    let error = import_tar(boxed(&archive(&deep)), &layer, &ImportOptions::default()).unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
    assert!(error.chain().starts_with("the directories down to"), "{}", error.chain());
}

#[test]
fn a_full_disk_is_an_error() {
    if !is_root() {
        return;
    }
    let room = room();
    let script = "mount -t tmpfs -o size=1m none \"$ENVBOX_TEST_HOME\" && exec \"$0\" \"$@\"";
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", script])
        .arg(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "image::import::archive_tests::on_a_full_disk"])
        .env("ENVBOX_TEST_HOME", room.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
#[ignore = "run by another test, on a disk of a mebibyte"]
fn on_a_full_disk() {
    let home = std::path::PathBuf::from(std::env::var("ENVBOX_TEST_HOME").unwrap());
    let big = member("big", EntryKind::Regular { size: 4 << 20, sparse: None }, 0o644);
    let mut bytes = Vec::new();
    encode(&big, &mut bytes);
    bytes.extend(vec![1; 4 << 20]);
    let options = ImportOptions::default();
    let error = import_tar(boxed(&bytes), &target(&home, "layer"), &options).unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(error.chain().ends_with("big: No space left on device"), "{}", error.chain());
}

#[test]
fn directories_that_lock_their_owner_out_are_come_back_to() {
    let room = room();
    let modes = [0, 0o111, 0o333, 0o444, 0o600, 0o3000];
    let path = |mode: u32| format!("d{mode:o}");
    let mut members = vec![directory("", 0o755)];
    for mode in modes {
        members.push(directory(&path(mode), mode));
        members.push(file(&format!("{}/a", path(mode)), mode));
    }
    // Back to each of them, by a new member, a hard link into it and one out
    // of it, and by its own member once more.
    for mode in modes {
        members.push(file(&format!("{}/b", path(mode)), 0o644));
    }
    for mode in modes {
        let target = format!("{}/a", path(mode)).into_bytes();
        members.push(member(&format!("z{mode:o}"), EntryKind::HardLink { target }, 0));
        members.push(directory(&path(mode), mode));
    }
    let summary = from_tar(&archive(&members), room.path(), "layer");
    assert_eq!(summary.report.count(Topic::Overridden) == 0, is_root());
    let found = regenerated(room.path(), "layer");
    for mode in modes {
        let of = |path: &str| {
            let entry = found.iter().find(|entry| entry.path == path.as_bytes()).unwrap();
            (entry.attributes.mode, entry.attributes.mtime.seconds)
        };
        assert_eq!(of(&path(mode)), (mode, 77));
        assert_eq!(of(&format!("{}/a", path(mode))), (mode, 77));
        assert_eq!(of(&format!("{}/b", path(mode))), (0o644, 77));
        assert_eq!(of(&format!("z{mode:o}")), (mode, 77));
    }
}

#[test]
fn a_layer_does_not_inherit_the_default_acl_of_its_folder() {
    let room = room();
    let members = [directory("", 0o755), directory("d", 0o755), file("d/f", 0o644)];
    let expected = from_tar(&archive(&members), room.path(), "plain");
    let store = room.path().join("store");
    std::fs::create_dir(&store).unwrap();
    let acl = crate::image::acl::parse(b"u::rwx,u:12:rwx,g::r-x,m::rwx,o::---").unwrap();
    let attribute = (OsStr::new("system.posix_acl_default"), acl.as_slice());
    fs::write_xattr(&Dir::open(&store).unwrap(), OsStr::new("."), attribute).unwrap();
    let layer = from_tar(&archive(&members), &store, "layer");
    assert_eq!(layer.diff_id, expected.diff_id);
    assert_eq!(layer.report.count(Topic::Overridden), 0);
    for path in ["layer", "layer/d", "layer/d/f"] {
        let names = fs::list_xattrs(&Dir::open(&store).unwrap(), OsStr::new(path)).unwrap();
        assert!(names.is_empty(), "{path}: {names:?}");
    }
}

#[test]
fn a_tree_keeps_what_overlayfs_would_take_for_a_removal() {
    let room = room();
    let members = [directory("", 0o755), member("gone", EntryKind::CharDevice(0, 0), 0o600)];
    let summary = from_tar(&archive(&members), room.path(), "layer");
    assert_eq!(summary.report.count(Topic::Overridden), 1);
    assert_eq!(regenerated(room.path(), "layer"), members);
}

/// An archive of `left` empty files, made as it is read.
struct Many {
    left: u32,
    ready: Vec<u8>,
    position: usize,
}

impl Read for Many {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.position == self.ready.len() && self.left > 0 {
            self.left -= 1;
            self.position = 0;
            self.ready.clear();
            let mut entry = file(&format!("{}/{}", self.left % 51, self.left), 0o644);
            entry.attributes.mtime.nanoseconds = 0;
            encode(&entry, &mut self.ready);
            if self.left == 0 {
                self.ready.extend(END);
            }
        }
        let count = buffer.len().min(self.ready.len() - self.position);
        buffer[..count].copy_from_slice(&self.ready[self.position..][..count]);
        self.position += count;
        Ok(count)
    }
}

#[test]
fn a_reader_holds_one_member_at_a_time() {
    let many = Many { left: 100_000, ready: Vec::new(), position: 0 };
    let mut reader = TarReader::new(BufReader::new(many));
    let mut count = 0;
    while let Some(entry) = reader.next_entry().unwrap() {
        count += usize::from(entry.kind != EntryKind::Directory);
    }
    assert_eq!(count, 100_000);
}

#[test]
fn ten_thousand_members_that_jump_between_directories() {
    let room = room();
    let many = Many { left: 10_000, ready: Vec::new(), position: 0 };
    let layer = target(room.path(), "layer");
    let options = ImportOptions::default();
    let summary = import_tar(Box::new(many), &layer, &options).unwrap();
    assert_eq!(summary.entries, 1 + 51 + 10_000);
    assert_eq!(summary.report.count(Topic::ImplicitDirectory), 51);
    assert_eq!(options.counters.files.load(std::sync::atomic::Ordering::Relaxed), 10_000);
}

/// A small tree that needs long names, sparse maps and PAX records.
fn small_tree(room: &Path) -> std::path::PathBuf {
    let tree = room.join("source");
    std::fs::create_dir_all(tree.join("d")).unwrap();
    std::fs::write(tree.join("a"), "data").unwrap();
    std::fs::write(tree.join("d").join("n".repeat(150)), "long").unwrap();
    std::fs::hard_link(tree.join("a"), tree.join("z")).unwrap();
    let sparse = std::fs::File::create(tree.join("s")).unwrap();
    sparse.write_all_at(b"x", 2 << 20).unwrap();
    std::fs::set_permissions(&tree, PermissionsExt::from_mode(0o755)).unwrap();
    tree
}

#[test]
fn an_archive_that_is_cut_off_is_an_error_or_says_that_it_may_be() {
    let room = room();
    let tree = small_tree(room.path());
    let options = ImportOptions::default();
    let mut noted = 0;
    for format in ["--format=gnu", "--format=pax", "--format=oldgnu"] {
        let whole = tar(&tree, &["--sparse", "--blocking-factor=1", format]);
        assert_eq!(from_tar(&whole, room.path(), format).report.count(Topic::NoEndMarker), 0);
        for cut in (0..whole.len()).step_by(512) {
            let layer = target(room.path(), &format!("{format}{cut}"));
            match import_tar(boxed(&whole[..cut]), &layer, &options) {
                Ok(summary) => {
                    assert_eq!(summary.report.count(Topic::NoEndMarker), 1, "{format} {cut}");
                    noted += 1;
                }
                Err(error) => assert_eq!(error.kind(), Kind::Invalid, "{format} {cut}"),
            }
        }
    }
    assert!(noted > 6, "{noted}");
    let whole = canonical(&tree);
    for cut in (0..whole.len()).step_by(512) {
        let layer = target(room.path(), &format!("canonical{cut}"));
        assert!(ingest_canonical(&whole[..cut], &layer, &options).is_err(), "{cut}");
    }
}

#[test]
fn what_follows_the_end_of_an_archive_is_told() {
    let room = room();
    let one = archive(&[directory("", 0o755), file("a", 0o644)]);
    let count = |bytes: &[u8], name: &str| {
        from_tar(bytes, room.path(), name).report.count(Topic::DataAfterEnd)
    };
    assert_eq!(count(&[&one[..], &[0; 10_000]].concat(), "padded"), 0);
    assert_eq!(count(&[&one[..], &one].concat(), "two"), 1);
}

#[test]
fn a_root_alone_is_empty_however_often_it_comes() {
    let room = room();
    let bytes = archive(&[directory("", 0o755), directory("", 0o700)]);
    let layer = target(room.path(), "layer");
    let error = import_tar(boxed(&bytes), &layer, &ImportOptions::default()).unwrap_err();
    assert_eq!(error.chain(), "the archive is empty");
}

#[test]
fn what_is_no_archive_leaves_a_clear_error() {
    let room = room();
    let options = ImportOptions::default();
    let mut state = 1u64;
    let random: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (state >> 33) as u8
    })
    .take(10_000)
    .collect();
    let error = import_tar(boxed(&random), &target(room.path(), "r"), &options).unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (Kind::Invalid, "not a tar archive"));

    let tree = small_tree(room.path());
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&canonical(&tree)).unwrap();
    let gzip = gzip.finish().unwrap();
    for cut in [gzip.len() - 1, gzip.len() - 8, gzip.len() / 2, 20] {
        let layer = target(room.path(), &format!("g{cut}"));
        let error = import_tar(boxed(&gzip[..cut]), &layer, &options).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid, "{cut}");
        assert!(error.chain().contains("gzip stream is truncated"), "{}", error.chain());
    }
}

/// Members that get in each other's way: three names, three levels.
fn any_member() -> impl Strategy<Value = Entry> {
    let path = || {
        proptest::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..4)
            .prop_map(|names| names.join("/"))
    };
    let kind = prop_oneof![
        3 => Just(EntryKind::Directory),
        3 => Just(EntryKind::Regular { size: 0, sparse: None }),
        1 => Just(EntryKind::Fifo),
        1 => Just(EntryKind::CharDevice(0, 0)),
        1 => Just(EntryKind::BlockDevice(7, 300)),
        1 => path().prop_map(|path| EntryKind::Symlink { target: path.into_bytes() }),
        3 => path().prop_map(|path| EntryKind::HardLink { target: path.into_bytes() }),
    ];
    let size = prop::sample::select(vec![0usize, 0, 0, 10, 6000]);
    let ids = prop::sample::select(vec![None, None, Some(0), Some(5000)]);
    (path(), kind, 0u32..0o10000, size, ids).prop_map(|(path, kind, mode, size, id)| {
        let mut entry = member(&path, kind, mode);
        let attributes = &mut entry.attributes;
        attributes.uid = id.unwrap_or(attributes.uid);
        attributes.gid = id.unwrap_or(attributes.gid);
        if size > 0 {
            attributes.xattrs.insert(b"user.x".to_vec(), vec![b'x'; size]);
        }
        entry
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn a_layer_regenerates_whatever_its_archive_did(
        members in proptest::collection::vec(any_member(), 1..12)
    ) {
        let room = room();
        // Members that cannot be are left out, one after the other.
        let mut kept: Vec<Entry> = Vec::new();
        for (index, entry) in members.into_iter().enumerate() {
            kept.push(entry);
            let layer = target(room.path(), &format!("try{index}"));
            let options = ImportOptions::default();
            if let Err(error) = import_tar(boxed(&archive(&kept)), &layer, &options) {
                prop_assert_eq!(error.kind(), Kind::Invalid, "{}", error.chain());
                kept.pop();
            }
        }
        if !kept.is_empty() {
            let summary = from_tar(&archive(&kept), room.path(), "layer");
            let again = archive(&regenerated(room.path(), "layer"));
            prop_assert_eq!(from_tar(&again, room.path(), "again").diff_id, summary.diff_id);
        }
    }
}

#[test]
fn a_second_name_loses_no_attributes() {
    let room = tempfile::tempdir().unwrap();
    let tree = room.path().join("source");
    std::fs::create_dir(&tree).unwrap();
    std::fs::write(tree.join("b"), "x").unwrap();
    let source = Dir::open(&tree).unwrap();
    fs::write_xattr(&source, OsStr::new("b"), (OsStr::new("user.note"), b"x")).unwrap();
    std::fs::hard_link(tree.join("b"), tree.join("c")).unwrap();
    let layer = target(room.path(), "layer");
    let summary = import_directory(&source, &layer, &ImportOptions::default()).unwrap();
    assert_eq!(summary.report.count(Topic::DroppedXattr), 0);
}
