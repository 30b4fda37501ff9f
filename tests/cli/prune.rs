//! `envbox image prune`, `envbox system prune`, and how every prune asks.

mod collected;
mod filters;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Stdio};

use super::imported::short;
use crate::harness::{Room, for_everyone};

/// Imports `bytes` bytes as `name`, or without a name for `-`; the image's ID.
/// Those of one size have one layer.
fn image(room: &Room, name: &str, bytes: usize, changes: &[&str]) -> String {
    let tree = room.work().join(format!("tree-{bytes}"));
    if !tree.exists() {
        std::fs::create_dir(&tree).unwrap();
        std::fs::write(tree.join("file"), vec![b'x'; bytes]).unwrap();
        room.give(&tree);
    }
    let changes = changes.iter().flat_map(|change| ["-c", change]);
    let mut words: Vec<&str> = ["import"].into_iter().chain(changes).collect();
    words.push(tree.to_str().unwrap());
    words.extend((name != "-").then_some(name));
    let mut import = room.command(&words);
    import.env("SOURCE_DATE_EPOCH", "1000000000");
    room.run(import).succeeds().stdout().trim().to_owned()
}

/// The only layer of an image.
fn layer(room: &Room, image: &str) -> String {
    let words = ["inspect", "-f", "{{index .RootFS.Layers 0}}", image];
    room.envbox(&words).succeeds().stdout().trim().to_owned()
}

/// The whole IDs of all images, sorted.
fn images(room: &Room) -> Vec<String> {
    let text = room.envbox(&["images", "-q", "--no-trunc"]).succeeds().stdout();
    let mut ids: Vec<String> = text.lines().map(str::to_owned).collect();
    ids.sort();
    ids.dedup();
    ids
}

fn sorted<const N: usize>(ids: [&String; N]) -> Vec<String> {
    let mut ids: Vec<String> = ids.into_iter().cloned().collect();
    ids.sort();
    ids
}

/// `run --rm` that lives until its input ends, in an image `base` of the room's
/// rootfs with `changes`.
fn living(room: &Room, changes: &[&str]) -> Child {
    let rootfs = room.rootfs();
    let changes = changes.iter().flat_map(|change| ["-c", change]);
    let import: Vec<&str> = ["import"].into_iter().chain(changes).collect();
    room.envbox(&[&import[..], &[rootfs.to_str().unwrap(), "base"]].concat()).succeeds();
    let mut run = room.command(&["run", "--rm", "-i", "base", "cat"]);
    let mut child = run.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    say(&mut child, "ready");
    child
}

/// Writes a line to a container that gives it back.
fn say(child: &mut Child, line: &str) {
    writeln!(child.stdin.as_mut().unwrap(), "{line}").unwrap();
    let mut text = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut text).unwrap();
    assert_eq!(text, format!("{line}\n"));
}

/// Ends a container of [`living`].
fn end(mut child: Child) {
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

for_everyone! {
    fn image_prune_takes_what_has_neither_tag_nor_container(room) {
        let tagged = image(room, "tagged", 100, &[]);
        let used = image(room, "-", 200, &[]);
        let unused = image(room, "-", 1234, &[]);
        // It shares its layer with one that stays.
        let shared = image(room, "-", 100, &["LABEL a=b"]);
        room.envbox(&["create", "--name", "kept", &used, "x"]).succeeds();
        let gone = layer(room, &unused);
        let output = room.envbox(&["image", "prune", "-f"]).succeeds().quietly().stdout();
        let expected = format!(
            "Deleted Images:\ndeleted: {shared}\ndeleted: {unused}\ndeleted: {gone}\n\n\
             Total reclaimed space: 1.234kB\n"
        );
        assert_eq!(output, expected);
        assert_eq!(images(room), sorted([&tagged, &used]));
        room.envbox(&["export", "-o", "tagged.tar", "tagged"]).succeeds();
        let output = room.envbox(&["image", "prune", "-f"]).succeeds().quietly().stdout();
        assert_eq!(output, "Total reclaimed space: 0B\n");
        room.envbox(&["rm", "kept"]).succeeds();
        room.envbox(&["image", "prune"]).succeeds().says("Total reclaimed space: 200B\n");
        assert_eq!(images(room), [tagged]);
    }

    fn image_prune_all_takes_every_image_without_a_container(room) {
        let child = living(room, &[]);
        let running = room.envbox(&["images", "-q", "--no-trunc", "base"]).succeeds().stdout();
        let running = running.trim().to_owned();
        let kept = image(room, "kept", 10, &[]);
        room.envbox(&["create", "--name", "stopped", "kept", "x"]).succeeds();
        let unused = image(room, "two:1", 20, &[]);
        room.envbox(&["tag", "two:1", "two:2"]).succeeds();
        let gone = layer(room, &unused);
        let output = room.envbox(&["image", "prune", "--all", "-f"]).succeeds().quietly();
        let expected = format!(
            "Deleted Images:\nuntagged: two:1\nuntagged: two:2\ndeleted: {unused}\n\
             deleted: {gone}\n\nTotal reclaimed space: 20B\n"
        );
        assert_eq!(output.stdout(), expected);
        assert_eq!(images(room), sorted([&running, &kept]));
        end(child);
        room.envbox(&["rm", "stopped"]).succeeds();
        room.envbox(&["image", "prune", "-a", "-f"]).succeeds();
        assert!(images(room).is_empty());
    }

    fn an_image_with_the_layers_of_one_that_runs_can_be_pruned(room) {
        let mut child = living(room, &[]);
        let rootfs = room.rootfs();
        let words = ["import", "-c", "LABEL other=yes", rootfs.to_str().unwrap()];
        let other = room.envbox(&words).succeeds().stdout();
        let output = room.envbox(&["image", "prune", "-f"]).succeeds().quietly().stdout();
        let expected = format!("Deleted Images:\ndeleted: {other}\nTotal reclaimed space: 0B\n");
        assert_eq!(output, expected);
        say(&mut child, "still here");
        end(child);
    }

    fn a_person_is_asked_before_anything_is_pruned(room) {
        let dangling = "all dangling images";
        let all = "all images without at least one container associated to them";
        for (verb, warning) in [
            (&["container", "prune"][..], "This will remove all stopped containers."),
            (&["image", "prune"], &format!("This will remove {dangling}.")),
            (&["image", "prune", "-a"], &format!("This will remove {all}.")),
            (&["volume", "prune"],
             "This will remove anonymous local volumes not used by at least one container."),
            (&["volume", "prune", "-a"],
             "This will remove all local volumes not used by at least one container."),
            (&["system", "prune"], "This will remove:"),
        ] {
            for (answer, status) in [("n", 1), ("\r", 1), ("y", 0)] {
                let mut terminal = room.terminal(verb);
                // Longer than the terminal is wide.
                terminal.expect(&format!("WARNING! {}", &warning[..warning.len().min(40)]));
                terminal.expect("Are you sure you want to continue?");
                terminal.send(answer);
                let what = if status == 0 { "Total reclaimed" } else { "has been cancelled" };
                terminal.expect(what);
                assert_eq!(terminal.wait(), status, "{verb:?} {answer}");
            }
            let mut terminal = room.terminal(&[verb, &["--force"]].concat());
            let before = terminal.expect("Total reclaimed space: 0B");
            assert_eq!((before.as_str(), terminal.wait()), ("", 0), "{verb:?}");
        }
    }

    fn nothing_goes_before_the_answer(room) {
        let id = image(room, "-", 10, &[]);
        room.envbox(&["create", "--name", "made", &id, "x"]).succeeds();
        room.envbox(&["volume", "create"]).succeeds();
        let state = || {
            let words = ["system", "df", "--format", "{{.TotalCount}}"];
            room.envbox(&words).succeeds().stdout()
        };
        let words = ["system", "prune", "--volumes", "--filter", "label!=a"];
        let mut terminal = room.terminal(&words);
        for line in [
            "- all stopped containers",
            "- all anonymous volumes not used",
            "- all dangling images",
            "Items to be pruned will be filtered with:",
            "- label!=a",
        ] {
            terminal.expect(line);
        }
        terminal.expect("continue?");
        assert_eq!(state(), "1\n1\n1\n0\n");
        terminal.send("n");
        assert_eq!(terminal.wait(), 1);
        assert_eq!(state(), "1\n1\n1\n0\n");
        let mut terminal = room.terminal(&words);
        terminal.expect("continue?");
        terminal.send("y");
        terminal.expect("Total reclaimed space: 10B");
        assert_eq!(terminal.wait(), 0);
        assert_eq!(state(), "0\n0\n0\n0\n");
    }

    fn where_there_is_nothing_there_is_nothing_to_prune(room) {
        for verb in ["container", "image", "system"] {
            let output = room.envbox(&[verb, "prune"]).succeeds().quietly().stdout();
            assert_eq!(output, "Total reclaimed space: 0B\n", "{verb}");
            assert!(!room.path().join("store").exists(), "{verb}");
        }
    }

    fn system_prune_goes_by_docker_s_order(room) {
        let rootfs = room.rootfs();
        let rootfs = rootfs.to_str().unwrap();
        let id = room.envbox(&["import", "-c", "VOLUME /data", rootfs]).succeeds().stdout();
        let id = id.trim();
        let line = "printf 12345 >/data/five; printf 1234567 >/seven";
        let words = ["run", "--name", "ended", id, "sh", "-c", line];
        room.envbox(&words).succeeds();
        let container = room.envbox(&["ps", "-aq", "--no-trunc"]).succeeds().stdout();
        let volume = room.envbox(&["volume", "ls", "-q"]).succeeds().stdout();
        room.envbox(&["volume", "create", "named"]).succeeds();
        let words = ["image", "inspect", "-f", "{{.Size}} {{index .RootFS.Layers 0}}", id];
        let told = room.envbox(&words).succeeds().stdout();
        let (_, layer) = told.trim().split_once(' ').unwrap();
        let output = room.envbox(&["system", "prune", "--volumes"]).succeeds().quietly().stdout();
        let (parts, total) = output.rsplit_once("\n\n").unwrap();
        let expected = format!(
            "Deleted Containers:\n{container}\nDeleted Volumes:\n{volume}\n\
             Deleted Images:\ndeleted: {id}\ndeleted: {layer}"
        );
        assert_eq!(parts, expected);
        assert!(total.starts_with("Total reclaimed space: "), "{total}");
        assert_eq!(room.envbox(&["volume", "ls", "-q"]).succeeds().stdout(), "named\n");
        let words = ["events", "--since", "1h", "--until", "0s", "--filter", "event=prune"];
        let format = ["--format", "{{.Type}} {{.Actor.Attributes.reclaimed}}"];
        let events = room.envbox(&[&words[..], &format].concat()).succeeds().stdout();
        let (first, last) = events.split_once("image ").unwrap();
        assert_eq!(first, "container 7\nvolume 5\n");
        assert!(last.trim().parse::<u64>().unwrap() > 100_000, "{events}");
    }

    fn a_run_beside_a_prune_runs_or_is_told_that_its_image_has_gone(room) {
        let rootfs = room.rootfs();
        for _ in 0..8 {
            let id = room.envbox(&["import", rootfs.to_str().unwrap()]).succeeds().stdout();
            let start = |words: &[&str]| {
                let mut command = room.command(words);
                command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
            };
            let run = start(&["run", "--rm", id.trim(), "echo", "ran"]);
            let prune = start(&["image", "prune", "-f"]);
            let (run, prune) = (run.wait_with_output().unwrap(), prune.wait_with_output().unwrap());
            let told = String::from_utf8_lossy(&run.stderr);
            assert!(prune.status.success(), "{}", String::from_utf8_lossy(&prune.stderr));
            if run.status.success() {
                assert_eq!(run.stdout, b"ran\n");
            } else {
                assert_eq!(run.status.code(), Some(125), "{told}");
                let gone = ["no such image", "the store has no blob", "the store has no layer"];
                assert!(gone.iter().any(|words| told.contains(words)), "{told}");
            }
        }
    }

    fn prunes_at_once_share_the_work(room) {
        let ids: Vec<String> = (1..=8).map(|size| image(room, "-", size * 1000, &[])).collect();
        let start = || {
            let mut command = room.command(&["system", "prune", "-f"]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let all = [start(), start(), start()];
        let mut deleted = Vec::new();
        for child in all {
            let output = child.wait_with_output().unwrap();
            let words = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{words}");
            let text = String::from_utf8(output.stdout).unwrap();
            deleted.extend(text.lines().filter_map(|line| Some(line.strip_prefix("deleted: ")?
                .to_owned())));
        }
        // Each image and each layer by one of them.
        assert_eq!(deleted.len(), 16);
        assert!(ids.iter().all(|id| deleted.contains(id)));
        deleted.sort();
        deleted.dedup();
        assert_eq!(deleted.len(), 16);
        assert!(images(room).is_empty());
        // What was shown by its short ID is gone.
        room.envbox(&["inspect", short(&ids[0])]).exits(1);
    }
}
