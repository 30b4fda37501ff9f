//! What the walk refuses, and that a tree comes back from its own tar.

use proptest::prelude::*;

use super::*;
use crate::image::apply::{ApplyOptions, apply};
use crate::image::pipeline::WriterSink;
use crate::image::read::TarReader;

fn tar_of(root: &Path) -> Result<(Vec<u8>, Walked)> {
    let mut bytes = Vec::new();
    let mut sink = WriterSink::new(&mut bytes);
    let dir = Dir::open(root)?;
    let source = TreeSource { dir: &dir, overrides: Overrides::default() };
    let walked = write_tree(source, &WalkOptions::default(), &mut sink)?;
    sink.flush()?;
    Ok((bytes, walked))
}

#[test]
fn deep_trees_need_few_descriptors() {
    let room = tempfile::tempdir().unwrap();
    let mut dir = Dir::open(room.path()).unwrap();
    for level in 0..1500 {
        if level % 100 == 0 {
            dir.create_file(OsStr::new("z")).unwrap();
        }
        dir = dir.create_dir(OsStr::new("d")).unwrap();
    }
    let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let before = descriptors();
    struct Watch(usize, Vec<u8>);
    impl Sink for Watch {
        fn space(&mut self) -> Result<&mut [u8]> {
            self.0 = self.0.max(std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count));
            Ok(&mut self.1)
        }
        fn advance(&mut self, _: usize) {}
    }
    let mut sink = Watch(0, vec![0; 4096]);
    let root = Dir::open(room.path()).unwrap();
    let source = TreeSource { dir: &root, overrides: Overrides::default() };
    let walked = write_tree(source, &WalkOptions::default(), &mut sink).unwrap();
    assert_eq!(walked.entries, 1 + 1500 + 15);
    // Other tests run beside this one and have descriptors of their own.
    assert!(sink.0 < before + 400, "{} of {before}", sink.0);
    fs::remove_tree(&room.path().join("d")).unwrap();
}

#[test]
fn a_file_that_shrinks_is_an_error_that_names_it() {
    let room = tempfile::tempdir().unwrap();
    let path = room.path().join("log");
    std::fs::write(&path, vec![1; 1 << 20]).unwrap();
    struct Shrink(std::path::PathBuf, Vec<u8>);
    impl Sink for Shrink {
        fn space(&mut self) -> Result<&mut [u8]> {
            std::fs::write(&self.0, "short").map_err(|error| Error::io("write", &self.0, error))?;
            Ok(&mut self.1)
        }
        fn advance(&mut self, _: usize) {}
    }
    let root = Dir::open(room.path()).unwrap();
    let mut links = Walk {
        options: &WalkOptions::default(),
        sink: &mut Shrink(path.clone(), vec![0; 4096]),
        overrides: Overrides::default(),
        links: HashMap::new(),
        walked: Walked::default(),
        header: Vec::new(),
    };
    let file = root.open_file(OsStr::new("log")).unwrap();
    let error = links.copy(&file, Segment { offset: 0, length: 1 << 20 }, &path).unwrap_err();
    assert!(error.chain().contains("log changed while it was read"), "{}", error.chain());
}

#[test]
fn whiteout_names_cannot_be_in_a_layer() {
    let room = tempfile::tempdir().unwrap();
    std::fs::write(room.path().join(".wh.x"), "").unwrap();
    let error = tar_of(room.path()).unwrap_err();
    assert!(error.chain().contains(".wh.x"));
    assert!(error.hint_text().is_some());
}

#[test]
fn what_cannot_be_read_is_named() {
    if rustix::process::geteuid().is_root() {
        return;
    }
    let room = tempfile::tempdir().unwrap();
    let root = Dir::open(room.path()).unwrap();
    let locked = root.create_dir(OsStr::new("locked")).unwrap();
    locked.create_file(OsStr::new("file")).unwrap();
    for (name, mode) in [("locked/file", 0), ("locked", 0o400), ("locked", 0o300), ("locked", 0)] {
        root.set_mode(OsStr::new("locked"), 0o700).unwrap();
        root.set_mode(OsStr::new(name), mode).unwrap();
        let error = tar_of(room.path()).unwrap_err();
        assert_eq!(error.kind(), Kind::Denied, "{mode:o}");
        assert!(error.chain().contains(name), "{mode:o}: {}", error.chain());
        assert!(error.hint_text().unwrap().contains("--exclude"), "{mode:o}");
    }
    root.set_mode(OsStr::new("locked"), 0o700).unwrap();
}

#[test]
fn attributes_that_no_header_can_hold_are_told() {
    let room = tempfile::tempdir_in("/var/tmp").unwrap();
    let root = Dir::open(room.path()).unwrap();
    root.create_file(OsStr::new("f")).unwrap();
    for name in ["user.plain", "user.a=b"] {
        fs::write_xattr(&root, OsStr::new("f"), (OsStr::new(name), b"v")).unwrap();
    }
    let (bytes, walked) = tar_of(room.path()).unwrap();
    assert_eq!(walked.report.count(Topic::DroppedXattr), 1);
    let mut reader = TarReader::new(bytes.as_slice());
    let (_, file) = (reader.next_entry().unwrap(), reader.next_entry().unwrap().unwrap());
    assert_eq!(file.attributes.xattrs, Xattrs::from([(b"user.plain".to_vec(), b"v".to_vec())]));
}

#[derive(Clone, Debug)]
enum Piece {
    File(Vec<u8>, u32),
    Dir,
    Link(Vec<u8>),
    Hard(usize),
}

fn piece() -> impl Strategy<Value = (Vec<u8>, Piece)> {
    let name = proptest::collection::vec(1u8..=255, 1..120).prop_filter_map("a name", |name| {
        let is_name = !name.contains(&b'/') && !matches!(&name[..], b"." | b"..");
        (is_name && !name.starts_with(b".wh.")).then_some(name)
    });
    let content = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..3000),
        (0usize..3, 0usize..9000).prop_map(|(mebibytes, rest)| {
            let mut content = vec![0; (mebibytes << 20) + rest];
            if let Some(last) = content.last_mut() {
                *last = (rest % 2) as u8;
            }
            content
        }),
    ];
    let kind = prop_oneof![
        (content, 0u32..0o10000).prop_map(|(content, mode)| Piece::File(content, mode)),
        Just(Piece::Dir),
        name.clone().prop_map(Piece::Link),
        (0usize..20).prop_map(Piece::Hard),
    ];
    (name, kind)
}

fn build(root: &Path, pieces: &[(Vec<u8>, Piece)]) {
    let mut dir = Dir::open(root).unwrap();
    let mut files: Vec<(Dir, Vec<u8>)> = Vec::new();
    for (index, (name, piece)) in pieces.iter().enumerate() {
        let name = OsStr::from_bytes(name);
        let made = match piece {
            Piece::File(content, mode) => dir.create_file(name).map(|file| {
                file.write_all_at(content, 0).unwrap();
                // An ordinary user cannot read what they have no right to.
                dir.set_mode(name, *mode | 0o400).unwrap();
                files.push((dir.duplicate().unwrap(), name.as_bytes().to_vec()));
            }),
            Piece::Dir => dir.create_dir(name).map(|below| dir = below),
            Piece::Link(target) => dir.create_symlink(name, OsStr::from_bytes(target)),
            Piece::Hard(which) => match files.get(*which) {
                Some((from, old)) => dir.create_link(name, from, OsStr::from_bytes(old)),
                None => dir.create_node(name, FileKind::Fifo, (0, 0)),
            },
        };
        if made.is_ok() && !matches!(piece, Piece::Dir) {
            let mtime = Timestamp { seconds: index as i64 * 1_000_003, nanoseconds: index as u32 };
            dir.set_mtime(name, mtime).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn tree_to_tar_to_tree_to_tar_is_the_same(
        pieces in proptest::collection::vec(piece(), 1..25)
    ) {
        let room = tempfile::tempdir_in("/var/tmp").unwrap();
        let (source, copy) = (room.path().join("source"), room.path().join("copy"));
        std::fs::create_dir(&source).unwrap();
        std::fs::create_dir(&copy).unwrap();
        build(&source, &pieces);
        let (first, walked) = tar_of(&source).unwrap();
        let target = Dir::open(&copy).unwrap();
        let applied =
            apply(TarReader::new(first.as_slice()), &target, &ApplyOptions::default()).unwrap();
        prop_assert_eq!(applied.entries, walked.entries);
        prop_assert_eq!(applied.content_size, walked.content_size);
        let mut again = Vec::new();
        let mut sink = WriterSink::new(&mut again);
        let source = TreeSource { dir: &target, overrides: applied.overrides };
        write_tree(source, &WalkOptions::default(), &mut sink).unwrap();
        sink.flush().unwrap();
        prop_assert!(first == again);
    }
}
