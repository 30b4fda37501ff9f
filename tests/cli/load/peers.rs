//! What other programs write and read.

use std::process::Command;

use super::{python, shell};
use crate::harness::{Room, Who, for_everyone, skip};

/// False, and a skipped test, where `program` is missing.
fn has(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        skip(&format!("{program} is not installed"));
    }
    found
}

/// An image of three layers with whiteouts, by the name `a:1` in `a.tar`.
fn write(room: &Room) {
    python(room, "
top = layer(('etc/.wh.a', 'f'), ('etc/c', 'f', 'C'), ('.wh.gone', 'f'), ('d/', 'd'), ('d/.wh..wh..opq', 'f'),
            ('d/new', 'f', 'N'))
last = layer(('etc/', 'd', '', 0o750), ('link', 'l', 'etc/b'), ('etc/d', 'f', 'D'), ('d/', 'd'), ('d/.wh.new', 'f'))
docker('a.tar', image([BASE, top, last], ['a:1']))
print(digest(config([BASE, top, last])), file=open('id', 'w'))");
}

fn id(room: &Room) -> String {
    std::fs::read_to_string(room.work().join("id")).unwrap().trim().to_owned()
}

fn ids(room: &Room) -> String {
    room.envbox(&["images", "-q", "--no-trunc"]).succeeds().stdout()
}

for_everyone! {
    fn skopeo_reads_and_writes_the_same(room) {
        if !has("skopeo") {
            return;
        }
        write(room);
        room.envbox(&["load", "-i", "a.tar"]).succeeds();
        let id = id(room);
        let policy = "echo '{\"default\":[{\"type\":\"insecureAcceptAnything\"}]}' >policy";
        shell(room, &format!("{policy}; \"$0\" save --format oci-archive -o b.tar a:1
            skopeo --policy policy --tmpdir . copy -q oci-archive:b.tar docker-archive:c.tar:n:2
            skopeo --policy policy --tmpdir . copy -q docker-archive:c.tar oci:dir:n:3
            skopeo --policy policy --tmpdir . copy -q --dest-compress-format zstd oci-archive:b.tar oci-archive:d.tar:n:4"))
            .succeeds();
        let loaded = |words: &str, name: &str| {
            shell(room, "\"$0\" rmi -f $(\"$0\" images -q)").succeeds();
            shell(room, &format!("\"$0\" load {words}")).succeeds().says(&format!("Loaded image: {name}\n"));
            ids(room)
        };
        assert_eq!(loaded("-i d.tar", "n:4").trim(), id);
        assert_eq!(loaded("<c.tar", "n:2").trim(), id);
        // skopeo writes another config where it changes the form.
        loaded("-i dir", "n:3");
        shell(room, "\"$0\" export n:3 >e.tar; \"$0\" rmi n:3; \"$0\" load -i a.tar; \"$0\" export a:1 | cmp - e.tar")
            .succeeds();
    }

    fn umoci_unpacks_the_same_tree(room) {
        if !has("umoci") {
            return;
        }
        write(room);
        room.envbox(&["load", "-i", "a.tar"]).succeeds();
        let line = "\"$0\" save --format oci-dir -o out a:1
            umoci unpack $(test $(id -u) = 0 || echo --rootless) --image out:1 bundle
            mkdir tree; \"$0\" export a:1 | tar -C tree -x
            list() { (cd $1; find . -printf '%p %y %m %s %l\\n' | sed 's/ d \\([0-9]*\\) .*/ d \\1/' | sort); }
            diff <(list bundle/rootfs) <(list tree)";
        shell(room, line).succeeds();
        shell(room, "umoci tag --image out:1 again; rm -r bundle tree; \"$0\" load -i out").succeeds();
    }
}

fn podman_writes(room: &Room) {
    if !has("podman") {
        return;
    }
    write(room);
    let podman =
        "p() { podman --root $PWD/p/root --runroot $PWD/p/run --storage-driver vfs \"$@\"; }";
    let line = format!(
        "{podman}; p load -q -i a.tar && p save -q --format docker-archive -o d.tar a:1 &&
        p save -q --format oci-archive -o o.tar a:1"
    );
    let made = shell(room, &line);
    if !made.stderr().is_empty() && !room.work().join("o.tar").exists() {
        return skip("podman does not work here");
    }
    let loaded = shell(room, "\"$0\" load -i d.tar; \"$0\" load <o.tar").succeeds().stdout();
    assert_eq!(loaded.matches("Loaded image: localhost/a:1\n").count(), 2, "{loaded}");
    let seen = ids(room);
    assert!(seen.contains(&id(room)), "{seen}");
    shell(room, &format!("{podman}; p rmi -af >rmi.log")).exits(0);
}

// As an ordinary user podman leaves a process behind.
#[test]
fn podman_writes_what_loads() {
    Room::with(Who::Root, podman_writes);
}
