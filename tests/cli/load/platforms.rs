//! Images for several platforms.

use super::{python, shell};
use crate::harness::{Room, for_everyone};

const INDEX: &str = "
def of(*platforms, name='multi:1'):
    layout = Layout()
    lines = [layout.blob(OCI + 'manifest.v1+json', layout.manifest([layer((p, 'f', p) if '/' not in p
        else (p.replace('/', '-'), 'f', p))], architecture=p.split('/')[1]), **platform(p)) for p in platforms]
    lines.append(layout.blob(OCI + 'manifest.v1+json', b'{}', **platform('unknown/unknown')))
    layout.manifests = [layout.blob(OCI + 'index.v1+json', layout.index(lines), **name_of(name))]
    return layout
";

for_everyone! {
    fn the_platform_is_chosen(room) {
        python(room, &format!("{INDEX}
put('a.tar', of('linux/arm64', 'linux/386', 'linux/amd64').files())
put('b.tar', of('linux/riscv64', 'linux/s390x').files())
put('c.tar', of('linux/arm', 'linux/386').files())
flat = of('linux/386', 'linux/amd64')
flat.manifests = [line | name_of('flat:1') for line in json.loads(flat.blobs['blobs/sha256/' + flat.manifests[0]['digest'][7:]])['manifests']]
put('flat.tar', flat.files())"));
        let of = |archive: &str, words: &[&str], name: &str| {
            let words: Vec<&str> = ["load", "-i", archive].iter().chain(words).copied().collect();
            room.envbox(&words).succeeds().says(name);
            let words = ["image", "inspect", "-f", "{{.Architecture}}", name];
            room.envbox(&words).succeeds().stdout().trim().to_owned()
        };
        let host = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            _ => return crate::harness::skip("no image for this machine"),
        };
        assert_eq!(of("a.tar", &[], "multi:1"), host);
        assert_eq!(of("a.tar", &["--platform", "linux/386"], "multi:1"), "386");
        assert_eq!(of("a.tar", &["--platform", "linux/arm64"], "multi:1"), "arm64");
        if host == "amd64" {
            assert_eq!(of("c.tar", &[], "multi:1"), "386");
            assert_eq!(of("flat.tar", &[], "flat:1"), "amd64");
            let seen = room.envbox(&["load", "-i", "c.tar", "--platform", "linux/amd64"]);
            seen.exits(1).warns("linux/386, linux/arm");
        }
        // What no host could run is kept all the same.
        assert_eq!(of("b.tar", &[], "multi:1"), "riscv64");
        let refused = room.envbox(&["run", "--rm", "--platform", "linux/386", "multi:1", "x"]).exits(125);
        refused.warns("it is for linux/riscv64, linux/s390x");
        room.envbox(&["load", "-i", "b.tar", "--platform", "linux/386"]).exits(1)
            .warns("linux/riscv64, linux/s390x").warns("--platform");
        python(room, "docker('one.tar', image([BASE], ['one:1'], architecture='s390x'))");
        assert_eq!(of("one.tar", &[], "one:1"), "s390x");
        room.envbox(&["load", "-i", "one.tar", "--platform", "linux/amd64"]).exits(1).warns("linux/s390x");
        room.envbox(&["load", "-i", "a.tar", "--platform", "nonsense/"]).exits(1);
    }

    fn a_layout_is_read_where_it_lies(room) {
        python(room, "
layout = Layout()
text = layout.manifest([BASE], pack=gzip.compress, suffix='+gzip')
layout.manifests = [layout.blob(OCI + 'manifest.v1+json', text, **name_of('x/y:2'))]
two = layout.manifest([BASE, layer(('n', 'f', 'n'))])
layout.manifests.append(layout.blob(OCI + 'manifest.v1+json', two))
put('a.tar', layout.files())
print(digest(two), file=open('digest', 'w'))");
        let loaded = shell(room, "mkdir l; tar -C l -xf a.tar; \"$0\" load -i l").succeeds().stdout();
        assert!(loaded.starts_with("Loaded image: x/y:2\nLoaded image ID: sha256:"), "{loaded}");
        // The manifest of uncompressed layers is kept to the byte.
        let manifest = std::fs::read_to_string(room.work().join("digest")).unwrap();
        room.envbox(&["images", "--digests"]).succeeds().says(manifest.trim());
    }

    fn an_index_is_kept_whole(room) {
        whole(room);
        let inspect = |name: &str, words: &[&str]| {
            let words = [&["image", "inspect", "-f", "{{.Architecture}}"], words, &[name]].concat();
            room.envbox(&words).succeeds().quietly().stdout().trim().to_owned()
        };
        for platform in ["amd64", "386", "arm64"] {
            assert_eq!(inspect("multi:1", &["--platform", platform]), platform);
        }
        let missing = room.envbox(&["image", "inspect", "--platform", "s390x", "multi:1"]).exits(1);
        missing.warns("multi:1 is not for linux/s390x").warns("linux/386, linux/amd64, linux/arm64");
        room.envbox(&["history", "--platform", "arm64", "multi:1"]).succeeds().quietly();
        // A name is a row, and its other images are as long as it is.
        let rows = |words: &[&str]| room.envbox(words).succeeds().quietly().stdout().lines().count();
        assert_eq!(rows(&["images", "-q"]), 1);
        assert_eq!(rows(&["images", "-q", "-a"]), 3);
        assert_eq!(rows(&["images", "-q", "-f", "dangling=true"]), 0);
        let tree = room.envbox(&["images", "--tree"]).succeeds().quietly().stdout();
        for platform in ["linux/amd64", "linux/386", "linux/arm64"] {
            assert!(tree.contains(&format!("─ {platform} ")), "{tree}");
        }
        // It goes as it came, by whatever name it is asked for.
        room.envbox(&["tag", "multi:1", "again:2"]).succeeds();
        let digest = std::fs::read_to_string(room.work().join("digest")).unwrap();
        for name in ["multi:1", "again:2", digest.trim()] {
            room.envbox(&["save", "-o", "saved.tar", name]).succeeds().quietly();
            let reload = "\"$0\" --root r load -q -i saved.tar; \"$0\" --root r save --format oci-dir -o";
            shell(room, &format!("rm -rf r dir; {reload} dir $(\"$0\" --root r images --tree --no-trunc \
                | awk 'NR == 2 {{ print $2 }}'); test -e dir/blobs/sha256/$(cut -c 8- digest)")).succeeds();
        }
        room.envbox(&["image", "verify", "multi:1"]).succeeds().says("multi:1 (linux/arm64): OK\n");
        room.envbox(&["system", "check"]).succeeds().says("OK\n");
    }

    fn an_index_goes_with_its_last_name(room) {
        whole(room);
        room.envbox(&["tag", "multi:1", "again:2"]).succeeds();
        let arm = room.envbox(&["image", "inspect", "--platform", "arm64", "-f", "{{.Id}}", "multi:1"]);
        let arm = arm.succeeds().stdout();
        room.envbox(&["rmi", arm.trim()]).exits(1).warns("it is the one for linux/arm64 of again:2");
        room.envbox(&["image", "prune", "-f"]).succeeds().says("Total reclaimed space: 0B");
        let gone = room.envbox(&["rmi", "multi:1"]).succeeds().stdout();
        assert_eq!(gone, "Untagged: multi:1\n");
        room.envbox(&["create", "--name", "user", "--platform", "386", "again:2", "x"]).succeeds();
        room.envbox(&["rmi", "again:2"]).exits(1).warns("the stopped container user uses it");
        room.envbox(&["image", "prune", "-af"]).succeeds().says("Total reclaimed space: 0B");
        room.envbox(&["rm", "user"]).succeeds();
        let gone = room.envbox(&["rmi", "again:2"]).succeeds().stdout();
        assert_eq!(gone.lines().filter(|line| line.starts_with("Deleted: ")).count(), 6, "{gone}");
        let left = shell(room, "find \"$ENVBOX_ROOT\"/layers/* \"$ENVBOX_ROOT\"/blobs/sha256/* || true");
        assert_eq!(left.stdout(), "");
        room.envbox(&["system", "check"]).succeeds().says("OK\n");
    }

    fn what_an_index_was_stays_when_one_image_goes_by_force(room) {
        whole(room);
        let arm = room.envbox(&["image", "inspect", "--platform", "arm64", "-f", "{{.Id}}", "multi:1"]);
        room.envbox(&["rmi", "-f", arm.succeeds().stdout().trim()]).succeeds();
        room.envbox(&["image", "inspect", "multi:1"]).succeeds();
        room.envbox(&["image", "inspect", "--platform", "386", "multi:1"]).exits(1);
        room.envbox(&["image", "prune", "-f"]).succeeds().says("deleted: ");
        assert_eq!(room.envbox(&["images", "-aq"]).succeeds().stdout().lines().count(), 1);
        room.envbox(&["system", "check"]).succeeds().says("OK\n");
    }

    fn what_is_not_there_is_left_out_of_an_index(room) {
        python(room, &format!("{INDEX}
layout = of('linux/amd64', 'linux/386', 'linux/arm64')
index = json.loads(layout.blobs['blobs/sha256/' + layout.manifests[0]['digest'][7:]])
del layout.blobs['blobs/sha256/' + index['manifests'][2]['digest'][7:]]
put('a.tar', layout.files())"));
        let loaded = room.envbox(&["load", "-i", "a.tar"]).succeeds();
        loaded.warns("left out, as not in the archive or not for Linux: linux/arm64");
        let tree = room.envbox(&["images", "--tree"]).succeeds().stdout();
        assert!(tree.contains("linux/386") && !tree.contains("linux/arm64"), "{tree}");
    }

    fn documents_that_are_named_again_and_again_do_not_fill_the_memory(room) {
        python(room, "
layout = Layout()
big = json.loads(layout.manifest([BASE]))
big['annotations'] = {'a': 'x' * 3_000_000}
line = layout.blob(OCI + 'manifest.v1+json', json.dumps(big).encode())
layout.manifests = [layout.blob(OCI + 'index.v1+json',
    layout.index([line | platform('linux/a%d' % n) for n in range(1000)]), **name_of('many:1'))]
put('a.tar', layout.files())
one, files = image([BASE], None, author='x' * 3_000_000)
docker('b.tar', *[(one, files)] * 1000)");
        for archive in ["a.tar", "b.tar"] {
            let refused = room.envbox(&["load", "-i", archive]).exits(1);
            refused.warns("the manifests and configs of the archive have more than");
        }
    }
}

/// Loads `multi:1`, which is for three platforms.
fn whole(room: &Room) {
    python(room, &format!("{INDEX}
layout = of('linux/arm64', 'linux/386', 'linux/amd64')
index = json.loads(layout.blobs['blobs/sha256/' + layout.manifests[0]['digest'][7:]])
layout.manifests = [layout.blob(OCI + 'index.v1+json', layout.index(index['manifests'][:3]), **name_of('multi:1'))]
print(layout.manifests[0]['digest'], file=open('digest', 'w'))
put('whole.tar', layout.files())"));
    room.envbox(&["load", "-i", "whole.tar"]).succeeds().quietly();
}
