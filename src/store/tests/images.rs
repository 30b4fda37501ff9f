//! Images: putting, listing, naming, resolving.

use super::*;
use crate::platform::Platform;

#[test]
fn a_record_tells_what_was_put() {
    let room = Room::new();
    let put = import(&room.store, "a", Some("vmibuild"));
    assert!(put.is_new && put.previous.is_none());
    let image = room.store.image(put.id).unwrap().unwrap();
    assert_eq!(image.created, Some(Timestamp::from_seconds(1_767_323_045)));
    assert_eq!(image.imported_at, Timestamp::from_seconds(7));
    assert_eq!(image.size, 42);
    assert_eq!(image.platform, Platform::linux("amd64"));
    assert_eq!(image.labels["a"], "b");
    assert_eq!(image.names, [reference("vmibuild:latest")]);
    assert_eq!(room.store.layers_of(put.id).unwrap(), image.layers);
    assert_eq!(Digest::of(&room.store.image_config(&image).unwrap()), image.id.0);
    assert_eq!(room.store.images().unwrap(), [image]);
    room.check();
}

#[test]
fn putting_again_is_no_news_and_a_name_moves_on() {
    let room = Room::new();
    let first = import(&room.store, "a", Some("x"));
    let again = import(&room.store, "a", Some("x:latest"));
    assert_eq!(again, PutImage { is_new: false, ..first });
    let second = import(&room.store, "b", Some("docker.io/library/x"));
    assert_eq!(second.previous, Some(first.id.0));
    assert!(room.store.image(first.id).unwrap().unwrap().is_dangling());
    assert_eq!(room.store.resolve("x").unwrap().id, second.id);
}

#[test]
fn an_image_whose_layer_is_gone_is_not_put() {
    let room = Room::new();
    let missing = layer_record(None, "?").chain_id;
    let error = add_image(&room.store, "a", &[missing], Some("a")).unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(room.store.images().unwrap().is_empty());
    room.check();
}

#[test]
fn refuses_a_config_that_is_none() {
    let room = Room::new();
    let new = NewImage {
        config: b"[]",
        manifest: b"{}",
        layers: &[],
        size: 0,
        imported_at: Timestamp::default(),
        name: None,
        action: "load",
    };
    assert_eq!(room.store.put_image(&new).unwrap_err().kind(), Kind::Invalid);
}

#[test]
fn resolves_names_digests_and_ids() {
    let room = Room::new();
    let id = import(&room.store, "a", Some("reg.example:5000/team/x:v1")).id;
    let image = room.store.image(id).unwrap().unwrap();
    let (hex, manifest) = (id.0.encoded(), image.manifest);
    for text in [
        "reg.example:5000/team/x:v1".to_owned(),
        format!("reg.example:5000/team/x@{manifest}"),
        format!("reg.example:5000/team/x:other@{manifest}"),
        id.to_string(),
        hex.clone(),
        hex[..12].to_owned(),
        format!("sha256:{}", &hex[..8]),
        hex[..3].to_owned(),
    ] {
        assert_eq!(room.store.resolve(&text).unwrap().id, id, "{text}");
    }
    for text in [
        "reg.example:5000/team/x".to_owned(),
        "team/x:v1".to_owned(),
        format!("x@{manifest}"),
        manifest.to_string(),
        format!("reg.example:5000/team/x@{}", Digest::of(b"?")),
    ] {
        assert_eq!(room.store.resolve(&text).unwrap_err().kind(), Kind::NotFound, "{text}");
    }
    assert_eq!(room.store.resolve("UPPER").unwrap_err().kind(), Kind::Invalid);
}

#[test]
fn a_name_made_of_hex_digits_comes_before_an_id() {
    let room = Room::new();
    let first = import(&room.store, "a", None).id;
    let second = import(&room.store, "b", Some(&first.0.short())).id;
    assert_eq!(room.store.resolve(&first.0.short()).unwrap().id, second);
}

#[test]
fn an_image_can_be_known_by_digest_alone() {
    let room = Room::new();
    let name = format!("debian@{}", Digest::of(b"index"));
    let id = import(&room.store, "a", Some(&name)).id;
    assert_eq!(room.store.resolve(&name).unwrap().names, [reference(&name)]);
    assert!(!room.store.image(id).unwrap().unwrap().is_dangling());
    assert_eq!(room.store.resolve("debian").unwrap_err().kind(), Kind::NotFound);
}

#[test]
fn an_ambiguous_prefix_lists_its_candidates() {
    let room = Room::new();
    for index in 0..17 {
        import(&room.store, &index.to_string(), Some(&format!("n{index}")));
    }
    // Of seventeen IDs two begin with the same digit.
    let ids: Vec<String> =
        room.store.images().unwrap().iter().map(|image| image.id.0.encoded()).collect();
    let shared = (b'0'..=b'f')
        .map(|digit| char::from(digit).to_string())
        .find(|digit| ids.iter().filter(|id| id.starts_with(digit.as_str())).count() > 1)
        .unwrap();
    let error = room.store.resolve(&shared).unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    let first = ids.iter().filter(|id| id.starts_with(&shared)).min().unwrap();
    assert!(error.to_string().contains(&first[..12]), "{error}");
    assert!(error.to_string().contains("(n"), "{error}");
}

#[test]
fn what_is_not_there_is_told_with_what_is_near() {
    let room = Room::new();
    let hint = |text: &str| {
        let error = room.store.resolve(text).unwrap_err();
        assert_eq!(error.to_string(), format!("no such image: {text}"));
        error.hint_text().unwrap().to_owned()
    };
    assert!(hint("vmibuild").contains("`envbox images`"));
    import(&room.store, "a", Some("vmibuild:v2"));
    import(&room.store, "b", Some("debian"));
    assert_eq!(hint("vmibuid:v2"), "did you mean vmibuild:v2?");
    assert_eq!(hint("vmibuild"), "did you mean vmibuild:v2?");
    assert!(hint("fedora").contains("`envbox images`"));
}

#[test]
fn tags_come_and_go() {
    let room = Room::new();
    let (a, b) = (import(&room.store, "a", Some("a")).id, import(&room.store, "b", None).id);
    assert_eq!(room.store.tag("a", &reference("other/a:v1")).unwrap(), None);
    assert_eq!(room.store.tag(&b.0.short(), &reference("a")).unwrap(), Some(a.0));
    assert_eq!(room.store.resolve("other/a:v1").unwrap().id, a);
    assert_eq!(room.store.untag(&reference("a")).unwrap(), b);
    assert_eq!(room.store.untag(&reference("a")).unwrap_err().kind(), Kind::NotFound);
    let digest = reference(&format!("a@{}", Digest::of(b"")));
    assert_eq!(room.store.tag("other/a:v1", &digest).unwrap_err().kind(), Kind::Invalid);
    assert_eq!(room.store.tag("none", &reference("n")).unwrap_err().kind(), Kind::NotFound);
}

#[test]
fn layers_come_lowest_first_and_names_by_repository() {
    let room = Room::new();
    let mut layers = Vec::new();
    for number in 0..12 {
        let below = layers.last().copied();
        layers.push(add_layer(&room.store, below, &number.to_string()).unwrap());
    }
    let id = add_image(&room.store, "tall", &layers, Some("a-b:1")).unwrap().id;
    for name in ["a:2", "a:1"] {
        room.store.tag("a-b:1", &reference(name)).unwrap();
    }
    let record = room.store.image(id).unwrap().unwrap();
    assert_eq!(record.layers, layers);
    assert_eq!(record.names, ["a:1", "a:2", "a-b:1"].map(reference));
    layers.reverse();
    assert_eq!(room.store.stack(Some(layers[0])).unwrap(), layers);
}
