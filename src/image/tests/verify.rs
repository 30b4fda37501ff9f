//! A byte that is flipped anywhere in a layer is found, and so is all else that
//! can be done to a file.

use std::io::Cursor;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;

use super::*;
use crate::image::load::below::Trees;
use crate::image::{
    ImportOptions, LayerLimits, LoadedLayer, MarkSpace, import_directory, load_layer,
};

/// What a byte may be flipped in; each file gets this many flips.
const FLIPS: u64 = 60;

struct Layer {
    room: tempfile::TempDir,
    target: LayerTarget,
    expected: ExpectedLayer,
}

impl Layer {
    fn room(form: LayerForm) -> (tempfile::TempDir, LayerTarget) {
        let room = tempfile::tempdir().unwrap();
        let folder = room.path().join("layer");
        fs::create_dir(&folder, 0o700).unwrap();
        let target = LayerTarget::within(&folder, form);
        let root = if form == LayerForm::Tree { &target.tree } else { &target.root };
        fs::create_dir(root, 0o755).unwrap();
        (room, target)
    }

    /// A whole filesystem.
    fn imported(form: LayerForm) -> Self {
        let (room, target) = Self::room(form);
        let source = room.path().join("source");
        std::fs::create_dir_all(source.join("usr/bin")).unwrap();
        std::fs::write(source.join("usr/bin/tool"), "tool".repeat(2000)).unwrap();
        std::fs::write(source.join("usr/bin/empty"), "").unwrap();
        std::fs::write(source.join("hostname"), "box").unwrap();
        symlink("usr/bin", source.join("bin")).unwrap();
        let source = Dir::open(&source).unwrap();
        let made = import_directory(&source, &target, &ImportOptions::default()).unwrap();
        let expected = ExpectedLayer { diff_id: made.diff_id, tar_size: made.tar_size };
        Self { room, target, expected }
    }

    /// One that came as a tar.
    fn loaded(form: LayerForm) -> Self {
        let (room, target) = Self::room(form);
        let mut builder = tar::Builder::new(Vec::new());
        let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
        for (name, data) in
            [("etc/", &b""[..]), ("etc/a", b"one"), ("etc/a", b"two"), ("etc/b", &[9; 3000])]
        {
            let mut header = tar::Header::new_gnu();
            if name.ends_with('/') {
                header.set_entry_type(tar::EntryType::Directory);
            }
            header.set_uid(uid.as_raw().into());
            header.set_gid(gid.as_raw().into());
            header.set_mode(0o755);
            header.set_size(data.len() as u64);
            builder.append_data(&mut header, name, data).unwrap();
        }
        let tar = builder.into_inner().unwrap();
        let LoadedLayer { diff_id, tar_size, .. } =
            load_layer(Box::new(Cursor::new(tar)), &target, &load(&Counters::default())).unwrap();
        Self { room, target, expected: ExpectedLayer { diff_id, tar_size } }
    }

    fn verify(&self) -> Result<()> {
        let folder = self.room.path().join("anew");
        let counters = Counters::default();
        let options =
            VerifyOptions { folder: &folder, load: load(&counters), is_below_sound: true };
        let verified = verify_layer(&self.target, self.expected, &options);
        assert!(!folder.exists());
        verified
    }

    fn says(&self, text: &str) {
        let error = self.verify().expect_err(text);
        assert!(error.chain().contains(text), "{}", error.chain());
    }

    fn path(&self, path: &str) -> PathBuf {
        self.target.tree.with_file_name(path)
    }

    fn all_files(&self) -> Vec<PathBuf> {
        walkdir::WalkDir::new(self.path(""))
            .into_iter()
            .map(Result::unwrap)
            .filter(|entry| entry.file_type().is_file())
            .map(|entry| entry.path().to_owned())
            .collect()
    }
}

fn load(counters: &Counters) -> LoadOptions<'_> {
    LoadOptions {
        below: &Trees(&[]),
        marks: MarkSpace::Trusted,
        limits: LayerLimits::NONE,
        counters,
    }
}

/// Flips one bit of the byte at `place`, and nothing else of the file.
fn flip(path: &Path, place: u64) {
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let modified = file.metadata().unwrap().modified().unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, place).unwrap();
    file.write_all_at(&[byte[0] ^ 0x04], place).unwrap();
    file.set_modified(modified).unwrap();
}

fn every() -> Vec<Layer> {
    let mut layers = vec![
        Layer::imported(LayerForm::Archive),
        Layer::imported(LayerForm::Tree),
        Layer::loaded(LayerForm::Tree),
    ];
    // A tar that does not list its root gives it to root.
    if nix::unistd::geteuid().is_root() {
        layers.push(Layer::loaded(LayerForm::Archive));
    }
    layers
}

#[test]
fn a_flipped_byte_is_found_wherever_it_is() {
    for layer in every() {
        layer.verify().unwrap();
        let mut count = 0;
        for path in layer.all_files() {
            let size = path.metadata().unwrap().size();
            let step = (size / FLIPS).max(1) as usize;
            for place in (0..size).step_by(step).chain(size.checked_sub(1)) {
                flip(&path, place);
                let error = layer.verify().expect_err(&format!("{}: {place}", path.display()));
                assert!(!error.chain().is_empty());
                flip(&path, place);
                count += 1;
            }
        }
        assert!(count > 100);
        layer.verify().unwrap();
    }
}

#[test]
fn the_file_is_named() {
    let layer = Layer::imported(LayerForm::Tree);
    flip(&layer.path("tree/usr/bin/tool"), 5000);
    assert_eq!(layer.verify().unwrap_err().chain(), "usr/bin/tool differs");
    flip(&layer.path("tree/hostname"), 0);
    assert_eq!(layer.verify().unwrap_err().chain(), "hostname differs, usr/bin/tool differs");

    let layer = Layer::imported(LayerForm::Archive);
    let tar = std::fs::read(&layer.target.data).unwrap();
    let place = tar.windows(8).rposition(|bytes| bytes == b"tooltool").unwrap();
    flip(&layer.target.data, place as u64);
    assert_eq!(layer.verify().unwrap_err().chain(), "usr/bin/tool differs");
    flip(&layer.target.data, place as u64);
    flip(&layer.target.data, tar.len() as u64 - 1);
    assert_eq!(layer.verify().unwrap_err().chain(), "damaged tar header after usr/bin/tool");
    flip(&layer.target.data, tar.len() as u64 - 1);
    flip(&layer.target.index, 2000);
    layer.says("its file index is not as it was written");

    let layer = Layer::loaded(LayerForm::Tree);
    flip(&layer.path("tree/etc/b"), 2999);
    assert_eq!(layer.verify().unwrap_err().chain(), "etc/b differs");
}

#[test]
fn a_layer_without_sums_is_known_by_its_digest() {
    let layer = Layer::imported(LayerForm::Tree);
    std::fs::remove_file(&layer.target.sums).unwrap();
    layer.verify().unwrap();
    flip(&layer.path("tree/usr/bin/tool"), 5000);
    layer.says("its tar is sha256:");

    let layer = Layer::imported(LayerForm::Archive);
    std::fs::remove_file(&layer.target.sums).unwrap();
    layer.verify().unwrap();
    flip(&layer.target.index, 2000);
    layer.says("its index is not that of its tar");
}

#[test]
fn files_that_come_and_go_are_told() {
    for make in [Layer::imported, Layer::loaded] {
        let layer = make(LayerForm::Tree);
        std::fs::write(layer.path("tree/zz"), "").unwrap();
        layer.says("zz is new");
    }
    let layer = Layer::imported(LayerForm::Tree);
    std::fs::remove_file(layer.path("tree/usr/bin/empty")).unwrap();
    layer.says("1 before usr/bin/tool is missing");
    let layer = Layer::imported(LayerForm::Tree);
    std::fs::remove_file(layer.path("tree/usr/bin/tool")).unwrap();
    layer.says("1 after usr/bin/empty is missing");
    let layer = Layer::loaded(LayerForm::Tree);
    std::fs::remove_file(layer.path("tree/etc/b")).unwrap();
    layer.says("etc/b in the store is not what was loaded");
    for (form, name) in
        [(LayerForm::Tree, "tree"), (LayerForm::Archive, "tar"), (LayerForm::Archive, "root")]
    {
        let layer = Layer::imported(form);
        fs::remove_tree(&layer.path(name)).unwrap();
        layer.says(&format!("its {name} is missing"));
        symlink("/", layer.path(name)).unwrap();
        layer.says(&format!("its {name} is not a"));
    }
    let layer = Layer::imported(LayerForm::Archive);
    std::fs::write(layer.path("note"), "").unwrap();
    layer.says("its folder has note, which is no part of it");
    let layer = Layer::loaded(LayerForm::Tree);
    std::fs::write(layer.path("replaced/7"), "").unwrap();
    layer.says("its folder replaced has other files than it had");
}

#[test]
fn what_is_done_to_a_file_is_told() {
    for (make, path) in
        [(Layer::imported as fn(_) -> _, "usr/bin/tool"), (Layer::loaded as fn(_) -> _, "etc/b")]
    {
        let changes: [fn(&Path); 5] = [
            |path| std::fs::set_permissions(path, PermissionsExt::from_mode(0o711)).unwrap(),
            |path| {
                std::fs::File::open(path)
                    .unwrap()
                    .set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_nanos(1))
                    .unwrap()
            },
            |path| xattr::set(path, "user.x", b"y").unwrap(),
            |path| std::fs::File::options().write(true).open(path).unwrap().set_len(9).unwrap(),
            |path| {
                let mut bytes = std::fs::read(path).unwrap();
                bytes.push(b'x');
                std::fs::write(path, bytes).unwrap();
            },
        ];
        for (number, change) in changes.iter().enumerate() {
            let layer: Layer = make(LayerForm::Tree);
            change(&layer.target.tree.join(path));
            let error = layer.verify().expect_err(&format!("{path}: {number}"));
            assert!(error.chain().contains(path), "{number}: {}", error.chain());
        }
    }
    if nix::unistd::geteuid().is_root() {
        for (make, path) in
            [(Layer::imported as fn(_) -> _, "hostname"), (Layer::loaded as fn(_) -> _, "etc/b")]
        {
            let layer: Layer = make(LayerForm::Tree);
            std::os::unix::fs::chown(layer.target.tree.join(path), Some(7), None).unwrap();
            layer.says(&format!("{path} differs"));
        }
    }
}

#[test]
fn the_root_of_an_archive_is_compared() {
    let layer = Layer::imported(LayerForm::Archive);
    std::fs::set_permissions(&layer.target.root, PermissionsExt::from_mode(0o1777)).unwrap();
    layer.says("its root has mode 1777, not 0755");
    std::fs::set_permissions(&layer.target.root, PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::write(layer.target.root.join("x"), "").unwrap();
    layer.says("its root has something in it");
}

#[test]
fn another_size_is_told() {
    let mut layer = Layer::imported(LayerForm::Tree);
    layer.expected.tar_size += 1;
    layer.says("its tar is sha256:");
}
