//! A layout is whole or absent, and holds only what its digests say.

use super::*;
use crate::fs::Timestamp;
use crate::image::{AssembledImage, LayerBlob, NewImage, assemble};
use crate::oci::ExecParameters;
use crate::platform::Platform;

fn image(comment: &str, layers: &[&[u8]]) -> AssembledImage {
    let blob = |tar: &&[u8]| LayerBlob { diff_id: DiffId(Digest::of(tar)), size: tar.len() as u64 };
    let layers: Vec<LayerBlob> = layers.iter().map(blob).collect();
    assemble(NewImage {
        layers: &layers,
        platform: &Platform::linux("amd64"),
        config: ExecParameters::default(),
        created: Timestamp::from_seconds(0),
        author: None,
        comment: Some(comment),
        created_by: "test",
    })
    .unwrap()
}

fn named<'a>(image: &'a AssembledImage, reference: Option<&'a str>) -> LayoutImage<'a> {
    LayoutImage { reference, full_name: None, manifest: &image.manifest, config: &image.config }
}

/// Gives the tar that has the digest asked for.
fn from(tars: &'static [&'static [u8]]) -> impl FnMut(DiffId, &mut dyn Write) -> Result<()> {
    move |id, out| {
        let tar = tars.iter().find(|tar| Digest::of(tar) == id.0).unwrap();
        put(out, tar)
    }
}

#[test]
fn writes_every_blob_once_under_its_digest() {
    let space = tempfile::tempdir().unwrap();
    let folder = space.path().join("out");
    fs::create_dir(&folder, 0o755).unwrap();
    let (one, two) = (image("1", &[b"base", b"top"]), image("2", &[b"base", b"base"]));
    let mut asked = Vec::new();
    let mut give = from(&[b"base", b"top"]);
    let images = [named(&one, Some("docker.io/library/a:1")), named(&two, None)];
    write_layout(&folder, &images, &mut |id, out| {
        asked.push(id.0);
        give(id, out)
    })
    .unwrap();

    assert_eq!(asked, [Digest::of(b"base"), Digest::of(b"top")]);
    assert_eq!(fs::read(&folder.join("oci-layout")).unwrap(), LAYOUT_VERSION);
    let names = fs::list(&folder.join("blobs/sha256")).unwrap();
    assert_eq!(names.len(), 6);
    for name in names {
        let content = fs::read(&folder.join("blobs/sha256").join(&name)).unwrap();
        assert_eq!(Digest::of(&content).encoded(), name.to_str().unwrap());
    }
    let index: Index =
        serde_json::from_slice(&fs::read(&folder.join("index.json")).unwrap()).unwrap();
    let digests: Vec<Digest> = index.manifests.iter().map(|line| line.digest).collect();
    assert_eq!(digests, [one.manifest_digest, two.manifest_digest]);
    assert_eq!(index.manifests[0].annotations[REF_NAME], "docker.io/library/a:1");
    assert!(index.manifests[1].annotations.is_empty());
    assert_eq!(index.manifests[0].platform, Some(Platform::linux("amd64")));
    assert_eq!(fs::list(space.path()).unwrap(), ["out"]);
}

#[test]
fn an_archive_has_the_files_of_the_directory() {
    let space = tempfile::tempdir().unwrap();
    let folder = space.path().join("out");
    let image = image("1", &[b"base", b"top"]);
    let images = [named(&image, Some("1")), named(&image, Some("2"))];
    let mut tar = Vec::new();
    write_layout_archive(&mut tar, &images, &mut from(&[b"base", b"top"])).unwrap();
    write_layout(&folder, &images, &mut from(&[b"base", b"top"])).unwrap();

    let mut reader = crate::image::TarReader::new(tar.as_slice());
    let mut count = 0;
    while let Some(entry) = reader.next_entry().unwrap() {
        if entry.kind == crate::image::EntryKind::Directory {
            continue;
        }
        let mut bytes = Vec::new();
        reader
            .copy_data(&mut |_, piece| {
                bytes.extend_from_slice(piece);
                Ok(())
            })
            .unwrap();
        let path = folder.join(String::from_utf8(entry.path).unwrap());
        assert_eq!(fs::read(&path).unwrap(), bytes, "{}", path.display());
        count += 1;
    }
    assert!(reader.has_end_marker());
    assert_eq!(count, 6);
    let error = write_layout_archive(&mut tar, &images, &mut |_, out| put(out, b"x")).unwrap_err();
    assert_eq!(error.kind(), Kind::Mismatch);
}

/// Writing fails with an error of this kind and leaves nothing.
fn refused(
    images: &[LayoutImage<'_>],
    layer: &mut dyn FnMut(DiffId, &mut dyn Write) -> Result<()>,
) -> Error {
    let space = tempfile::tempdir().unwrap();
    let error = write_layout(&space.path().join("out"), images, layer).unwrap_err();
    assert!(fs::list(space.path()).unwrap().is_empty());
    error
}

#[test]
fn wrong_bytes_name_the_layer_and_leave_nothing() {
    let image = image("", &[b"base"]);
    let images = [named(&image, None)];
    let layer = format!("layer {}", Digest::of(b"base"));
    for wrong in [&b"basf"[..], b"bas", b"", b"base and more"] {
        let error = refused(&images, &mut |_, out| put(out, wrong));
        assert_eq!(error.kind(), Kind::Mismatch);
        assert!(error.chain().contains(&layer), "{}", error.chain());
    }
    let error = refused(&images, &mut |_, _| Err(Error::not_found("no tar")));
    assert_eq!(error.kind(), Kind::NotFound);
    assert_eq!(error.chain(), format!("cannot write {layer}: no tar"));
}

#[test]
fn a_manifest_and_a_config_of_different_images_are_refused() {
    let (one, two, three) = (image("1", &[b"base"]), image("2", &[b"base"]), image("3", &[]));
    let mixed = |config| {
        [LayoutImage { reference: None, full_name: None, manifest: &one.manifest, config }]
    };
    let error = refused(&mixed(&two.config), &mut from(&[b"base"]));
    assert_eq!(error.kind(), Kind::Mismatch);
    assert!(error.to_string().starts_with("the image config is sha256:"), "{error}");
    assert_eq!(refused(&mixed(&three.config), &mut from(&[])).kind(), Kind::Invalid);
    assert_eq!(refused(&mixed(b"{"), &mut from(&[])).kind(), Kind::Invalid);
}

#[test]
fn compressed_layers_are_refused() {
    let image = image("", &[b"base"]);
    let mut manifest: Manifest = serde_json::from_slice(&image.manifest).unwrap();
    manifest.layers[0].digest = Digest::of(b"base.gz");
    let manifest = to_canonical_json(&manifest).unwrap();
    let images = [LayoutImage {
        reference: None,
        full_name: None,
        manifest: &manifest,
        config: &image.config,
    }];
    assert_eq!(refused(&images, &mut from(&[b"base"])).kind(), Kind::Unsupported);
}

#[test]
fn what_exists_is_not_touched() {
    let space = tempfile::tempdir().unwrap();
    let image = image("", &[]);
    let images = [named(&image, None)];
    let file = space.path().join("file");
    fs::write_volatile(&file, b"mine").unwrap();
    for taken in [space.path(), &file] {
        let error = write_layout(taken, &images, &mut from(&[])).unwrap_err();
        assert_eq!(error.kind(), Kind::AlreadyExists);
        assert!(error.hint_text().is_some());
    }
    assert_eq!(fs::read(&file).unwrap(), b"mine");
    assert_eq!(fs::list(space.path()).unwrap(), ["file"]);
}
