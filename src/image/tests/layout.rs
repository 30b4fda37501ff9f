//! A layout is whole or absent, and holds only what its digests say.

use std::io::Read;

use super::*;
use crate::fs::Timestamp;
use crate::image::{AssembledImage, LayerBlob, NewImage, assemble, open_compressed};
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

/// A name and what the index calls it.
fn name(text: &str, reference: &str) -> LayoutName<'static> {
    let name: ImageRef = text.parse().unwrap();
    LayoutName { name: Box::leak(Box::new(name)), reference: reference.into() }
}

fn named<'a>(image: &'a AssembledImage, names: &'a [LayoutName<'a>]) -> LayoutImage<'a> {
    LayoutImage { names, manifest: &image.manifest, config: &image.config }
}

fn content<'a>(images: &'a [LayoutImage<'a>], form: LayoutForm) -> LayoutContent<'a> {
    LayoutContent { images, indexes: &[], form, packing: None }
}

/// Gives the tar that has the digest asked for.
fn from(tars: &'static [&'static [u8]]) -> impl FnMut(DiffId, &mut dyn Write) -> Result<()> {
    move |id, out| {
        let tar = tars.iter().find(|tar| Digest::of(tar) == id.0).unwrap();
        put(out, tar)
    }
}

fn json(folder: &Path, name: &str) -> serde_json::Value {
    serde_json::from_slice(&fs::read(&folder.join(name)).unwrap()).unwrap()
}

#[test]
fn writes_every_blob_once_under_its_digest() {
    let space = tempfile::tempdir().unwrap();
    let folder = space.path().join("out");
    fs::create_dir(&folder, 0o755).unwrap();
    let (one, two) = (image("1", &[b"base", b"top"]), image("2", &[b"base", b"base"]));
    let mut asked = Vec::new();
    let mut give = from(&[b"base", b"top"]);
    let names = [name("a:1", "1"), name("host:5000/b:x", "host:5000/b:x")];
    let images = [named(&one, &names), named(&two, &[])];
    write_layout(&folder, &content(&images, LayoutForm::Oci), &mut |id, out| {
        asked.push(id.0);
        give(id, out)
    })
    .unwrap();

    assert_eq!(asked, [Digest::of(b"base"), Digest::of(b"top")]);
    assert_eq!(fs::list(&folder).unwrap().len(), 3);
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
    assert_eq!(digests, [one.manifest_digest, one.manifest_digest, two.manifest_digest]);
    let called = |index: &Index, line: usize| {
        let annotations = &index.manifests[line].annotations;
        (annotations[REF_NAME].clone(), annotations[FULL_NAME].clone())
    };
    assert_eq!(called(&index, 0), ("1".into(), "docker.io/library/a:1".into()));
    assert_eq!(called(&index, 1), ("host:5000/b:x".into(), "host:5000/b:x".into()));
    assert!(index.manifests[2].annotations.is_empty());
    assert_eq!(index.manifests[0].platform, Some(Platform::linux("amd64")));
    assert_eq!(fs::list(space.path()).unwrap(), ["out"]);
}

#[test]
fn docker_s_files_lead_to_the_same_blobs() {
    let space = tempfile::tempdir().unwrap();
    let folder = space.path().join("out");
    let (one, two) = (image("1", &[b"base", b"top"]), image("2", &[]));
    let names = [name("a:1", "1"), name("a:2", "2"), name("localhost/b:x", "x")];
    let images = [named(&one, &names), named(&two, &[])];
    let docker = content(&images, LayoutForm::Docker);
    write_layout(&folder, &docker, &mut from(&[b"base", b"top"])).unwrap();
    let path = |digest: Digest| format!("blobs/sha256/{}", digest.encoded());
    let (base, top) = (Digest::of(b"base"), Digest::of(b"top"));
    let source = |digest: Digest, size: u64| serde_json::json!({"mediaType": media_type::LAYER_TAR, "digest": digest, "size": size});
    let expected = serde_json::json!([
        {
            "Config": path(Digest::of(&one.config)),
            "RepoTags": ["a:1", "a:2", "localhost/b:x"],
            "Layers": [path(base), path(top)],
            "LayerSources": {base.to_string(): source(base, 4), top.to_string(): source(top, 3)},
        },
        {
            "Config": path(Digest::of(&two.config)),
            "RepoTags": null,
            "Layers": [],
            "LayerSources": {},
        },
    ]);
    assert_eq!(json(&folder, "manifest.json"), expected);
    let top = top.encoded();
    assert_eq!(
        json(&folder, "repositories"),
        serde_json::json!({"a": {"1": top, "2": top}, "localhost/b": {"x": top}})
    );
    assert_eq!(json(&folder, "index.json")["manifests"].as_array().unwrap().len(), 4);
}

#[test]
fn an_archive_has_the_files_of_the_directory() {
    let space = tempfile::tempdir().unwrap();
    let image = image("1", &[b"base", b"top"]);
    let names = [name("a:1", "1"), name("a:2", "2")];
    let images = [named(&image, &names)];
    for (form, files) in [(LayoutForm::Oci, 6), (LayoutForm::Docker, 8)] {
        let folder = space.path().join(format!("{form:?}"));
        let content = content(&images, form);
        let mut tar = Vec::new();
        write_layout_archive(&mut tar, &content, &mut from(&[b"base", b"top"])).unwrap();
        let mut again = Vec::new();
        write_layout_archive(&mut again, &content, &mut from(&[b"base", b"top"])).unwrap();
        assert!(tar == again);
        write_layout(&folder, &content, &mut from(&[b"base", b"top"])).unwrap();

        let mut reader = crate::image::TarReader::new(tar.as_slice());
        let mut count = 0;
        while let Some(entry) = reader.next_entry().unwrap() {
            assert_eq!(entry.attributes.mtime, Timestamp::default());
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
        assert_eq!(count, files);
        let wrong = &mut |_, out: &mut dyn Write| put(out, b"x");
        let error = write_layout_archive(&mut tar, &content, wrong).unwrap_err();
        assert_eq!(error.kind(), Kind::Mismatch);
    }
}

/// A tar that is hashed by a thread of its own.
static LARGE: [u8; 3 << 20] = [7; 3 << 20];
static BOTH: [&[u8]; 2] = [b"base", &LARGE];

#[test]
fn packed_layers_have_digests_of_their_own_and_the_image_keeps_its_id() {
    let space = tempfile::tempdir().unwrap();
    let (one, two) = (image("1", &[b"base", &LARGE]), image("2", &[b"base", b"base"]));
    let images = [named(&one, &[]), named(&two, &[])];
    for compression in [Compression::Gzip, Compression::Zstd] {
        let folder = space.path().join(format!("{compression:?}"));
        let spool = space.path().join("spool");
        fs::create_dir(&spool, 0o755).unwrap();
        let packing = Some(Packing { compression, folder: &spool });
        let packed = LayoutContent { packing, ..content(&images, LayoutForm::Docker) };
        let mut asked = 0;
        let mut give = from(&BOTH);
        write_layout(&folder, &packed, &mut |id, out| {
            asked += 1;
            give(id, out)
        })
        .unwrap();
        assert_eq!(asked, 2, "each layer is read once");
        assert!(fs::list(&spool).unwrap().is_empty());
        fs::remove_dir(&spool).unwrap();

        let items = json(&folder, "manifest.json");
        let index = json(&folder, "index.json");
        for (number, image) in [&one, &two].into_iter().enumerate() {
            let item = &items[number];
            assert_eq!(item["Config"], path_of(Digest::of(&image.config)));
            let digest = index["manifests"][number]["digest"].as_str().unwrap();
            let manifest = json(&folder, &path_of(digest.parse().unwrap()));
            let manifest: Manifest = serde_json::from_value(manifest).unwrap();
            let config: ImageConfig = serde_json::from_slice(&image.config).unwrap();
            let layers = manifest.layers.iter().zip(&config.rootfs.diff_ids);
            for (position, (layer, diff_id)) in layers.enumerate() {
                assert_eq!(layer.media_type, compression.media_type());
                assert_eq!(item["Layers"][position], path_of(layer.digest));
                assert_eq!(item["LayerSources"][diff_id.to_string()]["size"], layer.size);
                let blob = fs::read(&folder.join(path_of(layer.digest))).unwrap();
                assert_eq!((Digest::of(&blob), blob.len() as u64), (layer.digest, layer.size));
                let mut tar = Vec::new();
                let blob = io::Cursor::new(blob);
                open_compressed(Box::new(blob)).unwrap().read_to_end(&mut tar).unwrap();
                assert_eq!(Digest::of(&tar), diff_id.0);
            }
        }
    }
}

#[test]
fn an_image_without_layers_keeps_its_manifest_when_packed() {
    let space = tempfile::tempdir().unwrap();
    let image = image("", &[]);
    // A form that no serialiser of ours would give it.
    let manifest = [b" ", image.manifest.as_slice(), b"\n"].concat();
    let images = [LayoutImage { names: &[], manifest: &manifest, config: &image.config }];
    let packing = Some(Packing { compression: Compression::Gzip, folder: space.path() });
    let packed = LayoutContent { packing, ..content(&images, LayoutForm::Oci) };
    write_layout(&space.path().join("out"), &packed, &mut from(&[])).unwrap();
    let found = fs::read(&space.path().join("out").join(path_of(Digest::of(&manifest))));
    assert_eq!(found.unwrap(), manifest);
}

/// Writing fails with an error of this kind and leaves nothing.
fn refused(images: &[LayoutImage<'_>], layer: LayerSource<'_>) -> Error {
    let space = tempfile::tempdir().unwrap();
    let content = content(images, LayoutForm::Oci);
    let error = write_layout(&space.path().join("out"), &content, layer).unwrap_err();
    assert!(fs::list(space.path()).unwrap().is_empty());
    error
}

#[test]
fn wrong_bytes_name_the_layer_and_leave_nothing() {
    let image = image("", &[b"base"]);
    let images = [named(&image, &[])];
    let layer = format!("layer {}", Digest::of(b"base"));
    for wrong in [&b"basf"[..], b"bas", b"", b"base and more"] {
        let error = refused(&images, &mut |_, out| put(out, wrong));
        assert_eq!(error.kind(), Kind::Mismatch);
        assert!(error.chain().contains(&layer), "{}", error.chain());

        let space = tempfile::tempdir().unwrap();
        let packing = Packing { compression: Compression::Gzip, folder: space.path() };
        let packed =
            LayoutContent { packing: Some(packing), ..content(&images, LayoutForm::Docker) };
        let put_wrong = &mut |_, out: &mut dyn Write| put(out, wrong);
        let error = write_layout_archive(&mut Vec::new(), &packed, put_wrong).unwrap_err();
        assert_eq!(error.kind(), Kind::Mismatch);
        assert!(error.chain().contains(&layer), "{}", error.chain());
    }
    let error = refused(&images, &mut |_, _| Err(Error::not_found("no tar")));
    assert_eq!(error.kind(), Kind::NotFound);
    assert_eq!(error.chain(), format!("cannot write {layer}: no tar"));
}

#[test]
fn a_large_layer_is_held_to_its_digest() {
    let image = image("", &[&LARGE]);
    let images = [named(&image, &[])];
    let write = |bytes: &[u8]| {
        let mut tar = Vec::new();
        let content = content(&images, LayoutForm::Oci);
        write_layout_archive(&mut tar, &content, &mut |_, out| put(out, bytes)).map(|()| tar)
    };
    assert!(write(&LARGE).unwrap().len() > LARGE.len());
    let mut other = LARGE.to_vec();
    other[1 << 20] = 8;
    for wrong in [&other, &LARGE[1..], &[&LARGE[..], b"x"].concat()] {
        assert_eq!(write(wrong).unwrap_err().kind(), Kind::Mismatch);
    }
}

#[test]
fn a_manifest_and_a_config_of_different_images_are_refused() {
    let (one, two, three) = (image("1", &[b"base"]), image("2", &[b"base"]), image("3", &[]));
    let mixed = |config| [LayoutImage { names: &[], manifest: &one.manifest, config }];
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
    let images = [LayoutImage { names: &[], manifest: &manifest, config: &image.config }];
    assert_eq!(refused(&images, &mut from(&[b"base"])).kind(), Kind::Unsupported);
}

#[test]
fn what_exists_is_not_touched() {
    let space = tempfile::tempdir().unwrap();
    let image = image("", &[]);
    let images = [named(&image, &[])];
    let file = space.path().join("file");
    fs::write_volatile(&file, b"mine").unwrap();
    for taken in [space.path(), &file] {
        let content = content(&images, LayoutForm::Oci);
        let error = write_layout(taken, &content, &mut from(&[])).unwrap_err();
        assert_eq!(error.kind(), Kind::AlreadyExists);
        assert!(error.hint_text().is_some());
    }
    assert_eq!(fs::read(&file).unwrap(), b"mine");
    assert_eq!(fs::list(space.path()).unwrap(), ["file"]);
}
