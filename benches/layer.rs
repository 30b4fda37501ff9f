//! The stages that an import overlaps, each alone: hashing, and reading a tree
//! as a canonical tar; then both together with writing the layer. The slowest
//! bounds the whole.

use std::io::Write;
use std::path::Path;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

use envbox::digest::Digest;
use envbox::fs::Dir;
use envbox::image::{ImportOptions, LayerTarget, import_directory, write_canonical};
use envbox::mount::LayerForm;

const FOLDERS: usize = 20;
const FILES: usize = 50;
const FILE_BYTES: usize = 16 * 1024;

/// A thousand files of 16 KiB: about the mean of a root filesystem.
fn make_tree(root: &Path) {
    let content: Vec<u8> = (0..FILE_BYTES).map(|index| (index * 31 % 251) as u8).collect();
    for folder in 0..FOLDERS {
        let folder = root.join(format!("folder{folder}"));
        std::fs::create_dir_all(&folder).unwrap();
        for file in 0..FILES {
            std::fs::write(folder.join(format!("file{file}")), &content).unwrap();
        }
    }
}

/// Takes bytes and keeps none.
struct Nowhere;

impl Write for Nowhere {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn stages(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("layer");
    let megabyte = vec![7_u8; 1 << 20];
    group.throughput(Throughput::Bytes(megabyte.len() as u64));
    group.bench_function("hash", |bencher| bencher.iter(|| Digest::of(&megabyte)));

    let room = tempfile::tempdir().unwrap();
    let source = room.path().join("source");
    make_tree(&source);
    // A descriptor of a directory is read to its end once.
    let open = || Dir::open(&source).unwrap();
    let options = ImportOptions::default();
    group.throughput(Throughput::Bytes((FOLDERS * FILES * FILE_BYTES) as u64));
    group.sample_size(20);
    group.bench_function("read a tree", |bencher| {
        bencher.iter(|| write_canonical(&open(), &options, &mut Nowhere).unwrap());
    });
    let target = || {
        let target = tempfile::tempdir_in(room.path()).unwrap();
        let layer = LayerTarget::within(target.path(), LayerForm::Tree);
        (target, layer)
    };
    group.bench_function("import a tree", |bencher| {
        bencher.iter_batched(
            target,
            |(kept, layer)| (import_directory(&open(), &layer, &options).unwrap(), kept),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, stages);
criterion_main!(benches);
