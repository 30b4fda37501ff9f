//! Tests of the store as its users see it.

mod check;
mod containers;
mod copies;
mod crash;
mod images;
mod layers;
mod opening;
mod removal;
mod repair;
mod volumes;

use super::*;
use crate::digest::{DiffId, Digest};
use crate::error::Kind;
use crate::fs::{Dir, Timestamp};
use crate::reference::ImageRef;

/// A store of its own in a directory of its own.
struct Room {
    directory: tempfile::TempDir,
    store: Store,
}

impl Room {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&paths(directory.path())).unwrap();
        Self { directory, store }
    }

    fn paths(&self) -> StorePaths {
        paths(self.directory.path())
    }

    /// The same store, opened by somebody else.
    fn reopen(&self) -> Store {
        Store::open(&self.paths()).unwrap()
    }

    fn names_in(&self, folder: &str) -> Vec<String> {
        let names = fs::list(&self.paths().root.join(folder)).unwrap();
        names.into_iter().map(|name| name.into_string().unwrap()).collect()
    }

    /// Every row has its things on disk, every thing its row, and nothing is
    /// left over.
    fn check(&self) {
        let store = self.reopen();
        assert_eq!(self.names_in("tmp"), [""; 0], "leftovers");
        let (mut blobs, mut layers) = (Vec::new(), Vec::new());
        for image in store.images().unwrap() {
            store.image_config(&image).unwrap();
            store.image_manifest(&image).unwrap();
            blobs.extend([image.id.0.encoded(), image.manifest.encoded()]);
            layers.extend(image.layers.iter().map(|chain| chain.0.encoded()));
        }
        for chain in self.names_in("layers") {
            let chain = ChainId(Digest::from_encoded(&chain).unwrap());
            assert!(store.layer_record(chain).unwrap().is_some(), "{chain} has no row");
        }
        for chain in layers {
            let tree = self.paths().root.join("layers").join(&chain).join("tree");
            assert!(fs::metadata(&tree.join("file")).unwrap().is_some(), "{chain} is not whole");
        }
        blobs.sort();
        blobs.dedup();
        assert_eq!(self.names_in("blobs/sha256"), blobs);
        let mut containers: Vec<String> =
            store.containers().unwrap().into_iter().map(|record| record.id.to_string()).collect();
        containers.sort();
        assert_eq!(self.names_in("containers"), containers);
        let volumes = store.volumes().unwrap();
        for volume in &volumes {
            assert!(fs::metadata(&store.volume_data(&volume.name)).unwrap().is_some());
        }
        let names: Vec<String> = volumes.iter().map(|volume| volume.name.to_string()).collect();
        assert_eq!(self.names_in("volumes"), names);
    }
}

fn paths(directory: &Path) -> StorePaths {
    StorePaths { root: directory.join("store"), run: directory.join("run") }
}

fn reference(text: &str) -> ImageRef {
    text.parse().unwrap()
}

fn layer_record(parent: Option<ChainId>, content: &str) -> LayerRecord {
    let diff_id = DiffId(Digest::of(content.as_bytes()));
    LayerRecord {
        chain_id: ChainId::extend(parent, diff_id),
        diff_id,
        parent,
        tar_size: 10_240,
        content_size: content.len() as u64,
    }
}

/// Commits a layer that holds one file with `content`.
fn add_layer(store: &Store, parent: Option<ChainId>, content: &str) -> Result<ChainId> {
    let pending = store.begin_layer(Driver::Overlay)?;
    fs::write_volatile(&pending.location().folder.join("tree").join("file"), content.as_bytes())?;
    let record = layer_record(parent, content);
    pending.commit(record)?;
    Ok(record.chain_id)
}

/// Puts an image of `layers` whose config differs by `comment`.
fn add_image(
    store: &Store,
    comment: &str,
    layers: &[ChainId],
    name: Option<&str>,
) -> Result<PutImage> {
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","author":"{comment}","created":"2026-01-02T03:04:05Z",
        "config":{{"Labels":{{"a":"b"}}}},"rootfs":{{"type":"layers","diff_ids":[]}}}}"#
    );
    let manifest = format!(r#"{{"schemaVersion":2,"comment":"{comment}"}}"#);
    store.put_image(&NewImage {
        config: config.as_bytes(),
        manifest: manifest.as_bytes(),
        layers,
        size: 42,
        imported_at: Timestamp::from_seconds(7),
        name: name.map(reference).as_ref(),
        action: "import",
    })
}

/// An image with one layer of its own.
fn import(store: &Store, comment: &str, name: Option<&str>) -> PutImage {
    let chain = add_layer(store, None, comment).unwrap();
    add_image(store, comment, &[chain], name).unwrap()
}

fn container(name: &str, image: &ImageRecord) -> ContainerRecord {
    ContainerRecord {
        id: Digest::of(name.as_bytes()).encoded().parse().unwrap(),
        name: name.parse().unwrap(),
        image: image.id,
        chain: image.chain(),
        created_at: Timestamp::from_seconds(9),
        spec: SpecText::of(&serde_json::json!({"command": ["sh"]})).unwrap(),
        state: ContainerState::default(),
    }
}
