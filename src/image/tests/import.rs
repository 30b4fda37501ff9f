//! One tree, one digest: from a directory, from every dialect of tar, in any
//! order, whatever the file system could hold.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::*;
use crate::fs::{FileKind, Owner};
use crate::image::layer::regenerate;
use crate::image::{
    LayerBlob, LayoutContent, LayoutForm, LayoutImage, NewImage, Topic, assemble, write_layout,
};
use crate::platform::Platform;

pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

pub(super) fn target(room: &Path, name: &str) -> LayerTarget {
    let beside = |what: &str| room.join(format!("{name}.{what}"));
    LayerTarget {
        form: LayerForm::Tree,
        data: beside("tar"),
        index: beside("index"),
        root: beside("root"),
        tree: room.join(name),
        overrides: beside("overrides"),
        frame: beside("frame"),
        replaced: beside("replaced"),
        marks: beside("marks"),
        sums: beside("sums"),
    }
}

pub(super) fn set(dir: &Dir, name: &str, mtime: (i64, u32)) {
    let mtime = Timestamp { seconds: mtime.0, nanoseconds: mtime.1 };
    dir.set_mtime(OsStr::new(name), mtime).unwrap();
}

/// A tree with every kind of file that this user may make.
fn make_tree(root: &Path) {
    std::fs::create_dir_all(root.join("etc/empty")).unwrap();
    std::fs::create_dir(root.join("usr")).unwrap();
    std::fs::create_dir(root.join("dev")).unwrap();
    std::fs::write(root.join("etc/passwd"), "root:x:0:0::/:/bin/sh\n").unwrap();
    std::fs::write(root.join("usr/zero"), "").unwrap();
    std::fs::write(root.join("usr/tool"), vec![7; 70_000]).unwrap();
    std::fs::hard_link(root.join("usr/tool"), root.join("usr/a-tool")).unwrap();
    std::fs::hard_link(root.join("usr/tool"), root.join("etc/tool")).unwrap();
    let long = "l".repeat(200);
    std::fs::write(root.join("etc").join(&long), "long").unwrap();
    std::fs::hard_link(root.join("etc").join(&long), root.join("usr").join(&long)).unwrap();
    symlink("../usr/tool", root.join("etc/link")).unwrap();
    symlink(format!("/{long}/{long}"), root.join("etc/long-link")).unwrap();
    std::fs::write(root.join(OsStr::from_bytes(b"etc/\xff\xfe")), "bytes").unwrap();
    std::fs::write(root.join("etc/\u{fc}"), "utf-8").unwrap();
    let holes = std::fs::File::create(root.join("usr/holes")).unwrap();
    holes.write_all_at(b"start", 0).unwrap();
    holes.write_all_at(&[3; 5000], 5 << 20).unwrap();
    holes.set_len(9 << 20).unwrap();
    std::fs::set_permissions(root.join("usr/tool"), PermissionsExt::from_mode(0o4755)).unwrap();
    let dir = Dir::open(root).unwrap();
    dir.create_node(OsStr::new("dev/fifo"), FileKind::Fifo, (0, 0)).unwrap();
    if is_root() {
        make_root_parts(&dir);
    }
    set(&dir, "usr/tool", (1_500_000_000, 123_456_789));
    set(&dir, "etc/link", (1_400_000_000, 1));
    set(&dir, "etc/passwd", (-5, 0));
    set(&dir, "dev/fifo", (1_300_000_000, 0));
    set(&dir, "etc/empty", (-5, 500_000_000));
    for name in ["dev", "usr", "etc", "."] {
        set(&dir, name, (1_600_000_000, 500_000_000));
    }
}

fn make_root_parts(dir: &Dir) {
    let name = |text: &'static str| OsStr::new(text);
    dir.create_node(name("dev/null"), FileKind::CharDevice, (1, 3)).unwrap();
    dir.create_link(name("dev/null2"), dir, name("dev/null")).unwrap();
    dir.create_node(name("dev/sda"), FileKind::BlockDevice, (8, 0)).unwrap();
    for device in ["dev/null", "dev/sda"] {
        set(dir, device, (1_300_000_000, 9));
    }
    dir.set_owner(name("etc/passwd"), Owner { uid: 3_000_000, gid: 12 }).unwrap();
    let capability = [1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    fs::write_xattr(dir, name("usr/tool"), (name("security.capability"), &capability)).unwrap();
    fs::write_xattr(dir, name("etc/passwd"), (name("user.note"), b"a\nb\0c")).unwrap();
    let acl = crate::image::acl::parse(b"u::rwx,u:1000:r-x,g::r-x,m::rwx,o::---").unwrap();
    fs::write_xattr(dir, name("etc/empty"), (name("system.posix_acl_default"), &acl)).unwrap();
    fs::write_xattr(dir, name("etc"), (name("system.posix_acl_default"), &acl)).unwrap();
    fs::write_xattr(dir, name("usr/zero"), (name("system.posix_acl_access"), &acl)).unwrap();
}

pub(super) fn from_directory(tree: &Path, room: &Path, name: &str) -> LayerSummary {
    let target = target(room, name);
    let summary =
        import_directory(&Dir::open(tree).unwrap(), &target, &ImportOptions::default()).unwrap();
    let mut bytes = Vec::new();
    let again = regenerate(&target, &mut bytes).unwrap();
    assert_eq!(again, (summary.diff_id, summary.tar_size), "{name} does not regenerate");
    assert_eq!(bytes.len() as u64, summary.tar_size);
    summary
}

pub(super) fn boxed(bytes: &[u8]) -> Box<dyn Read + Send> {
    Box::new(std::io::Cursor::new(bytes.to_vec()))
}

pub(super) fn from_tar(bytes: &[u8], room: &Path, name: &str) -> LayerSummary {
    let target = target(room, name);
    let summary = import_tar(boxed(bytes), &target, &ImportOptions::default()).unwrap();
    let again = regenerate(&target, &mut std::io::sink()).unwrap();
    assert_eq!(again, (summary.diff_id, summary.tar_size), "{name} does not regenerate");
    summary
}

pub(super) fn canonical(tree: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    let options = ImportOptions::default();
    write_canonical(&Dir::open(tree).unwrap(), &options, &mut bytes).unwrap();
    bytes
}

pub(super) fn tar(tree: &Path, options: &[&str]) -> Vec<u8> {
    let mut command = Command::new("tar");
    command.args(options).arg("--numeric-owner").arg("-C").arg(tree).args(["-cf", "-", "."]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn room() -> (tempfile::TempDir, PathBuf) {
    // /var/tmp lies on a disk file system, which keeps all attributes.
    let room = tempfile::tempdir_in("/var/tmp").unwrap();
    let tree = room.path().join("source");
    make_tree(&tree);
    (room, tree)
}

#[test]
fn directory_and_every_dialect_of_tar_give_one_digest() {
    let (room, tree) = room();
    let expected = from_directory(&tree, room.path(), "directory");
    let all = ["--format=pax", "--xattrs", "--xattrs-include=*", "--acls"];
    let sparse = |version: &'static str| [&all[..], &["--sparse", version]].concat();
    for (index, options) in [
        all.to_vec(),
        sparse("--sparse-version=0.0"),
        sparse("--sparse-version=0.1"),
        sparse("--sparse-version=1.0"),
    ]
    .iter()
    .enumerate()
    {
        let summary = from_tar(&tar(&tree, options), room.path(), &format!("pax{index}"));
        assert_eq!(summary.diff_id, expected.diff_id, "{options:?}");
        assert_eq!(summary.entries, expected.entries);
        assert_eq!(summary.content_size, expected.content_size);
        assert_eq!(summary.newest_mtime, expected.newest_mtime);
    }
}

#[test]
fn gnu_sparse_and_long_names_give_the_digest_of_what_they_can_hold() {
    let (room, tree) = room();
    // GNU's own format has neither attributes nor nanoseconds: compare what
    // is left after one round trip through it.
    let first = from_tar(&tar(&tree, &["--format=gnu", "--sparse"]), room.path(), "first");
    let dense = from_tar(&tar(&tree, &["--format=gnu"]), room.path(), "dense");
    assert_eq!(first.diff_id, dense.diff_id);
    let again = from_directory(&room.path().join("first"), room.path(), "again");
    assert_eq!(first.diff_id, again.diff_id);
}

#[test]
fn order_and_spelling_of_an_archive_do_not_matter() {
    let (room, tree) = room();
    let expected = from_directory(&tree, room.path(), "directory");
    let path = room.path().join("canonical.tar");
    std::fs::write(&path, canonical(&tree)).unwrap();
    let script = r#"
import sys, tarfile, random
source = tarfile.open(sys.argv[1])
members = [(m, source.extractfile(m).read() if m.isreg() else None) for m in source]
links = [m for m in members if m[0].islnk()]
others = [m for m in members if not m[0].islnk()]
random.Random(int(sys.argv[3])).shuffle(others)
import io
with tarfile.open(sys.argv[2], "w", format=tarfile.PAX_FORMAT) as out:
    for member, data in others + links:
        for key in list(member.pax_headers):
            if key.startswith("GNU.sparse") or key == "path":
                del member.pax_headers[key]
        member.name = "./" + member.name
        member.type = tarfile.REGTYPE if member.isreg() else member.type
        if data is not None:
            member.size = len(data)
        out.addfile(member, io.BytesIO(data) if data is not None else None)
"#;
    for seed in ["1", "2", "3"] {
        let shuffled = room.path().join("shuffled.tar");
        let output = Command::new("python3")
            .args(["-c", script])
            .args([&path, &shuffled])
            .arg(seed)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let bytes = std::fs::read(&shuffled).unwrap();
        // tarfile rounds times to a double's precision and reads raw xattr
        // values as text, so those two are compared by the other tests.
        let one = from_tar(&bytes, room.path(), &format!("shuffled{seed}"));
        assert_eq!(one.entries, expected.entries);
        assert_eq!(one.content_size, expected.content_size);
        let settled =
            from_directory(&room.path().join(format!("shuffled{seed}")), room.path(), "settled");
        assert_eq!(one.diff_id, settled.diff_id);
        fs::remove_tree(&room.path().join("settled")).unwrap();
    }
}

#[test]
fn other_tools_extract_the_canonical_tar_to_an_equal_tree() {
    let (room, tree) = room();
    let expected = from_directory(&tree, room.path(), "directory");
    let path = room.path().join("canonical.tar");
    std::fs::write(&path, canonical(&tree)).unwrap();
    let out = room.path().join("gnu");
    std::fs::create_dir(&out).unwrap();
    let output = Command::new("tar")
        .args(["--numeric-owner", "--xattrs", "--xattrs-include=*", "-p", "-xf"])
        .arg(&path)
        .arg("-C")
        .arg(&out)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read = from_directory(&out, room.path(), "read");
    assert_eq!(read.diff_id, expected.diff_id);
}

#[test]
fn a_dense_copy_of_a_sparse_file_is_the_same_layer() {
    let room = tempfile::tempdir_in("/var/tmp").unwrap();
    let make = |name: &str, dense: bool| {
        let tree = room.path().join(name);
        std::fs::create_dir(&tree).unwrap();
        let file = std::fs::File::create(tree.join("f")).unwrap();
        let mut content = vec![0; (7 << 20) + 100];
        content[0] = 1;
        content[(3 << 20) + 4095] = 1;
        content[(5 << 20) + 8191] = 1;
        if dense {
            file.write_all_at(&content, 0).unwrap();
        } else {
            for at in [0, (3 << 20) + 4095, (5 << 20) + 8191] {
                file.write_all_at(&[1], at).unwrap();
            }
            file.set_len(content.len() as u64).unwrap();
        }
        let dir = Dir::open(&tree).unwrap();
        set(&dir, "f", (1, 0));
        set(&dir, ".", (1, 0));
        from_directory(&tree, room.path(), &format!("{name}.layer"))
    };
    let (dense, sparse) = (make("dense", true), make("sparse", false));
    assert_eq!(dense.diff_id, sparse.diff_id);
    assert!(dense.tar_size < 100_000, "{}", dense.tar_size);
}

#[test]
fn a_tebibyte_of_nothing_is_small_and_stays_sparse() {
    let room = tempfile::tempdir_in("/var/tmp").unwrap();
    let tree = room.path().join("source");
    std::fs::create_dir(&tree).unwrap();
    let file = std::fs::File::create(tree.join("lastlog")).unwrap();
    file.write_all_at(&[1; 4096], 1 << 30).unwrap();
    file.set_len(1 << 40).unwrap();
    let summary = from_directory(&tree, room.path(), "layer");
    assert_eq!(summary.content_size, 1 << 40);
    assert!(summary.tar_size < 16_384, "{}", summary.tar_size);
    let copy = fs::metadata(&room.path().join("layer/lastlog")).unwrap().unwrap();
    assert_eq!((copy.size, copy.blocks <= 16), (1 << 40, true));
}

#[test]
fn excludes_times_and_sockets() {
    let (room, tree) = room();
    let _socket = std::os::unix::net::UnixListener::bind(tree.join("dev/log")).unwrap();
    let options = ImportOptions {
        excludes: ExcludeSet::parse([&b"etc"[..]]).unwrap(),
        epoch: Some(Timestamp::from_seconds(1_450_000_000)),
        ..ImportOptions::default()
    };
    let layer = target(room.path(), "layer");
    let summary = import_directory(&Dir::open(&tree).unwrap(), &layer, &options).unwrap();
    assert_eq!(summary.newest_mtime, Timestamp::from_seconds(1_450_000_000));
    assert_eq!(summary.report.count(Topic::Socket), 1);
    assert_eq!(summary.report.topics[&Topic::Socket].examples, ["dev/log"]);
    assert!(!room.path().join("layer/etc").exists());
    assert!(room.path().join("layer/usr/tool").exists());
    let again = target(room.path(), "again");
    let mut stream = Vec::new();
    write_canonical(&Dir::open(&tree).unwrap(), &options, &mut stream).unwrap();
    let ingested = ingest_canonical(&stream[..], &again, &ImportOptions::default()).unwrap();
    assert_eq!(ingested.diff_id, summary.diff_id);
}

#[test]
fn nothing_to_import_is_an_error_with_a_hint() {
    let room = tempfile::tempdir().unwrap();
    let empty = room.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let options = ImportOptions::default();
    let error = import_directory(&Dir::open(&empty).unwrap(), &target(room.path(), "a"), &options)
        .unwrap_err();
    assert!(error.chain().ends_with("empty is empty"), "{}", error.chain());
    assert!(error.hint_text().is_some());
    let error = import_tar(boxed(&[0; 1024]), &target(room.path(), "b"), &options).unwrap_err();
    assert!(error.hint_text().is_some());
    let error = import_tar(boxed(b""), &target(room.path(), "c"), &options).unwrap_err();
    assert!(error.hint_text().is_some());
}

#[test]
fn an_archive_of_the_root_alone_is_empty() {
    let room = tempfile::tempdir().unwrap();
    std::fs::create_dir(room.path().join("bare")).unwrap();
    let bytes = tar(&room.path().join("bare"), &[]);
    let options = ImportOptions::default();
    let error = import_tar(boxed(&bytes), &target(room.path(), "a"), &options).unwrap_err();
    assert_eq!(error.chain(), "the archive is empty");
}

#[test]
fn compressed_archives_count_as_given_and_tell_whether_there_is_a_root() {
    let (room, tree) = room();
    let expected = from_directory(&tree, room.path(), "directory");
    assert!(expected.has_root);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&canonical(&tree)).unwrap();
    let gzip = gzip.finish().unwrap();
    let options = ImportOptions::default();
    let summary = import_tar(boxed(&gzip), &target(room.path(), "gzip"), &options).unwrap();
    assert_eq!((summary.diff_id, summary.has_root), (expected.diff_id, true));
    let passed = options.counters.bytes.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(passed, gzip.len() as u64);

    let output = Command::new("tar").arg("-C").arg(&tree).args(["-cf", "-", "usr"]).output();
    let rootless = from_tar(&output.unwrap().stdout, room.path(), "rootless");
    assert!(!rootless.has_root);
}

#[test]
fn a_later_time_in_an_archive_is_clamped_on_disk_as_well() {
    let (room, tree) = room();
    let epoch = Some(Timestamp::from_seconds(1_450_000_000));
    let options = ImportOptions { epoch, ..ImportOptions::default() };
    let layer = target(room.path(), "layer");
    let summary = import_tar(boxed(&canonical(&tree)), &layer, &options).unwrap();
    assert_eq!(Some(summary.newest_mtime), epoch);
    let again = regenerate(&layer, &mut std::io::sink()).unwrap();
    assert_eq!(again, (summary.diff_id, summary.tar_size));
    let directory = target(room.path(), "directory");
    let walked = import_directory(&Dir::open(&tree).unwrap(), &directory, &options).unwrap();
    assert_eq!(walked.diff_id, summary.diff_id);
}

#[test]
#[should_panic(expected = "the producer fell over")]
fn the_panic_of_a_stage_goes_on() {
    let produce = |_: &mut ChunkSink| -> Result<()> { panic!("the producer fell over") };
    let _ = pipeline::run(produce, |_| Ok(()));
}

#[test]
fn the_first_real_error_of_the_stages_is_returned() {
    let room = tempfile::tempdir().unwrap();
    let tree = room.path().join("source");
    std::fs::create_dir_all(tree.join("d")).unwrap();
    std::fs::write(tree.join("d/big"), vec![1; 40 << 20]).unwrap();
    std::fs::write(tree.join("d/.wh.x"), "").unwrap();
    let source = Dir::open(&tree).unwrap();
    let options = ImportOptions::default();
    let error = import_directory(&source, &target(room.path(), "a"), &options).unwrap_err();
    assert!(error.chain().contains(".wh."), "{}", error.chain());
    std::fs::remove_file(tree.join("d/.wh.x")).unwrap();
    // The extractor fails while the walker has more than the queues hold.
    set(&source, ".", (1, 0));
    let cut = canonical(&tree);
    let error =
        ingest_canonical(&cut[..30 << 20], &target(room.path(), "c"), &options).unwrap_err();
    assert!(error.chain().contains("cut off"), "{}", error.chain());
    let hostile = [b"no tar at all ".repeat(40), vec![1; 40 << 20]].concat();
    let error = ingest_canonical(&hostile[..], &target(room.path(), "d"), &options).unwrap_err();
    assert!(error.chain().contains("not a tar archive"), "{}", error.chain());
    let error = ingest_canonical(&cut[..512], &target(room.path(), "e"), &options).unwrap_err();
    assert!(error.chain().contains("ended early"), "{}", error.chain());
}

#[test]
fn what_the_file_system_refuses_is_kept_beside_the_tree() {
    if !is_root() {
        return;
    }
    let (room, tree) = room();
    let expected = from_directory(&tree, room.path(), "directory");
    assert!(!room.path().join("directory.overrides").exists());
    // An ordinary user may neither make devices nor give files away.
    let stream = room.path().join("canonical.tar");
    std::fs::write(&stream, canonical(&tree)).unwrap();
    let home = room.path().join("home");
    std::fs::create_dir(&home).unwrap();
    std::os::unix::fs::chown(&home, Some(65534), Some(65534)).unwrap();
    std::fs::set_permissions(room.path(), PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::set_permissions(&stream, PermissionsExt::from_mode(0o644)).unwrap();
    let program = home.join("tests");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all"])
        .arg(&program)
        .args(["--ignored", "--exact", "image::import::tests::as_an_ordinary_user"])
        .env("ENVBOX_TEST_STREAM", &stream)
        .env("ENVBOX_TEST_HOME", &home)
        .env("ENVBOX_TEST_DIGEST", expected.diff_id.to_string())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(home.join("layer.overrides").exists());
}

#[test]
#[ignore = "run by another test, as an ordinary user"]
fn as_an_ordinary_user() {
    let variable = |name: &str| std::env::var(name).unwrap();
    let bytes = std::fs::read(variable("ENVBOX_TEST_STREAM")).unwrap();
    let home = PathBuf::from(variable("ENVBOX_TEST_HOME"));
    let layer = target(&home, "layer");
    let summary = ingest_canonical(&bytes[..], &layer, &ImportOptions::default()).unwrap();
    assert_eq!(summary.diff_id.to_string(), variable("ENVBOX_TEST_DIGEST"));
    assert!(summary.report.count(Topic::Overridden) > 3);
    let mut again = Vec::new();
    let (diff_id, _) = regenerate(&layer, &mut again).unwrap();
    if diff_id != summary.diff_id {
        std::fs::write(home.join("again.tar"), again).unwrap();
    }
    assert_eq!(diff_id, summary.diff_id);
    let foreign = from_tar(&bytes, &home, "foreign");
    assert_eq!(foreign.diff_id, summary.diff_id);
}

#[test]
fn layout_holds_the_image_and_finds_a_changed_tree() {
    let (room, tree) = room();
    let layer = target(room.path(), "layer");
    let summary =
        import_directory(&Dir::open(&tree).unwrap(), &layer, &ImportOptions::default()).unwrap();
    let layers = [LayerBlob { diff_id: summary.diff_id, size: summary.tar_size }];
    let image = assemble(NewImage {
        layers: &layers,
        platform: &Platform::linux("amd64"),
        config: Default::default(),
        created: summary.newest_mtime,
        author: None,
        comment: None,
        created_by: "envbox import",
    })
    .unwrap();
    let (manifest, config) = (&image.manifest, &image.config);
    let images = [LayoutImage { names: &[], manifest, config }];
    let content =
        LayoutContent { images: &images, indexes: &[], form: LayoutForm::Oci, packing: None };
    let mut give = |_, out: &mut dyn std::io::Write| regenerate(&layer, out).map(drop);
    let path = room.path().join("layout");
    write_layout(&path, &content, &mut give).unwrap();
    let blob = path.join("blobs/sha256").join(summary.diff_id.0.encoded());
    assert_eq!(crate::digest::Digest::of(&std::fs::read(blob).unwrap()), summary.diff_id.0);
    std::fs::write(layer.tree.join("usr/zero"), "not").unwrap();
    let other = room.path().join("other");
    let error = write_layout(&other, &content, &mut give).unwrap_err();
    assert_eq!(error.kind(), crate::error::Kind::Mismatch);
    let left = std::fs::read_dir(room.path()).unwrap();
    let left = left
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("other"));
    assert_eq!(left.count(), 0);
}
