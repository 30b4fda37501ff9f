//! Images for several platforms.

use super::{python, shell};
use crate::harness::for_everyone;

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
        let refused = room.envbox(&["load", "-i", "b.tar"]).exits(1);
        refused.warns("linux/riscv64, linux/s390x").warns("--platform");
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
}
