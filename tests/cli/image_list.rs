//! `envbox images`, `envbox image ls` and `envbox tag`.

use super::imported::{imported, short};
use crate::harness::for_everyone;

for_everyone! {
    fn image_columns_are_docker_s(room) {
        room.envbox(&["images"]).succeeds().quietly();
        let old = imported(room, "vmibuild:v1", 1_000_000_000);
        let new = imported(room, "-", 1_100_000_000);
        let text = room.envbox(&["images"]).succeeds().quietly().stdout();
        let lines: Vec<Vec<&str>> =
            text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0], ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]);
        assert_eq!(lines[1][..3], ["<none>", "<none>", short(&new)]);
        assert_eq!(lines[2][..3], ["vmibuild", "v1", short(&old)]);
        assert_eq!(lines[2][4..], ["years", "ago", "22B"]);
        assert_eq!(lines.len(), 3);
        for words in [&["image", "ls"][..], &["image", "list"], &["images", "-a"]] {
            assert_eq!(room.envbox(words).succeeds().stdout(), text);
        }
    }

    fn image_ids_are_one_a_name(room) {
        let old = imported(room, "a", 1_000_000_000);
        let new = imported(room, "b", 1_100_000_000);
        room.envbox(&["tag", "a", "a:2"]).succeeds().quietly();
        let quiet = room.envbox(&["images", "-q"]).succeeds().stdout();
        assert_eq!(quiet.lines().collect::<Vec<_>>(), [short(&new), short(&old), short(&old)]);
        let whole = room.envbox(&["images", "-q", "--no-trunc", "b"]).succeeds().stdout();
        assert_eq!(whole.trim(), new);
        let template = room.envbox(&["images", "-q", "--format", "{{.Tag}}", "b"]).succeeds();
        assert_eq!(template.stdout(), "latest\n");
    }

    fn image_filters_are_docker_s(room) {
        imported(room, "old", 1_000_000_000);
        imported(room, "team/new:v2", 1_100_000_000);
        imported(room, "-", 1_200_000_000);
        room.envbox(&["tag", "old", "old:kept"]).succeeds();
        let list = |words: &[&str]| {
            let format = ["--format", "{{.Repository}}:{{.Tag}}"];
            let words: Vec<&str> = ["images"].iter().chain(&format).chain(words).copied().collect();
            let text = room.envbox(&words).succeeds().quietly().stdout();
            text.lines().collect::<Vec<_>>().join(" ")
        };
        let all = "<none>:<none> team/new:v2 old:kept old:latest";
        for (words, found) in [
            (&[][..], all),
            (&["-f", "dangling=true"], "<none>:<none>"),
            (&["--filter", "dangling=false"], "team/new:v2 old:kept old:latest"),
            (&["old"], "old:kept old:latest"),
            (&["old:k*"], "old:kept"),
            (&["*"], "old:kept old:latest"),
            (&["-f", "reference=*/*", "-f", "reference=old:kept"], "team/new:v2 old:kept"),
            (&["none-such"], ""),
            (&["-f", "before=team/new:v2"], "old:kept old:latest"),
            (&["-f", "since=team/new:v2"], "<none>:<none>"),
            (&["-f", "since=old", "-f", "dangling=false"], "team/new:v2"),
            (&["-f", "label=year"], all),
            (&["-f", "label=year=2001"], all),
            (&["-f", "label=year=2002"], ""),
            (&["-f", "label=month"], ""),
            (&["-f", "until=1050000000"], "old:kept old:latest"),
            (&["-f", "until=2005-01-01T00:00:00Z"], "team/new:v2 old:kept old:latest"),
            (&["-f", "until=24h"], all),
        ] {
            assert_eq!(list(words), found, "{words:?}");
        }
        room.envbox(&["images", "-f", "before=gone"]).exits(1).warns("no such image: gone");
        room.envbox(&["images", "-f", "colour=red"]).warns("there is no filter \"colour\"");
        room.envbox(&["images", "-f", "dangling=x"]).warns("dangling is true or false");
    }

    fn image_formats_are_docker_s(room) {
        let id = imported(room, "vmibuild", 1_000_000_000);
        let json = room.envbox(&["images", "--format", "json"]).succeeds().json();
        let fields: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
        let expected = [
            "Containers", "CreatedAt", "CreatedSince", "Digest", "ID", "Repository", "SharedSize",
            "Size", "Tag", "UniqueSize", "VirtualSize",
        ];
        assert_eq!(fields, expected);
        assert_eq!(json["ID"], short(&id));
        assert_eq!(json["CreatedAt"], "2001-09-09 01:46:40 +0000 UTC");
        let digest = json["Digest"].as_str().unwrap();
        let text = room.envbox(&["images", "--digests", "--no-trunc"]).succeeds().stdout();
        let row: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(row[..4], ["vmibuild", "latest", digest, &id]);
        let table = "table {{.ID}}\\t{{.Repository}}:{{.Tag}}\\t{{.Size}}";
        let expected = format!(
            "IMAGE ID       REPOSITORY:TAG    SIZE\n{}   vmibuild:latest   22B\n",
            short(&id)
        );
        assert_eq!(room.envbox(&["images", "--format", table]).succeeds().stdout(), expected);
        room.envbox(&["images", "--format", "{{.Id}}"])
            .exits(1)
            .warns("can't evaluate field Id")
            .warns("hint: write .ID");
        room.envbox(&["images", "--format", "{{.ID"]).warns("template:1:");
    }

    fn image_tags_move_to_the_new_image(room) {
        let old = imported(room, "a:1", 1_000_000_000);
        let new = imported(room, "b", 1_100_000_000);
        let id = |name: &str| {
            room.envbox(&["images", "-q", "--no-trunc", name]).succeeds().stdout().trim().to_owned()
        };
        room.envbox(&["image", "tag", short(&new), "a:1"]).succeeds().quietly();
        assert_eq!(id("a:1"), new);
        let dangling = room.envbox(&["images", "-q", "--no-trunc", "-f", "dangling=1"]);
        assert_eq!(dangling.succeeds().stdout().trim(), old);
        room.envbox(&["tag", &old, "localhost:5000/team/a:1"]).succeeds();
        assert_eq!(id("localhost:5000/team/a:1"), old);
        room.envbox(&["tag", "nowhere", "c"]).exits(1).warns("no such image: nowhere");
        room.envbox(&["tag", "b", "Bad"]).warns("must be lower case");
        room.envbox(&["tag", "b", &format!("b@{new}")]).exits(1).warns("it has a digest");
    }

    fn image_id_prefixes_must_be_unambiguous(room) {
        // Sixteen images and one more share a first digit.
        let ids: Vec<String> =
            (0..17).map(|second| imported(room, "-", 1_000_000_000 + second)).collect();
        let first = |id: &String| id["sha256:".len()..][..1].to_owned();
        let shared = ids.iter().find_map(|id| {
            let digit = first(id);
            (ids.iter().filter(|other| first(other) == digit).count() > 1).then_some(digit)
        });
        let shared = shared.expect("17 images, 16 digits");
        let failed = room.envbox(&["tag", &shared, "x"]).exits(1).warns("is ambiguous");
        let candidate = ids.iter().find(|id| first(id) == shared).unwrap();
        assert!(failed.stderr().contains(&candidate["sha256:".len()..][..12])
            || failed.stderr().contains("..."), "{failed}");
        for id in [&ids[3], &ids[3][..], &ids[3]["sha256:".len()..], short(&ids[3])] {
            room.envbox(&["tag", id, "x"]).succeeds();
        }
    }
}
