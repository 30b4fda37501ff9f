//! `envbox system df`.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use super::imported::short;
use crate::harness::process::eventually;
use crate::harness::{Room, for_everyone};

/// Imports a tree of one file of `bytes` bytes.
fn image(room: &Room, name: &str, bytes: usize, label: &str) -> String {
    let tree = room.work().join(format!("tree-{bytes}"));
    if !tree.exists() {
        std::fs::create_dir(&tree).unwrap();
        std::fs::write(tree.join("file"), vec![b'x'; bytes]).unwrap();
        room.give(&tree);
    }
    let change = format!("LABEL of={label}");
    let words = ["import", "-c", &change, tree.to_str().unwrap(), name];
    room.envbox(&words).succeeds().stdout().trim().to_owned()
}

/// What `df` says of each kind, by a template.
fn df(room: &Room, template: &str) -> Vec<String> {
    let output = room.envbox(&["system", "df", "--format", template]).succeeds().quietly();
    output.stdout().lines().map(str::to_owned).collect()
}

/// The last word of a prune.
fn reclaimed(room: &Room, verb: &str, flag: &str) -> String {
    let output = room.envbox(&[verb, "prune", flag]).succeeds().quietly().stdout();
    output.trim_end().rsplit_once(' ').unwrap().1.to_owned()
}

for_everyone! {
    fn an_empty_store_has_docker_s_table_of_zeros(room) {
        let expected = "\
TYPE            TOTAL     ACTIVE    SIZE      RECLAIMABLE
Images          0         0         0B        0B
Containers      0         0         0B        0B
Local Volumes   0         0         0B        0B
Build Cache     0         0         0B        0B
";
        let output = room.envbox(&["system", "df"]).succeeds().quietly().stdout();
        assert_eq!(output, expected);
        assert!(!room.path().join("store").exists());
    }

    fn a_layer_of_several_images_counts_once(room) {
        let one = image(room, "one", 3000, "one");
        image(room, "two", 3000, "two");
        image(room, "three", 1000, "three");
        assert_eq!(df(room, "{{.TotalCount}} {{.Active}} {{.Size}} {{.Reclaimable}}")[0],
            "3 0 4kB 4kB (100%)");
        room.envbox(&["create", "--name", "user", "two", "x"]).succeeds();
        room.envbox(&["create", "--name", "other", "two", "x"]).succeeds();
        assert_eq!(df(room, "{{.TotalCount}} {{.Active}} {{.Size}} {{.Reclaimable}}")[..2],
            ["3 1 4kB 1kB (25%)", "2 0 0B 0B"]);
        let template = "{{range .Images}}{{.Repository}} {{.Size}} {{.SharedSize}} \
            {{.UniqueSize}} {{.Containers}};{{end}}";
        let words = ["system", "df", "-v", "--format", template];
        let output = room.envbox(&words).succeeds().quietly().stdout();
        let mut rows: Vec<&str> = output.trim_end().split_terminator(';').collect();
        rows.sort_unstable();
        assert_eq!(rows, ["one 3kB 3kB 0B 0", "three 1kB 0B 1kB 0", "two 3kB 3kB 0B 2"]);
        room.envbox(&["rmi", &one]).succeeds();
        let output = room.envbox(&words).succeeds().stdout();
        assert!(output.contains("two 3kB 0B 3kB 2;"), "{output}");
        // What stands on layers without an image counts, and is not to be had.
        room.envbox(&["rmi", "-f", "two"]).succeeds();
        assert_eq!(df(room, "{{.TotalCount}} {{.Active}} {{.Size}} {{.Reclaimable}}")[0],
            "1 0 4kB 1kB (25%)");
    }

    fn what_runs_is_active(room) {
        let rootfs = room.rootfs();
        room.envbox(&["import", rootfs.to_str().unwrap(), "base"]).succeeds();
        image(room, "other", 10, "other");
        let write = |name: &str, flags: &[&str], line: &str| {
            let words = [&["run", "--name", name][..], flags, &["base", "sh", "-c", line]];
            room.envbox(&words.concat()).succeeds();
        };
        write("ended", &["-v", "data:/data"], "printf 1234567 >/seven; printf 123 >/data/three");
        write("runs", &["-d", "-v", "/own"], "printf 12345 >/five; echo ok; sleep 1000");
        eventually("it has written", || {
            room.envbox(&["logs", "runs"]).stdout() == "ok\n"
        });
        room.envbox(&["volume", "create", "free"]).succeeds();
        let mut run = room.command(&["run", "--rm", "-i", "other", "x"]);
        // It cannot run, and leaves nothing.
        run.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        assert!(!run.status().unwrap().success());
        let rows = df(room, "{{.Type}}: {{.TotalCount}} {{.Active}} {{.Size}} {{.Reclaimable}}");
        assert!(rows[0].starts_with("Images: 2 1 ") && rows[0].ends_with(" 10B (0%)"), "{rows:?}");
        assert_eq!(rows[1..3], ["Containers: 2 1 12B 7B (58%)", "Local Volumes: 3 2 3B 0B (0%)"]);
        let output = room.envbox(&["system", "df", "-v"]).succeeds().quietly().stdout();
        let cells = |begin: &str| -> Vec<String> {
            let line = output.lines().find(|line| line.contains(begin)).unwrap();
            line.split("   ").map(str::trim).filter(|cell| !cell.is_empty()).map(Into::into)
                .collect()
        };
        let ended = cells(" ended");
        assert_eq!(ended[1..5], ["base", "\"sh -c printf 123456…\"", "1", "7B"]);
        assert_eq!(cells(" runs")[3..5], ["1", "5B"]);
        assert_eq!(cells("data "), ["data", "1", "3B"]);
        assert_eq!(cells("free "), ["free", "0", "0B"]);
        room.envbox(&["rm", "-f", "runs"]).succeeds();
    }

    fn a_container_that_goes_with_its_end_counts_while_it_runs(room) {
        let rootfs = room.rootfs();
        room.envbox(&["import", rootfs.to_str().unwrap(), "base"]).succeeds();
        let mut run = room.command(&["run", "--rm", "-i", "base", "cat"]);
        let mut child = run.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.as_mut().unwrap().write_all(b"ready\n").unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        // Its program may be faster than its monitor.
        eventually("it is listed", || {
            let rows = df(room, "{{.TotalCount}} {{.Active}} {{.Reclaimable}}");
            rows[..2] == ["1 1 0B (0%)", "1 1 0B"]
        });
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success());
        let rows = df(room, "{{.TotalCount}} {{.Active}}");
        assert_eq!(rows[..2], ["1 0", "0 0"]);
    }

    fn what_can_be_had_is_what_prunes_give(room) {
        image(room, "one", 123_456, "one");
        image(room, "two", 123_456, "two");
        image(room, "three", 9876, "three");
        let rootfs = room.rootfs();
        room.envbox(&["import", rootfs.to_str().unwrap(), "base"]).succeeds();
        let line = "head -c 54321 /dev/zero >/file; head -c 777 /dev/zero >/data/file";
        let words = ["run", "--name", "ended", "-v", "data:/data", "base", "sh", "-c", line];
        room.envbox(&words).succeeds();
        let words = ["create", "--name", "kept", "-l", "keep", "base", "true"];
        room.envbox(&words).succeeds();
        let promised = |kind: usize| {
            let row = df(room, "{{.Reclaimable}}")[kind].clone();
            row.split(' ').next().unwrap().to_owned()
        };
        assert_eq!((promised(0).as_str(), promised(1).as_str()), ("133.3kB", "54.32kB"));
        assert_eq!(promised(1), reclaimed(room, "container", "--filter=label!=keep"));
        assert_eq!(promised(0), reclaimed(room, "image", "-a"));
        assert_eq!(promised(2), "777B");
        assert_eq!(promised(2), reclaimed(room, "volume", "-a"));
        let left = df(room, "{{.TotalCount}} {{.Reclaimable}}");
        assert_eq!(left, ["1 0B (0%)", "1 0B", "0 0B", "0 0B"]);
    }

    fn every_format_of_docker_s_is_there(room) {
        let id = image(room, "one", 2500, "one");
        let json = room.envbox(&["system", "df", "--format", "json"]).succeeds().stdout();
        let first: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
        let expected = serde_json::json!({"Active": "0", "Reclaimable": "2.5kB (100%)",
            "Size": "2.5kB", "TotalCount": "1", "Type": "Images"});
        assert_eq!((first, json.lines().count()), (expected, 4));
        let words = ["system", "df", "--format", "table {{.Type}}\\t{{.Size}}"];
        let table = room.envbox(&words).succeeds().stdout();
        assert!(table.starts_with("TYPE            SIZE\nImages          2.5kB\n"), "{table}");
        let all = room.envbox(&["system", "df", "-v", "--format", "json"]).json();
        assert_eq!(all["Images"][0]["ID"], id.as_str());
        assert_eq!((&all["Images"][0]["UniqueSize"], &all["BuildCache"]),
            (&serde_json::json!("2.5kB"), &serde_json::json!([])));
        let table = room.envbox(&["system", "df", "--verbose"]).succeeds().quietly().stdout();
        let heads = ["Images space usage:\n\nREPOSITORY   TAG       IMAGE ID       CREATED",
            "\n\nContainers space usage:\n\nCONTAINER ID   IMAGE     COMMAND   LOCAL VOLUMES   SIZE",
            "\n\nLocal Volumes space usage:\n\nVOLUME NAME   LINKS     SIZE\n",
            "\nBuild cache usage: 0B\n\nCACHE ID   CACHE TYPE   SIZE      CREATED   LAST USED   USAGE"];
        for head in heads {
            assert!(table.contains(head), "no {head:?} in {table}");
        }
        assert!(table.contains(short(&id)) && !table.contains(&id));
        for (words, told) in [
            (&["--format", "{{.Colour}}"][..], "can't evaluate field Colour"),
            (&["--format", "{{"], "template:1"),
            (&["-v", "--format", "table {{.Images}}"], "several tables"),
            (&["-v", "--format", "{{.Networks}}"], "can't evaluate field Networks"),
        ] {
            room.envbox(&[&["system", "df"], words].concat()).exits(1).warns(told);
        }
    }
}
