//! Images that go from envbox to another program and come back: they keep their
//! ID, their layers and their tree. What only root may have here are the daemons
//! and what they write.

mod daemon;

use std::path::PathBuf;
use std::process::Command;

use crate::harness::process::eventually;
use crate::harness::{Output, Room, Who, for_everyone, skip};

use daemon::Dockerd;

const WRITER: &str = concat!(include_str!("../load/archive.py"), include_str!("images.py"));

/// What goes round: layers by Python's tarfile and GNU tar, a tree with every
/// type of file, ten layers with whiteouts, and one committed upon loaded ones.
const IMAGES: [&str; 4] = ["types:1", "imported:1", "ten:1", "committed:1"];

/// Files with holes, by GNU tar in both of its forms: podman and docker take such
/// layers and cannot give them back ("could not verify layer data"), whoever
/// wrote them.
const SPARSE: &str = "sparse:1";

/// What `save` writes, skopeo's word for it, and as what skopeo gives it back.
const FORMS: [(&str, &str, &str); 2] =
    [("oci-archive", "oci-archive", "docker-archive"), ("oci-dir", "oci", "oci-archive")];

/// False, and a skipped test, where one of `programs` is missing.
fn has(programs: &[&str]) -> bool {
    let is_missing = |program: &&&str| Command::new(program).arg("--version").output().is_err();
    let missing = programs.iter().find(is_missing);
    if let Some(missing) = missing {
        skip(&format!("{missing} is not installed"));
    }
    missing.is_none()
}

/// Runs `script` in a shell that has envbox as `$0`.
fn shell(room: &Room, script: &str) -> Output {
    let mut shell = room.program("bash");
    shell.args(["-ec", &format!("set -o pipefail; {script}"), env!("CARGO_BIN_EXE_envbox")]);
    room.run(shell)
}

/// Makes the images of [`IMAGES`] and [`SPARSE`].
fn write(room: &Room) {
    room.rootfs();
    let mut python = room.program("python3");
    python.args(["-c", WRITER]);
    room.run(python).succeeds();
    for archive in ["types.tar", "ten.tar", "sparse.tar", "box.tar"] {
        room.envbox(&["load", "-i", archive]).succeeds();
    }
    let import = ["import", "-c", "CMD [\"sh\"]", "tree", "imported:1"];
    room.envbox(&import).succeeds().warns("socket");
    let script = "rm /data/one; rm -r /data/two; mkdir /data/two; echo y >/data/two/new; \
         echo x >/etc/group; ln /data/two/new /data/again";
    let run = ["run", "--name", "box", "box:1", "sh", "-ec", script];
    room.envbox(&run).succeeds().quietly();
    room.envbox(&["commit", "-c", "CMD [\"sh\"]", "box", "committed:1"]).succeeds().quietly();
}

/// The ID and the diff IDs of an image in the store `root`.
fn identity(room: &Room, root: &str, image: &str) -> String {
    let template = "{{.Id}} {{json .RootFS.Layers}}";
    let words = ["--root", root, "image", "inspect", "-f", template, image];
    room.envbox(&words).succeeds().stdout().trim().to_owned()
}

/// The store of the room.
fn store(room: &Room) -> String {
    room.path().join("store").to_str().unwrap().to_owned()
}

/// Asserts that the archive `file`, alone in a store, is `image`: that its ID,
/// its layers and every byte of its tree, as a tar, are the same.
fn returns(room: &Room, image: &str, file: &str) {
    let id = loads_as(room, image, file);
    let root = root_of(file);
    let line = format!(
        "\"$0\" export {image} >one; \"$0\" --root {root} export {id} >other; cmp one other
         rm one other"
    );
    shell(room, &line).succeeds();
}

/// The same but for the tree, which the layers tell; returns the ID.
fn loads_as(room: &Room, image: &str, file: &str) -> String {
    let root = root_of(file);
    room.envbox(&["--root", &root, "load", "-i", file]).succeeds();
    let list = room.envbox(&["--root", &root, "images", "-q", "--no-trunc"]).succeeds().stdout();
    let id = list.lines().next().expect("an image was loaded").to_owned();
    assert_eq!(identity(room, &root, &id), identity(room, &store(room), image), "{file}");
    id
}

/// Waits until nothing is held in any store: what a command let go of is removed
/// behind it, and a disk that has much to write keeps that waiting.
fn settles(room: &Room) {
    let folders = std::fs::read_dir(room.work()).unwrap().map(|entry| entry.unwrap().path());
    let stores = folders.chain([room.path().join("store")]);
    let stores: Vec<_> = stores.filter(|store| store.join("envbox.db").exists()).collect();
    let held = |store: &PathBuf| std::fs::read_dir(store.join("tmp")).unwrap().count();
    eventually("nothing is held any more", || stores.iter().map(held).sum::<usize>() == 0);
}

fn root_of(file: &str) -> String {
    format!("store-of-{file}")
}

/// Asserts that `image diff` finds nothing between `image` and what umoci
/// unpacked of it, but ACLs, which umoci does not know.
fn differs_in_acls_alone(room: &Room, image: &str, unpacked: &str) {
    let diff = room.envbox(&["image", "diff", image, unpacked]).succeeds().stdout();
    let mut others = diff.lines().filter(|line| !line.contains("  (xattr system.posix_acl_"));
    assert_eq!(others.next(), None, "{diff}");
}

/// What umoci unpacks of `image`, and, if it may own all files, what it packs
/// again.
fn through_umoci(room: &Room, image: &str) {
    let (name, _) = image.split_once(':').unwrap();
    let unpacked = format!(
        "\"$0\" save --format oci-dir -o {name}.oci {image}
         umoci unpack $(test $(id -u) = 0 || echo --rootless) --image {name}.oci:1 {name}.bundle
         \"$0\" import -c 'CMD [\"sh\"]' {name}.bundle/rootfs {name}:unpacked"
    );
    shell(room, &unpacked).succeeds();
    differs_in_acls_alone(room, image, &format!("{name}:unpacked"));
    let again = format!(
        "umoci tag --image {name}.oci:1 again; umoci rm --image {name}.oci:1
         \"$0\" --root again load -i {name}.oci; \"$0\" --root again images -q --no-trunc"
    );
    let loaded = shell(room, &again).succeeds().stdout();
    let id = identity(room, &store(room), image);
    assert!(loaded.contains(id.split(' ').next().unwrap()), "{loaded}");
}

for_everyone! {
    fn skopeo_gives_back_what_envbox_saved(room) {
        if !has(&["skopeo", "python3"]) {
            return;
        }
        write(room);
        for image in IMAGES.into_iter().chain([SPARSE]) {
            let (name, tag) = image.split_once(':').unwrap();
            for (form, from, to) in FORMS {
                let (saved, back) = (format!("{name}.{form}"), format!("{name}.{to}.back"));
                let line = format!(
                    "\"$0\" save --format {form} -o {saved} {image}
                     skopeo --insecure-policy --tmpdir . copy -q {from}:{saved}:{tag} {to}:{back}:n:2"
                );
                shell(room, &line).succeeds();
                returns(room, image, &back);
            }
        }
        settles(room);
    }

    fn umoci_gives_back_what_envbox_saved(room) {
        if !has(&["umoci", "python3"]) {
            return;
        }
        write(room);
        // Without root nobody has devices and other owners outside of archives.
        let is_root = shell(room, "id -u").stdout() == "0\n";
        let images = if is_root { &IMAGES[..] } else { &["ten:1", "committed:1"] };
        for image in images.iter().chain([&SPARSE]) {
            through_umoci(room, image);
        }
        settles(room);
    }

    fn a_tree_that_is_built_twice_is_one_image(room) {
        let build = |path: &str| {
            let line = format!(
                "umask 022; mkdir -p {path}; cd {path}; mkdir -p usr/bin etc; echo x >usr/bin/cc
                 ln usr/bin/cc usr/bin/gcc; ln -s cc usr/bin/c89; echo y >etc/conf; mkfifo etc/pipe
                 truncate -s 1M etc/sparse; printf z >>etc/sparse"
            );
            shell(room, &line).succeeds();
            let mut import = room.command(&["import", path]);
            import.env("SOURCE_DATE_EPOCH", "1000000000");
            room.run(import).succeeds().quietly().stdout()
        };
        let first = build("here");
        // Another second, and other names in another order.
        shell(room, "touch -d @1700000000 here/usr/bin/cc here/etc here").succeeds();
        assert_eq!(build("there/and/elsewhere"), first);
        // With its times a tree is the same wherever it lies.
        shell(room, "cp -a here copy").succeeds();
        let import = |path| room.envbox(&["import", path]).succeeds().quietly().stdout();
        assert_eq!(import("copy"), import("here"));
    }
}

const PODMAN: &str = "p() { podman --root $PWD/p/root --runroot $PWD/p/run --storage-driver vfs \
     \"$@\"; }";

/// False, and a skipped test, where podman cannot load.
fn podman_works(room: &Room, archive: &str) -> bool {
    let tried = shell(room, &format!("{PODMAN}; p load -q -i {archive}"));
    let works = tried.stdout().contains("Loaded image");
    if !works {
        skip("podman does not work here");
    }
    works
}

// As an ordinary user podman leaves a process behind.
#[test]
fn podman_gives_back_what_envbox_saved() {
    Room::with(Who::Root, |room| {
        if !has(&["podman", "python3"]) || !podman_works_at_all(room) {
            return;
        }
        for image in IMAGES {
            let (name, _) = image.split_once(':').unwrap();
            let line = format!(
                "{PODMAN}; \"$0\" save --format oci-archive -o {name}.saved {image}
                 loaded=$(p load -q -i {name}.saved); loaded=${{loaded#Loaded image: }}
                 p save -q --format oci-archive -o {name}.oci $loaded
                 p save -q --format docker-archive -o {name}.docker $loaded
                 p rmi -f $loaded >/dev/null"
            );
            shell(room, &line).succeeds();
            returns(room, image, &format!("{name}.oci"));
            returns(room, image, &format!("{name}.docker"));
        }
        settles(room);
    });
}

/// Makes the images, and tries podman with the smallest.
fn podman_works_at_all(room: &Room) -> bool {
    write(room);
    let works = podman_works(room, "ten.tar");
    if works {
        shell(room, &format!("{PODMAN}; p rmi -af >/dev/null")).succeeds();
    }
    works
}

#[test]
fn docker_gives_back_what_envbox_saved() {
    Room::with(Who::Root, |room| {
        if !has(&["docker", "dockerd", "skopeo", "python3"]) {
            return;
        }
        let Some(dockerd) = Dockerd::start(room) else {
            return skip("dockerd does not run here");
        };
        write(room);
        for image in IMAGES {
            let (name, tag) = image.split_once(':').unwrap();
            // This docker may be too old for layouts.
            let line = format!(
                "{}; \"$0\" save --format oci-archive -o {name}.saved {image}
                 skopeo --insecure-policy --tmpdir . copy -q \
                     oci-archive:{name}.saved:{tag} docker-archive:{name}.there:{image}
                 d load -q -i {name}.there >/dev/null; d save -o {name}.docker {image}",
                dockerd.client()
            );
            shell(room, &line).succeeds();
            returns(room, image, &format!("{name}.docker"));
        }
        settles(room);
    });
}

/// A distribution goes from hand to hand: to each peer that is here, and back.
#[test]
fn a_distribution_comes_back_from_all_of_them() {
    let Some(rootfs) = std::env::var_os("ENVBOX_TEST_ROOTFS").map(PathBuf::from) else {
        return skip("no root filesystem is named in ENVBOX_TEST_ROOTFS");
    };
    Room::with(Who::Root, |room| {
        if !has(&["skopeo"]) {
            return;
        }
        // What debootstrap leaves of its work is half of it.
        let excludes = ["/var/cache", "/var/lib/apt", "/usr/share/locale", "/usr/share/doc"];
        let excludes = excludes.iter().flat_map(|path| ["--exclude", path]);
        let mut import = room.command(&["import"]);
        import.args(excludes).arg(&rootfs).arg("distribution:1");
        room.run(import).succeeds();
        let save = ["save", "--format", "oci-archive", "-o", "in-hand", "distribution:1"];
        room.envbox(&save).succeeds();
        if Command::new("podman").arg("--version").output().is_ok() && podman_works(room, "in-hand")
        {
            let line = format!(
                "{PODMAN}; rm in-hand; p save -q --format oci-archive -o in-hand $(p images -q)
                 p rmi -af >/dev/null"
            );
            shell(room, &line).succeeds();
        }
        let copy = "skopeo --insecure-policy --tmpdir . copy -q oci-archive:in-hand \
             docker-archive:archive:distribution:1; mv archive in-hand";
        shell(room, copy).succeeds();
        match Dockerd::start(room) {
            Some(dockerd) => {
                let line = format!(
                    "{}; d load -q -i in-hand; d save -o in-hand distribution:1",
                    dockerd.client()
                );
                shell(room, &line).succeeds();
            }
            None => skip("dockerd does not run here"),
        }
        loads_as(room, "distribution:1", "in-hand");
        settles(room);
    });
}
