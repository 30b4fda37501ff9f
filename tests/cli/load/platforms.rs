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

    fn what_is_not_whole_is_left_out_and_told(room) {
        python(room, &format!("{INDEX}
def index_of(layout):
    return json.loads(layout.blobs['blobs/sha256/' + layout.manifests[0]['digest'][7:]])
def gone(layout, blob):
    del layout.blobs['blobs/sha256/' + blob['digest'][7:]]
part = of('linux/amd64', 'linux/386', 'linux/arm64')
manifest = index_of(part)['manifests'][2]
gone(part, json.loads(part.blobs['blobs/sha256/' + manifest['digest'][7:]])['layers'][0])
put('part.tar', part.files())
nested = of('linux/386', 'linux/s390x')
gone(nested, index_of(nested)['manifests'][1])
lines = [line for line in index_of(of('linux/amd64', 'linux/386'))['manifests'][:1]]
nested.blobs |= of('linux/amd64').blobs
lines.append({{k: v for k, v in nested.manifests[0].items() if k != 'annotations'}})
nested.manifests = [nested.blob(OCI + 'index.v1+json', nested.index(lines), **name_of('multi:1'))]
put('nested.tar', nested.files())
art = of('linux/amd64', 'linux/386')
thing = json.dumps({{'schemaVersion': 2, 'config': art.blob('application/vnd.oci.empty.v1+json', b'{{}}'), 'layers': []}})
lines = index_of(art)['manifests'][:2] + [art.blob(OCI + 'manifest.v1+json', thing.encode())]
art.manifests = [art.blob(OCI + 'index.v1+json', art.index(lines), **name_of('multi:1'))]
put('art.tar', art.files())
put('win.tar', of('windows/amd64').files())
red = of('linux/amd64', 'linux/386')
lines = index_of(red)['manifests']
lines[1]['platform']['architecture'] = chr(27) + '[31mred'
red.manifests = [red.blob(OCI + 'index.v1+json', red.index(lines), **name_of('multi:1'))]
put('red.tar', red.files())"));
        let load = |archive: &str| room.envbox(&["load", "-i", archive]);
        load("part.tar").succeeds().warns("left out, as not in the archive or not for Linux: linux/arm64\n");
        load("nested.tar").succeeds().warns("not for Linux: linux/s390x\n");
        let tree = room.envbox(&["images", "--tree"]).succeeds().stdout();
        assert!(tree.contains("linux/386") && tree.contains("linux/amd64"), "{tree}");
        load("art.tar").succeeds().quietly();
        load("win.tar").exits(1).warns("the image is not for Linux but for: windows/amd64");
        load("red.tar").exits(1).warns("\\u{1b}[31mred");
    }

    fn variants_are_told_apart_by_the_index(room) {
        python(room, &format!("{INDEX}
layout = of('linux/arm/v5', 'linux/arm/v7')
put('a.tar', layout.files())"));
        room.envbox(&["load", "-i", "a.tar"]).succeeds();
        let id = |platform: &str| {
            let words = ["image", "inspect", "--platform", platform, "-f", "{{.Id}} {{.RepoTags}}", "multi:1"];
            room.envbox(&words).succeeds().stdout()
        };
        assert_ne!(id("linux/arm/v5"), id("linux/arm/v7"));
        assert!(id("linux/arm/v7").ends_with("[multi:1]\n"));
        room.envbox(&["image", "inspect", "--platform", "linux/arm/v6", "multi:1"]).exits(1)
            .warns("it is for linux/arm/v5, linux/arm/v7");
    }

    fn indexes_share_their_images(room) {
        whole(room);
        python(room, &format!("{INDEX}
put('small.tar', of('linux/arm64', 'linux/386', name='small:1').files())"));
        room.envbox(&["load", "-i", "small.tar"]).succeeds();
        // By the manifest of one, as docker has it.
        let digests = room.envbox(&["images", "-a", "--digests", "--format", "{{.Repository}}@{{.Digest}}"]);
        for name in digests.succeeds().stdout().lines() {
            room.envbox(&["image", "inspect", name]).succeeds();
        }
        room.envbox(&["rmi", "multi:1"]).succeeds();
        let words = ["image", "inspect", "--platform", "arm64", "small:1"];
        room.envbox(&words).succeeds();
        let whole = std::fs::read_to_string(room.work().join("digest")).unwrap();
        room.envbox(&["image", "inspect", whole.trim()]).exits(1);
        room.envbox(&["load", "-i", "whole.tar"]).succeeds();
        room.envbox(&["image", "prune", "-af"]).succeeds();
        assert_eq!(room.envbox(&["images", "-aq"]).succeeds().stdout(), "");
        room.envbox(&["system", "check"]).succeeds().says("OK\n");
    }

    fn an_index_that_loses_its_name_is_told_and_can_be_had_back(room) {
        whole(room);
        let digest = std::fs::read_to_string(room.work().join("digest")).unwrap();
        let moved = room.envbox(&["load", "--platform", "linux/amd64", "-i", "whole.tar"]).succeeds();
        moved.says(&format!("renaming the old one with ID {}", digest.trim()));
        room.envbox(&["tag", digest.trim(), "multi:1"]).succeeds();
        assert_eq!(room.envbox(&["images", "-aq"]).succeeds().stdout().lines().count(), 3);
        // The ID of the host's image stands for all.
        let id = room.envbox(&["images", "-q", "--no-trunc"]).succeeds().stdout();
        room.envbox(&["rmi", id.trim()]).succeeds();
        assert_eq!(room.envbox(&["images", "-aq"]).succeeds().stdout(), "");
        // One that is known goes as a whole by its digest, and leaves what has a name.
        whole(room);
        room.envbox(&["tag", id.trim(), "kept:1"]).succeeds();
        room.envbox(&["rmi", digest.trim()]).succeeds().says("Untagged: multi:1\n");
        assert_eq!(room.envbox(&["images", "-a"]).succeeds().stdout().lines().count(), 2);
        room.envbox(&["image", "inspect", digest.trim()]).exits(1);
        room.envbox(&["system", "check"]).succeeds().says("OK\n");
    }

    fn an_index_speaks_of_its_own_manifests(room) {
        // The image is there already, by a manifest of our own.
        whole(room);
        room.envbox(&["save", "--platform", "amd64", "-o", "one.tar", "multi:1"]).succeeds();
        room.envbox(&["rmi", "multi:1"]).succeeds();
        python(room, "
name = [n for n in tarfile.open('one.tar').getnames() if n == 'manifest.json']
files = {m.name: tarfile.open('one.tar').extractfile(m.name).read() for m in tarfile.open('one.tar') if m.isfile()}
manifest = json.loads(files['index.json'])['manifests'][0]
text = json.loads(files['blobs/sha256/' + manifest['digest'][7:]]) | {'annotations': {'other': 'manifest'}}
layout = Layout()
layout.blobs |= {n: d for n, d in files.items() if n.startswith('blobs/')}
layout.manifests = [layout.blob(OCI + 'manifest.v1+json', json.dumps(text).encode(), **name_of('one:1'))]
put('other.tar', layout.files())");
        room.envbox(&["load", "-i", "other.tar"]).succeeds();
        room.envbox(&["load", "-i", "whole.tar"]).succeeds();
        shell(room, "\"$0\" save --format oci-dir -o dir multi:1; test -e dir/blobs/sha256/$(cut -c 8- digest)").succeeds();
        room.envbox(&["image", "verify", "--all"]).succeeds();
        room.envbox(&["rmi", "one:1", "multi:1"]).succeeds();
        room.envbox(&["system", "check"]).succeeds().says("OK\n");
    }

    fn an_index_comes_back_after_its_database_was_lost(room) {
        whole(room);
        room.envbox(&["tag", "multi:1", "again:2"]).succeeds();
        let tree = || room.envbox(&["images", "--tree", "--no-trunc"]).succeeds().quietly().stdout();
        let before = tree();
        shell(room, "rm \"$ENVBOX_ROOT\"/envbox.db*").succeeds();
        room.envbox(&["system", "check", "--repair"]).succeeds();
        assert_eq!(tree(), before);
        room.envbox(&["system", "check"]).succeeds().says("OK\n");
        // Without one of its images it is no index.
        let arm = room.envbox(&["image", "inspect", "--platform", "arm64", "-f", "{{.Id}}", "multi:1"]);
        let arm = arm.succeeds().stdout().trim().replace("sha256:", "");
        shell(room, &format!("rm \"$ENVBOX_ROOT\"/envbox.db* \"$ENVBOX_ROOT\"/blobs/sha256/{arm}")).succeeds();
        room.envbox(&["system", "check", "--repair"]).exits(1).says("an image that it has is missing or damaged");
        room.envbox(&["image", "inspect", "multi:1"]).succeeds();
        room.envbox(&["image", "inspect", "--platform", "386", "multi:1"]).exits(1);
    }

    fn nobody_gives_a_name_with_a_digest(room) {
        let name = format!("a@sha256:{}", "1".repeat(64));
        python(room, &format!("
layout = Layout()
layout.manifests = [layout.blob(OCI + 'manifest.v1+json', layout.manifest([BASE]), **name_of('{name}'))]
put('a.tar', layout.files())
docker('b.tar', image([BASE], ['{name}']))"));
        room.envbox(&["load", "-i", "a.tar"]).succeeds().says("Loaded image ID: ");
        room.envbox(&["load", "-i", "b.tar"]).exits(1).warns("no digest");
        room.envbox(&["image", "inspect", &name]).exits(1);
    }

    fn a_filter_of_prune_asks_all_images_of_a_name(room) {
        python(room, "
layout = Layout()
lines = []
for arch in ('amd64', 'arm64'):
    labels = {'Labels': {'keep': 'it'}} if arch == 'arm64' else {}
    text = layout.manifest([layer((arch, 'f'))], architecture=arch, config=labels)
    lines.append(layout.blob(OCI + 'manifest.v1+json', text, **platform('linux/' + arch)))
layout.manifests = [layout.blob(OCI + 'index.v1+json', layout.index(lines), **name_of('multi:1'))]
put('a.tar', layout.files())");
        room.envbox(&["load", "-i", "a.tar"]).succeeds();
        room.envbox(&["image", "prune", "-af", "--filter", "label!=keep"]).succeeds().says("reclaimed space: 0B");
        room.envbox(&["image", "prune", "-af"]).succeeds().says("untagged: multi:1");
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
