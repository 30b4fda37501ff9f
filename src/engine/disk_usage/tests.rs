//! Sums over layers that are shared, and over many images.

use crate::digest::{DiffId, Digest};
use crate::fs::Timestamp;
use crate::platform::Platform;

use super::*;

fn layer(parent: Option<ChainId>, content: &str, size: u64) -> LayerRecord {
    let diff_id = DiffId(Digest::of(content.as_bytes()));
    LayerRecord {
        chain_id: ChainId::extend(parent, diff_id),
        diff_id,
        parent,
        tar_size: 0,
        content_size: size,
    }
}

fn image(name: &str, layers: &[&LayerRecord]) -> ImageRecord {
    ImageRecord {
        index_names: Vec::new(),
        id: ImageId(Digest::of(name.as_bytes())),
        manifest: Digest::of(b"manifest"),
        created: None,
        imported_at: Timestamp::from_seconds(1),
        size: layers.iter().map(|layer| layer.content_size).sum(),
        platform: Platform::host(),
        labels: BTreeMap::new(),
        names: Vec::new(),
        layers: layers.iter().map(|layer| layer.chain_id).collect(),
    }
}

fn stands(images: &[&ImageRecord], chains: &[&LayerRecord]) -> Standing {
    Standing {
        images: images.iter().map(|image| (image.id, 1)).collect(),
        chains: chains.iter().map(|layer| layer.chain_id).collect(),
    }
}

#[test]
fn a_shared_layer_counts_once() {
    let base = layer(None, "base", 100);
    let (left, right) =
        (layer(Some(base.chain_id), "left", 10), layer(Some(base.chain_id), "right", 1));
    let orphan = layer(None, "orphan", 1000);
    let layers = Layers::of(&[base, left, right, orphan]);
    assert_eq!(layers.total(), 1111);
    let images = vec![image("left", &[&base, &left]), image("right", &[&base, &right])];
    let none = stands(&[], &[]);
    assert_eq!(layers.used(&images, &none), 0);
    assert_eq!(layers.used(&images, &stands(&[&images[1]], &[])), 101);
    assert_eq!(layers.used(&images, &stands(&[&images[0], &images[1]], &[])), 111);
    // A container whose image was removed by force still stands on its layers.
    assert_eq!(layers.used(&[], &stands(&[], &[&left])), 110);
    let disks = layers.shares(images, &none);
    let shares: Vec<_> = disks.iter().map(|disk| (disk.shared, disk.unique)).collect();
    assert_eq!(shares, [(100, 10), (100, 1)]);
    for disk in disks {
        assert_eq!(disk.shared + disk.unique, disk.image.size);
    }
}

#[test]
fn a_thousand_images_on_one_base_have_it_once() {
    let base = layer(None, "base", 1 << 30);
    let mut records = vec![base];
    let mut images = Vec::new();
    for number in 0..1000 {
        let name = format!("image {number}");
        let own = layer(Some(base.chain_id), &name, 1);
        records.push(own);
        images.push(image(&name, &[&base, &own]));
    }
    let layers = Layers::of(&records);
    assert_eq!(layers.total(), (1 << 30) + 1000);
    let one = stands(&[&images[7]], &[]);
    assert_eq!(layers.used(&images, &one), (1 << 30) + 1);
    let disks = layers.shares(images, &one);
    assert!(disks.iter().all(|disk| (disk.shared, disk.unique) == (1 << 30, 1)));
    assert_eq!(disks.iter().map(|disk| disk.containers).sum::<usize>(), 1);
}
