//! `envbox inspect`, `envbox image inspect`.

use super::imported::imported;
use crate::harness::for_everyone;

for_everyone! {
    fn image_inspect_has_docker_s_shape(room) {
        let id = imported(room, "vmibuild:v1", 1_000_000_000);
        room.envbox(&["tag", "vmibuild:v1", "vmibuild:v2"]).succeeds();
        let output = room.envbox(&["image", "inspect", "vmibuild:v1"]).succeeds().quietly();
        assert!(output.stdout().starts_with("[\n    {\n        \"Id\": \"sha256:"), "{output}");
        let image = output.json()[0].clone();
        assert_eq!(image["Id"], id);
        assert_eq!(image["RepoTags"], serde_json::json!(["vmibuild:v1", "vmibuild:v2"]));
        assert_eq!(image["Created"], "2001-09-09T01:46:40Z");
        assert_eq!(image["Size"], 22);
        assert_eq!(image["Os"], "linux");
        assert_eq!(image["Config"]["Cmd"], serde_json::json!(["sh", "-l"]));
        assert_eq!(image["Config"]["Labels"], serde_json::json!({"year": "2001"}));
        assert_eq!(image["Config"]["Env"], serde_json::Value::Null);
        assert_eq!(image["Config"]["AttachStdin"], false);
        assert_eq!(image["RootFS"]["Type"], "layers");
        assert_eq!(image["RootFS"]["Layers"].as_array().unwrap().len(), 1);
        assert_ne!(image["Metadata"]["LastTagTime"], "0001-01-01T00:00:00Z");
        for field in ["Parent", "Comment", "DockerVersion", "Author"] {
            assert_eq!(image[field], "", "{field}");
        }
        for field in ["GraphDriver", "Architecture"] {
            assert!(!image[field].is_null(), "{field}");
        }
        let digest = image["RepoDigests"][0].as_str().unwrap();
        let by_digest = room.envbox(&["inspect", "-f", "{{.Id}}", digest]).succeeds().stdout();
        assert_eq!(by_digest.trim(), id);
    }

    fn image_inspect_takes_templates(room) {
        let id = imported(room, "a", 1_000_000_000);
        imported(room, "b", 1_100_000_000);
        let inspect = |format: &str, name: &str| {
            room.envbox(&["inspect", "--format", format, name]).succeeds().quietly().stdout()
        };
        assert_eq!(inspect("{{.Id}}", "a"), format!("{id}\n"));
        assert_eq!(inspect("{{json .Config.Labels}}", "a"), "{\"year\":\"2001\"}\n");
        assert_eq!(inspect("{{range .Config.Cmd}}<{{.}}>{{end}}", "a"), "<sh><-l>\n");
        assert_eq!(inspect("{{index .Config.Labels \"year\"}}", &id[..20]), "2001\n");
        assert!(inspect("json", "a").starts_with("[{\"Id\":\"sha256:"));
        let both = room.envbox(&["inspect", "-f", "{{index .RepoTags 0}}", "b", "a"]).succeeds();
        assert_eq!(both.stdout(), "b:latest\na:latest\n");
        room.envbox(&["inspect", "-f", "{{.Nope}}", "a"]).exits(1).warns("can't evaluate field");
        room.envbox(&["inspect", "-f", "{{", "a"]).warns("template:1:");
    }

    fn image_inspect_prints_what_it_finds(room) {
        let none = room.envbox(&["inspect", "a"]).exits(1).warns("no such object: a");
        assert_eq!(none.stdout(), "[]\n");
        imported(room, "a", 1_000_000_000);
        let some = room.envbox(&["inspect", "gone", "a", "lost"]).exits(1);
        let some = some.warns("no such object: gone").warns("no such object: lost");
        assert_eq!(some.json().as_array().unwrap().len(), 1);
        room.envbox(&["inspect", "--type", "image", "a"]).succeeds();
        let other = room.envbox(&["inspect", "--type", "container", "a"]).exits(1);
        assert_eq!(other.warns("no such container: a").stdout(), "[]\n");
        room.envbox(&["image", "inspect", "lost"]).exits(1).warns("no such image: lost");
    }
}
