//! A store of a thousand images: what every command that names or lists images
//! does first, each time with a database opened anew, as a command has it.
//! Whole commands are measured by `scripts/bench`.

use criterion::{Criterion, criterion_group, criterion_main};

use envbox::digest::{ChainId, DiffId, Digest};
use envbox::fs::Timestamp;
use envbox::store::{Driver, LayerRecord, NewImage, Store, StorePaths};

const IMAGES: usize = 1_000;

fn fill(store: &Store) {
    for number in 0..IMAGES {
        let diff_id = DiffId(Digest::of(&number.to_ne_bytes()));
        let chain_id = ChainId::extend(None, diff_id);
        let record =
            LayerRecord { chain_id, diff_id, parent: None, tar_size: 10_240, content_size: 42 };
        store.begin_layer(Driver::Overlay).unwrap().commit(record).unwrap();
        let config = format!(
            r#"{{"architecture":"amd64","os":"linux","author":"{number}",
            "rootfs":{{"type":"layers","diff_ids":["{diff_id}"]}}}}"#
        );
        store
            .put_image(&NewImage {
                config: config.as_bytes(),
                manifest: format!(r#"{{"schemaVersion":2,"comment":"{number}"}}"#).as_bytes(),
                layers: &[chain_id],
                size: 42,
                imported_at: Timestamp::from_seconds(7),
                name: Some(&format!("team/build:{number}").parse().unwrap()),
                action: "import",
            })
            .unwrap();
    }
    store.close_database();
}

fn thousand_images(criterion: &mut Criterion) {
    let room = tempfile::tempdir().unwrap();
    let paths = StorePaths { root: room.path().join("store"), run: room.path().join("run") };
    fill(&Store::open(&paths).unwrap());
    let open = || Store::open_existing(&paths).unwrap().unwrap();
    criterion.bench_function("open", |bencher| bencher.iter(open));
    criterion.bench_function("open and list", |bencher| {
        bencher.iter(|| assert_eq!(open().images().unwrap().len(), IMAGES));
    });
    criterion.bench_function("open and resolve a name", |bencher| {
        bencher.iter(|| open().resolve("team/build:500").unwrap());
    });
    criterion.bench_function("open and prepare a snapshot", |bencher| {
        let chain = open().resolve("team/build:500").unwrap().chain();
        bencher.iter(|| open().prepare(chain).unwrap());
    });
}

criterion_group!(benches, thousand_images);
criterion_main!(benches);
