//! The filters of prunes.

use super::image;
use crate::harness::{Room, for_everyone};

/// The repositories of all images, sorted.
fn left(room: &Room) -> Vec<String> {
    let text = room.envbox(&["images", "--format", "{{.Repository}}"]).succeeds().stdout();
    let mut names: Vec<String> = text.lines().map(str::to_owned).collect();
    names.sort();
    names
}

for_everyone! {
    fn image_prune_obeys_every_filter(room) {
        for (filters, stay) in [
            (&["label=team"][..], "plain"),
            (&["label=team=build"], "plain test"),
            (&["label!=team"], "build test"),
            (&["label!=team=build"], "build"),
            (&["label=team", "label!=team=test"], "plain test"),
            (&["label=team", "label=tier"], "plain test"),
            (&["until=2001-01-01"], "build plain test"),
            (&["until=2002-01-01"], ""),
            (&["until=1000000001", "label=tier"], "plain test"),
            (&["until=24h"], ""),
        ] {
            image(room, "plain", 10, &[]);
            image(room, "test", 20, &["LABEL team=test"]);
            image(room, "build", 30, &["LABEL team=build tier=low"]);
            let filters: Vec<&str> =
                filters.iter().flat_map(|filter| ["--filter", filter]).collect();
            room.envbox(&[&["image", "prune", "-a"], &filters[..]].concat()).succeeds();
            let expected: Vec<&str> = stay.split_whitespace().collect();
            assert_eq!(left(room), expected, "{filters:?}");
        }
    }

    fn system_prune_filters_every_kind(room) {
        let keep = "LABEL keep=yes";
        let kept = image(room, "-", 10, &[keep]);
        image(room, "-", 20, &[]);
        let third = image(room, "third", 30, &[]);
        room.envbox(&["create", "--name", "made", &third, "x"]).succeeds();
        room.envbox(&["create", "--name", "kept", "-l", "keep", &third, "x"]).succeeds();
        for label in ["keep", "go"] {
            room.envbox(&["volume", "create", "--label", label]).succeeds();
        }
        let words = ["system", "prune", "-a", "--volumes", "--filter", "label!=keep"];
        room.envbox(&words).succeeds().says("Total reclaimed space: 20B\n");
        let words = ["ps", "-a", "--format", "{{.Names}}"];
        assert_eq!(room.envbox(&words).succeeds().stdout(), "kept\n");
        let words = ["volume", "ls", "--format", "{{.Labels}}"];
        assert_eq!(room.envbox(&words).succeeds().stdout(), "keep=\n");
        assert_eq!(super::images(room), super::sorted([&kept, &third]));
        // Nothing here is that old.
        room.envbox(&["system", "prune", "-a", "--filter", "until=2001-01-01"])
            .succeeds()
            .says("Total reclaimed space: 0B\n");
    }

    fn filters_that_make_no_sense_are_refused(room) {
        let id = image(room, "-", 10, &[]);
        room.envbox(&["system", "prune", "--volumes", "--filter", "until=1h"])
            .exits(1)
            .warns("the \"until\" filter is not supported with \"--volumes\"")
            .warns("hint: ");
        for verb in ["container", "image", "system"] {
            for (filter, words) in [
                ("until=yesterday", "\"yesterday\" is no time"),
                ("dangling=true", "there is no filter \"dangling\""),
                ("label", "a filter is KEY=VALUE"),
            ] {
                room.envbox(&[verb, "prune", "--filter", filter]).exits(1).warns(words);
            }
        }
        assert_eq!(super::images(room), [id]);
    }
}
