//! `envbox save --compress`.

use super::{imported, large, member, shell};
use crate::harness::{Room, for_everyone};

/// Gives the image of the layout `in` a manifest that envbox would write
/// otherwise, and prints the path of its blob.
const OTHER_MANIFEST: &str = "
import hashlib, json, os
index = json.load(open('in/index.json'))
line = index['manifests'][0]
path = lambda: 'blobs/sha256/' + line['digest'][7:]
text = json.load(open('in/' + path()))
os.remove('in/' + path())
text['annotations'], text['unknown'] = {'made.by': 'hand'}, [1.0]
data = json.dumps(text, indent=3).encode()
line['digest'], line['size'] = 'sha256:' + hashlib.sha256(data).hexdigest(), len(data)
open('in/' + path(), 'wb').write(data)
json.dump(index, open('in/index.json', 'w'))
print(path())";

/// The manifest of the only image of an archive.
fn manifest(room: &Room, archive: &str) -> serde_json::Value {
    let index = member(room, archive, "index.json");
    let digest = index["manifests"][0]["digest"].as_str().unwrap();
    member(room, archive, &format!("blobs/sha256/{}", &digest["sha256:".len()..]))
}

for_everyone! {
    fn compressed_layers_are_the_same_image(room) {
        let id = imported(room, "a:1", 1_000_000_000);
        room.envbox(&["save", "-o", "plain.tar", "a:1"]).succeeds();
        let plain = manifest(room, "plain.tar");
        for (words, suffix, tool) in [
            ("--compress", "+gzip", "gzip"),
            ("--compress=gzip", "+gzip", "gzip"),
            ("--compress=zstd", "+zstd", "zstd"),
        ] {
            shell(room, &format!("\"$0\" save {words} a:1 >a.tar")).succeeds().quietly();
            let packed = manifest(room, "a.tar");
            assert_eq!(packed["config"], plain["config"]);
            assert_eq!(packed["config"]["digest"], id);
            let layer = &packed["layers"][0];
            assert_eq!(layer["mediaType"], format!("application/vnd.oci.image.layer.v1.tar{suffix}"));
            let digest = &layer["digest"].as_str().unwrap()["sha256:".len()..];
            let blob = format!("tar -xOf a.tar blobs/sha256/{digest}");
            assert!(shell(room, &format!("{blob} | sha256sum")).stdout().starts_with(digest));
            let diff_id = plain["layers"][0]["digest"].as_str().unwrap();
            let unpacked = shell(room, &format!("{blob} | {tool} -dc | sha256sum")).succeeds().stdout();
            assert!(unpacked.starts_with(&diff_id["sha256:".len()..]), "{unpacked}");
            let items = member(room, "a.tar", "manifest.json");
            assert_eq!(items[0]["LayerSources"][diff_id], *layer);
            let loaded = shell(room, "\"$0\" rmi a:1 >log; \"$0\" load <a.tar; \"$0\" images -q --no-trunc");
            assert_eq!(loaded.succeeds().stdout(), format!("Loaded image: a:1\n{id}\n"));
        }
        let left = std::fs::read_dir(room.path().join("store/tmp")).unwrap().count();
        assert!(left <= 1, "the spool is gone");
    }

    fn compressed_bytes_depend_on_no_processor(room) {
        large(room, 9);
        for form in ["gzip", "zstd"] {
            let script = format!(
                "\"$0\" save --compress={form} large >one
                taskset -c $(taskset -cp $$ | sed 's/.*: \\([0-9]*\\).*/\\1/') \"$0\" save --compress={form} large | cmp - one
                test $(stat -c %s one) -lt 5000000"
            );
            shell(room, &script).succeeds().quietly();
        }
    }

    fn only_known_forms_of_compression_are_taken(room) {
        imported(room, "a:1", 1_000_000_000);
        room.envbox(&["save", "--compress=xz", "-o", "a.tar", "a:1"]).exits(1).warns("gzip");
        // The word after it is an image.
        room.envbox(&["save", "-o", "a.tar", "--compress", "a:1"]).succeeds();
    }

    fn a_manifest_is_kept_to_the_byte_unless_layers_change(room) {
        let id = imported(room, "a:1", 1_000_000_000);
        shell(room, "\"$0\" save --format oci-dir -o in a:1; \"$0\" rmi a:1 >log").succeeds();
        let mut python = room.program("python3");
        python.args(["-c", OTHER_MANIFEST]);
        let name = room.run(python).succeeds().stdout();
        let name = name.trim();
        let script = format!("\"$0\" load -i in; \"$0\" save a:1 >a.tar; \"$0\" save --compress a:1 >packed.tar
            tar -xOf a.tar {name} | cmp - in/{name}; ! tar -tf packed.tar | grep {name}");
        shell(room, &script).succeeds();
        let packed = manifest(room, "packed.tar");
        assert_eq!(packed["config"]["digest"], id);
        assert_eq!(packed["annotations"]["made.by"], "hand");
    }
}
