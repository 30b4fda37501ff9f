//! Tars that nobody vouches for: as a stream of members, and as a layer.

use std::fs;
use std::io::{BufRead, BufReader, Cursor, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use envbox::digest::{DiffId, Digest};
use envbox::error::Result;
use envbox::fs::Dir;
use envbox::image::{
    Below, Counters, Entry, EntryKind, LayerLimits, LayerTarget, LoadOptions, LowerLayer,
    MarkSpace, TarReader, is_compressed, load_layer, rewrite_layer,
};
use envbox::mount::LayerForm;

/// The most that a layer may unpack to, in bytes: enough for any input that is
/// no bomb.
const LIMIT: u64 = 4 << 20;

/// Both forms of a layer, with the name of a directory for it here, and what
/// may be in that.
const FORMS: [(LayerForm, &str, &[&str]); 2] = [
    (LayerForm::Tree, "tree", &["frame", "overrides", "replaced", "sums", "tree"]),
    (LayerForm::Archive, "archive", &["index", "root", "sums", "tar", "tree"]),
];

/// A member, and the pieces of its data by their offsets.
type Member = (Entry, Vec<(u64, Vec<u8>)>);

/// A reader of members never panics; what it gives out lies within a tree and
/// within the file's size, and does not depend on how the bytes come.
pub fn tar(input: &[u8]) {
    let (members, error) = read(input);
    for (entry, pieces) in &members {
        assert!(is_clean(&entry.path), "{:?}", entry.path);
        if let EntryKind::HardLink { target } = &entry.kind {
            assert!(is_clean(target), "{target:?}");
        }
        let size = if let EntryKind::Regular { size, .. } = entry.kind { size } else { 0 };
        let mut position = 0;
        for (offset, piece) in pieces {
            assert!(*offset >= position && offset + piece.len() as u64 <= size);
            position = offset + piece.len() as u64;
        }
    }
    let (again, same_error) = read(BufReader::with_capacity(7, input));
    assert_eq!(error, same_error);
    assert_eq!(members.len(), again.len());
    for ((entry, pieces), (same, small)) in members.iter().zip(&again) {
        assert_eq!(entry, same);
        let all = |pieces: &[(u64, Vec<u8>)]| -> Vec<u8> {
            pieces.iter().flat_map(|(_, piece)| piece.clone()).collect()
        };
        assert_eq!(all(pieces), all(small));
    }
}

fn read(input: impl BufRead) -> (Vec<Member>, Option<String>) {
    let mut reader = TarReader::new(input);
    let mut members = Vec::new();
    loop {
        let entry = match reader.next_entry() {
            Ok(Some(entry)) => entry,
            Ok(None) => return (members, None),
            Err(error) => return (members, Some(error.chain())),
        };
        let mut pieces = Vec::new();
        let copied = reader.copy_data(&mut |offset, piece| {
            pieces.push((offset, piece.to_vec()));
            Ok(())
        });
        if let Err(error) = copied {
            return (members, Some(error.chain()));
        }
        members.push((entry, pieces));
    }
}

/// True if `path` leads nowhere but down.
fn is_clean(path: &[u8]) -> bool {
    let is_name = |name: &[u8]| !matches!(name, b"" | b"." | b"..") && !name.contains(&0);
    path.is_empty() || path.split(|&byte| byte == b'/').all(is_name)
}

/// A layer is taken or refused; whichever, nothing beside its tree is touched,
/// and one that is taken comes back byte for byte.
pub fn layer(input: &[u8]) {
    let room = tempfile::tempdir().expect("a temporary directory");
    let canary = room.path().join("canary");
    fs::write(&canary, "sings").expect("a file");
    let before = looks(&canary);
    let taken = FORMS.map(|(form, name, files)| {
        let folder = room.path().join(name);
        let target = LayerTarget::within(&folder, form);
        fs::create_dir_all(&target.tree).expect("a directory");
        let is_taken = comes_back(input, &target);
        assert!(names(&folder).iter().all(|name| files.contains(&name.as_str())));
        is_taken
    });
    // What an index cannot hold is more than what a tree cannot.
    assert!(taken[0] || !taken[1], "an archive that is no tree");
    assert_eq!(looks(&canary), before);
    assert_eq!(names(room.path()), ["archive", "canary", "tree"]);
}

/// True if `input` was taken as the layer `target`.
fn comes_back(input: &[u8], target: &LayerTarget) -> bool {
    let loaded = load(input, target);
    if let Some((diff_id, size)) = loaded {
        let mut output = Vec::new();
        rewrite_layer(target, &mut output).expect("a layer that was taken comes back");
        assert_eq!((DiffId(Digest::of(&output)), output.len() as u64), (diff_id, size));
        if !is_packed(input) {
            assert!(output == input, "the same bytes");
        }
    }
    loaded.is_some()
}

/// What is below a lowest layer.
struct Nothing;

impl Below for Nothing {
    fn layers(&self) -> Result<Vec<LowerLayer>> {
        Ok(Vec::new())
    }

    fn merged(&self) -> Result<Option<Dir>> {
        Ok(None)
    }
}

fn load(input: &[u8], target: &LayerTarget) -> Option<(DiffId, u64)> {
    let options = LoadOptions {
        below: &Nothing,
        marks: MarkSpace::User,
        limits: LayerLimits { bytes: LIMIT, entries: LIMIT },
        counters: &Counters::default(),
    };
    let reader: Box<dyn Read + Send> = Box::new(Cursor::new(input.to_vec()));
    let loaded = load_layer(reader, target, &options).ok()?;
    Some((loaded.diff_id, loaded.tar_size))
}

fn is_packed(input: &[u8]) -> bool {
    use std::io::{Seek, SeekFrom, Write};
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(input).expect("a temporary file");
    file.seek(SeekFrom::Start(0)).expect("a temporary file");
    is_compressed(&file).unwrap_or(true)
}

/// All that a member of a layer could do to a file beside the tree.
fn looks(file: &Path) -> (Vec<u8>, [i64; 7]) {
    let of = fs::symlink_metadata(file).expect("the canary");
    let numbers = [of.mode().into(), of.uid().into(), of.gid().into(), of.nlink() as i64];
    let times = [of.mtime(), of.mtime_nsec(), of.ino() as i64];
    let [mode, uid, gid, links] = numbers;
    let [mtime, nanoseconds, inode] = times;
    let content = fs::read(file).expect("the canary");
    (content, [mode, uid, gid, links, mtime, nanoseconds, inode])
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a directory");
    let name = |entry: std::io::Result<fs::DirEntry>| {
        entry.expect("an entry").file_name().to_string_lossy().into_owned()
    };
    let mut names: Vec<String> = entries.map(name).collect();
    names.sort();
    names
}
