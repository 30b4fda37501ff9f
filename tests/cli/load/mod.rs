//! `envbox load`: archives that Python's tarfile, skopeo, umoci, podman and
//! docker write.

mod drivers;
mod hostile;
mod interrupted;
mod layers;
mod peers;
mod platforms;

use crate::harness::{Output, Room, for_everyone};

const WRITER: &str = include_str!("archive.py");

/// Runs `script` after the definitions of `archive.py`, in the room's folder.
fn python(room: &Room, script: &str) {
    let mut python = room.program("python3");
    python.args(["-c", &format!("{WRITER}\n{script}")]);
    room.run(python).succeeds();
}

/// Runs `script` in a shell that has envbox as `$0`.
fn shell(room: &Room, script: &str) -> Output {
    let mut shell = room.program("bash");
    shell.args(["-ec", &format!("set -o pipefail; {script}"), env!("CARGO_BIN_EXE_envbox")]);
    room.run(shell)
}

/// The images by name and short ID, and what lies in the store.
fn state(room: &Room) -> String {
    let images = room.envbox(&["images", "--no-trunc"]).succeeds().stdout();
    let listed = shell(room, "cd \"$ENVBOX_ROOT\"; find layers blobs tmp | sort").succeeds();
    images + &listed.stdout()
}

/// A store that has one image; returns its state.
fn open_store(room: &Room) -> String {
    python(room, "docker('first.tar', image([layer(('first', 'f', '1'))], ['first:1']))");
    room.envbox(&["load", "-i", "first.tar"]).succeeds();
    state(room)
}

for_everyone! {
    fn load_takes_names_and_ids_as_docker_does(room) {
        python(room, "
one, two, three = ([layer((n, 'f', n))] for n in ('one', 'two', 'three'))
docker('a.tar', image(one, ['a:1', 'b']), image(two, None))
docker('b.tar', image(three, ['a:1']))
print(digest(config(two)), digest(config(one)), file=open('ids', 'w'))");
        let ids = std::fs::read_to_string(room.work().join("ids")).unwrap();
        let (two, one) = ids.trim().split_once(' ').unwrap();
        let loaded = room.envbox(&["load", "-i", "a.tar"]).succeeds().quietly().stdout();
        let expected = format!("Loaded image: a:1\nLoaded image: b:latest\nLoaded image ID: {two}\n");
        assert_eq!(loaded, expected);
        let again = room.envbox(&["image", "load", "--input", "a.tar"]).succeeds().stdout();
        assert_eq!(again, expected);
        let moved = room.envbox(&["load", "-q", "-i", "b.tar"]).succeeds().quietly().stdout();
        assert_eq!(moved, format!(
            "The image a:1 already exists, renaming the old one with ID {one} to empty string\n\
             Loaded image: a:1\n"
        ));
        room.envbox(&["images"]).succeeds().says("b ");
    }

    fn load_reads_pipes_in_any_compression(room) {
        python(room, "docker('a.tar', image([BASE], ['a:1']))");
        for pack in ["cat", "gzip", "bzip2", "xz", "zstd"] {
            let line = format!("{pack} <a.tar >packed; \"$0\" load -i packed; {pack} <a.tar | \"$0\" load");
            let loaded = shell(room, &line).succeeds().quietly().stdout();
            assert_eq!(loaded, "Loaded image: a:1\n".repeat(2), "{pack}");
        }
    }

    fn load_gives_back_what_save_wrote(room) {
        python(room, "
top = layer(('etc/.wh.a', 'f'), ('etc/c', 'f', 'C'), ('etc/c', 'f', 'other'), ('h', 'h', 'etc/b'),
            form=tarfile.GNU_FORMAT)
docker('a.tar', image([BASE, top], ['host:5000/a:1']))");
        room.envbox(&["load", "-i", "a.tar"]).succeeds();
        shell(room, "\"$0\" save --format oci-archive host:5000/a:1 >b.tar; \"$0\" rmi host:5000/a:1 >/dev/null
            \"$0\" load <b.tar; \"$0\" save --format oci-archive host:5000/a:1 | cmp - b.tar
            \"$0\" rmi host:5000/a:1 >/dev/null; bzip2 <b.tar | \"$0\" load")
            .succeeds().quietly().says("Loaded image: host:5000/a:1\nLoaded image: host:5000/a:1\n");
        let layers = std::fs::read_dir(room.path().join("store/layers")).unwrap().count();
        assert_eq!(layers, 2);
    }

    fn load_shares_layers_and_reads_them_once(room) {
        python(room, "
docker('a.tar', image([BASE, layer(('x', 'f', 'x'))], ['a']))
docker('b.tar', image([BASE, layer(('y', 'f', 'y'))], ['b']))");
        room.envbox(&["load", "-i", "a.tar"]).succeeds();
        room.envbox(&["load", "-i", "b.tar"]).succeeds();
        let count = || std::fs::read_dir(room.path().join("store/layers")).unwrap().count();
        assert_eq!(count(), 3);
        room.envbox(&["rmi", "a"]).succeeds();
        assert_eq!(count(), 2);
        room.envbox(&["rmi", "b"]).succeeds();
        assert_eq!(count(), 0);
    }

    fn load_follows_the_links_of_old_archives(room) {
        python(room, "
line, files = image([BASE, layer(), BASE], ['old'])
line['Layers'] = ['one/layer.tar', 'two/layer.tar', 'three/layer.tar']
conf = files[line['Config']]
put('old.tar', [('one/', 'd'), ('one/layer.tar', 'f', BASE), ('two/layer.tar', 'f', layer()),
    ('three/layer.tar', 'l', '../one/layer.tar'), ('one/VERSION', 'f', '1.0'), (line['Config'], 'f', conf),
    ('repositories', 'f', '{}'), ('manifest.json', 'f', json.dumps([line]))])");
        room.envbox(&["load", "-i", "old.tar"]).succeeds().says("Loaded image: old:latest");
        shell(room, "\"$0\" rmi old; \"$0\" load <old.tar").succeeds().says("Loaded image: old:latest");
        shell(room, "\"$0\" rmi old; mkdir dir; tar -C dir -xf old.tar; rm dir/three/layer.tar
            ln dir/one/layer.tar dir/three/; tar -C dir -cf linked.tar . ; \"$0\" load <linked.tar")
            .succeeds().says("Loaded image: old:latest");
    }

    fn load_runs_what_it_loaded(room) {
        room.rootfs();
        python(room, "
out = io.BytesIO()
def of_root(info):
    info.uid = info.gid = 0
    return info
with tarfile.open(fileobj=out, mode='w') as t:
    t.add('rootfs', '.', filter=of_root)
docker('a.tar', image([out.getvalue(), layer(('etc/.wh.group', 'f'), ('etc/new', 'f', 'new'))], ['box']))");
        room.envbox(&["load", "-i", "a.tar"]).succeeds();
        let ran = room.envbox(&["run", "--rm", "box", "sh", "-c", "cat /etc/new; ls -A /etc"]);
        let seen = ran.succeeds().stdout();
        assert!(seen.starts_with("new"), "{seen}");
        assert!(!seen.contains("group") && seen.contains("passwd"), "{seen}");
    }
}
