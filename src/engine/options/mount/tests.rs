//! The four ways to write a mount: values, exact errors, and the way back.

use super::*;
use crate::error::Kind;
use proptest::prelude::*;

fn bind(source: &str) -> Bind {
    Bind {
        source: source.into(),
        propagation: Propagation::RPrivate,
        recursion: Recursion::Enabled,
        missing: MissingSource::Refuse,
        relabel: None,
    }
}

fn mount(target: &str, kind: MountKind) -> MountOption {
    MountOption { target: target.into(), read_only: false, kind }
}

fn read_only(mount: MountOption) -> MountOption {
    MountOption { read_only: true, ..mount }
}

#[test]
fn volume_takes_host_paths_names_and_nothing() {
    let created = |source: &str| Bind { missing: MissingSource::Create, ..bind(source) };
    let named = |name: &str| Volume { name: Some(name.into()), ..Volume::default() };
    for (text, expected) in [
        // The first user's own command line.
        (
            "/home/build/rain/:/builddir",
            mount("/builddir", MountKind::Bind(created("/home/build/rain/"))),
        ),
        ("./src:/src/", mount("/src", MountKind::Bind(created("./src")))),
        (".:/a/./b//c/../d", mount("/a/b/d", MountKind::Bind(created(".")))),
        ("/a:/b:ro", read_only(mount("/b", MountKind::Bind(created("/a"))))),
        ("/a:/b:rw,cached", mount("/b", MountKind::Bind(created("/a")))),
        (
            "/a:/b:rslave",
            mount(
                "/b",
                MountKind::Bind(Bind { propagation: Propagation::RSlave, ..created("/a") }),
            ),
        ),
        (
            "/a:/b:ro,Z",
            read_only(mount(
                "/b",
                MountKind::Bind(Bind { relabel: Some(Relabel::Private), ..created("/a") }),
            )),
        ),
        ("mydata:/data", mount("/data", MountKind::Volume(named("mydata")))),
        (
            "mydata:/data:nocopy,z",
            mount(
                "/data",
                MountKind::Volume(Volume {
                    no_copy: true,
                    relabel: Some(Relabel::Shared),
                    ..named("mydata")
                }),
            ),
        ),
        ("/dbdata", mount("/dbdata", MountKind::Volume(Volume::default()))),
    ] {
        assert_eq!(parse_volume(text).unwrap(), expected, "{text}");
    }
}

#[test]
fn volume_says_what_is_wrong() {
    for (text, message, hint) in [
        ("/data:ro", "there is no target", "write SOURCE:TARGET:ro, as in `/data:/data:ro`"),
        (
            "/a:b",
            "the target is not an absolute path",
            "write SOURCE:TARGET[:OPTIONS], as in `/home/me/src:/builddir`",
        ),
        (
            "/a:/",
            "the target is `/`, which is the image itself",
            "write SOURCE:TARGET[:OPTIONS], as in `/home/me/src:/builddir`",
        ),
        (
            ":/b",
            "the source is empty",
            "write SOURCE:TARGET, or TARGET alone for an anonymous volume",
        ),
        (
            "/a:/b:/c:/d",
            "there are more than two colons",
            "write `--mount type=bind,source=...,target=...` for a path with a colon",
        ),
        ("/a:/b:r0", "there is no option \"r0\"", "write `ro`"),
        ("/a:/b:ro,rw", "the options give `ro` and `rw` more than once", "keep one of them"),
        (
            "/a:/b:nocopy",
            "`nocopy` is for volumes, the source is a host path",
            "leave `nocopy` out",
        ),
        (
            "vol:/b:shared",
            "`shared` is for host paths, the source is a volume",
            "leave `shared` out",
        ),
        (
            "src/x:/b",
            "\"src/x\" is neither a host path nor a volume's name",
            "write `./src/x` for a directory of the host",
        ),
        (
            "~/x:/b",
            "\"~/x\" is neither a host path nor a volume's name",
            "write `$HOME/x`; the shell expands `~` only at the start of a word",
        ),
        (
            "x:/b",
            "\"x\" is neither a host path nor a volume's name",
            "a name has two or more of `a-z A-Z 0-9 _ . -` and starts with a letter or digit",
        ),
    ] {
        let error = parse_volume(text).unwrap_err();
        assert_eq!(error.chain(), format!("invalid volume \"{text}\": {message}"));
        assert_eq!(error.hint_text(), Some(hint), "{text}");
    }
}

#[test]
fn mount_takes_dockers_fields() {
    let tmpfs = |options: &[&str]| {
        MountKind::Tmpfs(Tmpfs { options: options.iter().map(|o| (*o).to_owned()).collect() })
    };
    for (text, expected) in [
        ("type=bind,source=/a,target=/b", mount("/b", MountKind::Bind(bind("/a")))),
        ("type=bind,src=./a,dst=/b,ro", read_only(mount("/b", MountKind::Bind(bind("./a"))))),
        (
            "TYPE=BIND,src=/a,destination=/b,readonly=false",
            mount("/b", MountKind::Bind(bind("/a"))),
        ),
        ("type=bind,\"src=/a,b\",dst=/b", mount("/b", MountKind::Bind(bind("/a,b")))),
        (
            "type=bind,src=/a,dst=/b,bind-propagation=shared,bind-nonrecursive",
            mount(
                "/b",
                MountKind::Bind(Bind {
                    propagation: Propagation::Shared,
                    recursion: Recursion::Disabled,
                    ..bind("/a")
                }),
            ),
        ),
        (
            "type=bind,src=/a,dst=/b,ro,bind-propagation=rprivate,bind-recursive=readonly,consistency=cached",
            read_only(mount(
                "/b",
                MountKind::Bind(Bind { recursion: Recursion::ReadOnly, ..bind("/a") }),
            )),
        ),
        (
            "source=data,target=/b,volume-nocopy,volume-driver=local,volume-label=a=1,volume-opt=o=size=1m,volume-subpath=x/y",
            mount(
                "/b",
                MountKind::Volume(Volume {
                    name: Some("data".into()),
                    no_copy: true,
                    subpath: Some("x/y".into()),
                    labels: vec![("a".into(), "1".into())],
                    driver_options: vec![("o".into(), "size=1m".into())],
                    relabel: None,
                }),
            ),
        ),
        ("dst=/b", mount("/b", MountKind::Volume(Volume::default()))),
        (
            "type=tmpfs,dst=/b,tmpfs-size=64m,tmpfs-mode=1770",
            mount("/b", tmpfs(&["size=67108864", "mode=1770"])),
        ),
    ] {
        assert_eq!(parse_mount(text).unwrap(), expected, "{text}");
    }
}

const MOUNT_FAULTS: &[(&str, &str, &str)] = &[
    ("type=bind,sorce=/a,dst=/b", "there is no key \"sorce\"", "write `source`"),
    ("type=bind,src=/a", "there is no target", "add `target=/DIR`"),
    ("type=bind,dst=/b", "a bind has a source", "add `source=/DIR`"),
    ("type=bind,src=/a,dst=b", "the target is not an absolute path", "write `target=/DIR`"),
    ("type=bind,src=/a,dst=/b,ro=yes", "\"yes\" is no value for `ro`", "write `true` or `false`"),
    (
        "type=bind,src=/a,dst=/b,tmpfs-size=1m",
        "`tmpfs-size` is for type=tmpfs, this is type=bind",
        "leave `tmpfs-size` out, or write `type=tmpfs`",
    ),
    ("type=bind,src=/a,dst", "`dst` has no value", "write `dst=VALUE`"),
    ("type=bind,src=,dst=/b", "`src` has no value", "write `src=VALUE`"),
    (
        "type=bind,src=/a,dst=/b,bind-propagation=slav",
        "\"slav\" is no value for `bind-propagation`",
        "write `slave`",
    ),
    (
        "type=bind,src=/a,dst=/b,bind-recursive=writable",
        "`bind-recursive=writable` makes sense for a read-only bind alone",
        "add `readonly`",
    ),
    (
        "type=bind,src=/a,dst=/b,ro,bind-recursive=readonly",
        "`bind-recursive=readonly` needs a private propagation",
        "add `bind-propagation=rprivate`",
    ),
    ("src=/a,dst=/b", "the source is a host path, this is type=volume", "add `type=bind`"),
    (
        "dst=/b,ro",
        "an anonymous volume is empty and cannot be read-only",
        "add `source=NAME`, or leave `readonly` out",
    ),
    (
        "src=vol,dst=/b,volume-subpath=../x",
        "`volume-subpath` leads out of the volume",
        "write a path relative to the volume, without `..`",
    ),
    ("type=tmpfs,src=/a,dst=/b", "a tmpfs has no source", "leave `source` out"),
    (
        "type=tmpfs,dst=/b,tmpfs-mode=9",
        "\"9\" is no value for `tmpfs-mode`",
        "write the mode in octal, as in `tmpfs-mode=1777`",
    ),
    (
        "type=tmpfs,dst=/b,tmpfs-size=1x",
        "invalid size \"1x\": the unit is none of `b`, `k`, `m`, `g`, `t`, `p`",
        "write a number and a unit, as in `512k`, `64m` or `1g`",
    ),
    (
        "type=bind,src=\"/a,dst=/b",
        "a quote stands inside a field that is not quoted",
        "quote a field that holds a comma: `\"source=/a,b\"`",
    ),
];

#[test]
fn mount_says_what_is_wrong() {
    for (text, message, hint) in MOUNT_FAULTS.iter().copied() {
        let error = parse_mount(text).unwrap_err();
        assert_eq!(error.chain(), format!("invalid mount \"{text}\": {message}"));
        assert_eq!(error.hint_text(), Some(hint), "{text}");
    }
    let error = parse_mount("type=npipe,dst=/b").unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
    assert_eq!(
        error.chain(),
        "mount type \"npipe\" is not there: the types are `bind`, `volume` and `tmpfs`"
    );
}

#[test]
fn tmpfs_takes_the_kernels_options() {
    for (text, options, ro) in [
        ("/run", &["noexec", "nosuid", "nodev"][..], false),
        ("/run:size=64m,mode=755", &["noexec", "nosuid", "nodev", "size=64m", "mode=755"], false),
        ("/run:rw,exec,size=50%", &["nosuid", "nodev", "exec", "size=50%"], false),
        ("/run:ro,noexec,exec,uid=7", &["nosuid", "nodev", "exec", "uid=7"], true),
    ] {
        let mount = parse_tmpfs(text).unwrap();
        let MountKind::Tmpfs(tmpfs) = &mount.kind else { panic!("{text} is no tmpfs") };
        assert_eq!(
            (tmpfs.mount_options(), mount.read_only),
            (options.iter().map(|o| (*o).to_owned()).collect(), ro),
            "{text}"
        );
    }
    for (text, message, hint) in [
        (
            "run",
            "the target is not an absolute path",
            "write TARGET[:OPTIONS], as in `/run:size=64m,mode=755`",
        ),
        ("/run:noexe", "there is no option \"noexe\"", "write `noexec`"),
        ("/run:size", "option `size` has no value", "write `size=VALUE`"),
        ("/run:siz=1", "there is no option \"siz\"", "write `size`"),
        ("/run:mode=888", "\"888\" is no value for `mode`", "write it as in `mode=1777`"),
        ("/run:size=big", "\"big\" is no value for `size`", "write it as in `size=64m`"),
    ] {
        let error = parse_tmpfs(text).unwrap_err();
        assert_eq!(error.chain(), format!("invalid tmpfs \"{text}\": {message}"));
        assert_eq!(error.hint_text(), Some(hint), "{text}");
    }
}

#[test]
fn shell_takes_a_bare_directory_or_fields() {
    let base = Path::new("/home/me");
    for (text, expected) in [
        ("/home/build/rain", ShellMount::Builddir("/home/build/rain".into())),
        (".", ShellMount::Builddir("/home/me".into())),
        ("./a=b", ShellMount::Builddir("/home/me/a=b".into())),
        ("a=b", ShellMount::Builddir("/home/me/a=b".into())),
        ("../x", ShellMount::Builddir("/home/me/../x".into())),
        (
            "type=bind,src=a,dst=/b",
            ShellMount::Other(mount("/b", MountKind::Bind(bind("/home/me/a")))),
        ),
    ] {
        assert_eq!(text.parse::<ShellMount>().unwrap().absolute(base), expected, "{text}");
    }
    let error = "/a:/b".parse::<ShellMount>().unwrap_err();
    assert_eq!(error.chain(), "invalid mount \"/a:/b\": this is the form of --volume");
    assert_eq!(error.hint_text(), Some("write `--volume /a:/b`, or name the directory alone"));
}

proptest! {
    #[test]
    fn never_panics(text in "(type=bind,|src=|dst=/|ro|:|,|\"|/a|\\.\\.|=|z|size|-){0,8}\\PC{0,3}") {
        let _ = text.parse::<ShellMount>();
        let _ = parse_mount(&text);
        let _ = parse_tmpfs(&text);
        let _ = parse_volume(&text);
    }

    #[test]
    fn what_is_printed_parses_to_the_same(
        source in "(/[a-z,\" ]{1,5}|\\./[a-z]{1,3}|[a-z]{2,5})",
        options in "(ro,)?(z|Z|cached)(,nocopy|,slave|,rshared)?",
        more in "(,ro)?(,bind-recursive=(disabled|enabled))?(,bind-propagation=shared)?",
        tmpfs in "/[a-z]{1,4}(:(ro|rw)(,exec|,nodev)?(,size=[1-9]{1,3}[mk]?)?(,mode=0?[1-7]{3})?)?",
    ) {
        for text in [format!("{source}:/t:{options}"), format!("{source}:/t"), "/t".into()] {
            if let Ok(mount) = parse_volume(&text) {
                prop_assert_eq!(&parse_any(&mount.to_string()).unwrap(), &mount, "{}", text);
            }
        }
        let field = csv::quote(&format!("src={source}"));
        let mount = parse_mount(&format!("type=bind,{field},dst=/t{more}")).unwrap();
        prop_assert_eq!(&parse_any(&mount.to_string()).unwrap(), &mount);
        let mount = parse_tmpfs(&tmpfs).unwrap();
        prop_assert_eq!(&parse_tmpfs(&mount.tmpfs_value().unwrap()).unwrap(), &mount);
        let printed = mount.to_string();
        let parse = if printed.starts_with('/') { parse_tmpfs } else { parse_mount };
        prop_assert_eq!(&parse(&printed).unwrap(), &mount);
    }
}
