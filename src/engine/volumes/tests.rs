//! Options of volumes, and where an image's volumes go.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::local::LocalVolume;
use super::{InheritedMounts, with_image_volumes};
use crate::engine::options::mount::{parse_tmpfs, parse_volume};
use crate::engine::request::{Inherited, MountRequest};
use crate::error::Kind;
use crate::runtime::spec::{Links, NfsExport, NfsType};

fn parse(options: &[(&str, &str)]) -> crate::error::Result<LocalVolume> {
    let pair = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
    LocalVolume::parse(&options.iter().map(pair).collect::<BTreeMap<_, _>>())
}

#[test]
fn options_of_the_local_driver_mean_what_mount_makes_of_them() {
    assert_eq!(parse(&[]).unwrap(), LocalVolume::Directory);
    let options = vec!["size=1m".to_owned(), "uid=5".to_owned()];
    assert_eq!(
        parse(&[("type", "tmpfs"), ("device", "tmpfs"), ("o", "size=1m,uid=5")]).unwrap(),
        LocalVolume::Tmpfs { options }
    );
    let bound = |read_only, recursive| LocalVolume::Bind {
        device: PathBuf::from("/srv"),
        read_only,
        recursive,
    };
    for (kind, o, expected) in [
        ("none", "bind", bound(false, false)),
        ("none", "rbind,ro", bound(true, true)),
        ("bind", "bind,rw", bound(false, false)),
    ] {
        assert_eq!(parse(&[("type", kind), ("o", o), ("device", "/srv")]).unwrap(), expected);
    }
}

#[test]
fn an_export_is_kept_as_it_was_typed_and_a_missing_address_is_named() {
    for (kind, fstype) in [("nfs", NfsType::Nfs), ("nfs4", NfsType::Nfs4)] {
        let given = [("type", kind), ("device", ":/srv/x"), ("o", "addr=files,rw,,nfsvers=4")];
        let options = ["addr=files", "rw", "nfsvers=4"].map(str::to_owned).to_vec();
        let export = NfsExport { fstype, device: ":/srv/x".into(), options };
        assert_eq!(parse(&given).unwrap(), LocalVolume::Nfs(export));
    }
    let error = parse(&[("type", "nfs"), ("device", "files:/x")]).unwrap_err();
    assert!(error.hint_text().is_some_and(|hint| hint.contains("addr=files")), "{error:?}");
}

#[test]
fn options_that_would_be_ignored_are_refused() {
    for (options, kind) in [
        (&[("size", "1m")][..], Kind::Invalid),
        (&[("device", "/srv")], Kind::Invalid),
        (&[("type", "none"), ("device", "/srv")], Kind::Invalid),
        (&[("type", "none"), ("o", "bind"), ("device", "srv")], Kind::Invalid),
        (&[("type", "none"), ("o", "bind,size=1"), ("device", "/srv")], Kind::Unsupported),
        (&[("type", "nfs"), ("device", "/x"), ("o", "addr=1.2.3.4")], Kind::Invalid),
        (&[("type", "nfs"), ("o", "addr=1.2.3.4")], Kind::Invalid),
        (&[("type", "nfs4"), ("device", "files:/x"), ("o", "rw")], Kind::Invalid),
        (&[("type", "nfs4"), ("device", ":/x"), ("o", "addr=,clientaddr=1.2.3.4")], Kind::Invalid),
        (&[("type", "cifs"), ("device", "//files/x")], Kind::Unsupported),
        (&[("type", "btrfs")], Kind::Unsupported),
    ] {
        assert_eq!(parse(options).unwrap_err().kind(), kind, "{options:?}");
    }
}

#[test]
fn volumes_of_an_image_stand_where_no_mount_does() {
    let given = [
        parse_volume("cache:/var/lib/data/deep").unwrap(),
        parse_volume("/host:/other").unwrap(),
        parse_tmpfs("/tmp/x").unwrap(),
    ];
    let image = ["/var/lib/data", "/other/", "/tmp/x", "/log"];
    let image = serde_json::from_value(
        image.iter().map(|path| ((*path).to_owned(), serde_json::json!({}))).collect(),
    );
    let lent = |text: &str| MountRequest {
        option: parse_volume(text).unwrap(),
        owner: None,
        links: Links::Follow,
    };
    let mut inherited = InheritedMounts {
        mounts: vec![lent("theirs:/other"), lent("theirs:/log")],
        inherited: Inherited { from: Vec::new(), targets: vec!["/other".into(), "/log".into()] },
    };
    let all = with_image_volumes(&given, &mut inherited, &image.unwrap()).unwrap();
    let printed: Vec<String> = all.iter().map(|mount| mount.option.to_string()).collect();
    let targets: Vec<&str> = all.iter().map(|mount| mount.option.target.as_str()).collect();
    assert_eq!(
        targets,
        ["/other", "/log", "/tmp/x", "/var/lib/data", "/var/lib/data/deep"],
        "{printed:?}"
    );
    assert_eq!((all[0].option.clone(), all[1].clone()), (given[1].clone(), lent("theirs:/log")));
    assert_eq!(inherited.inherited.targets, ["/log"]);
    let root = serde_json::from_value(serde_json::json!({"/": {}})).unwrap();
    let refused = with_image_volumes(&[], &mut InheritedMounts::default(), &root).unwrap_err();
    assert_eq!(refused.kind(), Kind::Invalid);
}
