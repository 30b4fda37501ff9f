//! The archive that `docker save` writes, which is the default.

use serde_json::json;

use super::{imported, member, shell, short};
use crate::harness::for_everyone;

for_everyone! {
    fn save_writes_what_docker_save_writes(room) {
        let id = imported(room, "a:1", 1_000_000_000);
        let script = "SOURCE_DATE_EPOCH=1000000000 \"$0\" import -m other tree b";
        let other = shell(room, script).succeeds().stdout();
        room.envbox(&["tag", "a:1", "host:5000/x/a:2"]).succeeds();
        let words = ["save", "-o", "a.tar", "a:1", "b", "host:5000/x/a:2", "a:1"];
        room.envbox(&words).succeeds().quietly();
        let seen = shell(room, "tar -tf a.tar").succeeds().stdout();
        let (blobs, files): (Vec<_>, Vec<_>) =
            seen.lines().partition(|name| name.starts_with("blobs/"));
        assert_eq!(files, ["index.json", "manifest.json", "oci-layout", "repositories"]);
        // Two folders; two configs, two manifests, and the one layer of both.
        assert_eq!(blobs.len(), 7, "{seen}");
        let items = member(room, "a.tar", "manifest.json");
        let path = |id: &str| format!("blobs/sha256/{}", &id["sha256:".len()..]);
        assert_eq!(items[0]["Config"], path(&id));
        assert_eq!(items[0]["RepoTags"], json!(["a:1", "host:5000/x/a:2"]));
        assert_eq!(items[1]["Config"], path(other.trim()));
        assert_eq!(items[1]["RepoTags"], json!(["b:latest"]));
        assert_eq!(items[0]["Layers"], items[1]["Layers"]);
        let layer = items[0]["Layers"][0].as_str().unwrap();
        let digest = layer.rsplit('/').next().unwrap();
        let source = &items[0]["LayerSources"][format!("sha256:{digest}")];
        assert_eq!(source["mediaType"], "application/vnd.oci.image.layer.v1.tar");
        let tar = shell(room, &format!("tar -xOf a.tar {layer} | tee layer.tar | sha256sum"));
        assert!(tar.succeeds().stdout().starts_with(digest));
        assert_eq!(source["size"], std::fs::metadata(room.work().join("layer.tar")).unwrap().len());
        let repositories = member(room, "a.tar", "repositories");
        assert_eq!(repositories["host:5000/x/a"]["2"], digest);
        assert_eq!(repositories["b"]["latest"], digest);
    }

    fn save_gives_the_same_bytes_every_time(room) {
        imported(room, "a:1", 1_000_000_000);
        let script = "for form in docker-archive oci-archive; do
                \"$0\" save --format $form -o one a:1; \"$0\" save --format $form a:1 >two
                cmp one two; rm one two
            done; \"$0\" save a:1 | cmp - <(\"$0\" image save --format docker-archive a:1)";
        shell(room, script).succeeds().quietly();
    }

    fn an_id_is_saved_without_a_name(room) {
        let id = imported(room, "a:1", 1_000_000_000);
        room.envbox(&["save", "-o", "a.tar", short(&id)]).succeeds();
        let items = member(room, "a.tar", "manifest.json");
        assert!(items[0]["RepoTags"].is_null());
        let seen = shell(room, "tar -tf a.tar").succeeds().stdout();
        assert!(!seen.contains("repositories"), "{seen}");
        let loaded = shell(room, "\"$0\" rmi a:1 >log; \"$0\" load <a.tar").succeeds().stdout();
        assert_eq!(loaded, format!("Loaded image ID: {id}\n"));
    }

    fn save_goes_through_any_pipe_and_comes_back(room) {
        let id = imported(room, "a:1", 1_000_000_000);
        room.envbox(&["tag", "a:1", "host:5000/a:2"]).succeeds();
        let script = "\"$0\" save a:1 host:5000/a:2 | bzip2 | cat | sh -c 'cat >all'; \"$0\" rmi -f a:1 host:5000/a:2 >log
            cat all | \"$0\" load";
        let loaded = shell(room, script).succeeds().quietly().stdout();
        assert_eq!(loaded, "Loaded image: a:1\nLoaded image: host:5000/a:2\n");
        let ids = room.envbox(&["images", "-q", "--no-trunc"]).succeeds().stdout();
        assert!(ids.lines().all(|line| line == id), "{ids}");
    }
}
