//! What an image says of itself.

use std::fs;
use std::path::Path;

use super::{import, named, text, tree};
use crate::harness::{Room, for_everyone};

/// The config of the one image of the store, as its blob has it.
fn config(room: &Room, id: &str) -> serde_json::Value {
    let blobs = room.path().join("store/blobs/sha256");
    let path = blobs.join(id.strip_prefix("sha256:").unwrap());
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// A file that looks like a program of ELF class `class` for `machine`
/// (elf(5)).
fn program(path: &Path, class: u8, machine: u16) {
    let mut head = [0; 128];
    head[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', class, 1, 1]);
    head[16] = 2;
    head[18..20].copy_from_slice(&machine.to_le_bytes());
    head[20] = 1;
    fs::write(path, head).unwrap();
}

for_everyone! {
    fn instructions_message_and_author(room) {
        let tree = tree(room);
        let id = import(room, &[
            text(&tree), "x", "-m", "first", "--author", "Build Team",
            "-c", "ENV A=1 B=\"two words\"", "-c", "env A=3", "-c", "CMD [\"/bin/sh\", \"-l\"]",
            "-c", "ENTRYPOINT run it", "-c", "WORKDIR /src", "-c", "WORKDIR below",
            "-c", "USER 5:6",
            "-c", "EXPOSE 80 53/udp", "-c", "VOLUME [\"/data\"]", "-c", "LABEL a=b",
            "-c", "STOPSIGNAL SIGINT", "-c", "ONBUILD RUN make",
            "-c", "HEALTHCHECK --interval=5s CMD true",
        ]);
        let config = config(room, &id);
        let inner = &config["config"];
        assert_eq!(config["author"], "Build Team");
        assert_eq!(config["history"][0]["comment"], "first");
        assert_eq!(inner["Env"], serde_json::json!(["A=3", "B=two words"]));
        assert_eq!(inner["Cmd"], serde_json::json!(["/bin/sh", "-l"]));
        assert_eq!(inner["Entrypoint"], serde_json::json!(["/bin/sh", "-c", "run it"]));
        assert_eq!(inner["WorkingDir"], "/src/below");
        assert_eq!(inner["User"], "5:6");
        assert_eq!(inner["ExposedPorts"], serde_json::json!({"53/udp": {}, "80/tcp": {}}));
        assert_eq!(inner["Volumes"], serde_json::json!({"/data": {}}));
        assert_eq!(inner["Labels"], serde_json::json!({"a": "b"}));
        assert_eq!(inner["StopSignal"], "SIGINT");
        assert_eq!(inner["OnBuild"], serde_json::json!(["RUN make"]));
        assert_eq!(inner["Healthcheck"]["Interval"], 5_000_000_000_u64);
    }

    fn the_platform_is_that_of_the_trees_own_programs(room) {
        let tree = tree(room);
        let platform = |words: &[&str]| {
            let config = config(room, &import(room, words));
            let word = |name: &str| config[name].as_str().unwrap_or_default().to_owned();
            (word("os"), word("architecture"))
        };
        let linux = |name: &str| ("linux".to_owned(), name.to_owned());
        for (class, machine, name) in [(1, 3, "386"), (2, 62, "amd64"), (2, 183, "arm64")] {
            program(&tree.join("bin/sh"), class, machine);
            assert_eq!(platform(&[text(&tree)]), linux(name));
        }
        assert_eq!(platform(&[text(&tree), "--platform", "linux/i686"]), linux("386"));
        assert_eq!(platform(&[text(&tree), "--platform", "riscv64"]), linux("riscv64"));
    }

    fn a_profile_is_remembered_and_its_rules_apply(room) {
        let tree = tree(room);
        let id = import(room, &[text(&tree), "old", "--profile", "vmibuild"]);
        assert_eq!(config(room, &id)["config"]["Labels"]["envbox.profile"], "vmibuild");
        // Its clean rules empty the caches; an image of no name has none.
        assert_ne!(id, import(room, &[text(&tree), "-c", "LABEL envbox.profile=vmibuild"]));
        let id = import(room, &[text(&tree), "new"]);
        assert!(config(room, &id)["config"]["Labels"].is_null());
    }

    fn the_time_of_the_image_is_that_of_the_tree(room) {
        let tree = tree(room);
        let mut command = room.command(&["import", text(&tree)]);
        command.env("SOURCE_DATE_EPOCH", "978307200");
        let id = super::identity_of(&room.run(command).succeeds());
        let config = config(room, &id);
        assert_eq!(config["created"], "2001-01-01T00:00:00Z");
        assert_eq!(config["history"][0]["created"], "2001-01-01T00:00:00Z");
    }

    fn the_last_import_of_a_name_has_it(room) {
        let tree = tree(room);
        let first = import(room, &[text(&tree), "x:1"]);
        fs::write(tree.join("etc/passwd"), "another").unwrap();
        let second = import(room, &[text(&tree), "x:1"]);
        assert_ne!(first, second);
        assert_eq!(named(room, "x", "1"), second);
    }
}
