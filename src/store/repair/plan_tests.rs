//! Rows of stores that exist in memory alone.

use super::*;
use crate::digest::ImageId;
use crate::id::ContainerId;
use crate::platform::Platform;
use crate::store::SpecText;

fn diff(text: &str) -> DiffId {
    DiffId(Digest::of(text.as_bytes()))
}

fn image(name: &str, layers: &[&str]) -> FoundImage {
    FoundImage {
        id: ImageId(Digest::of(name.as_bytes())),
        manifest: Digest::of(format!("manifest of {name}").as_bytes()),
        diff_ids: layers.iter().map(|layer| diff(layer)).collect(),
        tar_sizes: layers.iter().map(|layer| 1000 + layer.len() as u64).collect(),
        stored_at: Timestamp::from_seconds(5),
        platform: Platform::linux("amd64"),
    }
}

fn indexed(names: &[&str], content_sizes: &[u64]) -> ToldImage {
    ToldImage {
        names: names.iter().map(|name| name.parse().unwrap()).collect(),
        indexes: Vec::new(),
        imported_at: Some(Timestamp::from_seconds(9)),
        content_sizes: content_sizes.to_vec(),
    }
}

/// All layers of `images` are there, and `index` has the images.
fn found(images: &[(FoundImage, Option<ToldImage>)]) -> Found {
    let index = images.iter().filter_map(|(image, told)| Some((image.manifest, told.clone()?)));
    Found {
        layers: images.iter().flat_map(|(image, _)| ChainId::stack(&image.diff_ids)).collect(),
        index: Some(index.collect()),
        images: images.iter().map(|(image, _)| image.clone()).collect(),
        ..Found::default()
    }
}

fn copy(name: &str, image: &FoundImage) -> ContainerCopy {
    let id = ContainerId::from_random([name.len() as u8; 32]);
    let chain = ChainId::stack(&image.diff_ids).last().copied();
    let record = ContainerRecord {
        id,
        name: name.parse().unwrap(),
        image: image.id,
        chain,
        created_at: Timestamp::from_seconds(name.len() as i64),
        spec: SpecText::of(&serde_json::json!({})).unwrap(),
        state: Default::default(),
    };
    let layer =
        |(&diff_id, &tar_size): (&DiffId, &u64)| LayerCopy { diff_id, tar_size, content_size: 7 };
    let layers = image.diff_ids.iter().zip(&image.tar_sizes).map(layer).collect();
    ContainerCopy { layers, ..ContainerCopy::without_layers(&record) }
}

fn none() -> HashMap<ChainId, u64> {
    HashMap::new()
}

#[test]
fn rows_follow_from_blobs_and_index() {
    let (one, two) = (image("one", &["base"]), image("two", &["base", "top"]));
    let found = found(&[
        (one.clone(), Some(indexed(&["one:1"], &[3]))),
        (two.clone(), Some(indexed(&[], &[3, 4]))),
    ]);
    let plan = rows(&found, &Known::nothing(), &none());
    let chains = ChainId::stack(&two.diff_ids);
    let layer = |position: usize, content_size| LayerRecord {
        chain_id: chains[position],
        diff_id: two.diff_ids[position],
        parent: position.checked_sub(1).map(|below| chains[below]),
        tar_size: two.tar_sizes[position],
        content_size,
    };
    assert_eq!(plan.layers, [layer(0, 3), layer(1, 4)]);
    let planned = |image: &FoundImage, size, names: &[&str]| PlannedImage {
        indexes: Vec::new(),
        image: image.clone(),
        imported_at: Timestamp::from_seconds(9),
        size,
        names: names.iter().map(|name| name.parse().unwrap()).collect(),
    };
    let mut images = [planned(&one, 3, &["one:1"]), planned(&two, 7, &[])];
    images.sort_by_key(|planned| planned.image.id);
    assert_eq!(plan.images, images);
    assert_eq!((plan.left, plan.lost), (vec![], vec![]));
}

#[test]
fn what_no_index_tells_is_measured_and_names_are_lost() {
    let one = image("one", &["base", "top"]);
    let mut found = found(&[(one.clone(), None)]);
    found.index = None;
    let chains = ChainId::stack(&one.diff_ids);
    let mut missing = unmeasured(&found, &Known::nothing());
    missing.sort_by_key(|chain| chains.iter().position(|known| known == chain));
    assert_eq!(missing, chains);
    let measured = HashMap::from([(chains[0], 10), (chains[1], 20)]);
    let plan = rows(&found, &Known::nothing(), &measured);
    assert_eq!((plan.images[0].size, plan.images[0].imported_at), (30, one.stored_at));
    assert!(plan.lost[0].starts_with("the names of images are lost"), "{:?}", plan.lost);
    // One that could not be read.
    let plan = rows(&found, &Known::nothing(), &HashMap::from([(chains[0], 10)]));
    assert_eq!((plan.images.len(), plan.layers.len()), (0, 0));
    let why = format!("its layer {} is missing or damaged", chains[1]);
    let path = format!("blobs/sha256/{}", one.manifest.encoded());
    assert_eq!(plan.left, [Odd { path, why }]);
    // Sizes that are not those of its layers are none.
    for sizes in [&[1][..], &[u64::MAX, 1 << 60]] {
        found.index = Some(BTreeMap::from([(one.manifest, indexed(&[], sizes))]));
        assert_eq!(unmeasured(&found, &Known::nothing()).len(), 2);
    }
}

#[test]
fn a_missing_layer_is_known_again_only_where_nothing_was() {
    let one = image("one", &["base"]);
    let mut found = found(&[(one, Some(indexed(&["one:1"], &[3])))]);
    found.layers.clear();
    assert_eq!(rows(&found, &Known::nothing(), &none()).images.len(), 1);
    let plan = rows(&found, &Known::default(), &none());
    assert_eq!((plan.images.len(), plan.layers.len(), plan.left.len()), (0, 0, 1));
}

#[test]
fn a_name_stays_where_it_is_and_is_given_once() {
    let (one, two) = (image("one", &["a"]), image("two", &["b"]));
    let found = found(&[
        (one, Some(indexed(&["x:1", "taken:1"], &[3]))),
        (two, Some(indexed(&["x:1"], &[3]))),
    ]);
    let taken = tag::key(&"taken:1".parse().unwrap());
    let known = Known { names: BTreeSet::from([taken]), ..Known::default() };
    let plan = rows(&found, &known, &none());
    let names: Vec<String> =
        plan.images.iter().flat_map(|image| &image.names).map(ToString::to_string).collect();
    assert_eq!(names, ["x:1"]);
}

#[test]
fn of_several_manifests_the_index_knows_which() {
    let one = image("one", &["a"]);
    let other = FoundImage { manifest: Digest::of(b"another"), ..one.clone() };
    for told in [&one, &other] {
        let told_of =
            |image: &FoundImage| (image.manifest == told.manifest).then(|| indexed(&["x:1"], &[3]));
        let found = found(&[(one.clone(), told_of(&one)), (other.clone(), told_of(&other))]);
        let plan = rows(&found, &Known::nothing(), &none());
        assert_eq!(plan.images.len(), 1);
        assert_eq!(plan.images[0].image.manifest, told.manifest);
    }
}

#[test]
fn a_container_brings_layers_that_no_image_has() {
    let gone = image("gone", &["a", "b"]);
    let found = Found { containers: vec![copy("box", &gone)], ..Found::default() };
    let plan = rows(&found, &Known::nothing(), &none());
    assert_eq!((plan.layers.len(), plan.containers.len()), (2, 1));
    // Layers that do not make its chain are none of its.
    let mut wrong = copy("box", &gone);
    wrong.layers[0].diff_id = diff("other");
    let found = Found { containers: vec![wrong], ..Found::default() };
    let plan = rows(&found, &Known::nothing(), &none());
    assert_eq!((plan.layers.len(), plan.containers.len(), plan.left.len()), (0, 0, 1));
    let chain = ChainId::stack(&gone.diff_ids)[1];
    assert_eq!(plan.left[0].why, format!("its layer {chain} is missing or damaged"));
}

#[test]
fn what_is_lost_of_a_container_is_told() {
    let one = image("one", &["a"]);
    let mut older = copy("abc", &one);
    older.state = None;
    let mut second = ContainerCopy { name: older.name.clone(), ..copy("abcd", &one) };
    let used = |volume: &str| VolumeUse {
        volume: volume.parse().unwrap(),
        target: format!("/{volume}"),
        read_only: true,
    };
    second.volumes = vec![used("there"), used("gone")];
    let known = Known { volumes: BTreeSet::from(["there".parse().unwrap()]), ..Known::nothing() };
    let found = Found { containers: vec![second.clone(), older], ..Found::default() };
    let plan = rows(&found, &known, &none());
    let names: Vec<&str> =
        plan.containers.iter().map(|planned| planned.record.name.as_str()).collect();
    let short = second.id.short();
    assert_eq!(names, ["abc", short]);
    assert_eq!(plan.containers[1].volumes, [used("there")]);
    let lost = [
        "what became of container abc until now is lost".to_owned(),
        format!("container {} is called {short}: abc is another one", second.id),
        format!("the volume gone of container {short} at /gone is gone"),
    ];
    assert_eq!(plan.lost, lost);
}

#[test]
fn a_name_whose_image_is_gone_is_told() {
    let gone = image("gone", &["a"]);
    let mut found = found(&[(gone, Some(indexed(&["x:1"], &[3])))]);
    found.images.clear();
    assert_eq!(rows(&found, &Known::nothing(), &none()).lost, ["the image x:1 is lost"]);
    assert_eq!(rows(&found, &Known::default(), &none()).lost, [""; 0]);
}
