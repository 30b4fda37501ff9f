//! `envbox system check --repair`: a store that lost its database, or parts of
//! it, has them again.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::storage_driver;
use crate::harness::process::eventually;
use crate::harness::{Room, Who, for_everyone, skip};

const WRITER: &str = include_str!("load/archive.py");

fn store(room: &Room) -> PathBuf {
    room.path().join("store")
}

/// Images that were loaded, of which two share a layer; one that was imported,
/// by several names, and one that was committed; containers that ended, one of
/// which has no image any more; volumes.
fn fill(room: &Room, driver: &str) {
    let script = "
base = layer(('etc', 'd'), ('etc/a', 'f', 'one'), ('usr', 'd'), ('usr/tool', 'f', 'tool' * 500))
top = layer(('etc/.wh.a', 'f'), ('etc/c', 'f', 'C'), ('h', 'h', 'usr/tool'))
docker('a.tar', image([base], ['base']), image([base, top], ['top']))";
    let mut python = room.program("python3");
    python.args(["-c", &format!("{WRITER}\n{script}")]);
    room.run(python).succeeds();
    let rootfs = room.rootfs();
    let rootfs = rootfs.to_str().unwrap();
    let envbox = |words: &[&str]| room.envbox(&[&["--storage-driver", driver], words].concat());
    envbox(&["load", "-i", "a.tar"]).succeeds();
    envbox(&["import", "-c", "VOLUME /v", rootfs, "whole"]).succeeds();
    envbox(&["tag", "whole", "localhost:5000/team/whole:2"]).succeeds();
    envbox(&["volume", "create", "--label", "team=build", "data"]).succeeds();
    let words = ["run", "--name", "first", "-v", "data:/data:ro", "--label", "x=y", "whole"];
    let script = ["sh", "-c", "echo written >/file; echo kept >/v/file; exit 3"];
    envbox(&[&words[..], &script].concat()).exits(3);
    envbox(&["rename", "first", "box"]).succeeds();
    envbox(&["commit", "box", "changed"]).succeeds();
    envbox(&["create", "--name", "lone", "changed", "cat", "/file"]).succeeds();
    envbox(&["rmi", "-f", "changed"]).succeeds();
    envbox(&["commit", "-m", "again", "box", "committed:1"]).succeeds();
}

/// What lists and inspect tell, but for how long ago it was.
fn told(room: &Room) -> String {
    let image = "{{.ID}} {{.Repository}} {{.Tag}} {{.Digest}} {{.Size}} {{.CreatedAt}}";
    let container = "{{.ID}} {{.Names}} {{.Image}} {{.Command}} {{.CreatedAt}} {{.Mounts}}";
    let volume = "{{.Name}} {{.Driver}} {{.Labels}} {{.Mountpoint}}";
    [
        &["images", "-a", "--no-trunc", "--digests", "--format", image][..],
        &["ps", "-a", "--no-trunc", "--format", container],
        &["volume", "ls", "--format", volume],
        &["inspect", "whole", "base", "top", "committed:1", "box", "lone"],
        &["volume", "inspect", "data"],
        &["history", "--no-trunc", "committed:1", "--format", "{{.ID}} {{.Size}} {{.CreatedBy}}"],
        &["system", "df", "--format", "{{.Type}} {{.TotalCount}} {{.Size}}"],
    ]
    .map(|words| room.envbox(words).succeeds().stdout())
    .concat()
    .lines()
    // That is an event.
    .filter(|line| !line.contains("LastTagTime"))
    .collect::<Vec<_>>()
    .join("\n")
}

fn lose(store: &Path) {
    for name in ["envbox.db", "envbox.db-wal", "envbox.db-shm"] {
        fs::remove_file(store.join(name)).unwrap();
    }
}

/// Does something to the store at a path.
type Damage = fn(&Path);

/// Ways to lose a database.
const DAMAGE: [(&str, Damage); 4] = [
    // Nobody has copied it into the file yet.
    ("without its log", |store| fs::remove_file(store.join("envbox.db-wal")).unwrap()),
    ("removed", lose),
    ("cut", |store| {
        // The log alone would give all of it back.
        fs::remove_file(store.join("envbox.db-wal")).unwrap();
        File::options().write(true).open(store.join("envbox.db")).unwrap().set_len(1000).unwrap();
    }),
    ("changed", |store| {
        for name in ["envbox.db", "envbox.db-wal"] {
            let file = File::options().read(true).write(true).open(store.join(name)).unwrap();
            let middle = file.metadata().unwrap().len() / 2;
            // A page: every one is in use.
            file.write_all_at(&[0xa5; 4096], middle / 4096 * 4096).unwrap();
        }
    }),
];

fn comes_back(room: &Room, driver: &str) {
    fill(room, driver);
    let before = told(room);
    let mut aside = 0;
    for (name, damage) in DAMAGE {
        damage(&store(room));
        let output = room.envbox(&["system", "check", "--repair"]).succeeds().quietly();
        let lines = output.stdout();
        assert!(lines.starts_with("rebuilt envbox.db: ") && lines.ends_with("\nOK\n"), "{lines}");
        assert!(!lines.contains("lost"), "{name}: {lines}");
        aside += i32::from(name != "removed");
        let old = format!("(the old one is envbox.db.damaged-{aside})");
        assert_eq!(lines.contains(&old), name != "removed", "{lines}");
        output.says(": whole:latest, localhost:5000/team/whole:2\n").says("took up volume data\n");
        let after = told(room);
        let differs = before.lines().zip(after.lines()).find(|(before, after)| before != after);
        assert_eq!((differs, after.len()), (None, before.len()), "{name}");
        assert_eq!(room.envbox(&["system", "check"]).succeeds().stdout(), "OK\n");
    }
    room.envbox(&["image", "verify", "--all"]).succeeds().quietly();
    room.envbox(&["start", "-a", "lone"]).succeeds().quietly().says("written\n");
    room.envbox(&["start", "-a", "box"]).exits(3).quietly();
    let run = ["run", "--rm", "--volumes-from", "box", "committed:1", "cat", "/v/file", "/file"];
    room.envbox(&run).succeeds().quietly().says("kept\nwritten\n");
    room.envbox(&["volume", "rm", "data"]).exits(1).warns("in use by container");
    room.envbox(&["rm", "-v", "box", "lone"]).succeeds();
    room.envbox(&["rmi", "whole", "localhost:5000/team/whole:2", "top"]).succeeds();
    assert_eq!(room.envbox(&["system", "check"]).succeeds().stdout(), "OK\n");
}

#[test]
fn a_store_of_archives_has_all_again() {
    match storage_driver::has_erofs() {
        true => Room::with(Who::Root, |room| comes_back(room, "erofs")),
        false => skip("the erofs driver cannot be had here"),
    }
}

for_everyone! {
    fn a_store_of_trees_has_all_again(room) {
        comes_back(room, "overlay");
    }

    fn a_store_of_before_has_its_images_without_names(room) {
        fill(room, "overlay");
        let sizes = |room: &Room| {
            let words = ["images", "-a", "--no-trunc", "--format", "{{.ID}} {{.Size}}"];
            let text = room.envbox(&words).succeeds().stdout();
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines.dedup();
            lines
        };
        let before = sizes(room);
        fs::remove_file(store(room).join("index.json")).unwrap();
        room.envbox(&["system", "check"]).succeeds().quietly();
        lose(&store(room));
        let output = room.envbox(&["system", "check", "--repair"]).succeeds().quietly();
        output.says("the names of images are lost").says("took up container box (");
        assert_eq!(sizes(room), before);
        room.envbox(&["image", "verify", "--all"]).succeeds().quietly();
        room.envbox(&["start", "-a", "lone"]).succeeds().says("written\n");
    }

    fn what_is_gone_is_forgotten_and_what_is_too_much_removed(room) {
        fill(room, "overlay");
        let id = room.envbox(&["inspect", "-f", "{{.Id}}", "lone"]).succeeds().stdout();
        let id = id.trim();
        room.envbox(&["volume", "create", "unused"]).succeeds();
        fs::remove_dir_all(store(room).join("volumes/unused")).unwrap();
        // overlayfs leaves a directory in there that its owner may not look into.
        fs::rename(store(room).join("containers").join(id), room.work().join("taken")).unwrap();
        let stray = format!("blobs/sha256/{}", "0".repeat(64));
        fs::write(store(room).join(&stray), "{}").unwrap();
        let lost = store(room).join("volumes/found");
        fs::create_dir_all(lost.join("data")).unwrap();
        room.give(&lost);
        let output = room.envbox(&["system", "check", "--repair", "-f"]).succeeds().quietly();
        for line in [
            format!("forgot containers/{id}, which was missing\n"),
            "forgot volumes/unused/data, which was missing\n".to_owned(),
            format!("removed {stray}, which belonged to nothing\n"),
            "took up volume found\nlabels and options of volume found are lost\n".to_owned(),
        ] {
            assert!(line.lines().all(|line| output.stdout().contains(line)), "{line}");
        }
        assert!(output.stdout().ends_with("\nOK\n"));
        room.envbox(&["volume", "inspect", "found"]).succeeds();
        let again = room.envbox(&["system", "check", "--repair"]).succeeds().quietly();
        assert_eq!(again.stdout(), "OK\n");
        assert!(!store(room).join("envbox.db.damaged-1").exists());
    }

    fn what_lies_in_the_folder_of_a_volume_is_left(room) {
        fill(room, "overlay");
        let folder = store(room).join("volumes/data");
        fs::rename(folder.join("data"), folder.join("old")).unwrap();
        room.envbox(&["rm", "-f", "box"]).succeeds();
        room.envbox(&["system", "check", "--repair", "-f"]).exits(1).says("volumes/data/data is missing");
        assert!(folder.join("old").is_dir());
    }

    fn what_is_away_as_a_whole_may_come_back(room) {
        fill(room, "overlay");
        let away = room.work().join("away");
        fs::rename(store(room).join("containers"), &away).unwrap();
        let output = room.envbox(&["system", "check", "--repair", "-f"]).exits(1);
        assert_eq!(output.stdout().matches(" is missing (remove the container").count(), 2, "{output}");
        fs::remove_dir(store(room).join("containers")).unwrap();
        fs::rename(away, store(room).join("containers")).unwrap();
        room.envbox(&["system", "check"]).succeeds().says("OK\n");
        room.envbox(&["start", "-a", "lone"]).succeeds().says("written\n");
    }

    fn a_container_that_cannot_be_read_keeps_its_layers_and_what_it_wrote(room) {
        fill(room, "overlay");
        let id = room.envbox(&["inspect", "-f", "{{.Id}}", "lone"]).succeeds().stdout();
        let config = store(room).join("containers").join(id.trim()).join("config.json");
        let whole = fs::read(&config).unwrap();
        fs::write(&config, "{").unwrap();
        lose(&store(room));
        for _ in 0..2 {
            let output = room.envbox(&["system", "check", "--repair", "-f"]).exits(1);
            output.says("cannot be taken up").says("mend it, or move it away");
        }
        fs::write(&config, whole).unwrap();
        room.envbox(&["system", "check", "--repair"]).succeeds().says("took up container lone");
        room.envbox(&["start", "-a", "lone"]).succeeds().says("written\n");
    }

    fn a_layer_that_is_missing_is_told_and_stays(room) {
        fill(room, "overlay");
        let layer = "{{index .RootFS.Layers 0}}";
        let layer = room.envbox(&["inspect", "-f", layer, "whole"]).succeeds().stdout();
        let layer = format!("layers/{}", layer.trim().strip_prefix("sha256:").unwrap());
        fs::remove_dir_all(store(room).join(&layer)).unwrap();
        for damage in [false, true] {
            if damage {
                lose(&store(room));
            }
            let output = room.envbox(&["system", "check", "--repair"]).exits(1).quietly();
            let line = format!("{layer} is missing (remove the images that have it");
            assert!(output.stdout().lines().last().unwrap().starts_with(&line));
            room.envbox(&["inspect", "whole"]).succeeds();
        }
        room.envbox(&["import", room.rootfs().to_str().unwrap(), "whole"]).succeeds();
        let output = room.envbox(&["system", "check", "--repair"]).succeeds().quietly();
        assert_eq!(output.stdout(), "OK\n");
    }

    fn a_container_that_runs_goes_on(room) {
        fill(room, "overlay");
        let words = ["run", "-i", "--name", "alive", "whole", "sh", "-c", "read x; exit 7"];
        let mut run = room.command(&words);
        let mut child = run.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let state = ["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "alive"];
        eventually("it runs", || {
            let output = room.run(room.command(&state));
            output.stdout() == "running 0\n"
        });
        lose(&store(room));
        room.envbox(&["system", "check", "--repair"]).succeeds().quietly();
        assert_eq!(room.envbox(&state).succeeds().stdout(), "running 0\n");
        drop(child.stdin.take());
        assert_eq!(child.wait().unwrap().code(), Some(7));
        assert_eq!(room.envbox(&state).succeeds().stdout(), "exited 7\n");
        room.envbox(&["system", "check"]).succeeds().quietly();
    }

    fn at_a_terminal_it_asks_before_it_does_anything(room) {
        fill(room, "overlay");
        lose(&store(room));
        for (answer, status) in [("n", 1), ("y", 0)] {
            let mut terminal = room.terminal(&["system", "check", "--repair"]);
            terminal.expect("envbox.db is missing");
            terminal.expect("Are you sure you want to continue?");
            terminal.send(answer);
            assert_eq!(terminal.wait(), status);
            assert_eq!(store(room).join("envbox.db").exists(), status == 0);
        }
        let mut terminal = room.terminal(&["system", "check", "--repair"]);
        terminal.expect("OK");
        assert_eq!(terminal.wait(), 0);
        room.envbox(&["system", "check", "-f"]).exits(1).warns("--repair");
    }

    fn what_somebody_put_there_is_named_and_left(room) {
        fill(room, "overlay");
        let outside = room.work().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("config.json"), "mine").unwrap();
        room.give(&outside);
        let name = |digit: char| digit.to_string().repeat(64);
        symlink(&outside, store(room).join("containers").join(name('1'))).unwrap();
        symlink(&outside, store(room).join("layers").join(name('2'))).unwrap();
        symlink("/dev/zero", store(room).join("blobs/sha256").join(name('3'))).unwrap();
        fs::create_dir(store(room).join("layers/.odd")).unwrap();
        lose(&store(room));
        let output = room.envbox(&["system", "check", "--repair"]).exits(1).quietly();
        for line in [
            format!("containers/{} cannot be taken up: ", name('1')),
            format!("layers/{} belongs to nothing (", name('2')),
            format!("blobs/sha256/{} cannot be taken up: it is no file (", name('3')),
            "layers/.odd is nothing of envbox's (move it away)".to_owned(),
        ] {
            assert!(output.stdout().contains(&line), "{line}\n{}", output.stdout());
        }
        assert_eq!(fs::read_to_string(outside.join("config.json")).unwrap(), "mine");
    }
}
